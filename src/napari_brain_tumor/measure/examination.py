"""All measurements of one segmentation."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_brain_tumor.brain.extraction import HeadChoice, chosen_brain_job
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.measure.diameters import Bidimensional, Line
from napari_brain_tumor.measure.lesions import LeftOut, Lesion, find_lesions, measurability
from napari_brain_tumor.measure.midline import MidsagittalPlane, find_midsagittal_plane
from napari_brain_tumor.measure.rim import RimThickness, rim_thickness
from napari_brain_tumor.measure.settings import MeasureSettings
from napari_brain_tumor.measure.volumes import REGION_NAMES, VolumeTable, measure_volumes
from napari_brain_tumor.progress import Job, Progress, action, part_of
from napari_brain_tumor.study import Segmentation, Study

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Examination:
    """Measurements of one segmentation.

    Parameters
    ----------
    name : str
        Name of the case.
    grid : Grid
        Grid of the labels.
    volumes : VolumeTable
        Volumes of classes and regions.
    lesions : tuple of Lesion
        Lesions of ET, then TC, then WT, each largest first.
    left_out : mapping of region to LeftOut
        Parts that are smaller than the smallest lesion counted.
    rim : RimThickness or None
        Thickness of the enhancing rim around the core; None if there is no such rim or the voxel size is unknown.
    midline : MidsagittalPlane or None
        None if no scan was given to find it in, or the voxel size is unknown.
    settings : MeasureSettings
        How it was measured.
    notes : tuple of str
        Caveats for using the numbers, beginning with assumptions made about the scans and labels.
    """

    name: str
    grid: Grid
    volumes: VolumeTable
    lesions: tuple[Lesion, ...]
    left_out: Mapping[Region, LeftOut]
    rim: RimThickness | None
    midline: MidsagittalPlane | None
    settings: MeasureSettings
    notes: tuple[str, ...]

    def of_region(self, region: Region) -> tuple[Lesion, ...]:
        """Return the lesions of a region, largest first."""
        return tuple(lesion for lesion in self.lesions if lesion.region == region)

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return one row for each class, region and lesion as a `pandas.DataFrame`, with the columns of the CSV."""
        from napari_brain_tumor.measure.tables import examinations_table

        return examinations_table([self]).to_dataframe()

    def as_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-serialisable dictionary."""
        return {
            "name": self.name,
            "grid": {"shape": list(self.grid.shape), "affine": self.grid.affine.tolist(), "unit": self.grid.unit},
            "volumes": [asdict(row) for row in self.volumes.rows],
            "lesions": [_lesion(lesion) for lesion in self.lesions],
            "left_out": {region: asdict(small) for region, small in self.left_out.items()},
            "rim": None if self.rim is None else asdict(self.rim),
            "midline": None if self.midline is None else asdict(self.midline),
            "settings": self.settings.model_dump(),
            "notes": list(self.notes),
        }


@action
def measure_study(
    segmentation: Segmentation, study: Study | None = None, settings: MeasureSettings | None = None
) -> Job[Examination]:
    """Measure a segmentation: volumes, lesions with RANO diameters, side and midline, and thickness of the rim.

    Parameters
    ----------
    segmentation : Segmentation
        The segmentation to measure.
    study : Study, optional
        The scans that were segmented, in which the midline is found; without them sides cannot be assessed. In a whole
        head the brain is extracted first (`settings.brain`); to use your own mask, pass
        `extract_brain(study, mask=...)`.
    settings : MeasureSettings, optional
        How to measure.

    Returns
    -------
    Examination

    Examples
    --------
    >>> examination = measure_study(segmentation, study)  # doctest: +SKIP
    >>> examination.lesions[0].diameters.product_mm2  # doctest: +SKIP
    812.4
    """
    settings = settings or MeasureSettings()
    grid = segmentation.grid
    known = tuple(region for region in reversed(REGIONS) if region in segmentation.known_regions)
    steps = len(known) + 2
    yield Progress(0, steps, "finding the midline")
    plane: MidsagittalPlane | None = None
    brain_notes: tuple[str, ...] = ()
    if study is not None and _has_mm(segmentation, study):
        plane, brain_notes = yield from _midline_job(study, settings.brain, steps)
    lesions: list[Lesion] = []
    left_out: dict[Region, LeftOut] = {}
    for number, region in enumerate(known, 1):
        yield Progress(number, steps, f"measuring the {REGION_NAMES[region]}")
        region_lesions, left_out[region] = find_lesions(segmentation.data, grid, region, settings, plane)
        lesions += region_lesions
    yield Progress(steps - 1, steps, "measuring the rim")
    rim = rim_thickness(segmentation.data, grid) if grid.unit == "mm" and "ET" in known else None
    guesses = (*segmentation.notes, *(study.notes if study is not None else ()))
    notes = tuple(dict.fromkeys((*guesses, *brain_notes, *_notes(segmentation, study, lesions, left_out, settings))))
    volumes = measure_volumes(segmentation)
    return Examination(segmentation.name, grid, volumes, tuple(lesions), left_out, rim, plane, settings, notes)


measure_study_job = measure_study.job
"""`measure_study` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


