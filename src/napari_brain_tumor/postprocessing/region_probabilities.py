"""The probabilities behind a segmentation, and the labels derived from them. Does not load torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import ProbabilityError
from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.labels import Region, classes_from_known
from napari_brain_tumor.postprocessing.components import relabel_small_enhancing, remove_small_lesions
from napari_brain_tumor.postprocessing.uncertainty import binary_entropy
from napari_brain_tumor.preprocessing.grid import WorkingGrid
from napari_brain_tumor.preprocessing.world_box import WorldBox, inside_box
from napari_brain_tumor.types import Array

SURE: Final = 0.9
"""Probability at or above which a voxel counts as certain."""


@dataclass(frozen=True, slots=True)
class SizeRules:
    """Rules for removing parts of the tumour that are too small or too uncertain.

    Parameters
    ----------
    min_lesion_mm3, min_lesion_share : float
        As for `components.remove_small_lesions`.
    min_enhancing_mm3 : float
        As for `components.relabel_small_enhancing`.
    min_sure_enhancing : float
        Share of the voxels labelled as enhancing that must have a probability of at least `SURE`; below it, the tumour
        is judged not to enhance. This decides whether there is enhancement at all, before which voxels enhance. Only
        applies to probabilities.
    min_sure_tumor : float
        The same for the whole tumour: below this share, the scan is judged to show no tumour.
    """

    min_lesion_mm3: float = 0.0
    min_lesion_share: float = 0.0
    min_enhancing_mm3: float = 0.0
    min_sure_enhancing: float = 0.0
    min_sure_tumor: float = 0.0


def labels_from_masks(masks: Mapping[Region, npt.NDArray[np.bool_]], grid: Grid, rules: SizeRules) -> Array:
    """Combine region masks into classes `(Z, Y, X)`, without the parts that the rules remove.

    Parameters
    ----------
    masks : mapping of region to (Z, Y, X) bool array
    grid : Grid
        Gives the voxel size; if it is unknown, only rules based on shares apply.
    """
    labels = classes_from_known(masks)
    if grid.unit != "mm":
        return remove_small_lesions(labels, 0.0, 1.0, rules.min_lesion_share)
    volume = grid.voxel_volume_mm3
    labels = remove_small_lesions(labels, rules.min_lesion_mm3, volume, rules.min_lesion_share)
    return relabel_small_enhancing(labels, rules.min_enhancing_mm3, volume)


def sure_share(probabilities: npt.NDArray[np.floating[Any]], threshold: float) -> float:
    """Return the share of voxels at or above a threshold with probability `SURE` or more; 1 if there are none."""
    called = int((probabilities >= threshold).sum())
    return int((probabilities >= max(SURE, threshold)).sum()) / called if called else 1.0


def check_thresholds(thresholds: Mapping[Region, float] | None, usual: Mapping[Region, float]) -> dict[Region, float]:
    """Return the thresholds of all regions of a model in its order, with default values for those not given.

    Raises
    ------
    ProbabilityError
        If a threshold is for another region, or not between 0 and 1.
    """
    chosen_values = dict(thresholds or {})
    unknown = [region for region in chosen_values if region not in usual]
    if unknown:
        msg = f"A threshold was given for {', '.join(unknown)}; the model predicts {', '.join(usual)}. Leave it out."
        raise ProbabilityError(msg)
    for region, value in chosen_values.items():
        if not 0 < value < 1:
            msg = f"The threshold of {region} is {value:g}; a probability between 0 and 1 is needed, for example 0.5."
            raise ProbabilityError(msg)
    return {region: float(chosen_values.get(region, value)) for region, value in usual.items()}


@dataclass(frozen=True, slots=True, eq=False)
class RegionProbabilities:
    """Probabilities of all regions that a model predicts, and the rules for deriving labels from them.

    Parameters
    ----------
    regions : tuple of {"WT", "TC", "ET"}
        Regions in the order of `values`.
    values : (R, Z, Y, X) float16 array
        Probabilities on the network's grid, within `block`; 0 outside the brain or head and outside `box`.
    block : Box
        Part of the `(Z, Y, X)` working array that is covered by `values`.
    thresholds : mapping of region to float
        Thresholds from which the labels are derived.
    box : WorldBox, optional
        If given, only voxels in this box are labelled.
    brain : (X, Y, Z) bool array, optional
        Brain mask on the study's grid; outside it there are neither labels nor probabilities.
    without_enhancing : bool
        Whether the tumour is judged not to enhance, whatever the threshold of ET; see `rules.min_sure_enhancing`.
    without_tumor : bool
        Whether the scan is judged to show no tumour; see `rules.min_sure_tumor`.
    """

    regions: tuple[Region, ...]
    values: npt.NDArray[np.float16]
    block: Box
    work: WorkingGrid
    thresholds: Mapping[Region, float]
    rules: SizeRules = field(default_factory=SizeRules)
    box: WorldBox | None = None
    brain: npt.NDArray[np.bool_] | None = None
    without_enhancing: bool = False
    without_tumor: bool = False

    @property
    def grid(self) -> Grid:
        """Grid of `values`, with axes in the order X, Y, Z."""
        return self.work.grid.cropped(Box(self.block.start[::-1], self.block.stop[::-1]))

    @property
    def scan_grid(self) -> Grid:
        """The study's own grid, on which all results are returned."""
        return self.work.reorientation.source

    def labels(self) -> npt.NDArray[np.uint8]:
        """Return the classes `(X, Y, Z)` on the study's grid, from the thresholds and rules."""
        masks = {region: self.values[at] >= self.thresholds[region] for at, region in enumerate(self.regions)}
        if self.without_enhancing:
            masks["ET"][:] = False
        if self.without_tumor:
            masks = {region: np.zeros_like(mask) for region, mask in masks.items()}
        return self._on_scan(labels_from_masks(masks, self.work.grid, self.rules))

    def with_presence(self) -> "RegionProbabilities":
        """Return a copy in which the rules decide whether there is a tumour at all and whether it enhances."""
        return replace(
            self,
            without_enhancing=self._lacks("ET", self.rules.min_sure_enhancing),
            without_tumor=self._lacks("WT", self.rules.min_sure_tumor),
        )

    def _lacks(self, region: Region, least: float) -> bool:
        if region not in self.regions:
            return False
        return sure_share(self.values[self.regions.index(region)], self.thresholds[region]) < least

    def with_thresholds(self, thresholds: Mapping[Region, float] | None) -> "RegionProbabilities":
        """Return a copy with other thresholds; regions that are not given keep theirs.

        A different threshold for ET implies that there is enhancing tumour, and one for WT that there is a tumour: the
        corresponding rules on certainty are then disabled.

        Raises
        ------
        ProbabilityError
            As for `check_thresholds`.
        """
        changed = check_thresholds(thresholds, self.thresholds)
        result = replace(self, thresholds=changed)
        if changed.get("ET") != self.thresholds.get("ET"):
            result = replace(result, rules=replace(result.rules, min_sure_enhancing=0.0), without_enhancing=False)
        if changed.get("WT") != self.thresholds.get("WT"):
            result = replace(result, rules=replace(result.rules, min_sure_tumor=0.0), without_tumor=False)
        return result

    def __getitem__(self, region: Region) -> npt.NDArray[np.float16]:
        """Return the probability `(X, Y, Z)` of a region on the study's grid, by nearest neighbour if it was resampled.

        Voxels that reach the threshold are therefore exactly the labelled ones, apart from parts that are removed.

        Raises
        ------
        ProbabilityError
            If the model does not predict that region.
        """
        if region not in self.regions:
            raise ProbabilityError(f"The model predicts no {region}; it predicts {', '.join(self.regions)}.")
        # SciPy cannot resample float16.
        return self._on_scan(self.values[self.regions.index(region)].astype(np.float32)).astype(np.float16)

    def uncertainty(self) -> npt.NDArray[np.float32]:
        """Return the binary entropy in bits, `(X, Y, Z)` on the study's grid, of the least certain region."""
        most = np.zeros(self.values.shape[1:], np.float32)
        for value in self.values:
            where = value > 0
            np.maximum(most, np.where(where, binary_entropy(value), np.float32(0)), out=most)
        return self._on_scan(most)

    def _on_scan(self, values: Array) -> Array:
        labels = self.work.labels_to_source(values, self.block)
        if self.box is not None and self.work.resampled:
            labels *= inside_box(self.scan_grid, self.box)  # a voxel outside may have its nearest one inside
        if self.brain is not None:
            labels *= self.brain
        return labels
