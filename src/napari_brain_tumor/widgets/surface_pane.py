"""The classes of the labels as surfaces in 3D, within the brain: a pane with its own layers, updated after edits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer, Surface
from napari.qt import QtViewer
from napari.utils.colormaps import Colormap
from qtpy.QtWidgets import QLabel

from napari_brain_tumor.labels import label_values
from napari_brain_tumor.mesh import Mesh, label_mesh, mask_mesh, vertex_normals
from napari_brain_tumor.plugin.layers import segmentation_tag
from napari_brain_tumor.plugin.viewers import camera_of, turn_camera
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.types import Array
from napari_brain_tumor.widgets.brain_extent import coarse_brain, volume_at
from napari_brain_tumor.widgets.label_edits import edit_events
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.navigation import Camera3D, Convention, Marks, WorldBox, lines_in_3d
from napari_brain_tumor.widgets.plane_pane import Pane
from napari_brain_tumor.widgets.worker import JobRunner, notify_error

_FOLLOW_MS: Final = 700
_MOST_LABELS: Final = 12
_MOST_FACES: Final = 60_000
"""Maximum number of faces per surface; more makes no visible difference in a quarter of a window, and is slower."""
_FROM_THE_FRONT: Final = ((-0.35, -1.0, -0.45), (1.0, 0.0, 0.0))
"""View direction and up direction, in (z, y, x): from in front of the patient, slightly from above and the right."""
_LIGHT: Final = (0.8, 0.5, -0.4)
"""Direction of the light, in (z, y, x): from above, in front of and beside the patient."""
_SHADE: Final = 0.3
"""Brightness of surfaces facing away from the light."""
_BRAIN: Final = "brain"
_BRAIN_OPACITY, _BRAIN_ALONE = 0.25, 0.9
"""Opacity of the brain around the tumour, and if there is nothing within it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Meshes:
    """Result of a job; `brain` is None if it was not requested or there is none."""

    labels: Mapping[int, Mesh]
    brain: Mesh | None


class SurfacePane(Pane):
    """Shows one labels layer as surfaces in our own canvas; nothing is added to the viewer's layers.

    Parameters
    ----------
    canvas_view : QtViewer
        A 3D view without layers.
    follow_ms : int
        Delay after an edit before the surfaces are updated.
    """

    def __init__(self, canvas_view: QtViewer, follow_ms: int = _FOLLOW_MS) -> None:
        super().__init__("3D", canvas_view)
        self._labels: Labels | None = None
        self._scan: Layer | None = None
        self._brain_of: Layer | None = None
        self._made_of: npt.NDArray[Any] = np.zeros(0)
        self._point: tuple[float, ...] = ()
        self.note = ""
        self.footer = QLabel()
        self.footer.setIndent(6)
        self.column.addWidget(self.footer)
        self._timer = single_shot(self, self._make, follow_ms)
        self.runner = JobRunner(self, finished=self._on_made, failed=notify_error)

    def turn(self, convention: Convention) -> None:
        """Show the patient's right on the given side; on the left, the patient faces the user."""
        camera = camera_of(self.model)
        turn_camera(self.model, "right" if convention == "neurological" else "left")
        camera.set_view_direction(*_FROM_THE_FRONT)

    # Display --------------------------------------------------------------------------------------------------------

    def show_surfaces_of(self, labels: Labels | None, scan: Layer | None) -> None:
        """Show these labels within the brain of that scan."""
        if labels is self._labels and scan is self._scan:
            return
        for event in edit_events(self._labels if labels is not self._labels else None):
            event.disconnect(self._on_edited)
        for event in edit_events(labels if labels is not self._labels else None):
            event.connect(self._on_edited)
        self._labels, self._scan = labels, scan
        self._made_of = np.zeros(0)
        self._make()

    def follow(self, point: tuple[float, ...]) -> None:
        """Draw the crosshair at a world point."""
        self._point = tuple(point[-3:])
        self.repaint_marks()

    def marks(self) -> Marks | None:
        """Return the crosshair along the three axes, or a message why nothing is shown."""
        if self.canvas is None or (self._scan is None and self._labels is None):
            return None
        box = self._box
        lines = lines_in_3d(self.camera(), self._point, box) if box is not None and len(self._point) == 3 else ()
        return Marks(self.name, lines, note=self.note)

    def camera(self) -> Camera3D:
        """Return how the canvas currently shows the world."""
        camera = camera_of(self.model)
        z, y, x = (float(at) for at in camera.center)
        # The cross product needs the axes as x, y, z; napari's default, called right-handed there, is mirrored.
        right = np.cross(camera.view_direction[::-1], camera.up_direction[::-1])[::-1]
        if str(camera.handedness.value) == "right":
            right = -right
        return Camera3D((z, y, x), float(camera.zoom), tuple(right), camera.up_direction, self.canvas_size)

    def _look_at(self, box: WorldBox) -> None:
        camera = camera_of(self.model)
        camera.center = box.centre
        # Based on the diagonal, so that the whole box stays visible in every rotation.
        camera.zoom = 1.35 * min(self.canvas_size) / float(np.linalg.norm(box.size))

    # Computing surfaces ---------------------------------------------------------------------------------------------

    def _on_edited(self, event: Any = None) -> None:
        self._timer.start()

    def _make(self) -> None:
        labels, scan = self._labels, self._scan
        known_brain = scan is self._brain_of
        shown = None if labels is None else volume_at(labels, self._point or (0.0,) * labels.ndim)
        if self.canvas is None or (known_brain and shown is not None and np.array_equal(shown, self._made_of)):
            return
        data = np.zeros((1, 1, 1), np.uint8) if shown is None else np.array(shown)  # a copy: users may paint meanwhile
        values = sorted(label_values(data) - {0})
        self.note = ""
        if labels is not None and len(values) > _MOST_LABELS:
            self.note = f"{labels.name} holds {len(values)} labels; surfaces can be made of up to {_MOST_LABELS}."
            values = []
        self._made_of, self._brain_of = data, scan
        spacing = (1.0, 1.0, 1.0) if labels is None else tuple(labels.scale[-3:])
        brain: tuple[Array, Sequence[float]] | None = None
        if not known_brain:
            self._drop(_BRAIN)
            if scan is not None:
                brain = volume_at(scan, self._point or (0.0,) * scan.ndim), tuple(scan.scale[-3:])
        self.runner.start(lambda _: _meshes_job(data, values, spacing, brain))

    def _on_made(self, meshes: _Meshes) -> None:
        if self.canvas is None:
            return
        was_empty = not self.model.layers
        if meshes.brain is not None and self._scan is not None:
            self._put(_BRAIN, _data_of(meshes.brain, self._scan), lambda data: _brain_surface(self._scan, data))
        names = {str(value) for value in meshes.labels}
        for layer in [layer for layer in self.model.layers if layer.name not in names | {_BRAIN}]:
            self.model.layers.remove(layer)
        labels = self._labels
        if labels is not None:
            for value, mesh in meshes.labels.items():
                self._put(str(value), _data_of(mesh, labels), lambda data, v=value: _surface(labels, v, data))
        self._arrange()
        if was_empty and self.model.layers:  # napari has set its own view direction for its first layer
            camera_of(self.model).set_view_direction(*_FROM_THE_FRONT)
            self.fit()
        self.footer.setText(labels.name if labels is not None and meshes.labels else "")
        self.repaint_marks()

    def _put(self, name: str, data: Any, make: Any) -> None:
        self._drop(name)
        self.model.layers.append(make(data))

    def _drop(self, name: str) -> None:
        if name in self.model.layers:
            self.model.layers.remove(name)

    def _arrange(self) -> None:
        """Order the innermost class first: later surfaces blend over earlier ones, which would otherwise be hidden."""
        surfaces = sorted((layer for layer in self.model.layers if layer.name != _BRAIN), key=lambda s: -int(s.name))
        for at, layer in enumerate(surfaces):
            layer.opacity = 0.4 + 0.6 * (1 - at / max(1, len(surfaces) - 1))
        if _BRAIN in self.model.layers:
            brain = self.model.layers[_BRAIN]
            brain.opacity = _BRAIN_OPACITY if surfaces else _BRAIN_ALONE
            surfaces.append(brain)
        for at, layer in enumerate(surfaces):
            if self.model.layers.index(layer) != at:
                self.model.layers.move(self.model.layers.index(layer), at)
        self.model.layers.selection.active = None

    def dispose(self) -> QtViewer | None:
        """Empty the view and return it, and stop its computations."""
        self._timer.stop()
        self.runner.cancel()
        for event in edit_events(self._labels):
            event.disconnect(self._on_edited)
        self._labels = self._scan = self._brain_of = None
        return super().dispose()


