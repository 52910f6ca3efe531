"""One slice of a case with its reference and predictions, kept small so that all cases can be viewed later."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.labels import region_mask
from napari_brain_tumor.measure.planes import AXIAL, Extent, cropped, cut, extent, grey_window, in_ras
from napari_brain_tumor.study import Role, Segmentation, Study
from napari_brain_tumor.types import Array, Mask

_TRUTH: Final = ""
"""Key of the reference; no method has an empty name."""


@dataclass(frozen=True, slots=True, eq=False)
class CaseView:
    """An axial slice in the radiological convention, with the whole tumour according to the reference and the methods.

    Parameters
    ----------
    image : (rows, columns) uint8 array
        Grey levels, with row 0 at the top.
    truth : (rows, columns) bool array
        Whole tumour in the reference.
    predicted : mapping of str to (rows, columns) bool array
        Whole tumour predicted by each method.
    borders : (float, float, float, float)
        Edges of the picture, in the unit of the grid, so that voxels keep their proportions.
    caption : str
        Sequence and position of the slice.
    """

    image: npt.NDArray[np.uint8]
    truth: Mask
    predicted: Mapping[str, Mask]
    borders: Extent
    caption: str


def view_of(study: Study, truth: Segmentation, predicted: Mapping[str, Segmentation]) -> CaseView:
    """Return the slice with the largest area of reference tumour, on FLAIR if present, else on the first sequence.

    If the reference is empty, it is the slice with the largest predicted area, or else the middle slice.

    Parameters
    ----------
    study : Study
        The scans.
    truth : Segmentation
        Reference on the study's grid.
    predicted : mapping of str to Segmentation
        Predictions by method, on the study's grid.
    """
    role: Role = "FLAIR" if "FLAIR" in study.sequences else study.roles[0]
    labels = {_TRUTH: truth.data, **{name: segmentation.data for name, segmentation in predicted.items()}}
    view = cropped(in_ras({role: study.sequences[role]}, labels, study.grid))
    index = _slice_to_show(view.labels[_TRUTH], [view.labels[name] for name in predicted])
    low, high = grey_window(view.images[role])
    image = np.clip((cut(view.images[role], AXIAL, index) - low) / max(high - low, 1e-9), 0, 1) * 255
    masks = {name: region_mask(cut(classes, AXIAL, index), "WT") for name, classes in view.labels.items()}
    position = float(view.grid.world((0, 0, index))[2])
    return CaseView(
        image=image.astype(np.uint8),
        truth=masks.pop(_TRUTH),
        predicted=masks,
        borders=extent(view.grid, AXIAL),
        caption=f"{role}, axial {position:.0f} {view.grid.unit}",
    )


def _slice_to_show(truth: Array, predicted: list[Array]) -> int:
    for classes in (truth, np.maximum.reduce(predicted) if predicted else truth):
        areas = region_mask(classes, "WT").sum(axis=(0, 1))
        if areas.any():
            return int(areas.argmax())
    return int(truth.shape[2] // 2)
