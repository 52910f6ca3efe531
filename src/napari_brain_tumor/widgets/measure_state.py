"""Logic of the Measure panel, without Qt: which layers belong together, what is shown, what an edit means."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from napari.layers import Labels, Layer, Shapes

from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.measure.diameters import Bidimensional
from napari_brain_tumor.measure.examination import Examination, measure_study_job
from napari_brain_tumor.measure.lesion_numbers import LESION_NUMBERS
from napari_brain_tumor.measure.lesions import Lesion
from napari_brain_tumor.measure.midline import MIDLINE_ROLES
from napari_brain_tumor.measure.settings import MeasureSettings
from napari_brain_tumor.plugin import from_layers, layers
from napari_brain_tumor.plugin.layers import LayerView, SegmentationTag
from napari_brain_tumor.preprocessing.traits import traits_of
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.requests.actions import measure_study_lines
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.study import Role, Study
from napari_brain_tumor.widgets.diameter_lines import shown_axis
from napari_brain_tumor.widgets.panel_lines import label_file_of, opening_of_layers
from napari_brain_tumor.widgets.scan_layers import candidates, match_roles

PLANES: Final = ("sagittal", "coronal", "axial")

_SQUARE_DEGREES: Final = 87.0
"""Smaller angles between the two diameters are reported."""

MEASURE_TARGET: Final = "napari_brain_tumor.measure.examination:measure_study_job"
"""The job that runs in the worker process."""

_LESION_COLUMNS: Final = ("Lesion", "Volume", "Diameters", "Product", "Side", "RANO")


def labels_layers(all_layers: Iterable[Layer]) -> list[Labels]:
    """Return the layers whose labels can be measured."""
    return [layer for layer in all_layers if isinstance(layer, Labels) and layer.ndim == 3]


def scans_of(labels: Labels | None, all_layers: Iterable[Layer]) -> dict[Role, Layer]:
    """Return the scans that belong to labels: those of the same case on the same grid, else any on the same grid."""
    if labels is None:
        return {}
    labels_view = layers.view(labels)
    there = [candidate for candidate in candidates(all_layers) if candidate.grid.same_place(labels_view.grid)]
    case = labels_view.tag.case if isinstance(labels_view.tag, SegmentationTag) else None
    anchor = next((candidate for candidate in there if candidate.case == case), None) or next(iter(there), None)
    return match_roles(there, anchor.layer) if anchor is not None else {}


def scans_text(scans: Mapping[Role, Layer]) -> str:
    """Describe in which scan the midline is found."""
    if not scans:
        return "No scan matches these labels: sides and the midline are not assessable."
    return f"The midline is found in {next(iter(midline_scan(scans)))}."


def midline_scan(scans: Mapping[Role, Layer]) -> dict[Role, Layer]:
    """Return the one scan in which the midline is found, if there is any."""
    role = next((role for role in MIDLINE_ROLES if role in scans), None)
    return {role: scans[role]} if role is not None else {}


def measure_steps(
    labels: LayerView,
    references: Sequence[LayerView],
    scans: Mapping[Role, LayerView],
    settings: MeasureSettings,
    in_worker: Callable[..., Job[Examination]],
) -> Job[Examination]:
    """Read the layers and measure, on the scan's own grid.

    If the brain has to be extracted from a whole head, which requires torch, `in_worker` runs that job in another
    process, given its name and arguments.
    """
    yield Progress(0, 1, "reading the layers")
    segmentation = from_layers.segmentation_from_layer(labels, references)
    study: Study | None = from_layers.study_from_layers(scans) if scans else None
    if study is not None and settings.brain == "auto" and traits_of(study).whole_head:
        return (yield from in_worker(MEASURE_TARGET, segmentation, study, settings))
    return (yield from measure_study_job(segmentation, study, settings))


def rows_of(shapes: Shapes, title: str) -> set[int]:
    """Return which shapes are the lines of this lesion."""
    titles = shapes.features.get("lesion", ())
    return {at for at, other in enumerate(titles) if other == title}


def lesion_table(lesions: Iterable[Lesion]) -> Table:
    """Return a table with a row for each lesion."""
    return Table.of_cells(_LESION_COLUMNS, map(lesion_cells, lesions), right=frozenset({"Volume", "Product"}))


def lesion_cells(lesion: Lesion) -> tuple[str, ...]:
    """Return the cells of a lesion's row."""
    diameters = lesion.diameters
    lengths = f"{diameters.long_mm:.1f} × {diameters.short_mm:.1f} mm" if diameters is not None else ""
    product = f"{diameters.product_mm2:.0f} mm²" if diameters is not None else ""
    judged = "" if diameters is None else "measurable" if lesion.measurable else "not measurable"
    hand = " ✎" if diameters is not None and diameters.by_hand else ""
    return lesion.title, lesion.size, lengths + hand, product, lesion.side or "", judged


def lesion_details(lesion: Lesion, examination: Examination) -> str:
    """Describe in sentences what does not fit into a lesion's row."""
    texts = [f"{lesion.title}: {lesion.reason}."]
    if lesion.diameters is not None:
        texts.append(_slice_text(lesion.diameters, lesion, examination))
        texts.append(angle_text(lesion.diameters))
    for name, value in lesion.numbers.items():
        texts.append(f"{LESION_NUMBERS[name].title}: {LESION_NUMBERS[name].text(value)}.")
    if lesion.midline is not None:
        where = "crosses the midline" if lesion.midline.crosses else f"{lesion.midline_mm:.0f} mm from the midline"
        texts.append(f"It lies on the {lesion.side}, {where}." if lesion.side != "both sides" else f"It {where}.")
    return " ".join(filter(None, texts))


def _slice_text(diameters: Bidimensional, lesion: Lesion, examination: Examination) -> str:
    plane = PLANES[shown_axis(diameters, examination.grid)]
    who = "Drawn by hand" if diameters.by_hand else "Measured"
    extent = f"{lesion.slices} slice{'s' if lesion.slices != 1 else ''}"
    return f"{who} on {plane} slice {diameters.index} of the file; seen on {extent}."


def angle_text(diameters: Bidimensional) -> str:
    """Return a warning about the angle between the two diameters; empty if they are perpendicular."""
    if diameters.angle_degrees >= _SQUARE_DEGREES:
        return ""
    return f"The lines meet at {diameters.angle_degrees:.0f}°: not perpendicular."


def place_of(lesion: Lesion) -> tuple[float, float, float]:
    """Return where to look at a lesion, in world coordinates: the middle of its longer diameter, else its centre."""
    if lesion.diameters is None:
        return lesion.centre
    x, y, z = ((a + b) / 2 for a, b in zip(lesion.diameters.long.start, lesion.diameters.long.stop, strict=True))
    return x, y, z


def lines_of_panel(
    labels: Labels | None,
    scans: Mapping[Role, Layer],
    settings: MeasureSettings,
    examination: Examination | None = None,
) -> CommandLines:
    """Return code for what the panel does; raises `RecordError` if the labels are not in a file."""
    if labels is None:
        msg = "Choose the labels to measure."
        raise RecordError(msg)
    lines = measure_study_lines(label_file_of(labels), opening_of_layers(scans) if scans else None, settings)
    by_hand = (
        [lesion.title for lesion in examination.lesions if lesion.diameters and lesion.diameters.by_hand]
        if examination
        else []
    )
    if not by_hand:
        return lines
    note = f"The lines of {', '.join(by_hand)} were moved by hand; these lines of code give the computed ones."
    return replace(lines, notes=(*lines.notes, note))
