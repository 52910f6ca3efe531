"""One slice of a case with its truth and every prediction, kept small so that the whole set can be looked at later."""

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
"""No method has an empty name."""


@dataclass(frozen=True, slots=True, eq=False)
class CaseView:
    """An axial slice in the radiological convention, with the whole tumour as truth and methods have it.

    Parameters
    ----------
    image : (rows, columns) uint8 array
        Grey levels, row 0 on top.
    truth : (rows, columns) bool array
        Whole tumour.
    predicted : mapping of str to (rows, columns) bool array
        Whole tumour by method.
    borders : (float, float, float, float)
        Of the picture, in the unit of the grid, so that voxels are drawn in proportion.
    caption : str
        Sequence and place of the slice.
    """

    image: npt.NDArray[np.uint8]
    truth: Mask
    predicted: Mapping[str, Mask]
    borders: Extent
    caption: str


def view_of(study: Study, truth: Segmentation, predicted: Mapping[str, Segmentation]) -> CaseView:
    """The slice with the largest cut of the true tumour, on FLAIR or else on the first sequence.

    Where the truth is empty it is the slice with most of what was found, and the middle where nothing was.

    Parameters
    ----------
    study : Study
        The scans.
    truth : Segmentation
        On the study's grid.
    predicted : mapping of str to Segmentation
        By method, on the study's grid.
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
