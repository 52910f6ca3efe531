"""Axial, coronal, sagittal and 3D views in place of napari's canvas: one crosshair, painting in every plane."""

from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QHideEvent, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QApplication, QGridLayout, QLabel, QWidget

from napari_brain_tumor.plugin.layers import KEY
from napari_brain_tumor.plugin.viewers import camera_of, turn_camera
from napari_brain_tumor.widgets.brain_extent import extent_of_brain, reference_scan
from napari_brain_tumor.widgets.doubt_ring import ring_of, rings
from napari_brain_tumor.widgets.layer_list_watch import LayerListWatch
from napari_brain_tumor.widgets.linked_layers import LinkedLayers, is_volume
from napari_brain_tumor.widgets.links import Links
from napari_brain_tumor.widgets.napari_canvas import CanvasPlace, CanvasState, canvas_view_of
from napari_brain_tumor.widgets.navigation import PLANES, Convention, WorldBox, nearest_steps, place_text
from napari_brain_tumor.widgets.parts import button, column_of, combo, flow, narrow, offer
from napari_brain_tumor.widgets.plane_pane import Pane, PlanePane, SlicePane
from napari_brain_tumor.widgets.spare_views import spare_views
from napari_brain_tumor.widgets.surface_pane import SurfacePane
from napari_brain_tumor.widgets.view_actions import labels_in_view, next_tumour_slice
from napari_brain_tumor.widgets.wheel_guard import WheelGuard

