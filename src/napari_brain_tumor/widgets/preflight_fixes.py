"""Actions of the buttons in the Segment panel's pre-flight table, and the question that the table answers."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from napari_brain_tumor.catalogue import ModelInfo
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.inference.memory import DeviceMemory
from napari_brain_tumor.plugin import from_layers, layers, viewers
from napari_brain_tumor.plugin.layers import LayerData, LayerView
from napari_brain_tumor.preflight.rows import Fix, FixKind
from napari_brain_tumor.study import Role
from napari_brain_tumor.widgets import scan_layers
from napari_brain_tumor.widgets import segment_state as state
from napari_brain_tumor.widgets.preflight_state import Question, left_out
from napari_brain_tumor.widgets.worker import JobRunner, notify_error

if TYPE_CHECKING:
    from napari_brain_tumor.widgets.segment import SegmentWidget

_OUTLINE_PIXELS: Final = 2
"""Width of the brain outline on the screen."""


def question_of(panel: "SegmentWidget", devices: Sequence[DeviceMemory]) -> Question:
    """Return what the panel's table currently depends on; without scans if a chosen layer is not a volume."""
    choices = panel.choices
    try:
        views = {role: layers.view(layer) for role, layer in choices.sequences.items()}
    except BrainTumorError:
        return Question({})
    return Question(
        views,
        _views_left_out(panel),
        choices.model,
        choices.options.with_options(brain=choices.brain if isinstance(choices.brain, str) else "mask"),
        devices,
        [model for k in range(panel.model_box.count()) if (model := panel.model_box.itemData(k)) is not None],
        _selected_labels(panel, list(views.values())),
    )


def _views_left_out(panel: "SegmentWidget") -> dict[Role, LayerView]:
    others = left_out(scan_layers.candidates(panel.viewer.layers), panel.choices.sequences)
    return {role: layers.view(layer) for role, layer in others.items()}


def _selected_labels(panel: "SegmentWidget", scans: Sequence[LayerView]) -> LayerView | None:
    """Return the selected labels if they lie on these scans; labels of another case do not matter."""
    active = panel.viewer.layers.selection.active
    if not state.is_result(active) or not scans:
        return None
    labels_view = layers.view(active)
    return labels_view if labels_view.grid.same_place(scans[0].grid) else None


class PreflightFixes:
    """Carries out the fixes of the table through the panel's own controls, so that the user sees what was changed."""

    def __init__(self, panel: "SegmentWidget") -> None:
        self._panel = panel
        self.runner = JobRunner(panel, finished=self._on_resampled, failed=notify_error)
        self._acts: Final[dict[FixKind, Callable[[str], None]]] = {
            "resample": self._resample,
            "roles": self._choose_roles,
            "model": self._choose_model,
            "device": self._choose_device,
            "brain": self._show_brain,
        }
        self.brain_runner = JobRunner(panel, finished=self._on_brain_found, failed=self._on_brain_missing)

    def apply(self, fix: Fix) -> None:
        """Apply a fix."""
        self._acts[fix.kind](fix.value)

    def _choose_roles(self, value: str) -> None:
        boxes = self._panel.role_boxes
        empty = [role for role in boxes if role not in self._panel.choices.sequences]
        box = boxes[empty[0] if empty else next(iter(boxes))]
        self._panel.ensureWidgetVisible(box)
        box.setFocus()

    def _choose_model(self, value: str) -> None:
        box = self._panel.model_box
        models = [box.itemData(k) for k in range(box.count())]
        names = [getattr(model, "name", None) for model in models]
        # If several models share a name, the list has the bundled ones first, whereas the command line uses the last.
        positions = [k for k, name in enumerate(names) if name == value and isinstance(models[k], ModelInfo)]
        box.setCurrentIndex(positions[-1] if positions else names.index(value))

    def _choose_device(self, value: str) -> None:
        self._panel.device_box.setCurrentIndex(max(0, self._panel.device_box.findData(value)))

    def _show_brain(self, value: str) -> None:
        panel, views = self._panel, self._views()
        if views is not None:
            device, worker = panel.choices.options.device, panel.worker
            panel.status_label.setText("Finding the brain…")
            self.brain_runner.start(lambda stop: state.brain_steps(stop, views, device, worker))

    def _views(self) -> dict[Role, LayerView] | None:
        """Return the chosen scans; if one is not a volume, show a message and return None."""
        try:
            return {role: layers.view(layer) for role, layer in self._panel.choices.sequences.items()}
        except BrainTumorError as error:
            notify_error(error)
            return None

    def _on_brain_found(self, mask_data: LayerData) -> None:
        viewer, name = self._panel.viewer, mask_data[1]["name"]
        active = viewer.layers.selection.active
        if name in viewer.layers:
            viewer.layers.remove(name)
        (layer,) = viewers.add_layers(viewer, [mask_data])
        layer.contour = _OUTLINE_PIXELS
        if active in viewer.layers:
            viewer.layers.selection = {active}
        note = layer.metadata[layers.KEY].provenance["note"]
        self._panel.status_label.setText(
            f"{note} Its outline is the layer {layer.name}; paint on it and choose it as Brain."
        )

    def _on_brain_missing(self, error: Exception) -> None:
        self._panel.status_label.setText(str(error))
        notify_error(error)

    def _resample(self, value: str) -> None:
        views = self._views()
        if views is not None:
            views |= _views_left_out(self._panel)
            self._panel.status_label.setText("Bringing the scans onto one grid…")
            self.runner.call(from_layers.resampled_layers, views, value)

    def _on_resampled(self, resampled: list[LayerData]) -> None:
        added: list[Any] = viewers.add_layers(self._panel.viewer, resampled)
        self._panel.choose_case_of(added[-1])
        self._panel.status_label.setText("Added the scans on one grid; the original layers are unchanged.")
