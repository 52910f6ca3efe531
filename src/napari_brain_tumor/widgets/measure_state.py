"""What the Measure panel decides, without Qt: which layers belong together, what is drawn, what an edit means."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer, Shapes

from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.geometry import Grid, to_ras
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.labels import Region
from napari_brain_tumor.measure.diameters import Bidimensional, Line
from napari_brain_tumor.measure.examination import Examination, measure_study_job, redrawn
from napari_brain_tumor.measure.lesion_numbers import LESION_NUMBERS
from napari_brain_tumor.measure.lesions import Lesion
from napari_brain_tumor.measure.midline import MIDLINE_ROLES
from napari_brain_tumor.measure.settings import MeasureSettings
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.layers import LayerView, SegmentationTag
from napari_brain_tumor.preprocessing.traits import traits_of
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.requests.actions import measure_study_lines
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.study import Role, Study
from napari_brain_tumor.widgets.panel_lines import label_file_of, opening_of_layers
from napari_brain_tumor.widgets.segment_state import candidates, match_roles

Ends = npt.NDArray[np.float64]
"""Both ends `(2, 3)` of a line in the world, in mm."""

MEASURE_TARGET: Final = "napari_brain_tumor.measure.examination:measure_study_job"
"""The job that runs in the worker process."""

DIAMETERS_KEY: Final = "napari-brain-tumor diameters"
"""In the metadata of a layer of diameters: the id of its labels, and the lines as they were computed."""

_LESION_COLUMNS: Final = ("Lesion", "Volume", "Diameters", "Product", "Side", "RANO")
_COLORS: Final[Mapping[Region, str]] = {"ET": "#F0E442", "TC": "#FFFFFF", "WT": "#00E5FF"}
"""Yellow and a light blue, which no class has."""
_LONG, _SHORT = "long", "short"
_put_away: "WeakKeyDictionary[Labels, Shapes]" = WeakKeyDictionary()
"""Layers of diameters that were taken out of sight, by the labels that they measure."""
_MOVED_MM: Final = 1e-3
_ROUNDED_MM: Final = 0.01
"""How far a line may be from where it was computed because a layer holds it less exactly."""
_SQUARE_DEGREES: Final = 87.0
"""Smaller angles between both diameters are told."""
_PLANES: Final = ("sagittal", "coronal", "axial")


# Layers -------------------------------------------------------------------------------------------------------------


def labels_layers(all_layers: Iterable[Layer]) -> list[Labels]:
    """The layers whose labels can be measured."""
    return [layer for layer in all_layers if isinstance(layer, Labels) and layer.ndim == 3]


def frozen_view(labels: Labels) -> LayerView:
    """What is read from a labels layer, with a copy of its labels: they may be painted on while they are measured."""
    live_view = layers.view(labels)
    return replace(live_view, data=np.array(live_view.data))


def lines_layer_of(labels: Labels | None, all_layers: Iterable[Layer]) -> Shapes | None:
    """The layer that shows the diameters of these labels, if there is one."""
    for layer in all_layers:
        record = layer.metadata.get(DIAMETERS_KEY)
        if labels is not None and isinstance(layer, Shapes) and record and record["labels"] == labels.unique_id:
            return layer
    return None


def put_lines_away(labels: Labels, shapes: Shapes) -> None:
    """Remember the layer of the diameters of labels, which is taken out of the viewer."""
    _put_away[labels] = shapes


def remembered_lines_of(labels: Labels | None, all_layers: Iterable[Layer]) -> Shapes | None:
    """The layer of the diameters of these labels, whether it is in sight or was put away."""
    shapes = lines_layer_of(labels, all_layers)
    return _put_away.get(labels) if shapes is None and labels is not None else shapes


def scans_of(labels: Labels | None, all_layers: Iterable[Layer]) -> dict[Role, Layer]:
    """The scans that belong to labels: those of the same case on the same grid, else those on the same grid."""
    if labels is None:
        return {}
    labels_view = layers.view(labels)
    there = [candidate for candidate in candidates(all_layers) if candidate.grid.same_place(labels_view.grid)]
    case = labels_view.tag.case if isinstance(labels_view.tag, SegmentationTag) else None
    anchor = next((candidate for candidate in there if candidate.case == case), None) or next(iter(there), None)
    return match_roles(there, anchor.layer) if anchor is not None else {}


def scans_text(scans: Mapping[Role, Layer]) -> str:
    """Where the midline is found, in words."""
    if not scans:
        return "No scan matches these labels: sides and the midline are not assessable."
    return f"The midline is found in {next(iter(midline_scan(scans)))}."


def midline_scan(scans: Mapping[Role, Layer]) -> dict[Role, Layer]:
    """The one scan in which the midline is found, if there is any."""
    role = next((role for role in MIDLINE_ROLES if role in scans), None)
    return {role: scans[role]} if role is not None else {}


# Measuring ----------------------------------------------------------------------------------------------------------


def measure_steps(
    labels: LayerView,
    references: Sequence[LayerView],
    scans: Mapping[Role, LayerView],
    settings: MeasureSettings,
    in_worker: Callable[..., Job[Examination]],
) -> Job[Examination]:
    """Read the layers and measure, on the scan's own grid.

    Where the brain of a whole head is looked for, which takes torch, `in_worker` runs a job, given its name and
    arguments, in another process.
    """
    yield Progress(0, 1, "reading the layers")
    segmentation = layers.segmentation_from_layer(labels, references)
    study: Study | None = layers.study_from_layers(scans) if scans else None
    if study is not None and settings.brain == "auto" and traits_of(study).whole_head:
        return (yield from in_worker(MEASURE_TARGET, segmentation, study, settings))
    return (yield from measure_study_job(segmentation, study, settings))


# Diameters as a layer -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _LineSet:
    """What is drawn of an examination: lines, and of each its lesion's title and which of both it is."""

    titles: tuple[str, ...]
    which: tuple[str, ...]
    lines: tuple[Ends, ...]
    colors: tuple[str, ...]

    @property
    def features(self) -> dict[str, tuple[str, ...]]:
        texts = (title if line_name == _LONG else "" for title, line_name in zip(self.titles, self.which, strict=True))
        return {"lesion": self.titles, "line": self.which, "text": tuple(texts)}