_NOTHING = "Open a case first."
_CELLS: Final = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of axial, coronal, sagittal and 3D."""
_SPACING: Final = 2
_CONVENTIONS: Final[tuple[Convention, ...]] = ("radiological", "neurological")


class FourPanes(QWidget):
    """Replaces napari's canvas, which becomes the axial pane, until `close_layout`.

    The viewer's own layers are shared, not copied, and changed only by the user's actions here.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    canvas_view : QtViewer
        The viewer's view in its window.
    """

    closed = Signal()

    def __init__(self, viewer: Any, canvas_view: QtViewer) -> None:
        super().__init__(canvas_view.parentWidget())
        self._viewer = viewer
        self._place = CanvasPlace(canvas_view)
        self._before = CanvasState.of(viewer)
        self._canvas_view: QtViewer | None = canvas_view  # None once it has been released
        self._links = Links()
        self._extent: npt.NDArray[Any] = np.zeros(0)
        self._box: WorldBox | None = None
        self._boxed: Any = None
        self.enlarged: Pane | None = None
        """The pane that is shown alone."""
        self.opened_for_surfaces = False
        self._list_watch = LayerListWatch(viewer, self, self._take_layers)
        self.setAcceptDrops(True)
        self._build(canvas_view)
        canvas_view.installEventFilter(self)
        self._follow_viewer()

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self, canvas_view: QtViewer) -> None:
        column = column_of(self)
        column.setSpacing(_SPACING)
        column.addWidget(self._build_strip())
        self._grid = QGridLayout()
        self._grid.setSpacing(_SPACING)
        column.addLayout(self._grid, 1)
        self._spares = spare_views(canvas_view)
        self.slices = [SlicePane(plane, self._spares.take(plane.name)) for plane in PLANES[1:]]
        self.axial = PlanePane(PLANES[0], canvas_view)
        self.surfaces = SurfacePane(self._spares.take("3D", ndisplay=3))
        self._place.give_to(self)
        for pane, (row, at) in zip(self.panes, _CELLS, strict=True):
            self._grid.addWidget(pane, row, at)
            pane.enlarge_requested.connect(partial(self.enlarge, pane))
        self._share_room()
        for plane_pane in self.planes:
            plane_pane.place_chosen.connect(self.go_to)
        viewer = self._viewer
        for pane in self.slices:
            pane.slice_chosen.connect(partial(self._on_slice_chosen, pane))
            pane.tumour_step.connect(lambda step, axis=pane.plane.axis: next_tumour_slice(viewer, step, axis))
            self._links.connect(pane.model.events.status, self._on_status)
        WheelGuard(self.strip)

    def _build_strip(self) -> QWidget:
        self.strip = QWidget()
        self.place_label = QLabel(_NOTHING)
        self.place_label.setAccessibleName("Place of the crosshair")
        self.place_label.setToolTip(
            "Where the crosshair is, in the scan's world coordinates.\n"
            "Click in a plane, or move over it with Shift held: the others go there. Left and Right step through the "
            "slices of the plane that was clicked last.\nPainting works in every plane."
        )
        sides = "The patient's right on the left of the screen (radiological), or on the right (neurological)."
        self.side_box = combo(sides, "Sides")
        narrow(self.side_box, 10)
        offer(
            self.side_box, [(name, name) for name in _CONVENTIONS], _convention_of(camera_of(self._viewer).orientation)
        )
        self.side_box.activated.connect(self._turn)
        self.fit_button = button("&Fit", "Zoom so that the brain fills each view.")
        self.fit_button.clicked.connect(self.fit)
        back = "Back to napari's own canvas, as it was before.\nKey in the picture: Shift+F"
        self.close_button = button("One canvas", back)
        self.close_button.clicked.connect(self.close_layout)
        # Wrapped as the font requires: in one line, large letters would make the window wider than the screen.
        self.strip.setLayout(flow(self.place_label, self.side_box, self.fit_button, self.close_button))
        for part in (self.fit_button, self.close_button):
            part.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # after a click, keys still go to the canvas
        return self.strip

    @property
    def planes(self) -> tuple[PlanePane, ...]:
        """Axial, coronal, sagittal."""
        return self.axial, *self.slices

    @property
    def panes(self) -> tuple[Pane, ...]:
        """The three planes, and 3D."""
        return *self.planes, self.surfaces

    @property
    def convention(self) -> Convention:
        """On which side the patient's right is displayed."""
        convention: Convention = self.side_box.currentData()
        return convention

    def enlarge(self, pane: Pane | None) -> None:
        """Show one pane alone; show all four if it is shown alone already, or None is given."""
        self.enlarged = None if pane is self.enlarged else pane
        self._share_room()

    def _share_room(self) -> None:
        for pane, (row, column) in zip(self.panes, _CELLS, strict=True):
            seen = self.enlarged in (None, pane)
            pane.setVisible(seen)
            if self.enlarged is None or pane is self.enlarged:
                self._grid.setRowStretch(row, 1)
                self._grid.setColumnStretch(column, 1)
            if pane is self.enlarged:
                self._grid.setRowStretch(1 - row, 0)
                self._grid.setColumnStretch(1 - column, 0)

    # Opening and closing --------------------------------------------------------------------------------------------

    def _on_ring_changed(self, viewer: Any) -> None:
        """Show the ring in our own planes; over napari's canvas it is drawn wherever that canvas is."""
        if viewer is self._viewer:
            for pane in self.slices:
                pane.ring = ring_of(viewer)
                pane.repaint_marks()

    def _follow_viewer(self) -> None:
        viewer, links = self._viewer, self._links
        self._linked = LinkedLayers(viewer, [pane.model for pane in self.slices], self)
        if viewer.dims.ndisplay != 2:
            viewer.dims.ndisplay = 2
        self._linked.start()
        links.connect(viewer.dims.events.point, self._on_point)
        links.connect(viewer.dims.events.ndim, self._on_point)
        links.connect(viewer.events.theme, self._on_theme)
        links.connect(viewer.layers.selection.events.active, self._list_watch.act_soon)
        self._on_theme()
        self._turn()
        rings.changed.connect(self._on_ring_changed)
        self._on_ring_changed(viewer)
        self._take_layers()

    def close_layout(self) -> None:
        """Restore napari's canvas to its place and former state, and release everything else."""
        view = self._canvas_view or canvas_view_of(self._viewer)
        if view is None:
            return
        turned = self.convention != _convention_of(self._before.orientation)
        self._let_go()
        self._place.take_back(view, self)
        self._before.put_back(self._viewer)
        if turned and self._is_anatomical() and str(camera_of(self._viewer).orientation2d[0].value) == "up":
            turn_camera(self._viewer, PLANES[0].horizontal(self.convention))
        self.deleteLater()
        view.canvas.native.setFocus()

    def _let_go(self) -> None:
        """Release our own canvases and all connections."""
        view, self._canvas_view = self._canvas_view, None
        if view is None:
            return
        view.removeEventFilter(self)
        self._list_watch.stop()
        self._links.cut()
        self._linked.stop()
        self.axial.let_go()
        for pane in (*self.slices, self.surfaces):
            own = pane.dispose()
            if own is not None:
                self._spares.give_back(pane.name, own)
        self.closed.emit()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Release everything when napari closes its view, which happens before its window closes."""
        if event is not None and event.type() == QEvent.Type.Close and watched is self._canvas_view:
            self._let_go()
            self._spares.close_all()
        return False

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Release everything when the whole window is closed, but not when it is only minimised."""
        super().hideEvent(event)
        window = self.window()
        if event is not None and not event.spontaneous() and (window is None or not window.isVisible()):
            self._let_go()
            self._spares.close_all()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Restore napari's canvas if the window was only hidden and is shown again."""
        super().showEvent(event)
        if self._canvas_view is None:
            QTimer.singleShot(0, self.close_layout)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep all canvases the same size."""
        super().resizeEvent(event)
        self._list_watch.act_soon()

    # Files that are dropped on any pane go to napari ----------------------------------------------------------------

    def _hand_on(self, event: Any) -> None:
        if self._canvas_view is not None:
            QApplication.sendEvent(self._canvas_view, event)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Pass the event on to napari's canvas."""
        self._hand_on(event)

    def dragMoveEvent(self, event: QDragMoveEvent | None) -> None:
        """Pass the event on to napari's canvas."""
        self._hand_on(event)

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Pass the event on to napari's canvas."""
        self._hand_on(event)

    # The crosshair --------------------------------------------------------------------------------------------------

    def go_to(self, point: tuple[float, ...]) -> None:
        """Move the crosshair to the voxel at a world point: every pane shows its slice.

        Parameters
        ----------
        point : tuple of float
            As in the viewer's `dims.point`; it is clipped to the volume.
        """
        dims = self._viewer.dims
        if len(point) == dims.ndim:
            # For a point between slices, napari's sliders would move to the nearer one, but only after everything was
            # drawn once.
            dims.point = nearest_steps(point, dims.range)

    def _on_point(self, event: Any = None) -> None:
        point = tuple(self._viewer.dims.point)
        for pane in (*self.planes, self.surfaces):
            pane.follow(point)
        self._show_place(point)

    def _show_place(self, point: tuple[float, ...]) -> None:
        if not any(is_volume(layer) for layer in self._viewer.layers):
            self.place_label.setText(_NOTHING)
            return
        units = self._viewer.layers[0].units
        unit = "mm" if units is not None and str(units[-1]) in ("mm", "millimeter") else ""
        self.place_label.setText(place_text(point[-3:], anatomical=self._is_anatomical(), unit=unit))
        # Otherwise the neighbouring widgets would move with every digit.
        self.place_label.setMinimumWidth(max(self.place_label.minimumWidth(), self.place_label.sizeHint().width()))

    def _on_slice_chosen(self, pane: SlicePane) -> None:
        dims = pane.model.dims
        if self._linked.matching or dims.ndim != self._viewer.dims.ndim:
            return
        axis = dims.order[-3]
        self._viewer.dims.set_point(axis, dims.point[axis])

    # Other updates --------------------------------------------------------------------------------------------------

    def _is_anatomical(self) -> bool:
        return any(KEY in layer.metadata for layer in self._viewer.layers)

    def fit(self) -> None:
        """Zoom so that the brain fills each pane."""
        for pane in self.panes:
            pane.fit_to(self._box)

    def _take_layers(self) -> None:
        if self._canvas_view is None:
            return
        self.surfaces.footer.setFixedHeight(self._canvas_view.dims.height() if self._viewer.dims.ndim > 2 else 0)
        self._linked.match()
        anatomical = self._is_anatomical()
        if anatomical != self.axial.anatomical:
            self._turn()
        for pane in self.planes:
            pane.anatomical = anatomical
        self._on_point()
        scan = reference_scan(self._viewer)
        self.surfaces.show_surfaces_of(labels_in_view(self._viewer), scan)
        self._fit_to_brain(scan)

    def _fit_to_brain(self, scan: Any) -> None:
        extent = np.array(self._viewer.layers.extent.world)
        if scan is self._boxed and np.array_equal(extent, self._extent):
            return  # a result on the scans does not change the zoom
        self._boxed, self._extent = scan, extent
        box = extent_of_brain(scan, tuple(self._viewer.dims.point)) if scan is not None else None
        if box != self._box or box is None:
            self._box = box
            self.fit()

    def _on_status(self, event: Any) -> None:
        self._viewer.status = event.value

    def _on_theme(self, event: Any = None) -> None:
        for pane in (*self.slices, self.surfaces):
            pane.model.theme = self._viewer.theme

    def _turn(self) -> None:
        """Orient all canvases alike; napari's own only if the orientation of the image is known."""
        convention = self.convention
        for pane in (*self.slices, self.surfaces):
            pane.turn(convention)
        if self._is_anatomical():
            turn_camera(self._viewer, PLANES[0].horizontal(convention))


def _convention_of(orientation: Any) -> Convention:
    vertical, horizontal = (str(direction.value) for direction in orientation[-2:])
    return "neurological" if (vertical, horizontal) == ("up", "right") else "radiological"
