"""The diameters of lesions as lines of a layer, drawn by the program or by hand, without Qt."""

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
"""Both ends `(2, 3)` of a line in the world, in mm."""

DIAMETERS_KEY: Final = "napari-brain-tumor diameters"
"""In the metadata of a layer of diameters: the id of its labels, and the lines as they were computed."""
_COLORS: Final[Mapping[Region, str]] = {"ET": "#F0E442", "TC": "#FFFFFF", "WT": "#00E5FF"}
"""Yellow and a light blue, which no class has."""
PUT_AWAY: "WeakKeyDictionary[Labels, Shapes]" = WeakKeyDictionary()
"""Layers of diameters that were taken out of sight, by the labels that they measure."""
MOVED_MM: Final = 1e-3
_ROUNDED_MM: Final = 0.01
"""How far a line may be from where it was computed because a layer holds it less exactly."""


def lines_layer_of(labels: Labels | None, all_layers: Iterable[Layer]) -> Shapes | None:
    """The layer that shows the diameters of these labels, if there is one."""
    for layer in all_layers:
        record = layer.metadata.get(DIAMETERS_KEY)
        if labels is not None and isinstance(layer, Shapes) and record and record["labels"] == labels.unique_id:
            return layer
    return None


def put_lines_away(labels: Labels, shapes: Shapes) -> None:
    """Remember the layer of the diameters of labels, which is taken out of the viewer."""
    PUT_AWAY[labels] = shapes


def remembered_lines_of(labels: Labels | None, all_layers: Iterable[Layer]) -> Shapes | None:
    """The layer of the diameters of these labels, whether it is in sight or was put away."""
    shapes = lines_layer_of(labels, all_layers)
    return PUT_AWAY.get(labels) if shapes is None and labels is not None else shapes


@dataclass(frozen=True, slots=True, eq=False)
class _LineSet:
    """What is drawn of an examination: lines, and of each its lesion's title and which of both it is."""

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
    """Which axis of the world, 0 for x to 2 for z, the slices of these diameters cut, nearly so on oblique grids."""
    return to_ras(grid).axes.index(diameters.axis)


def flat_axis(line: Line, diameters: Bidimensional, grid: Grid) -> Ends:
    """Both ends as they are drawn: on one slice of what is shown, for napari shows no line that crosses slices."""
    ends = np.array([line.start, line.stop])
    if grid.is_oblique:
        ends[:, shown_axis(diameters, grid)] = _level(diameters, grid)
    return ends


def _level(diameters: Bidimensional, grid: Grid) -> float:
    """Where the shown slice lies, along the axis that it cuts, on which diameters of an oblique grid are drawn."""
    axis, viewer_grid = shown_axis(diameters, grid), Display.of(grid).viewer_grid
    middle = np.mean([diameters.long.start, diameters.long.stop], axis=0)
    return float(viewer_grid.world(np.rint(viewer_grid.voxels(middle)))[axis])


def _lifted(ends: Ends, diameters: Bidimensional, grid: Grid) -> Ends:
    """Inverse of `flat_axis`: the ends on the slice of an oblique grid, if they still lie on that one shown slice."""
    axis = shown_axis(diameters, grid)
    if not grid.is_oblique or np.abs(ends[:, axis] - _level(diameters, grid)).max() > MOVED_MM:
        return ends
    lifted = ends.copy()
    lifted[:, axis] += (diameters.index - grid.voxels(ends)[:, diameters.axis]) / np.linalg.inv(grid.affine)[
        diameters.axis, axis
    ]
    return lifted


def has_lines(examination: Examination) -> bool:
    """Whether any lesion has diameters."""
    return any(lesion.diameters is not None for lesion in examination.lesions)


def new_lines_layer(examination: Examination, labels: Labels) -> Shapes | None:
    """A layer of the diameters of an examination, over its labels; None where it has none."""
    drawn = _drawn(examination)
    if not drawn.lines:
        return None
    lines = drawing.lines_over(
        labels, f"{labels.name} diameters", drawn.lines, drawn.colors, drawn.features, examination.grid.viewer
    )
    _remember(lines, labels, examination.grid)
    return lines