def _drawn(examination: Examination) -> _LineSet:
    rows = [
        (lesion.title, which, _flat(line, lesion.diameters, examination.grid), _COLORS[lesion.region])
        for lesion in examination.lesions
        if lesion.diameters is not None
        for which, line in ((_LONG, lesion.diameters.long), (_SHORT, lesion.diameters.short))
    ]
    titles, which, lines, colors = zip(*rows, strict=True) if rows else ((), (), (), ())
    return _LineSet(tuple(titles), tuple(which), tuple(lines), tuple(colors))


def shown_axis(diameters: Bidimensional, grid: Grid) -> int:
    """Which axis of the world, 0 for x to 2 for z, the slices of these diameters cut, nearly so on oblique grids."""
    return to_ras(grid).axes.index(diameters.axis)


def _flat(line: Line, diameters: Bidimensional, grid: Grid) -> Ends:
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
    """The inverse of `_flat`: the ends on the slice of an oblique grid, if they still lie on that one shown slice."""
    axis = shown_axis(diameters, grid)
    if not grid.is_oblique or np.abs(ends[:, axis] - _level(diameters, grid)).max() > _MOVED_MM:
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
    lines = layers.lines_over(
        labels, f"{labels.name} diameters", drawn.lines, drawn.colors, drawn.features, examination.grid.viewer
    )
    _remember(lines, labels, examination.grid)
    return lines


def draw(shapes: Shapes, labels: Labels, examination: Examination) -> None:
    """Show the diameters of an examination in a layer that shows others."""
    drawn = _drawn(examination)
    layers.draw_lines(shapes, labels, drawn.lines, drawn.colors, drawn.features, examination.grid.viewer)
    _remember(shapes, labels, examination.grid)


def _remember(shapes: Shapes, labels: Labels, grid: Grid) -> None:
    # As the layer gives them back: it holds them less exactly than they were computed.
    record = {"labels": labels.unique_id, "computed": _by_key(shapes, labels, grid)}
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
            title for title, which in self.now if _differs(self.now[title, which], self.computed.get((title, which)))
        ]
        return list(dict.fromkeys(lost))


def drawn_lines(shapes: Shapes, labels: Labels, grid: Grid) -> DrawnLines:
    """Take the lines out of a layer of diameters; the grid is that of the labels' file."""
    return DrawnLines(_by_key(shapes, labels, grid), shapes.metadata[DIAMETERS_KEY]["computed"])


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
    examination : Examination
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
    ends = {_LONG: _flat(diameters.long, diameters, grid), _SHORT: _flat(diameters.short, diameters, grid)}
    return not any(_differs(line, drawn.computed.get((title, which)), _ROUNDED_MM) for which, line in ends.items())


def _moved_lines(lesion: Lesion, title: str, drawn: DrawnLines, grid: Grid) -> tuple[Line, Line] | None:
    """Both lines of a lesion as they are drawn now; None where none was moved, or one was taken away."""
    diameters, keys = lesion.diameters, [(title, _LONG), (title, _SHORT)]
    if diameters is None or not all(key in drawn.now for key in keys):
        return None
    moved = [_differs(drawn.now[key], drawn.computed.get(key)) for key in keys]
    if not any(moved):
        return None
    lines = [_line(_lifted(drawn.now[key], diameters, grid)) for key in keys]
    long, short = (
        new if is_moved else old
        for new, old, is_moved in zip(lines, (diameters.long, diameters.short), moved, strict=True)
    )
    return long, short


def surplus_text(shapes: Shapes, labels: Labels, examination: Examination) -> str:
    """What is drawn but counts for nothing, and what is lacking, in words; empty where nothing is."""
    expected = set(zip(_drawn(examination).titles, _drawn(examination).which, strict=True))
    present = set(_by_key(shapes, labels, examination.grid))
    lacking = sorted({title for title, _ in expected - present})
    surplus = len(shapes.data) - len(present & expected)
    texts = (
        f"A line of {', '.join(lacking)} was deleted: the computed one is used." if lacking else "",
        f"{surplus} more shapes were drawn; they are ignored." if surplus else "",
    )
    return " ".join(filter(None, texts))


