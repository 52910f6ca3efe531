"""A figure for a paper or talk: three planes through the tumour to scale, with outlines, volumes and a scale bar."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_brain_tumor.errors import OptionError, RoleError, SaveError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.labels import CLASS_COLORS
from napari_brain_tumor.measure.planes import (
    LABELS,
    PLANES,
    Plane,
    View,
    cut,
    draw_classes,
    draw_slice,
    extent,
    grey_window,
    planes_through,
    require_one_grid,
    view_of,
)
from napari_brain_tumor.measure.volumes import VolumeRow, measure_volumes
from napari_brain_tumor.study import Role, Segmentation, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURE_SUFFIXES: Final = (".png", ".svg", ".pdf")
CONVENTION: Final = "Radiological convention: the patient's right (R) is on the left."
_SHOWN: Final[tuple[Role, ...]] = ("T1c", "FLAIR", "T2", "T1")
_INCHES: Final = 3.0
"""Width in inches of the widest of the three planes."""
_GAP, _ABOVE, _BELOW = 0.12, 0.42, 0.95
"""Space in inches between the planes, above them for the title, and below them for the legend."""
BAR_SHARE: Final = 0.3
"""Maximum length of the scale bar as a fraction of the narrowest plane."""
_FROM_EDGE: Final = 0.04
_FILL: Final = 0.2
_INK: Final = "white"


@dataclass(frozen=True, slots=True)
class _Place:
    """Position of a plane in the figure, in inches from the lower left corner."""

    plane: Plane
    left: float
    bottom: float
    width: float
    height: float


def save_figure(
    study: Study,
    segmentation: Segmentation,
    path: str | os.PathLike[str],
    *,
    role: Role | None = None,
    at: Sequence[float] | None = None,
    dpi: int = 200,
    overwrite: bool = False,
) -> Path:
    """Save a figure of a tumour: axial, coronal and sagittal with outlines, legend, volumes and a scale bar.

    Parameters
    ----------
    study : Study
        The scans.
    segmentation : Segmentation
        A segmentation on the study's grid.
    path : path-like
        File to write, ending in .png, .svg or .pdf.
    role : {"T1", "T1c", "T2", "FLAIR"}, optional
        Scan to show; if not given, T1c, else FLAIR, T2 or T1.
    at : three floats, optional
        World coordinates (x, y, z) in RAS+ millimetres of the point through which the planes pass; if not given, the
        planes with the largest area of tumour core or, without a core, of whole tumour.
    dpi : int
        Resolution of a PNG in pixels per inch.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    GridMismatchError
        If the study and the segmentation lie on different grids.
    RoleError
        If the study has no such scan.
    OptionError
        If the point lies outside the scan.
    SaveError
        If the file cannot be written.

    Examples
    --------
    >>> save_figure(study, segmentation, "figure.svg", role="FLAIR")  # doctest: +SKIP
    """
    target = Path(path)
    if target.suffix.lower() not in FIGURE_SUFFIXES:
        raise SaveError(f"A figure cannot be written as {target.name}. End its name with {', '.join(FIGURE_SUFFIXES)}.")
    figure = draw_figure(study, segmentation, role=role, at=at)
    # Without a date, repeated runs give identical files.
    metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(target.suffix.lower(), {})
    kind = target.suffix.lower()[1:]

    def write(temporary: Path) -> None:
        figure.savefig(temporary, format=kind, dpi=dpi, facecolor=figure.get_facecolor(), metadata=metadata)

    write_atomically(target, write, lambda _: None, overwrite=overwrite)
    return target


def draw_figure(
    study: Study, segmentation: Segmentation, *, role: Role | None = None, at: Sequence[float] | None = None
) -> "Figure":
    """Draw the figure, to be modified with matplotlib; parameters and errors as for `save_figure`."""
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    shown, view = shown_in(study, segmentation, role)
    where = planes_through(view.labels[LABELS]) if at is None else _voxel(view.grid, at)
    places, size = _places(view.grid)
    figure = Figure(figsize=size, facecolor="black")
    window = grey_window(view.images[shown])
    bar = scale_bar_length(BAR_SHARE * min(extent(view.grid, place.plane)[1] for place in places))
    for place in places:
        box = (place.left / size[0], place.bottom / size[1], place.width / size[0], place.height / size[1])
        axes = figure.add_axes(box)
        _draw_plane(axes, view, shown, place.plane, where, window)
        _draw_bar(axes, bar, view.grid, place)
    figure.text(
        0.5, 1 - 0.14 / size[1], f"{segmentation.name}, {shown}", color=_INK, ha="center", va="top", fontsize=11
    )
    _draw_legend(figure, segmentation)
    return figure


def shown_in(study: Study, segmentation: Segmentation, role: Role | None) -> tuple[Role, View]:
    """Return the role of the scan to show, and a view of it with the labels, upright and cropped to the head."""
    require_one_grid(study, segmentation, "A figure")
    shown = role or next(role for role in _SHOWN if role in study.roles)
    if shown not in study.roles:
        raise RoleError(f"{study.name} has no {shown}. Choose one of {', '.join(study.roles)}.")
    return shown, view_of(study, segmentation, (shown,))


def scale_bar_length(most: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, 50, ... that does not exceed `most`."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most)


def _voxel(grid: Grid, at: Sequence[float]) -> tuple[int, int, int]:
    point = np.asarray(at, dtype=float)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise OptionError(f"{at!r} is not a point. Give three world coordinates x, y, z in millimetres.")
    index = np.rint(grid.voxels(point[None])[0]).astype(int)
    if (index < 0).any() or (index >= grid.shape).any():
        corners = grid.world(np.array([[0, 0, 0], np.array(grid.shape) - 1]))
        low, high = corners.min(axis=0), corners.max(axis=0)
        ranges = ", ".join(f"{name} {a:.0f} to {b:.0f}" for name, a, b in zip("xyz", low, high, strict=True))
        msg = f"The point {', '.join(f'{v:g}' for v in point)} lies outside the head in the scan, which has {ranges}."
        raise OptionError(msg)
    x, y, z = index.tolist()
    return x, y, z


def _places(grid: Grid) -> tuple[list[_Place], tuple[float, float]]:
    """Arrange the planes side by side on a common scale; returns their positions and the figure's size in inches."""
    sizes = [extent(grid, plane)[1::2] for plane in PLANES]
    scale = _INCHES / max(width for width, _ in sizes)
    tallest = scale * max(height for _, height in sizes)
    places, left = [], _GAP
    for plane, (width, height) in zip(PLANES, sizes, strict=True):
        bottom = _BELOW + (tallest - scale * height) / 2
        places.append(_Place(plane, left, bottom, scale * width, scale * height))
        left += scale * width + _GAP
    return places, (left, _BELOW + tallest + _ABOVE)


