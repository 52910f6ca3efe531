"""Display planes of scans and labels: slices of an RAS volume in the radiological convention."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import GridMismatchError
from napari_brain_tumor.geometry import Box, Grid, bounding_box, orthogonal_grid, resample, to_ras
from napari_brain_tumor.labels import CLASS_COLORS, region_mask
from napari_brain_tumor.study import Role, Segmentation, Study
from napari_brain_tumor.types import Array, Labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Extent = tuple[float, float, float, float]
"""Left, right, lower and upper edge of a picture, in the unit of its grid."""

LABELS: Final = "labels"
"""Name of the label array in a view."""
_MARGIN_MM: Final = 4.0


@dataclass(frozen=True, slots=True)
class Plane:
    """A display plane of an RAS volume: the axis perpendicular to it, and the patient's side at each picture edge."""

    name: str
    axis: int
    left: str
    right: str
    top: str
    bottom: str


AXIAL: Final = Plane("axial", 2, "R", "L", "A", "P")
PLANES: Final = (AXIAL, Plane("coronal", 1, "R", "L", "S", "I"), Plane("sagittal", 0, "A", "P", "S", "I"))
"""In the radiological convention: the patient's right is on the left, and anterior or superior is up."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Images and label arrays `(X, Y, Z)` to draw, by name, on one RAS grid aligned with the world axes."""

    images: Mapping[str, Array]
    labels: Mapping[str, Labels]
    grid: Grid


def require_one_grid(study: Study, segmentation: Segmentation, what: str) -> None:
    """Raise `GridMismatchError` if a study and a segmentation to be displayed together lie on different grids.

    Parameters
    ----------
    study, segmentation
    what : str
        Subject of the error message, such as `"A figure"`.
    """
    if not study.grid.same_place(segmentation.grid):
        raise GridMismatchError(
            f"The study lies on {study.grid.describe()}, the segmentation on {segmentation.grid.describe()}. "
            f"{what} needs both on one grid: open the scans that were segmented."
        )


def view_of(study: Study, segmentation: Segmentation, roles: Iterable[Role]) -> View:
    """Return the scans and labels, which share a grid, reoriented to RAS and cropped to the head."""
    images = {str(role): study.sequences[role] for role in roles}
    return cropped(in_ras(images, {LABELS: segmentation.data}, study.grid))


def in_ras(images: Mapping[str, Array], labels: Mapping[str, Labels], grid: Grid) -> View:
    """Reorient arrays of one grid to RAS; they are resampled only if the grid is oblique to the world axes."""
    if not grid.is_oblique:
        turn = to_ras(grid)
        turned = {name: turn.apply(array) for name, array in images.items()}
        return View(turned, {name: turn.apply(array) for name, array in labels.items()}, turn.target)
    target = orthogonal_grid(grid)
    straight = {name: resample(array, grid, target) for name, array in images.items()}
    return View(straight, {n: resample(array, grid, target, nearest=True) for n, array in labels.items()}, target)


def cropped(view: View) -> View:
    """Crop the view to the head and the labels, so that they fill the picture."""
    first = next(iter(view.images.values()))
    # The background of a raw scan is low noise, not zero.
    inside = first > np.percentile(first, 99) * 0.05
    for labels in view.labels.values():
        inside |= labels > 0
    head = bounding_box(inside) or Box.whole(view.grid.shape)
    margin = tuple(round(_MARGIN_MM / s) for s in view.grid.spacing)
    box = head.grown(margin, view.grid.shape)  # type: ignore[arg-type]
    images = {name: image[box.slices] for name, image in view.images.items()}
    labels_there = {name: labels[box.slices] for name, labels in view.labels.items()}
    return View(images, labels_there, view.grid.cropped(box))


def planes_through(classes: npt.NDArray[np.uint8]) -> tuple[int, int, int]:
    """Return the slice index along each axis of `(X, Y, Z)` with the largest area of tumour core.

    Uses the whole tumour if there is no core, and the middle slice if there is no tumour.
    """
    core = region_mask(classes, "TC")
    tumour = core if core.any() else classes > 0
    if not tumour.any():
        x, y, z = (n // 2 for n in classes.shape)
    else:
        x, y, z = (int(tumour.sum(axis=tuple(a for a in range(3) if a != axis)).argmax()) for axis in range(3))
    return x, y, z


def cut(array: Array, plane: Plane, index: int) -> Array:
    """Return one slice `(rows, columns)` of an RAS volume as displayed, with row 0 at the top."""
    slice_2d: Array = np.take(array, index, axis=plane.axis)
    # The remaining axes point right/anterior and anterior/superior; displayed, right and anterior are to the left.
    return slice_2d.T[::-1, ::-1]


def extent(grid: Grid, plane: Plane) -> Extent:
    """Return the edges of a plane's picture, so that voxels keep their proportions."""
    width, height = (grid.shape[a] * grid.spacing[a] for a in range(3) if a != plane.axis)
    return 0.0, width, 0.0, height


def grey_window(image: Array) -> tuple[float, float]:
    """Return the values shown as black and white; nearly all of the head lies between them."""
    inside = image[image > 0] if (image > 0).any() else image
    low, high = np.percentile(inside, (0.5, 99.8))
    return float(min(low, 0.0) if image.min() >= 0 else low), float(high)


def draw_slice(axes: "Axes", image: Array, plane: Plane, borders: Extent, window: tuple[float, float]) -> None:
    """Draw a slice `(rows, columns)` in greyscale on black, with letters for the patient's sides at its edges."""
    low, high = window
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, extent=borders, interpolation="bilinear")
    axes.set(xticks=[], yticks=[], facecolor="black", xlim=borders[:2], ylim=borders[2:])
    for text, x, align in ((plane.left, 0.02, "left"), (plane.right, 0.98, "right")):
        axes.text(x, 0.5, text, transform=axes.transAxes, ha=align, va="center", color="#bbbbbb", fontsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_classes(axes: "Axes", classes: Array, borders: Extent, opacity: float = 0.25) -> None:
    """Draw the classes of a slice `(rows, columns)` as coloured outlines, filled with the given opacity."""
    for value, color in CLASS_COLORS.items():
        draw_mask(axes, classes == value, color, borders, opacity)


def draw_mask(axes: "Axes", mask: npt.NDArray[np.bool_], color: str, borders: Extent, opacity: float = 0.25) -> None:
    """Draw a mask `(rows, columns)` as a coloured outline, filled with the given opacity."""
    if not mask.any():
        return
    axes.imshow(_solid(mask, color, opacity), extent=borders, interpolation="nearest")
    axes.contour(_padded(mask), levels=[0.5], colors=[color], linewidths=0.9, extent=_padded_extent(borders, mask))


def _padded(mask: npt.NDArray[np.bool_]) -> Array:
    # A border of zeros closes outlines that touch the edge; rows are flipped because contour() counts them upwards.
    return np.pad(mask.astype(float), 1)[::-1]


def _padded_extent(borders: Extent, mask: npt.NDArray[np.bool_]) -> Extent:
    # contour() places its first and last samples on the extent, imshow() half a pixel inside it.
    row, column = borders[3] / mask.shape[0] / 2, borders[1] / mask.shape[1] / 2
    return -column, borders[1] + column, -row, borders[3] + row


def _solid(mask: npt.NDArray[np.bool_], color: str, opacity: float) -> Array:
    from matplotlib.colors import to_rgba

    picture = np.zeros((*mask.shape, 4))
    picture[mask] = to_rgba(color, opacity)
    return picture
