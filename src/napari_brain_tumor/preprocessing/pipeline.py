"""From a study to network input, and labels back to the study's grid."""

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
"""Mean and deviation of ImageNet's red, green and blue, which networks for photographs subtract and divide by."""


_FINEST_MM: Final = 0.2
"""A head in finer voxels is larger than any memory."""


class PreprocessingSpec(BaseModel, extra="forbid", frozen=True):
    """How intensities and grids were prepared for a network; part of its card."""

    plane_spacing_mm: float = Field(default=1.0, ge=_FINEST_MM)
    """Spacing of the axial slices along x and y."""
    slice_spacing_mm: float | None = Field(default=None, ge=_FINEST_MM)
    """Distance between the slices; without it they stay where they are, however thick."""
    clip_percentiles: tuple[float, float] = (0.5, 99.5)
    """Of the intensities within the brain or head."""
    scaling: Literal["zscore", "unit", "imagenet"] = "zscore"
    """Of the clipped intensities: mean 0 and deviation 1; from 0 to 1; or that, then as for photographs."""
    statistics: Literal["foreground", "box"] = "foreground"
    """Voxels that are looked at: the brain or head, with zeros outside; or its whole box, with what lies outside."""
    margin_voxels: int = Field(default=8, ge=0, le=512)
    """Context kept around the box of the brain within the slices."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A study as the network sees it.

    `channels` is `(C, Z, Y, X)` float32, one channel a role of the network, zeros where the study lacks it, covering
    `box` of the working grid; `mask` is the `(Z, Y, X)` brain or head within the box.
    """

    channels: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]
    box: Box
    work: WorkingGrid


def prepare(study: Study, roles: Sequence[Role], spec: PreprocessingSpec) -> Prepared:
    """Reorient, resample where needed, find the brain or head, crop to its box and standardise.

    Parameters
    ----------
    study : Study
        Roles that the network does not use are ignored. Its brain mask, if it has one, is taken as it is.
    roles : sequence of role
        Order of the network's channels.
    spec : PreprocessingSpec
        From the network's card.
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
                del volumes[role]  # one volume less while the next is scaled
    if spec.scaling == "imagenet":
        _as_photographs(channels, grey=len(set(roles)) == 1)
    return Prepared(channels, mask, box, work)


def restore(labels: npt.NDArray[Any], prepared: Prepared) -> npt.NDArray[Any]:
    """Labels `(Z, Y, X)` of the prepared box, on the study's own grid `(X, Y, Z)`; outside the box is 0."""
    return prepared.work.labels_to_source(labels, prepared.box)


def _scaled(volume: npt.NDArray[Any], mask: npt.NDArray[np.bool_], spec: PreprocessingSpec) -> npt.NDArray[np.float32]:
    voxels = mask if spec.statistics == "foreground" else np.ones_like(mask)
    return standardise(volume, voxels, spec.clip_percentiles, "zscore" if spec.scaling == "zscore" else "unit")


def _as_photographs(channels: npt.NDArray[np.float32], *, grey: bool) -> None:
    """Standardise channels between 0 and 1 in place; grey images by red's numbers, as U2-Net's code does."""
    for index, channel in enumerate(channels):
        mean, deviation = _PHOTOGRAPHS[0 if grey else index % len(_PHOTOGRAPHS)]
        channel -= np.float32(mean)
        channel /= np.float32(deviation)
