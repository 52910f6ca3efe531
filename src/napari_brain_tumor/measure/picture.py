"""A picture of a segmentation on its scans: three planes through the tumour, one column a sequence."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import GridMismatchError, SaveError
from napari_brain_tumor.labels import CLASS_COLORS, region_mask
from napari_brain_tumor.leftovers import noted, remove_quietly, temporary_beside
from napari_brain_tumor.measure.planes import (
    PLANES,
    Plane,
    View,
    cropped,
    cut,
    draw_mask,
    draw_slice,
    extent,
    grey_window,
    in_ras,
)
from napari_brain_tumor.measure.volumes import measure_volumes
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["planes_through", "save_picture"]


_PANEL_INCHES: Final = 2.6
_CLASSES: Final = "classes"


def save_picture(study: Study, segmentation: Segmentation, path: str | os.PathLike[str]) -> Path:
    """Write a PNG: three planes through the tumour, on every sequence, with the classes outlined.

    Parameters
    ----------
    study : Study
        The scans.
    segmentation : Segmentation
        On the same grid as the study.
    path : path-like
        Where the picture goes; a file that is there is replaced.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    GridMismatchError
        If study and segmentation lie on different grids.
    SaveError
        If the file cannot be written.
    """
    if not study.grid.same_place(segmentation.grid):
        msg = (
            f"The study lies on {study.grid.describe()}, the segmentation on {segmentation.grid.describe()}. "
            "A picture needs both on one grid."
        )
        raise GridMismatchError(msg)
    images = {str(role): image for role, image in study.sequences.items()}
    figure = _figure(cropped(in_ras(images, {_CLASSES: segmentation.data}, study.grid)), segmentation)
    target = Path(path)
    partial = temporary_beside(target)
    try:
        with noted([partial]):  # a kill leaves nothing for good
            figure.savefig(partial, format="png", facecolor=figure.get_facecolor())
            partial.replace(target)
    except OSError as error:
        remove_quietly(partial)
        msg = f"The picture {target} could not be written: {error.strerror or error}. Choose another folder."
        raise SaveError(msg) from error
    return target


def planes_through(classes: npt.NDArray[np.uint8]) -> tuple[int, int, int]:
    """Indices along the axes of `(X, Y, Z)` of the three slices that show most of the tumour core.

    Most of the tumour where there is no core; the middle where there is no tumour.
    """
    core = region_mask(classes, "TC")
    tumour = core if core.any() else classes > 0
    if not tumour.any():
        x, y, z = (n // 2 for n in classes.shape)
    else:
        x, y, z = (int(tumour.sum(axis=tuple(a for a in range(3) if a != axis)).argmax()) for axis in range(3))
    return x, y, z


def _figure(view: View, segmentation: Segmentation) -> "Figure":
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    heights = [extent(view.grid, plane)[3] / extent(view.grid, plane)[1] for plane in PLANES]
    size = (_PANEL_INCHES * len(view.images), _PANEL_INCHES * sum(heights) + 1.0)
    figure = Figure(figsize=size, dpi=110, facecolor="black", layout="constrained")
    axes = figure.subplots(len(PLANES), len(view.images), squeeze=False, gridspec_kw={"height_ratios": heights})
    where = planes_through(view.labels[_CLASSES])
    for row, plane in zip(axes, PLANES, strict=True):
        for axis, (role, image) in zip(row, view.images.items(), strict=True):
            _draw_panel(axis, view, plane, where[plane.axis], image)
            if plane is PLANES[0]:
                axis.set_title(role, color="white", fontsize=11)
        position = float(view.grid.world(where)[plane.axis])
        row[0].set_ylabel(f"{plane.name} {position:.0f} {view.grid.unit}", color="white", fontsize=9)
    figure.suptitle(segmentation.name, color="white", fontsize=12)
    _add_legend(figure, segmentation)
    return figure


def _draw_panel(axes: "Axes", view: View, plane: Plane, index: int, image: Array) -> None:
    borders = extent(view.grid, plane)
    draw_slice(axes, cut(image, plane, index), plane, borders, grey_window(image))
    classes = cut(view.labels[_CLASSES], plane, index)
    for value, color in CLASS_COLORS.items():
        draw_mask(axes, classes == value, color, borders)


def _add_legend(figure: "Figure", segmentation: Segmentation) -> None:
    from matplotlib.patches import Patch

    rows = measure_volumes(segmentation).classes or measure_volumes(segmentation).regions
    patches = [
        Patch(color=CLASS_COLORS[row.key if isinstance(row.key, int) else 1], label=f"{row.name} {row.size}")
        for row in rows
    ]
    legend = figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=9)
    legend.set_title("Not for clinical use")
    legend.get_title().set_fontsize(7)
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_color("white")
