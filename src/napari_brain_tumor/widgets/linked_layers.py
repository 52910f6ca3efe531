"""Show the layers of one viewer in others, as twins that share the data and are kept in step.

A twin is an ordinary layer on the same array. What is painted in a twin is entered into the history of the original
layer through `data_setitem`, so that there is only one history: one undo removes the last stroke, wherever it was
painted. Only napari's public events and methods are used.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Final

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Shapes
from qtpy.QtCore import QObject

from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.linked_shapes import LinkedShapes
from napari_brain_tumor.widgets.links import Links

_REFRESH_MS: Final = 30
"""Refresh interval of the other views while a stroke is painted."""
_ALWAYS: Final = ("visible", "opacity", "blending", "scale", "translate", "rotate", "shear", "affine", "units")
_OF_KIND: Final[dict[type[Layer], tuple[str, ...]]] = {
    Image: ("contrast_limits", "gamma", "colormap", "interpolation2d"),
    Labels: (
        "colormap",
        "contour",
        "selected_label",
        "show_selected_label",
        "brush_size",
        "n_edit_dimensions",
        "contiguous",
        "preserve_labels",
        "mode",
    ),
    Points: ("mode",),
    Shapes: ("mode", "current_edge_color", "current_face_color"),
}
_FROM_TWIN: Final = ("selected_label", "brush_size")
"""Settings that the mouse changes in a twin: picking a label and changing the brush size."""
_STAYING_MODES: Final = {"transform": "pan_zoom", "select": "pan_zoom"}
"""Modes that a twin does not adopt, because they would move it away from its layer."""
_DRAWING: Final = "add_"
"""Prefix of the modes in which shapes are drawn; twins do not allow editing shapes."""


def is_volume(layer: Layer) -> bool:
    """Return whether a layer can be viewed in three planes."""
    if isinstance(layer, Points | Shapes):
        return layer.ndim >= 3
    return isinstance(layer, Image | Labels) and layer.ndim >= 3 and not layer.multiscale


class LinkedLayers(QObject):
    """Shows the volumes of one viewer in others, and keeps them in step until stopped.

    Parameters
    ----------
    viewer : napari.Viewer
        Viewer whose layers are shown. They are changed only by the user's actions in the other viewers.
    others : list of ViewerModel
        Viewers that have no layers of their own.

    Attributes
    ----------
    matching : bool
        Whether layers are being added to or removed from the others now; slider events must then be ignored.
    """

    def __init__(self, viewer: Any, others: list[Any], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._others = viewer, others
        self._list_links = Links()
        self._links: dict[Layer, Links] = {}
        self._twins: dict[Layer, list[Layer]] = {}
        self._shapes: dict[Layer, LinkedShapes] = {}
        self.matching = False
        self._busy = False
        self._refreshes = False
        self._stale: set[Layer] = set()
        self._strokes: set[Layer] = set()
        self._point: tuple[float, ...] = ()
        self._refresh_timer = single_shot(self, self._refresh, _REFRESH_MS)
        self._list_timer = single_shot(self, self.match)
        self._painted: list[tuple[Labels, Labels]] = []
        self._stroke_timer = single_shot(self, self._take_over_strokes)

    # The list of layers ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start to show the viewer's volumes in the others."""
        layers = self._viewer.layers
        for emitter in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            self._list_links.connect(emitter, self._on_list_changed)
        self._list_links.connect(layers.selection.events.active, self._on_active_changed)
        self.match()

    def stop(self) -> None:
        """Remove the twins from the other viewers, and disconnect from the viewer's layers."""
        self._list_links.cut()
        self._list_timer.stop()
        self._refresh_timer.stop()
        self._stroke_timer.stop()
        self._take_over_strokes()
        self._match_to([])

    def match(self) -> None:
        """Update the others' layer lists from the viewer's list."""
        self._match_to([layer for layer in self._viewer.layers if is_volume(layer)])
        self._on_active_changed()

    def _match_to(self, volumes: list[Layer]) -> None:
        self.matching = True
        self._drop_all(set(self._twins) - set(volumes))
        for layer in volumes:
            if layer not in self._twins:
                self._add(layer)
        for at, other in enumerate(self._others):
            _reorder(other.layers, [self._twins[layer][at] for layer in volumes])
        self.matching = False

    def twins_of(self, layer: Layer) -> list[Layer]:
        """The twins of a layer, one in each of the other viewers."""
        return list(self._twins.get(layer, ()))

    def _on_list_changed(self, event: Any = None) -> None:
        self._list_timer.start()  # once for the four scans of a case

    def _on_active_changed(self, event: Any = None) -> None:
        twins = self._twins.get(self._viewer.layers.selection.active)
        for at, other in enumerate(self._others):
            other.layers.selection.active = twins[at] if twins is not None else None

    def _add(self, layer: Layer) -> None:
        twins = [_twin(layer) for _ in self._others]
        self._twins[layer] = twins
        links = self._links[layer] = Links()
        for other, twin in zip(self._others, twins, strict=True):
            other.layers.append(twin)
            for name in ("visible", *_settings(layer)):
                self._take(layer, twin, name)
        for name in (*_ALWAYS, *_settings(layer)):
            links.connect(getattr(layer.events, name), partial(self._follow, layer, name))
        if isinstance(layer, Labels):
            self._link_labels(layer, links)
        elif isinstance(layer, Shapes):
            self._shapes[layer] = LinkedShapes(layer, twins, self)
        else:
            links.connect(layer.events.data, partial(self._follow_data, layer))
        if isinstance(layer, Points):
            for twin in twins:
                links.connect(twin.events.data, partial(self._lead_points, layer, twin))

    def _drop_all(self, layers: set[Layer]) -> None:
        twins = [twin for layer in layers for twin in self._drop(layer)]
        for other in self._others if twins else ():
            with _batched(other.layers):
                for twin in [layer for layer in other.layers if layer in twins]:
                    other.layers.remove(twin)

    def _drop(self, layer: Layer) -> list[Layer]:
        self._links.pop(layer).cut()
        shapes = self._shapes.pop(layer, None)
        if shapes is not None:
            shapes.stop()
        self._stale.discard(layer)
        return self._twins.pop(layer)

    # Settings -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _own_change(self) -> Iterator[bool]:
        """Yield whether this change comes from outside; changes that it triggers in the meantime do not."""
        outside = not self._busy
        self._busy = True
        try:
            yield outside
        finally:
            self._busy = self._busy and not outside

    def _follow(self, layer: Layer, name: str, event: Any = None) -> None:
        with self._own_change() as outside:
            for twin in self._twins.get(layer, ()) if outside else ():
                self._take(layer, twin, name)

    def _take(self, layer: Layer, twin: Layer, name: str) -> None:
        value = getattr(layer, name)
        if name == "mode":
            value = _STAYING_MODES.get(str(value), value)
            if isinstance(layer, Shapes) and not str(value).startswith(_DRAWING):
                value = "pan_zoom"
        setattr(twin, name, value)

    def _lead(self, layer: Layer, twin: Layer, name: str, event: Any = None) -> None:
        if not self._busy and getattr(layer, name) != getattr(twin, name):
            setattr(layer, name, getattr(twin, name))

    # Data -----------------------------------------------------------------------------------------------------------

    def _follow_data(self, layer: Layer, event: Any = None) -> None:
        with self._own_change() as outside:
            for twin in self._twins.get(layer, ()) if outside else ():
                twin.data = layer.data

    def _lead_points(self, layer: Points, twin: Points, event: Any = None) -> None:
        with self._own_change() as outside:
            if outside and not np.array_equal(layer.data, twin.data):
                layer.data = np.array(twin.data)
                for other in self._twins.get(layer, ()):
                    if other is not twin:
                        other.data = layer.data

    def _link_labels(self, layer: Labels, links: Links) -> None:
        links.connect(layer.events.data, partial(self._follow_labels, layer))
        links.connect(layer.events.set_data, partial(self._follow_sight, layer))
        for emitter in (layer.events.paint, layer.events.labels_update):
            links.connect(emitter, partial(self._mark, layer))
        for twin in self._twins[layer]:
            for name in _FROM_TWIN:
                links.connect(getattr(twin.events, name), partial(self._lead, layer, twin, name))
            links.connect(twin.events.paint, partial(self._note_stroke, layer, twin))
            links.connect(twin.events.labels_update, partial(self._mark_stroke, layer))

    def _follow_labels(self, layer: Labels, event: Any = None) -> None:
        for twin in self._twins.get(layer, ()):
            if twin.data is not layer.data:
                twin.data = layer.data
        self._mark(layer)

    def _follow_sight(self, layer: Labels, event: Any = None) -> None:
        # Emitted on every change of slice, when there is nothing new to show, and on undo.
        point = tuple(self._viewer.dims.point)
        if point == self._point and not self._refreshes:
            self._mark(layer)
        self._point = point

    def _mark_stroke(self, layer: Labels, event: Any = None) -> None:
        self._strokes.add(layer)
        self._mark(layer)

    def _mark(self, layer: Labels, event: Any = None) -> None:
        self._stale.add(layer)
        if not self._refresh_timer.isActive():
            self._refresh_timer.start()

    def _refresh(self) -> None:
        stale, self._stale = self._stale, set()
        strokes, self._strokes = self._strokes, set()
        for layer in stale:
            for twin in self._twins.get(layer, ()):
                _refresh(twin)
            if layer in strokes and self._viewer.dims.ndisplay == 2:  # 3D loads the whole layer, so not on every stroke
                self._refreshes = True
                _refresh(layer)
                self._refreshes = False

    def _note_stroke(self, layer: Labels, twin: Labels, event: Any = None) -> None:
        # napari reports some strokes, such as polygons, just before painting them, so wait.
        self._painted.append((layer, twin))
        self._stroke_timer.start()

    def _take_over_strokes(self) -> None:
        painted, self._painted = self._painted, []
        for layer, twin in painted:
            _take_over_stroke(layer, twin)


