"""The three layers in which prompts are drawn: finished prompts are reported, undone ones are erased."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Literal

import numpy as np
from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QApplication

from napari_brain_tumor.interactive.prompts import Box3D, Lasso, Painted, Point, Prompt, Stroke
from napari_brain_tumor.plugin.labels_edit import painted_voxels
from napari_brain_tumor.plugin.prompt_layers import (
    Meaning,
    color_of,
    joined,
    outlines_over,
    outlines_to_draw,
    painted_prompt,
    point_prompt,
    points_over_labels,
    points_to_draw,
    ring_over,
    shape_prompt,
    strokes_over,
    strokes_to_paint,
)
from napari_brain_tumor.plugin.viewers import add_unselected
from napari_brain_tumor.plugin.voxel_map import VoxelMap
from napari_brain_tumor.widgets.correct_entries import Voxels
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.links import Links, is_finished
from napari_brain_tumor.widgets.view_actions import pressed

Tool = Literal["stroke", "point", "outline", "lasso", "box"]
TOOLS: Final[dict[Tool, tuple[str, str]]] = {
    "stroke": ("strokes", "paint"),
    "point": ("points", "add"),
    "outline": ("outlines", "add_polygon_lasso"),
    "lasso": ("outlines", "add_polygon_lasso"),
    "box": ("outlines", "add_rectangle"),
}
"""Layer and mode of each tool."""
_RESTING: Final = "pan_zoom"
_KINDS: Final[dict[str, tuple[type[Prompt], ...]]] = {
    "strokes": (Painted, Stroke),
    "points": (Point,),
    "outlines": (Lasso, Box3D),
}
_FACE: Final = 0.15
"""Opacity of the interior of an outline."""
_NO_BORDER: Final = (
    "An outline marks where the whole tumour, the core or the enhancing tumour ends; around {} it counts as a lasso."
)
_MORE_LINES: Final = (
    "Draw another part of the region, or a hole in it, on the same slice; release Shift for the last line."
)
_NOT_BY_HAND: Final = "Prompts cannot be moved or erased: undo one with Ctrl+Z, or remove it from the list."


class PromptLayers(QObject):
    """Three layers above the labels being corrected, each added when first needed and kept until `remove`.

    Parameters
    ----------
    viewer : napari.Viewer
    labels : Labels
        The labels being corrected.
    case : str
        Used in the names of the layers.
    """

    drawn = Signal(object)
    """A prompt has been finished."""
    refused = Signal(str)
    """Something was drawn that is not a valid prompt; with the reason."""
    meaning_chosen = Signal(object)
    """The user chose another class in napari's own controls."""
    tool_changed = Signal(object)
    """The active tool, or None."""
    taken_away = Signal()
    """The user removed one of the layers."""

    def __init__(self, viewer: Any, labels: Labels, place: VoxelMap, case: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._labels, self._place = viewer, labels, place
        self.meaning = Meaning()
        self.border = True
        """Whether a line drawn around an area marks the border of the region."""
        self._around = True
        self._links = Links()
        self._writing = False
        self._strokes_made: list[Sequence[Any]] = []
        self._touched: set[str] = set()
        self._shown: dict[str, list[Prompt]] = {name: [] for name in _KINDS}
        self._wanted: list[Prompt] | None = None
        self.strokes = strokes_over(labels, f"{case} strokes")
        self.points = points_over_labels(labels, f"{case} points")
        self.outlines = outlines_over(labels, f"{case} outlines")
        self._timer = single_shot(self, self._collect)
        self._last_tool: Tool | None = None
        self._back_timer = single_shot(self, self._take_again)
        self._added: list[Layer] = []
        self.ring: Layer | None = None
        """Ring around the voxels that a prompt would change, while it is previewed."""
        self._connect()
        self.set_meaning(self.meaning)

    @property
    def layers(self) -> Mapping[str, Layer]:
        """The three layers, by the kind of prompt."""
        return {"strokes": self.strokes, "points": self.points, "outlines": self.outlines}

    def _connect(self) -> None:
        self._links.connect(self.strokes.events.paint, self._on_painted)
        self._links.connect(self.strokes.events.selected_label, self._on_label_chosen)
        self._links.connect(self.points.events.data, partial(self._on_drawn, "points"))
        self._links.connect(self.outlines.events.data, partial(self._on_drawn, "outlines"))
        self._links.connect(self._viewer.layers.events.removed, self._on_layers_removed)
        self._links.connect(self._viewer.layers.selection.events.active, self._on_tool_event)
        self._links.connect(self._viewer.dims.events.ndisplay, self._on_ndisplay)
        for layer in self.layers.values():
            self._links.connect(layer.events.mode, self._on_tool_event)

    def remove(self) -> None:
        """Remove the layers that are still in the viewer."""
        self.show_held(None)
        self._let_go()
        for layer in self.layers.values():
            if layer in self._viewer.layers:
                layer.mode = _RESTING  # napari 0.9 draws the brush of a removed layer, which can crash the process
                self._viewer.layers.remove(layer)
        self._added.clear()

    def release(self) -> None:
        """Leave the layers to the user, as a record of what was drawn."""
        self._let_go()
        for layer in self.layers.values():
            layer.mode = _RESTING

    def _let_go(self) -> None:
        self._links.cut()
        self._timer.stop()
        self._back_timer.stop()
        for layer in self.layers.values():
            layer.keymap = {}

    def bind_keys(self, keys: Mapping[str, Callable[[], None]]) -> None:
        """Bind keys in the three layers, overriding any other binding there."""
        for layer in self.layers.values():
            for key, act in keys.items():
                layer.bind_key(key, pressed(act), overwrite=True)

    # Drawing tools --------------------------------------------------------------------------------------------------

    @property
    def tool(self) -> Tool | None:
        """The active tool."""
        active = self._viewer.layers.selection.active
        for tool, (name, mode) in TOOLS.items():
            if self.layers[name] is active and str(self.layers[name].mode) == mode:
                return "lasso" if tool == "outline" and not self.border else tool
        return None

    def _add(self, layer: Layer) -> None:
        """Add a layer when it is first needed, as each takes napari a tenth of a second or more."""
        if layer not in self._added:
            self._added.append(layer)
            add_unselected(self._viewer, layer)

    def take(self, tool: Tool) -> None:
        """Activate a tool."""
        name, mode = TOOLS[tool]
        if self._viewer.dims.ndisplay == 3:
            self.refused.emit("Prompts are drawn on slices: leave the 3D view first (Ctrl+Y).")
            return
        layer = self.layers[name]
        self._add(layer)
        layer.visible = True
        if name == "outlines":
            self.border = tool == "outline"
        self._viewer.layers.selection = {layer}
        layer.mode = mode
        self.tool_changed.emit(self.tool)  # napari reports no change between lasso and outline

    def set_around(self, around: bool) -> None:
        """Set whether prompts change neighbouring slices too from now on, or only their own slice."""
        self._around = around

    def set_meaning(self, meaning: Meaning) -> None:
        """Set the meaning of what is drawn from now on."""
        self.meaning = meaning
        red, green, blue = color_of(meaning)
        with self._quietly():
            self.strokes.selected_label = meaning.code
            # Otherwise napari would give the new colours to selected points too.
            self.points.selected_data = set()
            self.points.current_face_color = [red, green, blue, 1.0]
            self.points.current_symbol = "disc" if meaning.add else "x"
            self.outlines.selected_data = set()
            self.outlines.current_edge_color = [red, green, blue, 1.0]
            self.outlines.current_face_color = [red, green, blue, _FACE if meaning.add else 0.0]

    # Drawn prompts --------------------------------------------------------------------------------------------------

    def _on_painted(self, event: Any) -> None:
        if not self._writing:
            self._strokes_made.append(tuple(event.value))
            self._touch("strokes")

    def _on_drawn(self, name: str, event: Any) -> None:
        if not self._writing and is_finished(event):
            self._touch(name)

    def _touch(self, name: str) -> None:
        # Not immediately: napari is still in the middle of changing the layer.
        self._touched.add(name)
        self._timer.start(0)

    def _collect(self) -> None:
        touched, self._touched = self._touched, set()
        finders = {"strokes": self._new_strokes, "points": self._new_points, "outlines": self._new_outlines}
        for prompt in [prompt for name, find in finders.items() if name in touched for prompt in find()]:
            self.drawn.emit(prompt)
        if self._wanted is not None:
            self.show(self._wanted)

    def _new_strokes(self) -> list[Prompt]:
        finished, self._strokes_made = self._strokes_made, []
        prompts: list[Prompt] = []
        for parts in finished:
            voxels, codes = painted_voxels(parts, self.strokes.data.shape)
            for code in np.unique(codes).tolist():
                meaning = Meaning.of_code(code)
                if meaning is None:
                    self._refuse("strokes")
                else:
                    prompts.append(self._reaching(painted_prompt(voxels[codes == code], meaning, self._place)))
        self._shown["strokes"] += prompts
        return prompts

    def _new_points(self) -> list[Prompt]:
        known, now = points_to_draw(self._shown["points"], self._place), np.asarray(self.points.data)
        before = np.array([at for at, _ in known]).reshape(-1, 3)
        if len(now) <= len(before) or not np.allclose(now[: len(before)], before, atol=0.01):
            self._refuse("points")
            return []
        self.points.selected_data = set()
        prompts: list[Prompt] = [
            self._reaching(point_prompt(at, self.meaning, self._place)) for at in now[len(before) :]
        ]
        self._shown["points"] += prompts
        return prompts

    def _new_outlines(self) -> list[Prompt]:
        known = len(self._shown["outlines"])
        if len(self.outlines.data) == known:
            return []  # too small, so napari has discarded it
        if len(self.outlines.data) < known:
            self._refuse("outlines")
            return []
        self.outlines.selected_data = set()
        count = len(self.outlines.data)
        lines = all(kind == "polygon" for kind in self.outlines.shape_type[known:])
        if lines and QApplication.keyboardModifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.refused.emit(_MORE_LINES)
            return []
        border = self.border and self.meaning.has_border
        prompts = [
            self._reaching(shape_prompt(self.outlines, at, self.meaning, self._place, border=border))
            for at in range(known, count)
        ]
        if self.border and not border and any(isinstance(prompt, Lasso) for prompt in prompts):
            self.refused.emit(_NO_BORDER.format(self.meaning.text))
        if lines and count - known > 1:
            prompts = [joined([prompt for prompt in prompts if isinstance(prompt, Lasso)])]
            self._redraw("outlines", [*self._shown["outlines"], *prompts])
        elif all(isinstance(prompt, _KINDS["outlines"]) for prompt in prompts):
            self._shown["outlines"] += prompts
        else:
            self._redraw("outlines", self._shown["outlines"])  # a line is turned into a stroke
        return prompts

    def _reaching(self, prompt: Prompt) -> Prompt:
        """Return the prompt, restricted to its own slice if that is wanted."""
        return prompt if self._around else prompt.model_copy(update={"around": False})

    def _refuse(self, name: str) -> None:
        self._redraw(name, self._shown[name])
        self.refused.emit(_NOT_BY_HAND)

    # Display --------------------------------------------------------------------------------------------------------

    def show(self, prompts: Sequence[Prompt]) -> None:
        """Show these prompts and no others; layers without changes are not touched."""
        self._wanted = None
        if getattr(self.outlines, "_is_creating", False) or self._touched:
            self._wanted = list(prompts)  # once the user has finished drawing
            return
        for name, kinds in _KINDS.items():
            of_kind = [prompt for prompt in prompts if isinstance(prompt, kinds)]
            if list(map(id, of_kind)) != list(map(id, self._shown[name])):
                self._redraw(name, of_kind)

    def show_held(self, edit: Voxels | None) -> None:
        """Show a ring around the voxels that a prompt would change, on every slice; none without an edit."""
        if self.ring is not None and self.ring in self._viewer.layers:
            self._viewer.layers.remove(self.ring)
        self.ring = None
        if edit is None:
            return
        changed = np.zeros(self._labels.data.shape, np.uint8)
        changed[tuple(edit.at.T)] = 1
        self.ring = add_unselected(self._viewer, ring_over(self._labels, changed, "Preview"))

    def _redraw(self, name: str, prompts: Sequence[Prompt]) -> None:
        self._shown[name] = list(prompts)
        if prompts:
            self._add(self.layers[name])
        redraw = {"strokes": self._redraw_strokes, "points": self._redraw_points, "outlines": self._redraw_outlines}
        with self._quietly():
            redraw[name](prompts)

    def _redraw_strokes(self, prompts: Sequence[Prompt]) -> None:
        self.strokes.data[...] = 0
        for voxels, code in strokes_to_paint(prompts, self._place):
            self.strokes.data[tuple(voxels.T)] = code
        self.strokes.refresh()

    def _redraw_points(self, prompts: Sequence[Prompt]) -> None:
        points = points_to_draw(prompts, self._place)
        self.points.selected_data = set()
        self.points.data = np.array([at for at, _ in points]).reshape(-1, 3)
        if points:
            self.points.face_color = [[*color_of(meaning), 1.0] for _, meaning in points]
            self.points.symbol = ["disc" if meaning.add else "x" for _, meaning in points]

    def _redraw_outlines(self, prompts: Sequence[Prompt]) -> None:
        outlines = outlines_to_draw(prompts, self._place)
        self.outlines.selected_data = set()
        self.outlines.data = []
        if outlines:
            self.outlines.add(
                [corners for corners, _, _ in outlines],
                shape_type=[kind for _, kind, _ in outlines],
                edge_color=[[*color_of(meaning), 1.0] for *_, meaning in outlines],
                face_color=[[*color_of(meaning), _FACE if meaning.add else 0.0] for *_, meaning in outlines],
            )

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        before, self._writing = self._writing, True
        try:
            yield
        finally:
            self._writing = before

    # The viewer -----------------------------------------------------------------------------------------------------

    def _on_label_chosen(self, event: Any = None) -> None:
        meaning = Meaning.of_code(int(self.strokes.selected_label))
        if not self._writing and meaning is not None:
            self.meaning_chosen.emit(meaning)

    def _on_tool_event(self, event: Any = None) -> None:
        if self._viewer.dims.ndisplay == 2 and not self._back_timer.isActive():
            self._last_tool = self.tool
        self.tool_changed.emit(self.tool)

    def _on_ndisplay(self, event: Any = None) -> None:
        if self._viewer.dims.ndisplay == 3:
            self._back_timer.stop()
            for layer in self.layers.values():
                layer.mode = _RESTING
        else:
            self._back_timer.start(0)  # once napari has set the layer modes for the slice view

    def _take_again(self) -> None:
        """Reactivate the tool that was used before the 3D view, unless the user has selected another layer."""
        active = self._viewer.layers.selection.active
        if self._last_tool is not None and (active is None or active in self.layers.values()):
            self.take(self._last_tool)

    def _on_layers_removed(self, event: Any = None) -> None:
        if any(layer not in self._viewer.layers for layer in self._added):
            self.taken_away.emit()
