"""Pictures of the report, each with alternative text: slices with outlines and diameters, checkerboards, curves."""

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_brain_tumor.followup.followup import FollowUp, VisitResult
from napari_brain_tumor.followup.plot import draw_follow_up
from napari_brain_tumor.followup.registration import checkerboard
from napari_brain_tumor.geometry import Grid, to_ras
from napari_brain_tumor.labels import CLASS_COLORS
from napari_brain_tumor.measure.diameters import Line
from napari_brain_tumor.measure.examination import Examination
from napari_brain_tumor.measure.lesions import Lesion
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
    in_ras,
    planes_through,
    view_of,
)
from napari_brain_tumor.study import Role, Segmentation, Study
from napari_brain_tumor.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN: Final[tuple[Role, ...]] = ("T1c", "FLAIR", "T1", "T2")
_MOST_SEQUENCES: Final = 2
_MOST_LESIONS: Final = 6
_INCHES: Final = 3.2
_DPI: Final = 130
_LONG_COLOR: Final = "#F0E442"
_SHORT_COLOR: Final = "#56B4E9"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture embedded in the page.

    Parameters
    ----------
    data : str
        A `data:` URL that contains the whole picture.
    alternative : str
        Alternative text.
    """

    data: str
    alternative: str
    caption: str


def picture_of(figure: "Figure", alternative: str, caption: str) -> Picture:
    """Convert a figure to an embedded picture."""
    return Picture(_png(figure), alternative, caption)


def slice_pictures(study: Study, segmentation: Segmentation) -> Iterator[Picture]:
    """Yield the largest tumour slices in three planes, on the one or two sequences that show most of it."""
    roles = [role for role in _SHOWN if role in study.roles][:_MOST_SEQUENCES]
    view = view_of(study, segmentation, roles)
    where = planes_through(view.labels[LABELS])
    names = ", ".join(segmentation.class_names[value] for value in sorted(segmentation.class_names))
    for role, image in view.images.items():
        for plane in PLANES:
            position = float(view.grid.world(where)[plane.axis])
            place = f"{plane.name} slice at {position:.0f} {view.grid.unit}"
            yield Picture(
                _png(_slice_figure(view, image, plane, where[plane.axis], ())),
                f"{role}, {place}, with the outlines of {names}.",
                f"{role}, {place}",
            )


def diameter_pictures(study: Study, segmentation: Segmentation, examination: Examination) -> Iterator[Picture]:
    """Yield the slice on which each lesion was measured, with both diameters; largest lesions first."""
    measured = [lesion for lesion in examination.lesions if lesion.diameters is not None]
    if not measured:
        return
    role = next(role for role in _SHOWN if role in study.roles)
    turn = to_ras(study.grid)
    view = View({role: turn.apply(study.sequences[role])}, {LABELS: turn.apply(segmentation.data)}, turn.target)
    for lesion in measured[:_MOST_LESIONS]:
        yield _diameter_picture(view, turn.axes, turn.flips, role, lesion)


def board_pictures(result: VisitResult, baseline: VisitResult) -> Iterator[Picture]:
    """Yield checkerboards of a visit and the baseline, axial and sagittal."""
    moving, fixed, registration = result.visit.study, baseline.visit.study, result.registration
    if moving is None or fixed is None or registration is None:
        return
    board = checkerboard(moving, fixed, registration)
    view = in_ras({"board": board}, {LABELS: baseline.visit.segmentation.data}, fixed.grid)
    where = planes_through(view.labels[LABELS])
    for plane in (PLANES[0], PLANES[2]):
        figure = _slice_figure(replace(view, labels={}), view.images["board"], plane, where[plane.axis], (), (0, 1))
        yield Picture(
            _png(figure),
            f"Checkerboard of {result.visit.name} and {baseline.visit.name}, {plane.name}: fields alternate between "
            "the two; where edges run on across fields, both fit.",
            f"{result.visit.name} on {baseline.visit.name}, {plane.name}",
        )


def curves(follow_up: FollowUp) -> Picture:
    """Draw volumes and products over the visits as curves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.6), layout="constrained", facecolor="white")
    draw_follow_up(figure, follow_up)
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    summary = "; ".join(
        f"{series.name} {', '.join('not known' if c.value is None else f'{c.value:.1f}' for c in series.changes)} "
        f"{series.unit}"
        for series in follow_up.series
    )
    data = f"data:image/svg+xml;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
    return Picture(data, f"Curves over the visits: {summary}.", "Volumes of the regions, and products of the targets")


def _diameter_picture(
    view: View, axes: tuple[int, int, int], flips: tuple[bool, bool, bool], role: str, lesion: Lesion
) -> Picture:
    diameters = lesion.diameters
    assert diameters is not None
    axis = axes.index(diameters.axis)
    index = view.grid.shape[axis] - 1 - diameters.index if flips[axis] else diameters.index
    plane = next(plane for plane in PLANES if plane.axis == axis)
    lines = [(diameters.long, _LONG_COLOR), (diameters.short, _SHORT_COLOR)]
    figure = _slice_figure(view, view.images[role], plane, index, lines)
    sizes = f"{diameters.long_mm:.1f} x {diameters.short_mm:.1f} mm, product {diameters.product_mm2:.0f} mm²"
    return Picture(
        _png(figure),
        f"{role}, {plane.name} slice {diameters.index} on which lesion {lesion.title} was measured: {sizes}.",
        f"{lesion.title}: {sizes}{' (by hand)' if diameters.by_hand else ''}",
    )


def _slice_figure(
    view: View,
    image: Array,
    plane: Plane,
    index: int,
    lines: Any,
    window: tuple[float, float] | None = None,
) -> "Figure":
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    borders = extent(view.grid, plane)
    width = _INCHES
    figure = Figure(figsize=(width, width * borders[3] / borders[1]), dpi=_DPI, facecolor="black")
    axes = figure.add_axes((0, 0, 1, 1))
    draw_slice(axes, cut(image, plane, index), plane, borders, window or grey_window(image))
    if LABELS in view.labels:
        draw_classes(axes, cut(view.labels[LABELS], plane, index), borders, opacity=0.0 if lines else 0.2)
    for line, color in lines:
        _draw_line(axes, line, view.grid, plane, color)
    return figure


def _draw_line(axes: "Axes", line: Line, grid: Grid, plane: Plane, color: str) -> None:
    """Draw a world line in the plane that contains it, with a dark border so that it stands out on any grey."""
    from matplotlib.patheffects import Normal, Stroke

    ends = grid.voxels((line.start, line.stop))
    across, up = (a for a in range(3) if a != plane.axis)
    x = (grid.shape[across] - 0.5 - ends[:, across]) * grid.spacing[across]  # displayed right to left
    y = (ends[:, up] + 0.5) * grid.spacing[up]
    rim = [Stroke(linewidth=2.6, foreground="black"), Normal()]
    axes.plot(x, y, color=color, linewidth=1.3, solid_capstyle="butt", path_effects=rim)


def _png(figure: "Figure") -> str:
    content = io.BytesIO()
    figure.savefig(content, format="png", facecolor=figure.get_facecolor())
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def legend(segmentation: Segmentation) -> Mapping[str, str]:
    """Return the colours of the classes present, by name."""
    present = np.unique(segmentation.data)
    return {name: CLASS_COLORS[value] for value, name in segmentation.class_names.items() if value in present}