def _draw_plane(
    axes: "Axes", view: View, role: Role, plane: Plane, where: tuple[int, int, int], window: tuple[float, float]
) -> None:
    borders = extent(view.grid, plane)
    index = where[plane.axis]
    draw_slice(axes, cut(view.images[role], plane, index), plane, borders, window)
    draw_classes(axes, cut(view.labels[LABELS], plane, index), borders, _FILL)
    axes.set_aspect("auto")  # the axes already have the picture's proportions; matplotlib must not move them
    for letter, y, align in ((plane.top, 0.98, "top"), (plane.bottom, 0.02, "bottom")):
        axes.text(0.5, y, letter, transform=axes.transAxes, ha="center", va=align, color="#bbbbbb", fontsize=8)
    position = float(view.grid.world(np.asarray(where, dtype=float)[None])[0][plane.axis])
    text = f"{plane.name}, {'xyz'[plane.axis]} = {position:.0f} {view.grid.unit}"
    axes.text(0.02, 0.98, text, transform=axes.transAxes, ha="left", va="top", color=_INK, fontsize=7)


def _draw_bar(axes: "Axes", length: float, grid: Grid, place: _Place) -> None:
    """Draw a scale bar of the stated length in axes units; it can be found by its gid."""
    width, height = extent(grid, place.plane)[1::2]
    right, y = width * (1 - _FROM_EDGE), height * _FROM_EDGE
    axes.plot(
        (right - length, right), (y, y), color=_INK, linewidth=2, solid_capstyle="butt", gid=f"scale bar {length:g}"
    )
    unit = "mm" if grid.unit == "mm" else "voxels"
    axes.text(right, y + 0.02 * height, f"{length:g} {unit}", color=_INK, ha="right", va="bottom", fontsize=7)
    axes.set(xlim=(0, width), ylim=(0, height))


def _draw_legend(figure: "Figure", segmentation: Segmentation) -> None:
    from matplotlib.patches import Patch

    table = measure_volumes(segmentation)
    patches = [Patch(color=_color(row), label=f"{row.name} {row.size}") for row in table.classes or table.regions]
    regions = "   ".join(f"{row.name} {row.size}" for row in table.regions) if table.classes else ""
    height = figure.get_figheight()
    legend = figure.legend(
        handles=patches,
        loc="center",
        bbox_to_anchor=(0.5, 0.74 / height),
        ncols=max(1, len(patches)),
        frameon=False,
        fontsize=9,
        labelcolor=_INK,
    )
    legend.set_in_layout(False)
    for y, text, size in ((0.48, regions, 9), (0.24, CONVENTION, 7), (0.1, "Not for clinical use", 7)):
        figure.text(0.5, y / height, text, color=_INK, ha="center", va="center", fontsize=size)


def _color(row: VolumeRow) -> str:
    return CLASS_COLORS[row.key if isinstance(row.key, int) else 1]
