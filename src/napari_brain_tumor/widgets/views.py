"""The Three views panel: axial, coronal and sagittal with one cursor, painting in any of them, surfaces in 3D."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import napari.viewer
import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QHideEvent, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QCheckBox, QFrame, QGridLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_brain_tumor.plugin.layers import KEY, camera_of, turn_camera
from napari_brain_tumor.widgets import view_actions
from napari_brain_tumor.widgets.linked_layers import LinkedLayers, Links, is_volume
from napari_brain_tumor.widgets.navigation import PLANES, Convention, arrangement, place_text
from napari_brain_tumor.widgets.parts import button, combo, give_room, line, wrapped
from napari_brain_tumor.widgets.slice_view import SliceView, click
from napari_brain_tumor.widgets.surfaces import surfaces_of
from napari_brain_tumor.widgets.wheel_guard import guard_wheel

__all__ = ["ViewsWidget"]

_NOTHING = "Open a case, or any volume, to see it in three planes."
_CELLS: Final[Mapping[str, tuple[tuple[int, int], ...]]] = {
    "column": ((0, 0), (1, 0), (2, 0), (3, 0)),
    "square": ((0, 0), (0, 1), (1, 0), (1, 1)),
    "row": ((0, 0), (0, 1), (0, 2), (0, 3)),
}
"""Rows and columns of the three views and the buttons, by how the panel is shaped."""
_MOST_BESIDE: Final = 0.6
"""Share of the panel's width that the buttons may take where two views stand beside each other."""
_CONVENTIONS: Final[Mapping[Convention, str]] = {
    "radiological": "right on the left (radiological)",
    "neurological": "right on the right (neurological)",
}


