"""A picture of a segmentation on its scans: three planes through the tumour, one column for each sequence."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
from napari_brain_tumor.measure.volumes import measure_volumes
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL_INCHES: Final = 2.6


def save_picture(study: Study, segmentation: Segmentation, path: str | os.PathLike[str]) -> Path:
    """Save a PNG with three planes through the tumour in every sequence, with the classes outlined.

    Parameters
    ----------
    study : Study
        The scans.
    segmentation : Segmentation
        A segmentation on the study's grid.
    path : path-like
        File to write; an existing file is replaced.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    GridMismatchError
        If the study and the segmentation lie on different grids.
    SaveError
        If the file cannot be written.
    """
    require_one_grid(study, segmentation, "A picture")
    figure = _figure(view_of(study, segmentation, study.roles), segmentation)
    target = Path(path)

    def write(temporary: Path) -> None:
        figure.savefig(temporary, format="png", facecolor=figure.get_facecolor())

    write_atomically(target, write, lambda _: None)
    return target


def _figure(view: View, segmentation: Segmentation) -> "Figure":
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    heights = [extent(view.grid, plane)[3] / extent(view.grid, plane)[1] for plane in PLANES]
    size = (_PANEL_INCHES * len(view.images), _PANEL_INCHES * sum(heights) + 1.0)
    figure = Figure(figsize=size, dpi=110, facecolor="black", layout="constrained")
    axes = figure.subplots(len(PLANES), len(view.images), squeeze=False, gridspec_kw={"height_ratios": heights})
    where = planes_through(view.labels[LABELS])
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
    draw_classes(axes, cut(view.labels[LABELS], plane, index), borders)


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
