"""What several segmentations say together: by majority, or by STAPLE, which weighs them by how good they are."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_brain_tumor.compare.inputs import describe_inputs
from napari_brain_tumor.compare.raters import Masks, Raters, gather
from napari_brain_tumor.errors import ComparisonError
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.labels import Region, class_names_of, classes_from_known
from napari_brain_tumor.progress import Job, Progress, run_job
from napari_brain_tumor.study import Segmentation

if TYPE_CHECKING:
    import pandas

ConsensusMethod = Literal["majority", "staple"]

METHODS: Final[dict[ConsensusMethod, str]] = {
    "majority": "A voxel belongs to a region where more than half of the segmentations say so; a tie is not enough, "
    "so for two it is what both mark.",
    "staple": "STAPLE (Warfield 2004, doi:10.1109/TMI.2004.828354): sensitivity and specificity of each segmentation "
    "and the hidden truth are estimated together, region by region; a voxel is inside where that is more likely than "
    "not.",
}
"""How a consensus is found, in words."""

_MARGIN_VOXELS: Final = 3
_MOST_STEPS: Final = 500
"""Of STAPLE, which ends by itself as soon as nothing changes: mostly within 20 to 50."""


@dataclass(frozen=True, slots=True)
class RaterQuality:
    """How well one segmentation finds the consensus of a region.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    sensitivity, specificity : float or None
        For STAPLE its own estimates; for a majority the parts of its inside and outside that this one has as such.
        Both are of the box in which the consensus is found. None where there is no inside or no outside.
    """

    name: str
    region: Region
    sensitivity: float | None
    specificity: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """What several segmentations say together.

    Parameters
    ----------
    segmentation : Segmentation
        Nested, on their grid; its provenance tells inputs with hashes, method, settings and qualities.
    method : {"majority", "staple"}
    qualities : tuple of RaterQuality
        One for each region and segmentation.
    tied : mapping of Region to int
        Voxels that just half of them say are of the region; a majority leaves them out.
    notes : tuple of str
        What the user should know.
    """

    segmentation: Segmentation
    method: ConsensusMethod
    qualities: tuple[RaterQuality, ...]
    tied: Mapping[Region, int]
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> Table:
        """How well each segmentation finds each region of the consensus."""
        columns = tuple(field.name for field in fields(RaterQuality))
        return Table(columns, tuple(map(asdict, self.qualities)), {"sensitivity": 3, "specificity": 3})

    def to_dataframe(self) -> "pandas.DataFrame":
        """The qualities as a `pandas.DataFrame`: one row for each region and segmentation."""
        return self.table.to_dataframe()


def consensus(
    segmentations: Mapping[str, Segmentation], method: ConsensusMethod = "majority", *, resample: bool = False
) -> Segmentation:
    """What several segmentations say together, as one segmentation; `find_consensus` tells more.

    Parameters
    ----------
    segmentations : mapping of str to Segmentation
        Two or more of one case, by name. Only regions that all of them tell are in the result.
    method : {"majority", "staple"}
        `METHODS` says what they do.
    resample : bool
        Whether those on other grids are resampled onto the first one's, to the nearest label, instead of refused.

    Returns
    -------
    Segmentation
        Its provenance names the inputs with hashes, the method, and how good each segmentation is.

    Raises
    ------
    ComparisonError, GridMismatchError, SpacingUnknownError, LabelSchemaError
        If they cannot be joined, as for `compare_segmentations`, or there is no such method.

    Examples
    --------
    >>> joined = consensus({"rater A": first, "rater B": second, "unet": third}, "staple")  # doctest: +SKIP
    """
    return find_consensus(segmentations, method, resample=resample).segmentation


def find_consensus(
    segmentations: Mapping[str, Segmentation], method: ConsensusMethod = "majority", *, resample: bool = False
) -> Consensus:
    """The same with sensitivity and specificity of each; parameters and errors as for `consensus`."""
    return run_job(consensus_job(segmentations, method, resample=resample))


def consensus_job(
    segmentations: Mapping[str, Segmentation], method: ConsensusMethod = "majority", *, resample: bool = False
) -> Job[Consensus]:
    """Do the same as `find_consensus`, as a job with progress."""
    if method not in METHODS:
        raise ComparisonError(f"There is no consensus {method!r}. Ask for one of: {', '.join(METHODS)}.")
    raters = gather(segmentations, resample=resample)
    masks: dict[Region, npt.NDArray[np.bool_]] = {}
    results: dict[Region, _Joined] = {}
    for number, region in enumerate(raters.regions):
        yield Progress(number, len(raters.regions), f"{region} by {method}")
        masks[region], results[region] = _join(raters, region, method)
    tied = {region: result.tied for region, result in results.items()}
    qualities = tuple(chain.from_iterable(result.qualities for result in results.values()))
    classes = classes_from_known(masks)
    first = next(iter(raters.segmentations.values()))
    segmentation = next(iter(segmentations.values()))
    joined = replace(
        first,
        data=classes,
        name=segmentation.name,
        class_names=class_names_of(raters.regions),
        provenance=_provenance(raters, method, qualities, tied, resample),
        notes=tuple(dict.fromkeys(note for each in segmentations.values() for note in each.notes)),
    )
    return Consensus(joined, method, qualities, tied, (*raters.notes, *_notes(method, tied, qualities)))


@dataclass(frozen=True, slots=True)
class _Joined:
    qualities: tuple[RaterQuality, ...]
    tied: int


def _join(raters: Raters, region: Region, method: ConsensusMethod) -> tuple[Masks, _Joined]:
    inside = np.zeros(raters.grid.shape, dtype=bool)
    box = raters.box(region)
    if box is None:
        return inside, _Joined(tuple(RaterQuality(name, region, None, None) for name in raters.names), 0)
    # Beyond the box nobody marks anything, so its margin can be made, also where the grid ends.
    margin = ((0, 0), *((_MARGIN_VOXELS, _MARGIN_VOXELS),) * 3)
    votes = np.pad(raters.masks(region, box), margin)
    counts = votes.sum(axis=0, dtype=np.uint8)
    consensus, measured = _staple(votes) if method == "staple" else _majority(votes, counts)
    inside[box.slices] = consensus[(slice(_MARGIN_VOXELS, -_MARGIN_VOXELS),) * 3]
    qualities = tuple(RaterQuality(name, region, *rates) for name, rates in zip(raters.names, measured, strict=True))
    return inside, _Joined(qualities, int(np.count_nonzero(2 * counts == len(votes))))


Measured = list[tuple[float | None, float | None]]


def _majority(votes: Masks, counts: npt.NDArray[np.uint8]) -> tuple[Masks, Measured]:
    consensus = 2 * counts.astype(np.int16) > len(votes)
    inside, outside = int(np.count_nonzero(consensus)), int(np.count_nonzero(~consensus))
    measured: Measured = []
    for vote in votes:
        true_positives, true_negatives = np.count_nonzero(vote & consensus), np.count_nonzero(~vote & ~consensus)
        measured.append(
            (float(true_positives / inside) if inside else None, float(true_negatives / outside) if outside else None)
        )
    return consensus, measured


def _staple(votes: Masks) -> tuple[Masks, Measured]:
    """STAPLE within a box that lies close around everything that is marked.

    Its prior is the share of the box that the segmentations mark, and specificity counts what they leave out, so the
    box matters: over a whole head every specificity is near 1 and tells nothing of who marks too much, and the result
    would depend on how much air a file holds. A margin of 3 voxels on each side keeps some outside where all marks
    fill their box.
    """
    algorithm = sitk.STAPLEImageFilter()
    algorithm.SetForegroundValue(1)
    algorithm.SetMaximumIterations(_MOST_STEPS)
    images = [sitk.GetImageFromArray(np.ascontiguousarray(vote, dtype=np.uint8)) for vote in votes]
    likely = sitk.GetArrayFromImage(algorithm.Execute(images))
    measured: Measured = list(zip(algorithm.GetSensitivity(), algorithm.GetSpecificity(), strict=True))
    return likely > 0.5, measured


def _notes(method: ConsensusMethod, tied: Mapping[Region, int], qualities: tuple[RaterQuality, ...]) -> tuple[str, ...]:
    notes = []
    listed = [f"{region} {count}" for region, count in tied.items() if count]
    if method == "majority" and listed:
        notes.append(f"Voxels with a tie, which are left out: {', '.join(listed)}.")
    if method == "staple" and len({quality.name for quality in qualities}) == 2:
        notes.append(
            "Two segmentations cannot outvote each other, so STAPLE is hardly meaningful for two. Add a third."
        )
    return tuple(notes)


def _provenance(
    raters: Raters,
    method: ConsensusMethod,
    qualities: tuple[RaterQuality, ...],
    tied: Mapping[Region, int],
    resample: bool,
) -> dict[str, Any]:
    settings: dict[str, Any] = {"resample": resample, "margin_voxels": _MARGIN_VOXELS}
    if method == "staple":
        settings |= {"iterations_at_most": _MOST_STEPS, "confidence_weight": 1.0, "inside_above": 0.5}
    return {
        "task": "consensus",
        "method": f"consensus of {len(raters.names)} segmentations by {method}",
        "definition": METHODS[method],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": describe_inputs(raters.segmentations),
        "settings": settings,
        "regions": list(raters.regions),
        "qualities": {
            region: {
                quality.name: {"sensitivity": quality.sensitivity, "specificity": quality.specificity}
                for quality in qualities
                if quality.region == region
            }
            for region in raters.regions
        },
        "tied_voxels": dict(tied),
        "versions": {name: version(name) for name in ("napari-brain-tumor", "numpy", "SimpleITK")},
    }
