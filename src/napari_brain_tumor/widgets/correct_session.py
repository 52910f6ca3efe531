"""A running correction in a viewer: its queue, prompt layers and keys."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import napari.viewer
import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.errors import BrainTumorError, PromptError
from napari_brain_tumor.interactive import Change
from napari_brain_tumor.labels import Region
from napari_brain_tumor.plugin.prompt_layers import Meaning
from napari_brain_tumor.plugin.viewers import show_point
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.widgets.correct_controls import CorrectControls
from napari_brain_tumor.widgets.correct_entries import Entry, Plane, Voxels, change_in_words, sentence_of, tidy_step
from napari_brain_tumor.widgets.correct_layers import PromptLayers
from napari_brain_tumor.widgets.correct_queue import CorrectionQueue
from napari_brain_tumor.widgets.correct_state import Correction
from napari_brain_tumor.widgets.correct_tools import CLASS_KEYS, NOT_KEY, SLICE_KEY, TOOL_KEYS
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.links import Links
from napari_brain_tumor.widgets.view_actions import ViewerKeys
from napari_brain_tumor.widgets.worker import notify_error

_UNDO, _REDO, _STOP, _TAKE = "Control-Z", "Control-Shift-Z", "Escape", "Enter"
_OBLIQUE: Final = (
    "This scan is oblique and shown resampled: the slices you see are not its own, so filling between slices and "
    "propagation are not available. Prompts work."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Propagation:
    """A slice that is propagated until it is stopped, and the slices that are computed but not shown yet."""

    entry: Entry
    halt: threading.Event
    planes: list[Plane] = field(default_factory=list)


class CorrectionSession(QObject):
    """Passes what the user draws, paints and requests to the queue, and shows the results.

    Parameters
    ----------
    controls : CorrectControls
        Connected to the session until `close`; they show the current state.
    """

    message = Signal(str)
    """A message for the user."""
    refreshed = Signal()
    """The applied or pending entries or the computation have changed, and the controls have been updated."""
    ended = Signal()
    """The correction cannot go on; `message` has reported why."""

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        correction: Correction,
        controls: CorrectControls,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self.correction, self._controls = viewer, correction, controls
        self.queue = CorrectionQueue(correction, self)
        self.prompt_layers = PromptLayers(viewer, correction.layer, correction.place, correction.study.name, self)
        self._propagation: _Propagation | None = None
        self._links, self._control_links = Links(), Links()
        self._refresh_timer = single_shot(self, self.refresh)
        tools = controls.tools
        classes: dict[str, Callable[[], None]] = {
            key: partial(tools.choose_class, label) for key, label in CLASS_KEYS.items()
        }
        self.prompt_layers.bind_keys(classes | self._keys())
        self._viewer_keys = ViewerKeys(viewer, self._keys())
        self.parting: list[Callable[[], None]] = [
            self._links.cut,
            self.queue.stop,
            correction.end_preview,
            self._viewer_keys.release,
            self.prompt_layers.remove,
        ]
        """Functions that cut the connections to the viewer, usable even after this object has been destroyed."""
        self._follow_layer()
        self._follow_queue()
        self._follow_controls()
        self.queue.hold(controls.tidy.preview_box.isChecked())
        self.prompt_layers.set_around(not tools.slice_box.isChecked())
        self.prompt_layers.set_meaning(tools.meaning)
        self.prompt_layers.take("stroke")
        self._on_renamed()
        self.refresh()

    def _keys(self) -> dict[str, Callable[[], None]]:
        """Keys that also work while a scan is selected, unless they have another meaning there."""
        keys: dict[str, Callable[[], None]] = {
            key: partial(self.prompt_layers.take, tool) for key, tool in TOOL_KEYS.items()
        }
        tools = self._controls.tools
        keys |= {NOT_KEY: tools.toggle_not, SLICE_KEY: tools.toggle_slice, _TAKE: self.queue.take}
        return keys | {_UNDO: self.undo, _REDO: self.redo, _STOP: self.cancel}

    def _follow_layer(self) -> None:
        events, dims = self.correction.layer.events, self._viewer.dims.events
        self._links.connect(events.paint, self._on_labels_event)
        self._links.connect(events.set_data, self._on_labels_event)  # the only event that undo emits
        self._links.connect(events.data, self._on_labels_replaced)
        self._links.connect(events.name, self._on_renamed)
        self._links.connect(dims.order, self._on_view_changed)
        self._links.connect(dims.ndisplay, self._on_view_changed)

    def _follow_queue(self) -> None:
        self.prompt_layers.drawn.connect(lambda prompt: self.queue.add(self.correction.action(prompt)))
        self.prompt_layers.refused.connect(self.message)
        self.prompt_layers.meaning_chosen.connect(self._on_meaning_changed)
        self.prompt_layers.tool_changed.connect(self._controls.tools.show_tool)
        self.prompt_layers.taken_away.connect(
            partial(
                self._end_soon, "A layer of prompts was removed, so the correction ended. The labels stay as they are."
            )
        )
        self.queue.shown.connect(self._on_shown)
        self.queue.failed.connect(self._on_failed)
        self.queue.changed.connect(self._refresh_soon)
        self.queue.progressed.connect(self._on_progressed)
        self.queue.held.connect(self._on_held)

    def _follow_controls(self) -> None:
        controls, connect = self._controls, self._control_links.connect
        connect(controls.tools.meaning_changed, self._on_meaning_changed)
        connect(controls.tools.tool_requested, self.prompt_layers.take)
        connect(controls.tools.around_changed, self.prompt_layers.set_around)
        connect(controls.tidy.preview_toggled, self.queue.hold)
        connect(controls.tidy.take_requested, self.queue.take)
        connect(controls.tidy.requested, self.tidy_up)
        connect(controls.slices.fill_requested, self.fill)
        connect(controls.slices.carry_requested, self.carry_on)
        connect(controls.steps.chosen, self.go_to)
        connect(controls.steps.removal_requested, self.do_without)
        connect(controls.undo_button.clicked, self.undo)
        connect(controls.redo_button.clicked, self.redo)
        for stopping in (
            controls.tidy.drop_requested,
            controls.slices.stop_requested,
            controls.cancel_button.clicked,
        ):
            connect(stopping, self.cancel)

    def close(self, *, keep_prompts: bool) -> None:
        """End the correction; the labels keep their current state, as do the prompt layers if `keep_prompts`."""
        self.blockSignals(True)
        self._refresh_timer.stop()
        self.halt()
        self._control_links.cut()
        if keep_prompts:
            self.prompt_layers.show_held(None)
            self.prompt_layers.release()
            self.parting.remove(self.prompt_layers.remove)
        for part in self.parting:
            part()
        self.deleteLater()

    # User requests --------------------------------------------------------------------------------------------------

    def undo(self) -> None:
        """Undo the last step and everything that it changed."""
        self._try(self.queue.undo)

    def redo(self) -> None:
        """Redo what was undone last."""
        self._try(self.queue.redo)

    def cancel(self) -> None:
        """Stop propagating and keep the slices done so far; or drop what is being computed."""
        if self.propagating:
            self.halt()
        elif self.queue.busy:
            self.queue.cancel()
            self.message.emit("Dropped what was not computed yet.")

    def fill(self, slices: list[int]) -> None:
        """Fill between slices of the current view."""
        self._try(lambda: self.queue.add(self.correction.fill(self._axis, slices, self._region_to_fill())))

    def _region_to_fill(self) -> Region | None:
        return self.correction.region_to_fill(self._axis, self.prompt_layers.meaning.region)

    def carry_on(self, direction: Literal[1, -1]) -> None:
        """Propagate the current slice until told to stop."""
        if self.propagating:
            return
        layer, axis = self.correction.layer, self._axis
        index = round(float(layer.world_to_data(self._viewer.dims.point[-3:])[axis]))
        if not 0 <= index < layer.data.shape[axis]:
            self.message.emit("The shown slice lies outside the labels.")
            return
        planes: list[Plane] = []
        halt = threading.Event()
        work = self.correction.carry_on(axis, index, direction, planes, halt)
        self._propagation = _Propagation(work.entry, halt, planes)
        self.queue.add(work)

    @property
    def propagating(self) -> bool:
        """Whether a slice is being propagated, or is waiting to be."""
        return self._propagation is not None and self._propagation.entry in self.queue.pending

    def halt(self) -> None:
        """Stop propagating; the slices done so far are kept."""
        if self._propagation is not None:
            self._propagation.halt.set()

    def do_without(self, entry: Entry) -> None:
        """Redo everything without one of the steps."""
        if self.queue.busy:
            self.message.emit("Wait until all steps are computed.")
        else:
            self.queue.add(self.correction.without(entry))

    def tidy_up(self, kind: str, mm: float) -> None:
        """Remove the island under the crosshair, keep the largest part, fill holes or smooth the margin."""
        region = self.prompt_layers.meaning.region
        if region is None:
            self.message.emit("Choose the region first: whole tumour, tumour core or enhancing.")
            return
        place = None
        if kind == "remove island":
            position = self.correction.layer.world_to_data(self._viewer.dims.point[-3:])
            place = self.correction.place.world(np.rint(np.asarray(position))[None])[0]
        self.queue.add(self.correction.action(tidy_step(kind, region, mm, place)))

    def go_to(self, entry: Entry) -> None:
        """Show the place where a step was made."""
        if entry.extent is not None:
            show_point(self._viewer, self.correction.layer.data_to_world(entry.extent.middle))

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except PromptError as error:
            self.message.emit(str(error))

    @property
    def _axis(self) -> int:
        """The axis of the layer across which the current view is sliced."""
        dims = self._viewer.dims
        return int(dims.order[-3]) - (dims.ndim - 3)

    def _on_meaning_changed(self, meaning: Meaning) -> None:
        self._controls.tools.show_meaning(meaning)
        self.prompt_layers.set_meaning(meaning)
        self._refresh_soon()

    # Results --------------------------------------------------------------------------------------------------------

    def _on_labels_event(self, event: Any = None) -> None:
        if not self.correction.writing:
            self.queue.follow()

    def _on_labels_replaced(self, event: Any = None) -> None:
        self.correction.replaced()
        if self.correction.layer.data.shape != self.correction.place.display.shape:
            self._end_soon("The labels were replaced by others of another shape, so the correction ended.")
        self._refresh_soon()

    def _end_soon(self, why: str) -> None:
        self.message.emit(why)
        single_shot(self, self.ended.emit).start()  # not while napari is removing or replacing something

    def _on_renamed(self, event: Any = None) -> None:
        self._controls.name_label.setText(f"Correcting {self.correction.layer.name}")

    def _on_shown(self, entry: Entry, seconds: float, voxels: int) -> None:
        changed = f"{voxels} voxel{'s' if voxels > 1 else ''}" if voxels else "nothing to change"
        detail = self._words_of(entry.change) if entry.change is not None and voxels else ""
        self.message.emit(f"{sentence_of(entry)}: {seconds:.1f} s, {f'{changed} ({detail})' if detail else changed}.")

    def _on_held(self, entry: Entry, edit: Voxels) -> None:
        if entry.change is not None:
            self.prompt_layers.show_held(edit)
            self.message.emit(
                f"{sentence_of(entry)} would change what lies within the ring: "
                f"{self._words_of(entry.change) or 'nothing'}. Enter accepts it, Escape discards it."
            )

    def _words_of(self, change: Change) -> str:
        return change_in_words(change, self.correction.class_names)

    def _on_failed(self, entry: Entry, error: Exception) -> None:
        self.message.emit(str(error))
        if not isinstance(error, BrainTumorError):
            notify_error(error)

    def _on_progressed(self, progress: Progress) -> None:
        if self._propagation is not None and self.propagating and self._propagation.planes:
            planes = list(self._propagation.planes)
            del self._propagation.planes[: len(planes)]
            self.correction.preview(planes)
            self._show_slice(self.correction.layer, planes[-1])
        if progress.message:
            self.message.emit(f"{progress.message[:1].upper()}{progress.message[1:]}…")

    def _show_slice(self, layer: Labels, plane: Plane) -> None:
        """Go to a slice that was just written, which also redraws the labels."""
        at = layer.data_to_world([plane.index if axis == plane.axis else 0 for axis in range(3)])
        self._viewer.dims.set_point(self._viewer.dims.ndim - 3 + plane.axis, float(at[plane.axis]))

    def _on_view_changed(self, event: Any = None) -> None:
        self._controls.slices.slices_edit.setModified(False)
        self._refresh_soon()

    def _refresh_soon(self) -> None:
        self._refresh_timer.start()

    def refresh(self) -> None:
        """Show the current state."""
        queue, controls = self.queue, self._controls
        self.prompt_layers.show(queue.prompts)
        if not queue.holding:
            self.prompt_layers.show_held(None)
        region = self._region_to_fill()
        controls.slices.show_slices(
            self._axis,
            self.correction.outlined_slices(self._axis, region) if region is not None else (),
            region=region,
            carrying=self.propagating,
            obstacle=self._slice_obstacle(),
        )
        controls.tidy.show_holding(queue.holding)
        controls.show_steps(
            self.correction.entries,
            queue.pending,
            busy=queue.busy,
            can_undo=bool(self.correction.done or queue.pending),
            can_redo=bool(self.correction.undone),
        )
        self.refreshed.emit()

    def _slice_obstacle(self) -> str:
        if self._viewer.dims.ndisplay == 3:
            return "Filling and propagation work on slices: leave the 3D view first (Ctrl+Y)."
        return "" if self.correction.place.one_to_one else _OBLIQUE