def _take_over_stroke(layer: Labels, twin: Labels) -> None:
    """Enter what was painted in a twin into the history of its layer.

    The twin has painted into the shared array. The stroke is undone there and repeated by the layer itself, so that
    listeners of the layer are notified, and one undo removes it.
    """
    painted = np.array(twin.data)
    twin.undo()
    changed = np.unravel_index(np.flatnonzero(painted != layer.data), painted.shape)
    values = painted[changed]
    if values.size:
        alike = bool((values == values[0]).all())
        layer.data_setitem(changed, values[0] if alike else values)
    _refresh(twin)


def _settings(layer: Layer) -> list[str]:
    of_kind = next((names for kind, names in _OF_KIND.items() if isinstance(layer, kind)), ())
    return [name for name in of_kind if name in layer.events.emitters]


def _twin(layer: Layer) -> Layer:
    data, attributes, kind = layer.as_layer_data_tuple()
    attributes.pop("metadata", None)
    twin = Layer.create(data, attributes, kind)
    if isinstance(layer, Labels):
        twin.editable = layer.editable and isinstance(layer.data, np.ndarray)
    return twin


def _batched(layers: Any) -> AbstractContextManager[Any]:
    # From napari 0.9 on, each single removal runs the garbage collector, which takes a tenth of a second or more.
    return layers.batched_update() if hasattr(layers, "batched_update") else nullcontext()


def _refresh(layer: Layer) -> None:
    layer.refresh(thumbnail=False, highlight=False, extent=False)


def _reorder(layers: Any, order: list[Layer]) -> None:
    for at, layer in enumerate(order):
        now = layers.index(layer)
        if now != at:
            layers.move(now, at)
