"""Viewers that the tests of a module take over from one another: a window costs a second, emptying one does not."""

import gc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from napari.utils.events import EmitterGroup, EventedDict, EventedModel, EventEmitter

from napari_brain_tumor.widgets import compare_walk
from napari_brain_tumor.widgets.layout import layout_of
from napari_brain_tumor.widgets.spare_views import SpareViews


class SharedViewers:
    """Hands out viewers, one to a test at a time (and a second one to a test that asks twice)."""

    def __init__(self) -> None:
        self._free: list[_Pristine] = []
        self._taken: list[_Pristine] = []

    def take(self, **options: Any) -> Any:
        """A viewer as a new one would be."""
        for pristine in self._free:
            if pristine.options == options:
                self._free.remove(pristine)
                break
        else:
            pristine = _Pristine(options)
        self._taken.append(pristine)
        return pristine.viewer

    def give_back(self) -> None:
        """Empty the viewers that the test had; those it closed are dropped."""
        for pristine in self._taken:
            if hasattr(pristine.viewer.window, "_qt_window"):
                pristine.restore()
                self._free.append(pristine)
        self._taken.clear()
        gc.collect()  # in Qt's thread: closed panels must not be ended by a collection in the thread of a job

    def close(self) -> None:
        """Close all windows, without writing down where they were."""
        for pristine in self._free:
            window = pristine.viewer.window
            with patch.object(window._qt_window, "_save_current_window_settings"):
                pristine.viewer.close()
        self._free.clear()


class _Pristine:
    """A viewer, and what it was like when it was new."""

    def __init__(self, options: dict[str, Any]) -> None:
        from napari import Viewer

        self.options = options
        self.viewer = viewer = Viewer(**{"show": False, "show_welcome_screen": False} | options)
        self._window = viewer.window._qt_window
        self._size = self._window.size()
        self._children = set(self._window.children())
        self._docks = set(viewer.window._wrapped_dock_widgets)
        self._keymap = dict(viewer.keymap)
        self._callbacks = {name: list(getattr(viewer, name)) for name in _MOUSE}
        self._emitters = [(emitter, _callbacks_of(emitter)) for emitter in _emitters_of(viewer)]
        self._values = [(model, _values_of(model)) for model in _models_of(viewer)]

    def restore(self) -> None:
        """Take away what was added, and what listens, and set back what was set."""
        viewer = self.viewer
        panes = layout_of(viewer)
        if panes is not None:
            panes.close_layout()
        viewer.layers.clear()
        self._remove_docks()
        self._remove_children()
        compare_walk._walks.pop(viewer, None)
        for emitter, callbacks in self._emitters:
            for name, value in callbacks.items():
                setattr(emitter, name, list(value))
        viewer.keymap.clear()
        viewer.keymap.update(self._keymap)
        for name, callbacks in self._callbacks.items():
            getattr(viewer, name)[:] = callbacks
        for model, values in self._values:
            for name, value in values.items():
                if getattr(model, name) is not value:
                    setattr(model, name, value)
        self._window.resize(self._size)

    def _remove_children(self) -> None:
        for spares in self._window.findChildren(SpareViews):
            spares.close_all()
        for child in set(self._window.children()) - self._children:
            if not type(child).__module__.startswith(("PyQt", "PySide")):  # bars of tabs are Qt's own affair
                child.deleteLater()
        _delete_now()

    def _remove_docks(self) -> None:
        # As the closing window does it: the dock takes the panel in it along.
        window = self.viewer.window
        for name, dock in list(window._wrapped_dock_widgets.items()):
            if name not in self._docks:
                window.window_menu.removeAction(dock.toggleViewAction())
                window._qt_window.removeDockWidget(dock)
                window._wrapped_dock_widgets.pop(name, None)
                dock.deleteLater()
        _delete_now()


_MOUSE = ("mouse_move_callbacks", "mouse_drag_callbacks", "mouse_wheel_callbacks", "mouse_double_click_callbacks")
_LEFT = (*_MOUSE, "keymap", "layers")
_LISTS = ("_callbacks", "_callback_refs", "_callback_pass_event")


def _models_of(model: Any) -> Iterator[EventedModel]:
    """The model and those it consists of, the layers left out."""
    yield model
    for name in type(model).model_fields:
        part = getattr(model, name)
        for inner in part.values() if isinstance(part, EventedDict) else (part,):
            if isinstance(inner, EventedModel) and name != "layers":
                yield from _models_of(inner)


def _values_of(model: EventedModel) -> dict[str, Any]:
    """What may be set, as it is; napari replaces these values and does not alter them."""
    fields = {name: field for name, field in type(model).model_fields.items() if not field.frozen}
    return {name: getattr(model, name) for name in fields if name not in _LEFT}


def _emitters_of(viewer: Any) -> Iterator[EventEmitter]:
    for owner in (viewer.layers, viewer.layers.selection, *_models_of(viewer)):
        group: EmitterGroup = owner.events
        yield group
        yield from (emitter for emitter in group.emitters.values() if emitter is not None)


def _callbacks_of(emitter: EventEmitter) -> dict[str, list[Any]]:
    return {name: list(getattr(emitter, name)) for name in _LISTS}


def _delete_now() -> None:
    from qtpy.QtCore import QCoreApplication, QEvent

    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def share_viewers(failures: Any) -> Iterator[SharedViewers]:
    """The viewers of one module; at its end none of them may be kept alive by what the tests made.

    Parameters
    ----------
    failures : function
        How many tests have failed until now: one that failed may hold on to a viewer.
    """
    from napari._app_model._app import NapariApplication, _napari_names
    from napari._qt._qapp_model.qactions import init_qactions
    from napari._qt.qt_viewer import QtViewer
    from napari._vispy import canvas
    from napari.plugins import _initialize_plugins
    from napari.settings import get_settings
    from qtpy.QtWidgets import QApplication, QWidget

    def console(*_: Any) -> QWidget:
        widget = QWidget()
        widget._update_theme = lambda *_, **__: None
        return widget

    before = failures()
    get_settings().reset()
    _initialize_plugins.cache_clear()
    init_qactions.cache_clear()
    app = NapariApplication("test_app")
    app.injection_store.namespace = _napari_names
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(NapariApplication, "get_app_model", lambda *_: app)
        patched.setattr("napari._qt.threads.status_checker.StatusChecker.start", lambda *_: None)
        patched.setattr(QtViewer, "_get_console", console)
        patched.setattr("napari._qt.qt_main_window.SHOW_QT_WARNING", False)
        # napari walks through all objects for every layer that is removed, for some drivers of Windows.
        patched.setattr(canvas, "gc", SimpleNamespace(collect=lambda *_: 0))
        gc.collect()
        gc.freeze()
        shared = SharedViewers()
        yield shared
        shared.close()
        for _ in range(3):  # what deletes itself later may hold on to others that then do the same
            QApplication.processEvents()
            _delete_now()
            gc.collect()
        left = 0 if failures() > before else len(QtViewer._instances)
        QtViewer._instances.clear()
        NapariApplication.destroy("test_app")
        _initialize_plugins.cache_clear()
        init_qactions.cache_clear()
    assert left == 0, f"{left} closed viewers are kept alive by something that the tests of this module made"