def draw(shapes: Shapes, labels: Labels, examination: Examination) -> None:
    """Show the diameters of an examination in a layer that shows others."""
    drawn = _drawn(examination)
    drawing.draw_lines(shapes, labels, drawn.lines, drawn.colors, drawn.features, examination.grid.viewer)
    _remember(shapes, labels, examination.grid)


def _remember(shapes: Shapes, labels: Labels, grid: Grid) -> None:
    # As the layer gives them back: it holds them less exactly than they were computed.
    record = {"labels": labels.unique_id, "computed": lines_by_key(shapes, labels, grid)}
    shapes.metadata = {**shapes.metadata, DIAMETERS_KEY: record}


@dataclass(frozen=True, slots=True, eq=False)
class DrawnLines:
    """The lines of a layer of diameters, by lesion and which of both: as they are now, and as they were computed."""

    now: Mapping[tuple[str, str], Ends]
    computed: Mapping[tuple[str, str], Ends]

    @property
    def moved(self) -> list[str]:
        """Titles of the lesions of which a hand moved a line."""
        lost = [
            title for title, which in self.now if differs(self.now[title, which], self.computed.get((title, which)))
        ]
        return list(dict.fromkeys(lost))


def drawn_lines(shapes: Shapes, labels: Labels, grid: Grid) -> DrawnLines:
    """Take the lines out of a layer of diameters; the grid is that of the labels' file."""
    return DrawnLines(lines_by_key(shapes, labels, grid), shapes.metadata[DIAMETERS_KEY]["computed"])


def hand_drawn(examination: Examination, shapes: Shapes, labels: Labels) -> Examination:
    """The examination as it was computed, with the diameters whose lines a hand moved as they are drawn now.

    A lesion of which a line was taken away keeps the computed ones.
    """
    drawn = drawn_lines(shapes, labels, examination.grid)
    lines_by_title = {
        lesion.title: _moved_lines(lesion, lesion.title, drawn, examination.grid) for lesion in examination.lesions
    }
    return redrawn(examination, {title: lines for title, lines in lines_by_title.items() if lines is not None})


def with_hand_lines(examination: Examination, drawn: DrawnLines) -> tuple[Examination, tuple[str, ...]]:
    """Another measuring of the same labels with the diameters that a hand moved.

    Parameters
    ----------
    drawn : DrawnLines
        Of the layer in which they were moved.

    Returns
    -------
    Examination
    tuple of str
        Titles of the lesions whose moved lines belong to nothing that was measured now: the labels were changed since,
        or measured with other settings.
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
    """Whether the diameters of a lesion were computed where those of that title were, of the same region."""
    diameters = lesion.diameters
    if diameters is None or title.partition(" ")[0] != lesion.region:
        return False
    ends = {LONG: flat_axis(diameters.long, diameters, grid), SHORT: flat_axis(diameters.short, diameters, grid)}
    return not any(differs(line, drawn.computed.get((title, which)), _ROUNDED_MM) for which, line in ends.items())


def _moved_lines(lesion: Lesion, title: str, drawn: DrawnLines, grid: Grid) -> tuple[Line, Line] | None:
    """Both lines of a lesion as they are drawn now; None where none was moved, or one was taken away."""
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
    """What is drawn but counts for nothing, and what is lacking, in words; empty where nothing is."""
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
    """Straight lines by lesion and which of both; the first where one was copied."""
    by_key: dict[tuple[str, str], Ends] = {}
    table = shapes.features
    if "lesion" not in table or "line" not in table:
        return by_key
    lines = drawing.world_lines(shapes, labels, grid.viewer)
    for title, which, line in zip(table["lesion"], table["line"], lines, strict=True):
        if line is not None:
            by_key.setdefault((str(title), str(which)), line)
    return by_key
