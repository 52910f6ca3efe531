"""The classes as surfaces in three dimensions: one layer each, made in a thread, kept up with the labels."""

import weakref
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer, Surface
from napari.utils.colormaps import Colormap
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.labels import label_values
from napari_brain_tumor.mesh import Mesh, label_meshes_job, vertex_normals
from napari_brain_tumor.plugin.layers import KEY, SegmentationTag, camera_of
from napari_brain_tumor.widgets.label_edits import edit_events
from napari_brain_tumor.widgets.worker import JobRunner, notify, notify_error

__all__ = ["Surfaces", "surfaces_of"]

_FOLLOW_MS: Final = 700
_MOST_LABELS: Final = 12
_TAG: Final = "napari-brain-tumor surface"
"""In the metadata of a surface layer: the id of its labels layer and the label that it outlines."""
_FROM_THE_FRONT: Final = ((-0.35, -1.0, -0.45), (1.0, 0.0, 0.0))
"""Direction of view and what is up, in (z, y, x): from before the patient, a little from above and from the right."""

_FILLED, _NEAREST = 0.8, 4.0
"""Share of the canvas that the labels fill, and how much nearer than the whole volume that may be."""
_LIGHT: Final = (0.8, 0.5, -0.4)
"""Whence it comes, in (z, y, x): from above, before and beside the patient."""
_SHADE: Final = 0.3
"""Brightness of what is turned away from the light."""


class Surfaces(QObject):
    """Shows one labels layer of a viewer as surfaces, and the viewer in 3D or in slices again.

    The viewer is not kept alive.

    Parameters
    ----------
    viewer : napari.Viewer
    follow_ms : int
        How long after an edit the surfaces follow, where they do.
    """

    changed = Signal()
    """Something that a panel shows is different now: surfaces were made, or 3D entered or left."""

    def __init__(self, viewer: Any, follow_ms: int = _FOLLOW_MS) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.runner = JobRunner(self)
        self.runner.finished.connect(self._on_made)
        self.runner.failed.connect(notify_error)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(follow_ms)
        self._timer.timeout.connect(self._on_follow_time)
        self._labels: Labels | None = None
        self._made_of: npt.NDArray[Any] = np.zeros(0)
        self._follows = False
        self._hidden: list[Layer] = []
        self._point: tuple[float, ...] | None = None
        viewer.dims.events.ndisplay.connect(self._on_ndisplay)

    @property
    def labels(self) -> Labels | None:
        """The labels that are shown as surfaces, if any."""
        viewer = self._viewer()
        return self._labels if viewer is not None and self._labels in viewer.layers else None

    @property
    def hides(self) -> list[Layer]:
        """Layers that are hidden because the viewer shows surfaces, and come back with the slices."""
        return list(self._hidden)

    @property
    def follows(self) -> bool:
        """Whether the surfaces are made anew when the labels change."""
        return self._follows

    @follows.setter
    def follows(self, on: bool) -> None:
        self._follows = on
        self._on_edited()

    # Making ---------------------------------------------------------------------------------------------------------

    def make(self, labels: Labels) -> bool:
        """Make the surfaces of these labels, or make them anew; `changed` tells when they are there.

        Returns
        -------
        bool
            False, and the user is told why, where there is nothing to make surfaces of.
        """
        data = np.array(labels.data)  # the thread's own: the user may paint meanwhile
        values = sorted(label_values(data) - {0})
        obstacle = _obstacle(labels, len(values))
        if obstacle:
            notify(obstacle)
            return False
        self._watch(labels)
        self._made_of = data
        self.runner.start(lambda _: label_meshes_job(data, values, tuple(labels.scale)))
        return True

    def _watch(self, labels: Labels | None) -> None:
        for event in edit_events(self._labels):
            event.disconnect(self._on_edited)
        self._labels = labels
        for event in edit_events(labels):
            event.connect(self._on_edited)

    def _on_edited(self, event: Any = None) -> None:
        if self._follows:
            self._timer.start()

    def _on_follow_time(self) -> None:
        if self.labels is not None and self._follows and not np.array_equal(self.labels.data, self._made_of):
            self._make_anew(self.labels)

    def _make_anew(self, labels: Labels) -> None:
        if labels.data.any():
            self.make(labels)
        else:
            self._made_of = np.array(labels.data)
            self._on_made({})

    def _on_made(self, meshes: dict[int, Mesh]) -> None:
        viewer, labels = self._viewer(), self.labels
        if viewer is None or labels is None:
            return
        existing = {layer.metadata[_TAG][1]: layer for layer in self._layers_of(labels)}
        for value in set(existing) - set(meshes):
            viewer.layers.remove(existing[value])
        active = viewer.layers.selection.active
        # The innermost class first: what is drawn later blends over it, what is drawn earlier would hide it.
        for at, (value, mesh) in enumerate(reversed(meshes.items())):
            if value in existing:
                existing[value].data = _surface_data(labels, mesh)
            else:
                viewer.add_layer(_surface(labels, value, mesh, 1 - at / max(1, len(meshes) - 1)))
        viewer.layers.selection.active = active
        for layer in self._layers_of(labels):
            layer.visible = viewer.dims.ndisplay == 3
        self.changed.emit()

    def _layers_of(self, labels: Labels) -> list[Surface]:
        return [layer for layer in self._all_layers() if layer.metadata[_TAG][0] == labels.unique_id]

    def _all_layers(self) -> list[Surface]:
        viewer = self._viewer()
        return [layer for layer in viewer.layers if _TAG in layer.metadata] if viewer is not None else []

    # 3D and back ----------------------------------------------------------------------------------------------------

    def enter(self, labels: Labels | None) -> None:
        """Show the viewer in 3D with the surfaces of these labels; what would cover them is hidden meanwhile."""
        viewer = self._viewer()
        if viewer is None:
            return
        if labels is None:
            notify("There are no labels to show in 3D. Run a segmentation, or open or paint labels first.")
            return
        if not self.make(labels):
            return
        self._point = tuple(viewer.dims.point)
        self._hidden = [layer for layer in viewer.layers if layer.visible and not isinstance(layer, Surface)]
        for layer in self._hidden:
            layer.visible = False
        viewer.dims.ndisplay = 3
        _turn(viewer, labels)
        for layer in self._layers_of(labels):
            layer.visible = True
        self.changed.emit()

    def leave(self) -> None:
        """Show slices again, and the layers that were shown before."""
        viewer = self._viewer()
        if viewer is not None:
            viewer.dims.ndisplay = 2

    def _on_ndisplay(self, event: Any = None) -> None:
        # napari's own button and key lead out of 3D too; what was hidden must come back then as well.
        viewer = self._viewer()
        if viewer is None or viewer.dims.ndisplay == 3:
            return
        for layer in self._all_layers():
            layer.visible = False
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []
        if self._point is not None:  # napari would show the slice at the middle of its camera in 3D
            viewer.dims.point = self._point
            self._point = None
        self.changed.emit()


