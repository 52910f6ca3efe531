"""The diameters of lesions as lines in a layer, computed or moved by hand, without Qt."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer, Shapes

from napari_brain_tumor.geometry import Grid, to_ras
from napari_brain_tumor.labels import Region
from napari_brain_tumor.measure.diameters import Bidimensional, Line
from napari_brain_tumor.measure.examination import Examination, redrawn
from napari_brain_tumor.measure.lesions import Lesion
from napari_brain_tumor.plugin import drawing
from napari_brain_tumor.plugin.display import Display

LONG, SHORT = "long", "short"

Ends = npt.NDArray[np.float64]
"""Both ends `(2, 3)` of a line in world coordinates, in mm."""

DIAMETERS_KEY: Final = "napari-brain-tumor diameters"
"""Metadata key of a layer of diameters: the ID of its labels, and the lines as computed."""
_COLORS: Final[Mapping[Region, str]] = {"ET": "#F0E442", "TC": "#FFFFFF", "WT": "#00E5FF"}
"""Yellow, white and light blue, colours that no class has."""
PUT_AWAY: "WeakKeyDictionary[Labels, Shapes]" = WeakKeyDictionary()
"""Hidden layers of diameters, by the labels that they measure."""
MOVED_MM: Final = 1e-3
_ROUNDED_MM: Final = 0.01
"""Tolerance for lines at their computed positions, because a layer stores them less precisely."""


def lines_layer_of(labels: Labels | None, all_layers: Iterable[Layer]) -> Shapes | None:
    """Return the layer that shows the diameters of these labels, if there is one."""
    for layer in all_layers:
        record = layer.metadata.get(DIAMETERS_KEY)
        if labels is not None and isinstance(layer, Shapes) and record and record["labels"] == labels.unique_id:
            return layer
    return None


def put_lines_away(labels: Labels, shapes: Shapes) -> None:
    """Remember the layer of diameters of labels when it is removed from the viewer."""
    PUT_AWAY[labels] = shapes


def remembered_lines_of(labels: Labels | None, all_layers: Iterable[Layer]) -> Shapes | None:
    """Return the layer of diameters of these labels, whether visible or hidden."""
    shapes = lines_layer_of(labels, all_layers)
    return PUT_AWAY.get(labels) if shapes is None and labels is not None else shapes


@dataclass(frozen=True, slots=True, eq=False)
class _LineSet:
    """Lines drawn for an examination, each with the title of its lesion and which of the two diameters it is."""

    titles: tuple[str, ...]
    which: tuple[str, ...]
    lines: tuple[Ends, ...]
    colors: tuple[str, ...]

    @property
    def features(self) -> dict[str, tuple[str, ...]]:
        texts = (title if line_name == LONG else "" for title, line_name in zip(self.titles, self.which, strict=True))
        return {"lesion": self.titles, "line": self.which, "text": tuple(texts)}


def _drawn(examination: Examination) -> _LineSet:
    rows = [
        (lesion.title, which, flat_axis(line, lesion.diameters, examination.grid), _COLORS[lesion.region])
        for lesion in examination.lesions
        if lesion.diameters is not None
        for which, line in ((LONG, lesion.diameters.long), (SHORT, lesion.diameters.short))
    ]
    titles, which, lines, colors = zip(*rows, strict=True) if rows else ((), (), (), ())
    return _LineSet(tuple(titles), tuple(which), tuple(lines), tuple(colors))


def shown_axis(diameters: Bidimensional, grid: Grid) -> int:
    """Return the world axis, 0 for x to 2 for z, that these diameters' slices cut (nearly so on oblique grids)."""
    return to_ras(grid).axes.index(diameters.axis)


def flat_axis(line: Line, diameters: Bidimensional, grid: Grid) -> Ends:
    """Return both ends on one displayed slice, because napari does not show lines that cross slices."""
    ends = np.array([line.start, line.stop])
    if grid.is_oblique:
        ends[:, shown_axis(diameters, grid)] = _level(diameters, grid)
    return ends


