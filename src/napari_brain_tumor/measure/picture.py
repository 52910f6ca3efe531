"""A picture of a segmentation on its scans: three planes through the tumour, one column a sequence."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import GridMismatchError, SaveError
from napari_brain_tumor.geometry import Box, Grid, bounding_box, orthogonal_grid, resample, to_ras
from napari_brain_tumor.labels import CLASS_COLORS, region_mask
from napari_brain_tumor.measure.volumes import measure_volumes
from napari_brain_tumor.study import Segmentation, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PLANES", "Plane", "planes_through", "save_picture"]

Array = npt.NDArray[Any]

_PANEL_INCHES: Final = 2.6
_FILL_OPACITY: Final = 0.25
_MARGIN_MM: Final = 4.0


@dataclass(frozen=True, slots=True)
class Plane:
    """A way to look at an RAS volume: the axis that is cut, and which sides lie left and right in the picture."""

    name: str
    axis: int
    left: str
    right: str


PLANES: Final = (
    Plane("axial", 2, "R", "L"),
    Plane("coronal", 1, "R", "L"),
    Plane("sagittal", 0, "A", "P"),
)
"""In the radiological convention: the patient's right is on the left, the front or the head is up."""


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """What is drawn: images and classes `(X, Y, Z)` on one RAS grid that is aligned with the world."""

    images: dict[str, Array]
    classes: npt.NDArray[np.uint8]
    grid: Grid


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
    figure = _figure(_cropped(_in_ras(study, segmentation)), segmentation)
    target = Path(path)
    partial = target.with_name(f".{target.name}.part")
    try:
        figure.savefig(partial, format="png", facecolor=figure.get_facecolor())
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
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


def _in_ras(study: Study, segmentation: Segmentation) -> _View:
    if not study.grid.is_oblique:
        turn = to_ras(study.grid)
        images = {str(role): turn.apply(array) for role, array in study.sequences.items()}
        return _View(images, turn.apply(segmentation.data), turn.target)
    target = orthogonal_grid(study.grid)
    images = {str(role): resample(array, study.grid, target) for role, array in study.sequences.items()}
    return _View(images, resample(segmentation.data, study.grid, target, nearest=True), target)


def _cropped(view: _View) -> _View:
    """The view around the head alone, so that it fills the picture."""
    first = next(iter(view.images.values()))
    # The background of a raw scan is low noise, not zero.
    head = bounding_box((first > np.percentile(first, 99) * 0.05) | (view.classes > 0)) or Box.whole(view.grid.shape)
    margin = tuple(round(_MARGIN_MM / s) for s in view.grid.spacing)
    box = head.grown(margin, view.grid.shape)  # type: ignore[arg-type]
    images = {role: image[box.slices] for role, image in view.images.items()}
    return _View(images, view.classes[box.slices], view.grid.cropped(box))


def _figure(view: _View, segmentation: Segmentation) -> "Figure":
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    heights = [_extent(view.grid, plane)[3] / _extent(view.grid, plane)[1] for plane in PLANES]
    size = (_PANEL_INCHES * len(view.images), _PANEL_INCHES * sum(heights) + 1.0)
    figure = Figure(figsize=size, dpi=110, facecolor="black", layout="constrained")
    axes = figure.subplots(len(PLANES), len(view.images), squeeze=False, gridspec_kw={"height_ratios": heights})
    where = planes_through(view.classes)
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


def _draw_panel(axes: "Axes", view: _View, plane: Plane, index: int, image: Array) -> None:
    low, high = _window(image)
    extent = _extent(view.grid, plane)
    axes.imshow(_cut(image, plane, index), cmap="gray", vmin=low, vmax=high, extent=extent, interpolation="bilinear")
    classes = _cut(view.classes, plane, index)
    for value, color in CLASS_COLORS.items():
        mask = classes == value
        if mask.any():
            fill = _solid(mask, color)
            axes.imshow(fill, extent=extent, interpolation="nearest")
            axes.contour(
                _padded(mask), levels=[0.5], colors=[color], linewidths=0.9, extent=_padded_extent(extent, mask)
            )
    axes.set(xticks=[], yticks=[], facecolor="black", xlim=extent[:2], ylim=extent[2:])
    for text, x, align in ((plane.left, 0.02, "left"), (plane.right, 0.98, "right")):
        axes.text(x, 0.5, text, transform=axes.transAxes, ha=align, va="center", color="#bbbbbb", fontsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _cut(array: Array, plane: Plane, index: int) -> Array:
    """One slice `(rows, columns)` of an RAS volume, as it is looked at: row 0 on top."""
    slice_2d: Array = np.take(array, index, axis=plane.axis)
    # The remaining two axes run right/front and front/head; in the picture right is left, front is left, up is up.
    return slice_2d.T[::-1, ::-1]


def _extent(grid: Grid, plane: Plane) -> tuple[float, float, float, float]:
    width, height = (grid.shape[a] * grid.spacing[a] for a in range(3) if a != plane.axis)
    return 0.0, width, 0.0, height


def _padded(mask: npt.NDArray[np.bool_]) -> Array:
    # A ring of zeros closes outlines that touch the border; rows are flipped because contour() counts them upwards.
    return np.pad(mask.astype(float), 1)[::-1]


def _padded_extent(extent: tuple[float, float, float, float], mask: npt.NDArray[np.bool_]) -> tuple[float, ...]:
    # contour() puts its first and last samples on the extent, imshow() half a pixel inside.
    row, column = extent[3] / mask.shape[0] / 2, extent[1] / mask.shape[1] / 2
    return -column, extent[1] + column, -row, extent[3] + row


def _solid(mask: npt.NDArray[np.bool_], color: str) -> Array:
    from matplotlib.colors import to_rgba

    picture = np.zeros((*mask.shape, 4))
    picture[mask] = to_rgba(color, _FILL_OPACITY)
    return picture


def _window(image: Array) -> tuple[float, float]:
    inside = image[image > 0] if (image > 0).any() else image
    low, high = np.percentile(inside, (0.5, 99.8))
    return float(min(low, 0.0) if image.min() >= 0 else low), float(high)


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