def surfaces_of(viewer: Any) -> Surfaces:
    """The one `Surfaces` of a viewer; it is made when it is first asked for, and goes with the viewer."""
    surfaces = _OF_VIEWERS.get(viewer)
    if surfaces is None:
        surfaces = _OF_VIEWERS[viewer] = Surfaces(viewer)
    return surfaces


_OF_VIEWERS: Final[weakref.WeakKeyDictionary[Any, Surfaces]] = weakref.WeakKeyDictionary()


def _obstacle(labels: Labels, count: int) -> str:
    """Why no surfaces can be made of the labels, or nothing."""
    if labels.ndim != 3:
        return f"{labels.name} has {labels.ndim} axes; surfaces are made of one volume (Z, Y, X)."
    if not count:
        return f"{labels.name} is empty; there is nothing to make a surface of."
    if count > _MOST_LABELS:
        return (
            f"{labels.name} holds {count} labels; surfaces are made of up to {_MOST_LABELS}. "
            "Choose the labels of a segmentation."
        )
    return ""


def _surface_data(labels: Labels, mesh: Mesh) -> tuple[Any, Any, Any]:
    """Vertices, faces, and how bright each vertex is.

    The light is fixed to the patient, since napari's own comes from behind where an axis of the camera is turned, as it
    must be for RAS volumes.
    """
    light = np.asarray(_LIGHT) / np.linalg.norm(_LIGHT)
    towards = vertex_normals(mesh, tuple(labels.scale)) @ light
    return mesh.vertices, mesh.faces, (0.5 + 0.5 * towards).astype(np.float32)


def _surface(labels: Labels, value: int, mesh: Mesh, depth: float) -> Surface:
    """A layer in the labels' own voxels, so that it lies where they lie and the sliders keep their steps."""
    color = labels.get_color(value)
    tag = labels.metadata.get(KEY)
    names = tag.class_names if isinstance(tag, SegmentationTag) else {}
    return Surface(
        _surface_data(labels, mesh),
        name=f"{names.get(value, f'label {value}')} surface of {labels.name}",
        colormap=Colormap([(*(_SHADE * color[:3]), 1.0), color], name=f"label {value}"),
        contrast_limits=(0, 1),
        # The classes lie within each other, the first outside: it lets the others be seen.
        opacity=0.4 + 0.6 * depth,
        shading="none",
        scale=labels.scale,
        translate=labels.translate,
        rotate=labels.rotate,
        shear=labels.shear,
        affine=labels.affine,
        units=labels.units,
        axis_labels=labels.axis_labels,
        metadata={_TAG: (labels.unique_id, value)},
    )


def _turn(viewer: Any, labels: Labels) -> None:
    """Look at the labels from the front, and so near that they fill much of the canvas."""
    viewer.reset_view()
    camera = camera_of(viewer)
    camera.set_view_direction(*_FROM_THE_FRONT)
    box = bounding_box(np.asarray(labels.data) != 0)
    if box is None:
        return
    corners = np.array([[side.start for side in box.slices], [side.stop - 1 for side in box.slices]])
    low, high = (np.asarray(labels.data_to_world(corner)) for corner in corners)
    camera.center = tuple((low + high) / 2)
    whole = np.ptp(viewer.layers.extent.world[:, -3:], axis=0).max()
    camera.zoom *= float(np.clip(_FILLED * whole / max(1.0, np.linalg.norm(high - low)), 1.0, _NEAREST))