def _level(diameters: Bidimensional, grid: Grid) -> float:
    """Return the position of the displayed slice that diameters of an oblique grid are drawn on, along its cut axis."""
    axis, viewer_grid = shown_axis(diameters, grid), Display.of(grid).viewer_grid
    middle = np.mean([diameters.long.start, diameters.long.stop], axis=0)
    return float(viewer_grid.world(np.rint(viewer_grid.voxels(middle)))[axis])


def _lifted(ends: Ends, diameters: Bidimensional, grid: Grid) -> Ends:
    """Invert `flat_axis`: return the ends on the slice of an oblique grid, if they still lie on the displayed slice."""
    axis = shown_axis(diameters, grid)
    if not grid.is_oblique or np.abs(ends[:, axis] - _level(diameters, grid)).max() > MOVED_MM:
        return ends
    lifted = ends.copy()
    lifted[:, axis] += (diameters.index - grid.voxels(ends)[:, diameters.axis]) / np.linalg.inv(grid.affine)[
        diameters.axis, axis
    ]
    return lifted


def has_lines(examination: Examination) -> bool:
    """Return whether any lesion has diameters."""
    return any(lesion.diameters is not None for lesion in examination.lesions)


def new_lines_layer(examination: Examination, labels: Labels) -> Shapes | None:
    """Return a layer with the diameters of an examination, above its labels; None if there are no diameters."""
    drawn = _drawn(examination)
    if not drawn.lines:
        return None
    lines = drawing.lines_over(
        labels, f"{labels.name} diameters", drawn.lines, drawn.colors, drawn.features, examination.grid.viewer
    )
    _remember(lines, labels, examination.grid)
    return lines


def draw(shapes: Shapes, labels: Labels, examination: Examination) -> None:
    """Show the diameters of an examination in an existing layer."""
    drawn = _drawn(examination)
    drawing.draw_lines(shapes, labels, drawn.lines, drawn.colors, drawn.features, examination.grid.viewer)
    _remember(shapes, labels, examination.grid)


def _remember(shapes: Shapes, labels: Labels, grid: Grid) -> None:
    # Read back from the layer, which stores them less precisely than they were computed.
    record = {"labels": labels.unique_id, "computed": lines_by_key(shapes, labels, grid)}
    shapes.metadata = {**shapes.metadata, DIAMETERS_KEY: record}


@dataclass(frozen=True, slots=True, eq=False)
class DrawnLines:
    """The lines in a layer of diameters, by lesion and diameter: current and as computed."""

    now: Mapping[tuple[str, str], Ends]
    computed: Mapping[tuple[str, str], Ends]

    @property
    def moved(self) -> list[str]:
        """Titles of the lesions with a line that was moved by hand."""
        lost = [
            title for title, which in self.now if differs(self.now[title, which], self.computed.get((title, which)))
        ]
        return list(dict.fromkeys(lost))


def drawn_lines(shapes: Shapes, labels: Labels, grid: Grid) -> DrawnLines:
    """Read the lines from a layer of diameters; the grid is that of the labels' file."""
    return DrawnLines(lines_by_key(shapes, labels, grid), shapes.metadata[DIAMETERS_KEY]["computed"])


def hand_drawn(examination: Examination, shapes: Shapes, labels: Labels) -> Examination:
    """Return the computed examination, with the current diameters of lesions whose lines were moved by hand.

    A lesion with a deleted line keeps its computed diameters.
    """
    drawn = drawn_lines(shapes, labels, examination.grid)
    lines_by_title = {
        lesion.title: _moved_lines(lesion, lesion.title, drawn, examination.grid) for lesion in examination.lesions
    }
    return redrawn(examination, {title: lines for title, lines in lines_by_title.items() if lines is not None})