def _meshes_job(
    data: Array, values: Sequence[int], spacing: Sequence[float], brain: tuple[Array, Sequence[float]] | None
) -> Job[_Meshes]:
    meshes: dict[int, Mesh] = {}
    for at, value in enumerate(values):
        yield Progress(at, len(values) + 1, "Making surfaces")
        mesh = label_mesh(data, value, spacing, max_faces=_MOST_FACES)
        if mesh is not None:
            meshes[value] = mesh
    yield Progress(len(values), len(values) + 1, "Making surfaces")
    return _Meshes(meshes, None if brain is None else _brain_mesh(*brain))


def _brain_mesh(volume: Array, spacing: Sequence[float]) -> Mesh | None:
    mask, step = coarse_brain(volume)
    mesh = mask_mesh(mask, [step * size for size in spacing], fill=True, max_faces=_MOST_FACES)
    return None if mesh is None else Mesh(mesh.vertices * np.float32(step), mesh.faces)


def _data_of(mesh: Mesh, layer: Layer) -> tuple[Any, Any, Any]:
    """Return the vertices, the faces, and the brightness of each vertex.

    The light is fixed relative to the patient, because napari's own light comes from behind if a camera axis is
    flipped, as RAS volumes require.
    """
    light = np.asarray(_LIGHT) / np.linalg.norm(_LIGHT)
    towards = vertex_normals(mesh, tuple(layer.scale[-3:])) @ light
    return mesh.vertices, mesh.faces, (0.5 + 0.5 * towards).astype(np.float32)


def _surface(labels: Labels, value: int, data: Any) -> Surface:
    color = labels.get_color(value)
    tag = segmentation_tag(labels)
    names = tag.class_names if tag is not None else {}
    colormap = Colormap([(*(_SHADE * color[:3]), 1.0), color], name=names.get(value, f"label {value}"))
    return _lying_over(labels, data, str(value), colormap)


def _brain_surface(scan: Layer, data: Any) -> Surface:
    return _lying_over(scan, data, _BRAIN, Colormap([(0.25, 0.25, 0.25, 1.0), (1.0, 1.0, 1.0, 1.0)], name=_BRAIN))


def _lying_over(layer: Layer, data: Any, name: str, colormap: Colormap) -> Surface:
    """Return a layer in another layer's voxel coordinates, so that both coincide."""
    return Surface(
        data,
        name=name,
        colormap=colormap,
        contrast_limits=(0, 1),
        shading="none",
        scale=layer.scale[-3:],
        translate=layer.translate[-3:],
        units=layer.units[-3:],
        **({"rotate": layer.rotate, "shear": layer.shear, "affine": layer.affine} if layer.ndim == 3 else {}),
    )
