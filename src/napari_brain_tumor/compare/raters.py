"""The segmentations to compare: by name, on one grid, with the regions that all of them define."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import ComparisonError, GridMismatchError, LabelSchemaError
from napari_brain_tumor.geometry import Box, Grid, bounding_box
from napari_brain_tumor.labels import REGIONS, RESECTION_CAVITY, Region, label_values, region_mask
from napari_brain_tumor.metrics.one_grid import on_grid, resampled_onto
from napari_brain_tumor.study import Segmentation

Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Raters:
    """Two or more segmentations on one grid, named after who or what made them.

    Created by `gather`, which checks the conditions stated here.

    Parameters
    ----------
    segmentations : mapping of str to Segmentation
        All on the same grid, with axes in the same order, and with `regions` as their known regions.
    reference : str or None
        Name of the segmentation used as the reference, if any.
    regions : tuple of {"WT", "TC", "ET"}
        Regions that all of them define, at least one.
    notes : tuple of str
        Notes for the user on what was left out or resampled.
    """

    segmentations: Mapping[str, Segmentation]
    reference: str | None
    regions: tuple[Region, ...]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order given."""
        return tuple(self.segmentations)

    @property
    def grid(self) -> Grid:
        """The common grid."""
        return next(iter(self.segmentations.values())).grid

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs to score: the reference with every other; without a reference, every pair once."""
        if self.reference is None:
            return tuple(combinations(self.names, 2))
        return tuple((self.reference, name) for name in self.names if name != self.reference)

    def box(self, region: Region) -> Box | None:
        """Return the smallest box around all voxels that any of them assigns to the region; None if there are none."""
        return bounding_box(
            np.logical_or.reduce([region_mask(segmentation.data, region) for segmentation in self._all])
        )

    def masks(self, region: Region, box: Box | None = None) -> Masks:
        """Return the masks of a region within a box, `(rater, X, Y, Z)`, in the order of the names."""
        inside = (slice(None),) * 3 if box is None else box.slices
        return np.stack([region_mask(segmentation.data[inside], region) for segmentation in self._all])

    @property
    def _all(self) -> tuple[Segmentation, ...]:
        return tuple(self.segmentations.values())


def gather(
    segmentations: Mapping[str, Segmentation], reference: str | None = None, *, resample: bool = False
) -> Raters:
    """Check that segmentations can be compared, and bring them onto one grid.

    The grid is that of the reference, or else of the first one. Axes in a different order or direction are reoriented
    without loss.

    Parameters
    ----------
    segmentations : mapping of str to Segmentation
        Two or more segmentations by name.
    reference : str, optional
        Name of the segmentation used as the reference.
    resample : bool
        Whether to resample segmentations on other grids, by nearest neighbour, instead of raising an error.

    Raises
    ------
    ComparisonError
        If there are fewer than two, a name is empty, or the reference is not one of them.
    GridMismatchError
        If they lie on different grids and are not to be resampled, or do not overlap.
    SpacingUnknownError
        If only some of them have a known voxel size.
    LabelSchemaError
        If there is no region that all of them define.
    """
    _check_names(segmentations, reference)
    first = reference if reference is not None else next(iter(segmentations))
    target = segmentations[first].grid
    placed = {
        name: _placed(name, segmentation, first, target, resample) for name, segmentation in segmentations.items()
    }
    regions = _common_regions(segmentations)
    restricted = {name: replace(segmentation, known_regions=regions) for name, segmentation in placed.items()}
    return Raters(restricted, reference, regions, _notes(segmentations, restricted, regions))


def _check_names(segmentations: Mapping[str, Any], reference: str | None) -> None:
    names = ", ".join(segmentations) or "none"
    if len(segmentations) < 2:
        msg = f"Segmentations to compare: {names}. Two or more of the same case are needed; add another one."
        raise ComparisonError(msg)
    if not all(name.strip() for name in segmentations):
        raise ComparisonError(f"One of the segmentations has an empty name ({names}). Give each its own name.")
    if reference is not None and reference not in segmentations:
        raise ComparisonError(f"The reference {reference!r} is none of the segmentations. Name one of: {names}.")


def _placed(name: str, segmentation: Segmentation, first: str, target: Grid, resample: bool) -> Segmentation:
    renamed = replace(segmentation, name=name)  # error messages use the name given by the user
    if resample:
        return resampled_onto(renamed, target, whose=first)
    try:
        return on_grid(renamed, target, whose=first)
    except GridMismatchError as error:
        msg = f"{error} To let each voxel take the nearest label, use resample=True."
        raise GridMismatchError(msg) from error


def _common_regions(segmentations: Mapping[str, Segmentation]) -> tuple[Region, ...]:
    common = tuple(
        region
        for region in REGIONS
        if all(region in segmentation.known_regions for segmentation in segmentations.values())
    )
    if not common:
        listed = "; ".join(
            f"{name}: {', '.join(segmentation.known_regions) or 'none'}" for name, segmentation in segmentations.items()
        )
        raise LabelSchemaError(
            f"There is no region that all segmentations mark ({listed}). Compare those that share one, and name the "
            "schema of files whose numbers were read wrongly."
        )
    return common


def _notes(
    segmentations: Mapping[str, Segmentation], placed: Mapping[str, Segmentation], regions: tuple[Region, ...]
) -> tuple[str, ...]:
    notes = []
    left_out = [region for region in REGIONS if region not in regions]
    fewer = [
        name
        for name, segmentation in segmentations.items()
        if any(region not in segmentation.known_regions for region in left_out)
    ]
    if left_out and any(set(segmentation.known_regions) - set(regions) for segmentation in segmentations.values()):
        notes.append(f"{', '.join(left_out)} left out: not marked by {', '.join(fewer)}.")
    grid = next(iter(placed.values())).grid
    moved = [
        name
        for name, segmentation in segmentations.items()
        if placed[name].data is not segmentation.data and not _is_turned(segmentation, grid)
    ]
    if moved:
        notes.append(f"{', '.join(moved)} resampled onto one grid, to the nearest label: check that it fits.")
    if any(RESECTION_CAVITY in label_values(segmentation.data) for segmentation in placed.values()):
        notes.append("Resection cavities belong to none of the regions and are not compared.")
    return tuple(notes)


def _is_turned(segmentation: Segmentation, grid: Grid) -> bool:
    try:
        on_grid(segmentation, grid)
    except GridMismatchError:
        return False
    return True