class ViewsWidget(QWidget):
    """Shows the volumes of the viewer in three planes that follow one cursor.

    The viewer's own layers are shared, not copied, and are changed only by what the user does here. While the panel is
    hidden it does nothing.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.views: list[SliceView] = []
        self._twins: LinkedLayers | None = None
        self._links = Links()
        self._surfaces = surfaces_of(napari_viewer)
        self._shape = ""
        self._extent: npt.NDArray[Any] = np.zeros(0)
        self._layers_timer = QTimer(self)
        self._layers_timer.setSingleShot(True)
        self._layers_timer.timeout.connect(self._take_layers)
        view_actions.bind_keys(napari_viewer)
        self._build()

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(2, 2, 2, 2)
        self._grid.setSpacing(2)
        self._controls = QScrollArea()
        self._controls.setWidgetResizable(True)
        self._controls.setFrameShape(QFrame.Shape.NoFrame)
        self._controls.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._controls.setMinimumHeight(80)
        content = QWidget()
        self._fill(QVBoxLayout(content))
        self._controls.setWidget(content)
        guard_wheel(self._controls)
        give_room(self._controls, content, 150)
        self._arrange()

    def _fill(self, column: QVBoxLayout) -> None:
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(4)
        self.place_label = wrapped(_NOTHING)
        self.place_label.setAccessibleName("Place of the cursor")
        self.place_label.setToolTip(
            "Where the cursor is, in the scan's world coordinates.\n"
            "Click in a view, or move over it with Shift held: the others go there. Left and Right step through the "
            "slices of the view that was clicked last.\nPainting works in every view as in the large canvas."
        )
        column.addWidget(self.place_label)
        column.addLayout(self._build_look())
        column.addWidget(line())
        self.side_box = combo(
            "On which side of the screen the patient's right is, in these views and in the large canvas.", "Sides"
        )
        for name, text in _CONVENTIONS.items():
            self.side_box.addItem(text, name)
        self.side_box.setCurrentIndex(list(_CONVENTIONS).index(_convention_of(self._viewer)))
        self.side_box.activated.connect(self._on_side_chosen)
        column.addWidget(self.side_box)
        self.fit_button = button("&Fit", "Zoom so that each view shows its whole slice.")
        self.fit_button.clicked.connect(self.fit)
        column.addWidget(self.fit_button)
        column.addStretch(1)

    def _build_look(self) -> QGridLayout:
        self.buttons = {view_key.key: self._action_button(view_key) for view_key in view_actions.KEYS}
        rows = QGridLayout()
        rows.setSpacing(4)
        rows.setColumnStretch(1, 1)
        rows.setColumnStretch(2, 1)
        for row, (name, back, on) in enumerate((("Scan", "Shift+J", "J"), ("Tumour slice", ",", "."))):
            rows.addWidget(QLabel(name), row, 0)
            rows.addWidget(self.buttons[back], row, 1)
            rows.addWidget(self.buttons[on], row, 2)
        for row, key in enumerate(("Shift+G", "Shift+H", "Shift+D"), 2):
            rows.addWidget(self.buttons[key], row, 0, 1, 3)
        self.follow_box = QCheckBox("Surfaces follow e&dits")
        self.follow_box.setToolTip("Update the surfaces shortly after the labels change.")
        self.follow_box.setChecked(self._surfaces.follows)
        self.follow_box.toggled.connect(self._on_follow_toggled)
        self._surfaces.changed.connect(self._show_surfaces)
        rows.addWidget(self.follow_box, 5, 0, 1, 3)
        return rows

    def _action_button(self, action: view_actions.ViewAction) -> QPushButton:
        # Arrows stand two in a row, which is too narrow for brackets.
        key_button = button(
            f"{action.text} {action.key}" if action.text in "◀▶" else f"{action.text} ({action.key})",
            f"{action.tip}\nKey in the picture: {view_actions.key_text(action.key)}",
        )
        key_button.setAccessibleName(action.name)
        key_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys to the picture
        key_button.clicked.connect(partial(self._on_look, action.act))
        return key_button

    def _on_look(self, act: Callable[[Any], None], checked: bool = False) -> None:
        act(self._viewer)

    def sizeHint(self) -> QSize:
        """Two views beside each other, and room for the large canvas on a small screen."""
        return QSize(520, 560)

    # Coming and going -----------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:
        """Make the views when they are first seen, and begin to follow the viewer."""
        super().showEvent(event)
        if self._twins is None:
            self._attach()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Let go of the viewer's layers; when the whole window goes, or the dock was closed, of the canvases too."""
        super().hideEvent(event)
        if event is not None and event.spontaneous():
            return  # the window was minimised
        self._detach()
        window = self.window()
        if self.parent() is None or window is None or not window.isVisible():
            self._dispose()

    def changeEvent(self, event: QEvent | None) -> None:
        """Give the canvases back when the dock was closed."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._detach()
            self._dispose()

    def _attach(self) -> None:
        if not self.views:
            self._make_views()
        viewer, links = self._viewer, self._links
        self._twins = LinkedLayers(viewer, [view.model for view in self.views], lambda: self._surfaces.hides, self)
        self._twins.start()
        links.connect(viewer.dims.events.point, self._on_point)
        links.connect(viewer.dims.events.ndim, self._on_point)
        links.connect(viewer.events.theme, self._on_theme)
        for emitter in (viewer.layers.events.inserted, viewer.layers.events.removed):
            links.connect(emitter, self._on_layers_changed)
        viewer.mouse_drag_callbacks.append(self._on_main_press)
        viewer.mouse_move_callbacks.append(self._on_main_move)
        self._on_theme()
        self._extent = np.zeros(0)
        self._on_layers_changed()

    def _detach(self) -> None:
        if self._twins is None:
            return
        self._layers_timer.stop()
        self._links.cut()
        self._twins.stop()
        self._twins.deleteLater()
        self._twins = None
        for callbacks, callback in (
            (self._viewer.mouse_drag_callbacks, self._on_main_press),
            (self._viewer.mouse_move_callbacks, self._on_main_move),
        ):
            if callback in callbacks:
                callbacks.remove(callback)

    def _make_views(self) -> None:
        convention: Convention = self.side_box.currentData()
        for plane in PLANES:
            view = SliceView(plane, convention, self)
            view.place_chosen.connect(self.go_to)
            view.slice_chosen.connect(partial(self._on_slice_chosen, view))
            view.tumour_step.connect(partial(self._on_tumour_step, view))
            view.model.events.status.connect(self._on_status)
            self.views.append(view)
        self._shape = ""
        self._arrange()

    def _dispose(self) -> None:
        for view in self.views:
            self._grid.removeWidget(view)
            view.dispose()
            view.deleteLater()
        self.views.clear()
        self._shape = ""

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Arrange the views as the panel's shape allows."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        shape = arrangement(self.width(), self.height())
        if shape == "square" and self._controls.minimumWidth() > _MOST_BESIDE * self.width():
            shape = "column"  # in a large font the buttons would leave no room for the views above each other
        if shape == self._shape:
            return
        self._shape = shape
        parts = [*self.views, self._controls] if self.views else [self._controls]
        cells = _CELLS[shape] if self.views else ((0, 0),)
        for part, (row, column) in zip(parts, cells, strict=True):
            self._grid.addWidget(part, row, column)
        rows, columns = ({cell[at] for cell in cells[: len(self.views)]} for at in (0, 1))
        for at in range(4):
            self._grid.setRowStretch(at, int(at in rows))
            self._grid.setColumnStretch(at, int(at in columns))

    # The cursor -----------------------------------------------------------------------------------------------------

    def go_to(self, point: tuple[float, ...]) -> None:
        """Move the cursor to a world point: every view, and the large canvas, shows its slice.

        Parameters
        ----------
        point : tuple of float
            As the viewer's `dims.point`; it is kept within the volume.
        """
        if len(point) == self._viewer.dims.ndim:
            self._viewer.dims.point = tuple(float(coordinate) for coordinate in point)

    def _on_point(self, event: Any = None) -> None:
        point = tuple(self._viewer.dims.point)
        for view in self.views:
            view.follow(point)
        self._show_place(point)

    def _show_place(self, point: tuple[float, ...]) -> None:
        if self._nothing():
            self.place_label.setText(_NOTHING)
            return
        units = self._viewer.layers[0].units
        unit = "mm" if units is not None and str(units[-1]) in ("mm", "millimeter") else ""
        self.place_label.setText(place_text(point[-3:], anatomical=self._is_anatomical(), unit=unit))

    def _on_slice_chosen(self, view: SliceView) -> None:
        dims = view.model.dims
        if self._twins is None or self._twins.matching or dims.ndim != self._viewer.dims.ndim:
            return
        axis = dims.order[-3]
        self._viewer.dims.set_point(axis, dims.point[axis])

    def _on_tumour_step(self, view: SliceView, step: int) -> None:
        view_actions.next_tumour_slice(self._viewer, step, view.plane.axis)

    def _on_main_press(self, viewer: Any, event: Any) -> Iterator[None]:
        if viewer.dims.ndisplay == 2:
            yield from click(viewer, event, self.go_to)

    def _on_main_move(self, viewer: Any, event: Any) -> None:
        if "Shift" in event.modifiers and viewer.dims.ndisplay == 2:
            self.go_to(tuple(event.position))

    # What else follows ----------------------------------------------------------------------------------------------

    def _nothing(self) -> bool:
        return not any(is_volume(layer) for layer in self._viewer.layers)

    def _is_anatomical(self) -> bool:
        return any(KEY in layer.metadata for layer in self._viewer.layers)

    def _on_layers_changed(self, event: Any = None) -> None:
        self._layers_timer.start(0)

    def fit(self) -> None:
        """Zoom so that each view shows its whole slice."""
        for view in self.views:
            view.fit()

    def _take_layers(self) -> None:
        if self._twins is None:
            return
        self._twins.match()
        for view in self.views:
            view.anatomical = self._is_anatomical()
        self._on_point()
        extent = np.array(self._viewer.layers.extent.world)
        if not np.array_equal(extent, self._extent):  # a result over the scans leaves the zoom as it is
            self._extent = extent
            self.fit()

    def _on_status(self, event: Any) -> None:
        self._viewer.status = event.value

    def _on_theme(self, event: Any = None) -> None:
        for view in self.views:
            view.model.theme = self._viewer.theme

    def _on_side_chosen(self) -> None:
        convention: Convention = self.side_box.currentData()
        for view in self.views:
            view.convention = convention
        # The large canvas must not contradict the views; where it does not stand upright it is not ours to turn.
        camera = camera_of(self._viewer)
        if self._is_anatomical() and str(camera.orientation2d[0].value) == "up":
            turn_camera(self._viewer, PLANES[0].horizontal(convention))

    def _show_surfaces(self) -> None:
        words = "Back to slices" if self._viewer.dims.ndisplay == 3 else "Surfaces in 3D"
        self.buttons["Shift+D"].setText(f"{words} (Shift+D)")

    def _on_follow_toggled(self, on: bool) -> None:
        self._surfaces.follows = on


def _convention_of(viewer: Any) -> Convention:
    vertical, horizontal = (str(direction.value) for direction in camera_of(viewer).orientation2d)
    return "neurological" if (vertical, horizontal) == ("up", "right") else "radiological"