def redrawn(examination: Examination, lines: Mapping[str, tuple[Line, Line]]) -> Examination:
    """Return the examination with the diameters of some lesions drawn by hand, and their measurability reassessed.

    Parameters
    ----------
    lines : mapping of title to two lines
        Lesions by `title`, such as `"ET 1"`, with their new lines; lesions without diameters are left unchanged.
    """
    lesions = tuple(
        _redrawn(lesion, examination, *lines[lesion.title]) if lesion.title in lines else lesion
        for lesion in examination.lesions
    )
    return replace(examination, lesions=lesions)


def _redrawn(lesion: Lesion, examination: Examination, long: Line, short: Line) -> Lesion:
    before = lesion.diameters
    if before is None:
        return lesion
    diameters = Bidimensional(before.axis, before.index, long, short, by_hand=True)
    distance = examination.grid.spacing[before.axis]
    measurable, reason = measurability(diameters, lesion.slices, distance, examination.settings)
    return replace(lesion, diameters=diameters, measurable=measurable, reason=reason)


def _midline_job(study: Study, brain: HeadChoice, steps: int) -> Job[tuple[MidsagittalPlane, tuple[str, ...]]]:
    """Find the midsagittal plane; returns it with notes on the brain in which it was found."""
    extracted = yield from part_of(chosen_brain_job(study, brain), 0, 0.9 / steps)
    yield Progress(0.9 / steps, 1, "finding the midline")
    plane = find_midsagittal_plane(extracted.study)
    if extracted.notes:
        return plane, ("No brain was found in the head: the midline is that of the head as it is.",)
    return plane, tuple(note for note in extracted.study.notes if note not in study.notes)


def _has_mm(segmentation: Segmentation, study: Study) -> bool:
    return segmentation.grid.unit == "mm" and study.grid.unit == "mm"


def _notes(
    segmentation: Segmentation,
    study: Study | None,
    lesions: list[Lesion],
    left_out: Mapping[Region, LeftOut],
    settings: MeasureSettings,
) -> Iterator[str]:
    grid = segmentation.grid
    if grid.unit != "mm":
        yield "The files do not state the voxel size: sizes are in voxels; lengths, sides and rim are not assessable."
    elif study is None:
        yield "No scan was given to find the midline in: sides and distances to it are not assessable."
    elif study.grid.unit != "mm":
        yield "The scans do not state their voxel size: sides and distances to the midline are not assessable."
    unknown = [region for region in REGIONS if region not in segmentation.known_regions]
    if unknown == ["TC", "ET"]:
        yield "The labels mark only the whole tumour: enhancing disease is not assessable."
    elif unknown:
        yield f"Not determined, as the labels do not mark it: {', '.join(REGION_NAMES[region] for region in unknown)}."
    for region, small in left_out.items():
        if small.parts:
            parts = "1 part" if small.parts == 1 else f"{small.parts} parts"
            size = settings.smallest(grid)
            yield f"{region}: {parts} of less than {size} left out, {small.voxels} voxels together."
    yield from _at_border(lesions, grid)


def _at_border(lesions: list[Lesion], grid: Grid) -> Iterator[str]:
    for lesion in lesions:
        ends = zip(lesion.box.start, lesion.box.stop, grid.shape, strict=True)
        if any(start == 0 or stop == size for start, stop, size in ends):
            yield f"{lesion.title} reaches the border of the scan: it may be larger than measured."


def _lesion(lesion: Lesion) -> dict[str, Any]:
    diameters = lesion.diameters
    values = asdict(lesion)
    values["side"], values["midline_mm"] = lesion.side, lesion.midline_mm
    if diameters is not None:
        values["diameters"] |= {
            "long_mm": diameters.long_mm,
            "short_mm": diameters.short_mm,
            "product_mm2": diameters.product_mm2,
            "angle_degrees": diameters.angle_degrees,
        }
    return values
