"""The part of the Train panel with the data and settings for a run, and its estimated cost."""

from collections.abc import Sequence
from typing import Any, Final

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QDoubleSpinBox, QFileDialog, QFormLayout, QSpinBox, QVBoxLayout, QWidget

from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.models.cards import list_models
from napari_brain_tumor.widgets import train_state as state
from napari_brain_tumor.widgets.device_choice import DeviceChoice
from napari_brain_tumor.widgets.initial_choices import prefer_device
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.model_list import model_list
from napari_brain_tumor.widgets.parts import (
    Fold,
    add_to,
    button,
    column_of,
    combo,
    described,
    enable,
    flow,
    form,
    offer,
    text_field,
    wrapped,
)
from napari_brain_tumor.widgets.worker import JobRunner, notify_error
from napari_brain_tumor_training.detached import missing_packages
from napari_brain_tumor_training.run_cost import RunCost

_SETTLE_MS: Final = 1500
"""Delay after the last change of the choices before the cost is measured."""
_DEFAULT: Final = "default"


class TrainForm(QWidget):
    """The choices for a run, in `choices`; its cost is measured while the panel is visible.

    Parameters
    ----------
    worker : WorkerProcess
        For tasks that need torch but are not training.
    """

    start_requested = Signal()
    """The user wants to start the chosen run."""

    def __init__(self, worker: WorkerProcess) -> None:
        super().__init__()
        self._worker = worker
        self.choices = state.TrainChoices()
        self._asked = False
        self._counts: tuple[int, int] | None = None
        self.cost: RunCost | None = None
        """Cost of the current choices; None until it is measured."""
        self._measured = ""
        self._choices_runner = JobRunner(self, finished=self._on_networks_known, failed=notify_error)
        self.devices = DeviceChoice(worker, self, where="Where to train.")
        self.estimate_runner = JobRunner(self, finished=self._on_estimated, failed=self._on_estimate_failed)
        self._build()
        self.estimate_runner.hold(self.estimate_button)
        self._fill_starts()
        self._connect()
        prefer_device(self.device_box, self.devices.runner)
        self._on_choices_changed()

    def _build(self) -> None:
        column = column_of(self)
        rows = form()
        self.source_edit = text_field("", "Folder of a curated data set, or a recipe (.toml).", "Data set or recipe")
        rows.addRow("&Train on", self.source_edit)
        self.start_box = combo(
            "Fine-tune an existing model, which takes few cases and minutes, or train a new network, which takes "
            "many cases and hours.",
            "Start from",
        )
        rows.addRow("Start f&rom", self.start_box)
        self._source_rows = rows
        column.addLayout(rows)
        column.addLayout(self._build_start())
        self.settings = Fold("Settin&gs", "Data set or recipe from a dialog, network, device, epochs.", "Settings")
        self.settings.column.addLayout(self._build_choices())
        column.addWidget(self.settings)

    def _build_choices(self) -> QFormLayout:
        rows = form()
        self.dataset_button = button(
            "Data set…", "Choose the folder of a curated data set; its accepted cases are used."
        )
        self.recipe_button = button("Reci&pe…", "Choose a TOML file that describes the whole run.")
        rows.addRow("", flow(self.dataset_button, self.recipe_button))
        self.data_edit = text_field(
            "", "Folder that the recipe's paths are relative to; its own if left empty.", "Data folder"
        )
        rows.addRow("Data &folder", self.data_edit)
        self.model_box = combo("The network. Default: the recipe's, or a 2D U-Net.", "Network")
        self.model_box.addItem(_DEFAULT, "")
        rows.addRow("&Network", self.model_box)
        self.dims_box = combo(
            "Slices train faster; sub-volumes see in all directions and need more memory.", "Dimensions"
        )
        offer(self.dims_box, [(_DEFAULT, 0), ("2D slices", 2), ("3D sub-volumes", 3)])
        rows.addRow("Dimens&ions", self.dims_box)
        self.device_box = self.devices.box
        rows.addRow("&Device", self.device_box)
        self.epochs_box = _number(
            "Passes over the data until the run ends. Default: 100 in 2D, 150 in 3D, or the recipe's.", "Epochs"
        )
        rows.addRow("&Epochs", self.epochs_box)
        self.batch_box = _number("Samples per step. Lower it if memory runs out.", "Batch", 512)
        rows.addRow("&Batch", self.batch_box)
        self.rate_box = described(
            QDoubleSpinBox(), "The largest step size. Lower it if the loss jumps.", "Learning rate"
        )
        self.rate_box.setDecimals(5)
        self.rate_box.setRange(0, 1)
        self.rate_box.setSingleStep(0.0001)
        self.rate_box.setSpecialValueText(_DEFAULT)
        rows.addRow("&Learning rate", self.rate_box)
        self.estimate_button = button(
            "Measure the &cost", "Measure one step on this device, to estimate the time and memory of the run."
        )
        rows.addRow("", self.estimate_button)
        self._choice_rows = rows
        return rows

    def _fill_starts(self) -> None:
        """Offer the models to start from, with the default one selected; keep the previous selection."""
        models = [(model.card.title or model.name, model.name) for model in state.starting_models(list_models())]
        offer(self.start_box, [*models, ("a new network", "")], self.start_box.currentData())
        self.choices.start_from = self.start_box.currentData()

    def _build_start(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.notes_label = wrapped("", "What to know before training")
        self.start_button = button("Train", "Train in a separate process. It continues when napari is closed.")
        self.estimate_label = wrapped("", "Cost")
        self.estimate_label.hide()
        add_to(column, self.notes_label, self.start_button, self.estimate_label)
        return column

    def _connect(self) -> None:
        self.source_edit.editingFinished.connect(lambda: self._choose(source=self.source_edit.text().strip()))
        self.data_edit.editingFinished.connect(lambda: self._choose(data=self.data_edit.text().strip()))
        self.dataset_button.clicked.connect(self._on_dataset_requested)
        self.recipe_button.clicked.connect(self._on_recipe_requested)
        self.model_box.currentIndexChanged.connect(lambda: self._choose(model=self.model_box.currentData()))
        self.start_box.currentIndexChanged.connect(lambda: self._choose(start_from=self.start_box.currentData()))
        self.dims_box.currentIndexChanged.connect(lambda: self._choose(dims=self.dims_box.currentData()))
        self.devices.chosen.connect(lambda: self._choose(device=self.devices.device))
        self.epochs_box.valueChanged.connect(lambda value: self._choose(epochs=value))
        self.batch_box.valueChanged.connect(lambda value: self._choose(batch=value))
        self.rate_box.valueChanged.connect(lambda value: self._choose(learning_rate=value))
        self.choices.events.connect(self._on_choices_changed)
        self.estimate_button.clicked.connect(self.estimate)
        self.start_button.clicked.connect(self.start_requested)
        model_list.changed.connect(self._fill_starts)
        self._estimate_timer = single_shot(self, self._estimate_if_seen, _SETTLE_MS)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Load the choices, once, and check the data again: cases may have been accepted in the meantime."""
        super().showEvent(event)
        self._on_choices_changed()
        if not self._asked and not missing_packages():
            self._asked = True
            self._choices_runner.send(self._worker, state.CONFIGURATIONS_TARGET)
            self.devices.ask()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Measure nothing while the panel is hidden."""
        super().hideEvent(event)
        self._estimate_timer.stop()

    def choose_source(self, path: str) -> None:
        """Train on this data set folder or recipe."""
        if path:
            self.source_edit.setText(path)
            self._choose(source=path)

    def _choose(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self.choices, name, value)

    def _on_dataset_requested(self) -> None:
        self.choose_source(QFileDialog.getExistingDirectory(self, "Curated data set", self.choices.source))

    def _on_recipe_requested(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Recipe", self.choices.source, "Recipes (*.toml)")
        self.choose_source(path)

    def _on_choices_changed(self, *_: Any) -> None:
        self._choice_rows.setRowVisible(self.data_edit, self.choices.is_recipe)
        obstacle = self.choices.obstacle
        self.notes_label.setText(f"⚠ {obstacle}" if obstacle else "")
        self.notes_label.setVisible(bool(obstacle))
        self.start_button.setEnabled(not obstacle)
        self.estimate_button.setEnabled(not obstacle and not self.estimate_runner.running)
        enable(not self.choices.fine_tunes, self.model_box, self.dims_box)
        self._source_rows.setRowVisible(self.start_box, not self.choices.is_recipe)
        self._counts = state.case_counts(self.choices)
        self.cost = None  # it belonged to other choices
        self._show_cost()
        self._estimate_timer.start()

    def _on_networks_known(self, networks: Sequence[tuple[str, str, int]]) -> None:
        for name, title, dims in networks:
            self.model_box.addItem(title, name)
            tip = f"{name}: published for {dims}D, can be trained in the other too."
            self.model_box.setItemData(self.model_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)

    def estimate(self) -> None:
        """Measure one training step with the current choices, in the worker process."""
        run_request = self.choices.request.model_dump_json()
        self._measured = run_request
        self._show_estimate("Measuring one step…")
        self.estimate_runner.send(self._worker, state.ESTIMATE_TARGET, run_request)

    def _estimate_if_seen(self) -> None:
        """Measure the cost automatically if the panel is visible and the choices are complete."""
        if self.isVisible() and not self.choices.obstacle and self.cost is None:
            self.estimate()

    def _on_estimated(self, cost: RunCost) -> None:
        if self._measured == self.choices.request.model_dump_json():
            self.cost = cost
            self._show_cost()

    def _show_cost(self) -> None:
        self.start_button.setText(state.start_text(self.choices, self._counts, self.cost))
        self.estimate_label.setVisible(self.cost is not None)
        if self.cost is not None:
            self._show_estimate(state.cost_text(self._counts, self.cost))

    def _on_estimate_failed(self, error: Exception) -> None:
        self._show_estimate(f"Not measured. {error}")

    def _show_estimate(self, text: str) -> None:
        self.estimate_label.setText(text)
        self.estimate_label.show()


def _number(tip: str, name: str, largest: int = 100_000) -> QSpinBox:
    box = described(QSpinBox(), tip, name)
    box.setRange(0, largest)
    box.setSpecialValueText(_DEFAULT)
    return box