def with_hand_lines(examination: Examination, drawn: DrawnLines) -> tuple[Examination, tuple[str, ...]]:
    """Return a repeated measurement of the same labels, with the diameters that were moved by hand.

    Parameters
    ----------
    drawn : DrawnLines
        Lines of the layer in which they were moved.

    Returns
    -------
    Examination
    tuple of str
        Titles of the lesions whose moved lines do not match anything in this measurement, because the labels were
        changed or measured with other settings.
    """
    lines: dict[str, tuple[Line, Line]] = {}
    used: set[str] = set()
    for lesion in examination.lesions:
        title = next(
            (candidate for candidate in drawn.moved if _computed_alike(lesion, candidate, drawn, examination.grid)),
            None,
        )
        moved = None if title is None else _moved_lines(lesion, title, drawn, examination.grid)
        if title is not None and moved is not None:
            lines[lesion.title] = moved
            used.add(title)
    return redrawn(examination, lines), tuple(title for title in drawn.moved if title not in used)


def _computed_alike(lesion: Lesion, title: str, drawn: DrawnLines, grid: Grid) -> bool:
    """Return whether a lesion's diameters were computed at the same place and for the same region as the title's."""
    diameters = lesion.diameters
    if diameters is None or title.partition(" ")[0] != lesion.region:
        return False
    ends = {LONG: flat_axis(diameters.long, diameters, grid), SHORT: flat_axis(diameters.short, diameters, grid)}
    return not any(differs(line, drawn.computed.get((title, which)), _ROUNDED_MM) for which, line in ends.items())


def _moved_lines(lesion: Lesion, title: str, drawn: DrawnLines, grid: Grid) -> tuple[Line, Line] | None:
    """Return the current lines of a lesion; None if neither was moved, or one was deleted."""
    diameters, keys = lesion.diameters, [(title, LONG), (title, SHORT)]
    if diameters is None or not all(key in drawn.now for key in keys):
        return None
    moved = [differs(drawn.now[key], drawn.computed.get(key)) for key in keys]
    if not any(moved):
        return None
    lines = [line_of(_lifted(drawn.now[key], diameters, grid)) for key in keys]
    long, short = (
        new if is_moved else old
        for new, old, is_moved in zip(lines, (diameters.long, diameters.short), moved, strict=True)
    )
    return long, short


def surplus_text(shapes: Shapes, labels: Labels, examination: Examination) -> str:
    """Describe lines that do not count and lines that are missing; empty if there are none."""
    expected = set(zip(_drawn(examination).titles, _drawn(examination).which, strict=True))
    present = set(lines_by_key(shapes, labels, examination.grid))
    lacking = sorted({title for title, _ in expected - present})
    surplus = len(shapes.data) - len(present & expected)
    texts = (
        f"A line of {', '.join(lacking)} was deleted: the computed one is used." if lacking else "",
        f"{surplus} more shapes were drawn; they are ignored." if surplus else "",
    )
    return " ".join(filter(None, texts))


def line_of(ends: Ends) -> Line:
    (x0, y0, z0), (x1, y1, z1) = ends.tolist()
    return Line((x0, y0, z0), (x1, y1, z1))


def differs(line: Ends, computed: Any, least_mm: float = MOVED_MM) -> bool:
    return computed is None or float(np.abs(line - computed).max()) > least_mm


def lines_by_key(shapes: Shapes, labels: Labels, grid: Grid) -> dict[tuple[str, str], Ends]:
    """Return the straight lines by lesion and diameter; if one was copied, the first counts."""
    by_key: dict[tuple[str, str], Ends] = {}
    table = shapes.features
    if "lesion" not in table or "line" not in table:
        return by_key
    lines = drawing.world_lines(shapes, labels, grid.viewer)
    for title, which, line in zip(table["lesion"], table["line"], lines, strict=True):
        if line is not None:
            by_key.setdefault((str(title), str(which)), line)
    return by_key
