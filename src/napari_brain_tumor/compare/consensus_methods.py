"""Consensus of several segmentations: by majority vote, or by STAPLE, which weights them by estimated quality."""

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
"""Description of each consensus method."""

_MARGIN_VOXELS: Final = 3
_MOST_STEPS: Final = 500
"""Upper limit of STAPLE iterations; it stops by itself at convergence, usually after 20 to 50."""


@dataclass(frozen=True, slots=True)
class RaterQuality:
    """How well one segmentation agrees with the consensus in a region.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    sensitivity, specificity : float or None
        With STAPLE, its own estimates; with a majority, the fractions of the consensus's inside and outside on which
        this segmentation agrees. Both refer to the box in which the consensus is computed. None if there is no inside
        or no outside.
    """

    name: str
    region: Region
    sensitivity: float | None
    specificity: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """The consensus of several segmentations.

    Parameters
    ----------
    segmentation : Segmentation
        Nested regions on the common grid; its provenance lists the inputs with hashes, method, settings and qualities.
    method : {"majority", "staple"}
    qualities : tuple of RaterQuality
        One for each region and segmentation.
    tied : mapping of Region to int
        Number of voxels that exactly half of the segmentations assign to the region; a majority excludes them.
    notes : tuple of str
        Notes for the user.
    """

    segmentation: Segmentation
    method: ConsensusMethod
    qualities: tuple[RaterQuality, ...]
    tied: Mapping[Region, int]
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> Table:
        """Agreement of each segmentation with each region of the consensus, as a table."""
        columns = tuple(field.name for field in fields(RaterQuality))
        return Table(columns, tuple(map(asdict, self.qualities)), {"sensitivity": 3, "specificity": 3})

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return the qualities as a `pandas.DataFrame` with one row for each region and segmentation."""
        return self.table.to_dataframe()


def consensus(
    segmentations: Mapping[str, Segmentation], method: ConsensusMethod = "majority", *, resample: bool = False
) -> Segmentation:
    """Compute the consensus of several segmentations; use `find_consensus` for further results.

    Parameters
    ----------
    segmentations : mapping of str to Segmentation
        Two or more of one case, by name. The result contains only regions that all of them define.
    method : {"majority", "staple"}
        See `METHODS` for a description.
    resample : bool
        Whether to resample segmentations on other grids, by nearest neighbour, to that of the first one, instead of
        raising an error.

    Returns
    -------
    Segmentation
        Its provenance lists the inputs with hashes, the method, and the quality of each segmentation.

    Raises
    ------
    ComparisonError, GridMismatchError, SpacingUnknownError, LabelSchemaError
        If they cannot be combined, as for `compare_segmentations`, or there is no such method.

    Examples
    --------
    >>> joined = consensus({"rater A": first, "rater B": second, "unet": third}, "staple")  # doctest: +SKIP
    """
    return find_consensus(segmentations, method, resample=resample).segmentation


def find_consensus(
    segmentations: Mapping[str, Segmentation], method: ConsensusMethod = "majority", *, resample: bool = False
) -> Consensus:
    """Compute the consensus with the quality of each segmentation; parameters and errors as for `consensus`."""
    return run_job(consensus_job(segmentations, method, resample=resample))


def consensus_job(
    segmentations: Mapping[str, Segmentation], method: ConsensusMethod = "majority", *, resample: bool = False
) -> Job[Consensus]:
    """Run `find_consensus` as a job with progress."""
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
    # Nothing is marked outside the box, so a margin can be added by padding, even beyond the edge of the grid.
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
    """Run STAPLE within a tight box around everything that is marked.

    The box matters, because STAPLE's prior is the fraction of the box that is marked, and specificity counts what is
    left unmarked. Over a whole head, every specificity is close to 1 and does not reveal who marks too much, and the
    result would depend on how much air a file contains. A margin of 3 voxels on each side ensures that there is some
    outside even if the marks fill their box.
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
