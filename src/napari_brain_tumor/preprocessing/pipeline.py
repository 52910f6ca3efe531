"""Convert a study to network input, and labels back to the study's grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

from napari_brain_tumor.geometry import Box, bounding_box
from napari_brain_tumor.preprocessing.grid import WorkingGrid, working_grid
from napari_brain_tumor.preprocessing.intensity import foreground_mask, standardise
from napari_brain_tumor.study import Role, Study

_PHOTOGRAPHS: Final = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
"""Mean and standard deviation of ImageNet's red, green and blue, used to standardise input of photograph networks."""


_FINEST_MM: Final = 0.2
"""Smallest voxel spacing; a head at a finer spacing would not fit into memory."""


class PreprocessingSpec(BaseModel, extra="forbid", frozen=True):
    """How intensities and grids were preprocessed for a network; part of its card."""

    plane_spacing_mm: float = Field(default=1.0, ge=_FINEST_MM)
    """Spacing of the axial slices along x and y."""
    slice_spacing_mm: float | None = Field(default=None, ge=_FINEST_MM)
    """Distance between slices; if not given, slices of any thickness are used as they are."""
    clip_percentiles: tuple[float, float] = (0.5, 99.5)
    """Lower and upper percentile of the intensities within the brain or head."""
    scaling: Literal["zscore", "unit", "imagenet"] = "zscore"
    """Scaling of the clipped intensities: mean 0 and deviation 1; from 0 to 1; or the latter, then as for ImageNet."""
    statistics: Literal["foreground", "box"] = "foreground"
    """Voxels used for statistics and input: the brain or head, with zeros outside; or its whole bounding box."""
    margin_voxels: int = Field(default=8, ge=0, le=512)
    """Margin kept around the bounding box of the brain within the slices."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A preprocessed study, as the network receives it.

    `channels` is `(C, Z, Y, X)` float32, with one channel for each role of the network (zeros if the study lacks it),
    and covers `box` of the working grid. `mask` is the `(Z, Y, X)` brain or head within the box.
    """

    channels: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]
    box: Box
    work: WorkingGrid


def prepare(study: Study, roles: Sequence[Role], spec: PreprocessingSpec) -> Prepared:
    """Reorient, resample if needed, find the brain or head, crop to its bounding box and standardise.

    Parameters
    ----------
    study : Study
        Roles that the network does not use are ignored. If it has a brain mask, that mask is used.
    roles : sequence of role
        Roles in the order of the network's channels.
    spec : PreprocessingSpec
        Specification from the network's card.
    """
    work = working_grid(study.grid, spec.plane_spacing_mm, spec.slice_spacing_mm)
    volumes = {role: work.to_work(study.sequences[role]) for role in roles if role in study.sequences}
    if study.brain is None:
        mask = foreground_mask(list(volumes.values()))
    else:
        mask = work.labels_to_work(study.brain.astype(np.uint8)).astype(np.bool_)
    foreground = bounding_box(mask) or Box.whole(mask.shape)
    box = foreground.grown((0, spec.margin_voxels, spec.margin_voxels), mask.shape)
    mask = np.ascontiguousarray(mask[box.slices])
    channels = np.zeros((len(roles), *box.shape), dtype=np.float32)
    for channel, role in enumerate(roles):
        if role in volumes:
            channels[channel] = _scaled(volumes[role][box.slices], mask, spec)
            if role not in roles[channel + 1 :]:
                del volumes[role]  # frees a volume before the next one is scaled
    if spec.scaling == "imagenet":
        _as_photographs(channels, grey=len(set(roles)) == 1)
    return Prepared(channels, mask, box, work)


def restore(labels: npt.NDArray[Any], prepared: Prepared) -> npt.NDArray[Any]:
    """Map labels `(Z, Y, X)` of the prepared box to the study's own grid `(X, Y, Z)`; 0 outside the box."""
    return prepared.work.labels_to_source(labels, prepared.box)


def _scaled(volume: npt.NDArray[Any], mask: npt.NDArray[np.bool_], spec: PreprocessingSpec) -> npt.NDArray[np.float32]:
    voxels = mask if spec.statistics == "foreground" else np.ones_like(mask)
    return standardise(volume, voxels, spec.clip_percentiles, "zscore" if spec.scaling == "zscore" else "unit")


def _as_photographs(channels: npt.NDArray[np.float32], *, grey: bool) -> None:
    """Standardise channels in [0, 1] in place; grey images use the values for red, as in U2-Net's code."""
    for index, channel in enumerate(channels):
        mean, deviation = _PHOTOGRAPHS[0 if grey else index % len(_PHOTOGRAPHS)]
        channel -= np.float32(mean)
        channel /= np.float32(deviation)