def rows_of(shapes: Shapes, title: str) -> set[int]:
    """Which shapes are the lines of that lesion."""
    titles = shapes.features.get("lesion", ())
    return {at for at, other in enumerate(titles) if other == title}


def _by_key(shapes: Shapes, labels: Labels, grid: Grid) -> dict[tuple[str, str], Ends]:
    """Straight lines by lesion and which of both; the first where one was copied."""
    by_key: dict[tuple[str, str], Ends] = {}
    table = shapes.features
    if "lesion" not in table or "line" not in table:
        return by_key
    lines = layers.world_lines(shapes, labels, grid.viewer)
    for title, which, line in zip(table["lesion"], table["line"], lines, strict=True):
        if line is not None:
            by_key.setdefault((str(title), str(which)), line)
    return by_key


def _differs(line: Ends, computed: Any, least_mm: float = _MOVED_MM) -> bool:
    return computed is None or float(np.abs(line - computed).max()) > least_mm


def _line(ends: Ends) -> Line:
    (x0, y0, z0), (x1, y1, z1) = ends.tolist()
    return Line((x0, y0, z0), (x1, y1, z1))


# Words --------------------------------------------------------------------------------------------------------------


def lesion_table(lesions: Iterable[Lesion]) -> Table:
    """A row a lesion."""
    return Table.of_cells(_LESION_COLUMNS, map(lesion_cells, lesions), right=frozenset({"Volume", "Product"}))


def lesion_cells(lesion: Lesion) -> tuple[str, ...]:
    """The cells of a lesion's row."""
    diameters = lesion.diameters
    lengths = f"{diameters.long_mm:.1f} × {diameters.short_mm:.1f} mm" if diameters is not None else ""
    product = f"{diameters.product_mm2:.0f} mm²" if diameters is not None else ""
    judged = "" if diameters is None else "measurable" if lesion.measurable else "not measurable"
    hand = " ✎" if diameters is not None and diameters.by_hand else ""
    return lesion.title, lesion.size, lengths + hand, product, lesion.side or "", judged


def lesion_details(lesion: Lesion, examination: Examination) -> str:
    """All that a row has no room for, in sentences."""
    texts = [f"{lesion.title}: {lesion.reason}."]
    if lesion.diameters is not None:
        texts.append(_slice_text(lesion.diameters, lesion, examination))
        texts.append(angle_text(lesion.diameters))
    for name, value in lesion.numbers.items():
        texts.append(f"{LESION_NUMBERS[name].title}: {LESION_NUMBERS[name].text(value)}.")
    if lesion.midline is not None:
        where = "crosses the midline" if lesion.midline.crosses else f"{lesion.midline_mm:.0f} mm from the midline"
        texts.append(f"It lies on the {lesion.side}, {where}." if lesion.side != "both sides" else f"It {where}.")
    return " ".join(filter(None, texts))


def _slice_text(diameters: Bidimensional, lesion: Lesion, examination: Examination) -> str:
    plane = _PLANES[shown_axis(diameters, examination.grid)]
    who = "Drawn by hand" if diameters.by_hand else "Measured"
    extent = f"{lesion.slices} slice{'s' if lesion.slices != 1 else ''}"
    return f"{who} on {plane} slice {diameters.index} of the file; seen on {extent}."


def angle_text(diameters: Bidimensional) -> str:
    """What is wrong with the angle between both diameters; empty where it is right."""
    if diameters.angle_degrees >= _SQUARE_DEGREES:
        return ""
    return f"The lines meet at {diameters.angle_degrees:.0f}°: not perpendicular."


def place_of(lesion: Lesion) -> tuple[float, float, float]:
    """Where to look at a lesion: the middle of its longer diameter, else its own, in the world."""
    if lesion.diameters is None:
        return lesion.centre
    x, y, z = ((a + b) / 2 for a, b in zip(lesion.diameters.long.start, lesion.diameters.long.stop, strict=True))
    return x, y, z


def lines_of_panel(
    labels: Labels | None,
    scans: Mapping[Role, Layer],
    settings: MeasureSettings,
    examination: Examination | None = None,
) -> CommandLines:
    """What the panel does, as code; raises `RecordError` where the labels are in no file."""
    if labels is None:
        msg = "Choose the labels to measure."
        raise RecordError(msg)
    lines = measure_study_lines(label_file_of(labels), opening_of_layers(scans) if scans else None, settings)
    by_hand = (
        [lesion.title for lesion in examination.lesions if lesion.diameters and lesion.diameters.by_hand]
        if examination
        else []
    )
    if not by_hand:
        return lines
    note = f"The lines of {', '.join(by_hand)} were moved by hand; these lines of code give the computed ones."
    return replace(lines, notes=(*lines.notes, note))
