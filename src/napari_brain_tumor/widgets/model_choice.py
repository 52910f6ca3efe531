"""Choice of the model: a combo box of models and methods, the default for the scans, and a page about the choice."""

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_brain_tumor.catalogue import Method, ModelInfo, list_models
from napari_brain_tumor.models.cards import default_model
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.widgets import segment_state as state
from napari_brain_tumor.widgets.model_page import ModelPage
from napari_brain_tumor.widgets.parts import button, combo


class ModelChoice(QWidget):
    """Offers models; until the user picks one, the default for the scans is selected.

    Parameters
    ----------
    models : sequence of Method, optional
        By default, the installed models and the methods without weights.
    """

    chosen = Signal()
    """`model` has changed, or is the same one in a new list."""

    def __init__(self, models: Sequence[Method] | None = None) -> None:
        super().__init__()
        self._reloads = models is None
        self.picked_by_hand = False
        self.page: ModelPage | None = None
        self.box = combo("The trained network, or a method without weights.", "Model")
        self.about_button = button(
            "&About…", "About the model: scans, regions, training data, Dice with each subset of scans, licence, notes."
        )
        self.about_button.setAccessibleName("About the model")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box, 1)
        row.addWidget(self.about_button)
        self._fill(list_models() if models is None else models)
        self.box.currentIndexChanged.connect(self._on_picked)
        self.about_button.clicked.connect(self.show_page)

    @property
    def model(self) -> Method | None:
        """The selected model; None if none is installed."""
        model: Method | None = self.box.currentData()
        return model

    @property
    def offered(self) -> list[Method]:
        """All models and methods in the box."""
        return [model for at in range(self.box.count()) if (model := self.box.itemData(at)) is not None]

    def _fill(self, models: Sequence[Method]) -> None:
        for model in models:
            previous = self.box.itemData(self.box.count() - 1)
            if previous is not None and model.is_baseline and not previous.is_baseline:
                self.box.insertSeparator(self.box.count())
            self.box.addItem(model.title, model)
            self.box.setItemData(self.box.count() - 1, state.model_tooltip(model), Qt.ItemDataRole.ToolTipRole)
        if not models:
            self.box.addItem("no model is installed", None)
        self.box.setEnabled(bool(models))

    def reload(self) -> bool:
        """Read the model list again and keep the selection; return False if the list has not changed."""
        models = list_models() if self._reloads else None
        if models is None or models == self.offered:
            return False
        selected = self.model
        self.box.blockSignals(True)
        self.box.clear()
        self._fill(models)
        self.box.setCurrentIndex(self._row_of(selected))
        self.box.blockSignals(False)
        self.chosen.emit()
        return True

    def _row_of(self, selected: Method | None) -> int:
        items = [self.box.itemData(at) for at in range(self.box.count())]
        same = (at for at, item in enumerate(items) if selected and item and state.same_method(item, selected))
        return next(same, 0)

    def choose_default(self, traits: Traits | None) -> None:
        """Select the default for scans with these traits, unless the user has picked a model."""
        if self.picked_by_hand or traits is None:
            return
        default = default_model([model for model in self.offered if isinstance(model, ModelInfo)], traits)
        if default is not None and default != self.model:
            self.box.blockSignals(True)
            self.box.setCurrentIndex([self.box.itemData(at) for at in range(self.box.count())].index(default))
            self.box.blockSignals(False)
            self.chosen.emit()

    def show_page(self) -> None:
        """Show information about the selected model in a separate window."""
        if self.model is None:
            return
        if self.page is None:
            self.page = ModelPage(self)
        self.page.show_model(self.model)

    def _on_picked(self) -> None:
        self.picked_by_hand = True
        self.chosen.emit()
