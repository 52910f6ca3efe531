"""The pane that shows labels as surfaces within the brain."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.qt import QtViewer
from views_cases import fill

from napari_brain_tumor.widgets.brain_extent import extent_of_brain, reference_scan
from napari_brain_tumor.widgets.surface_pane import SurfacePane

pytestmark = pytest.mark.gui


@pytest.fixture
def shown(qtbot):
    """A model with a case, and a pane that shows its labels."""
    viewer = ViewerModel()
    labels = fill(viewer)
    pane = SurfacePane(QtViewer(ViewerModel(ndisplay=3)), follow_ms=10)
    qtbot.addWidget(pane)
    pane.resize(300, 300)
    with qtbot.waitSignal(pane.runner.finished, timeout=20_000):
        pane.show_surfaces_of(labels, reference_scan(viewer))
    yield viewer, labels, pane
    pane.dispose().close()


def test_each_class_is_a_surface_where_the_labels_lie_and_the_viewer_has_no_more_layers(shown):
    viewer, labels, pane = shown
    assert [layer.name for layer in pane.model.layers] == ["3", "2", "1", "brain"]
    low, high = pane.model.layers["3"].extent.world
    inside = labels.data_to_world(np.argwhere(labels.data == 3).mean(axis=0))
    assert ((low + high) / 2) == pytest.approx(inside, abs=0.3)
    colour = tuple(pane.model.layers["3"].colormap.map(1.0).ravel()[:3])
    assert colour == pytest.approx(tuple(labels.get_color(3)[:3]), abs=0.01)
    assert not any(layer.name in "123" for layer in viewer.layers)
    assert pane.footer.text() == labels.name


def test_surfaces_follow_an_edit_and_undo(shown, qtbot):
    _, labels, pane = shown
    with qtbot.waitSignal(pane.runner.finished, timeout=20_000):
        labels.data_setitem(np.nonzero(labels.data == 3), 2)
    assert [layer.name for layer in pane.model.layers] == ["2", "1", "brain"]
    with qtbot.waitSignal(pane.runner.finished, timeout=20_000):
        labels.undo()
    assert "3" in pane.model.layers


def test_labels_that_were_emptied_leave_the_brain_alone(shown, qtbot):
    _, labels, pane = shown
    with qtbot.waitSignal(pane.runner.finished, timeout=20_000):
        labels.data_setitem(np.nonzero(labels.data), 0)
    assert [layer.name for layer in pane.model.layers] == ["brain"]
    assert pane.model.layers["brain"].opacity == pytest.approx(0.9)


def test_too_many_labels_are_not_shown_and_the_pane_says_why(shown, qtbot):
    viewer, _, pane = shown
    many = Labels(np.arange(240).reshape(4, 6, 10), name="cells")
    with qtbot.waitSignal(pane.runner.finished, timeout=20_000):
        pane.show_surfaces_of(many, reference_scan(viewer))
    assert pane.marks().note == "cells holds 239 labels; surfaces can be made of up to 12."


def test_patients_right_is_on_the_left_as_of_a_person_who_faces_us(shown):
    viewer, _, pane = shown
    pane.fit_to(extent_of_brain(reference_scan(viewer), tuple(viewer.dims.point)))
    for convention in ("radiological", "neurological"):  # 3D is never mirrored
        pane.turn(convention)
        camera = pane.camera()
        z, y, x = camera.centre
        assert camera.pixel((z, y, x + 10))[0] < camera.pixel((z, y, x))[0]
        assert camera.pixel((z + 10, y, x))[1] < camera.pixel((z, y, x))[1]


def test_brain_of_a_skull_stripped_scan_is_what_the_views_are_fitted_to(qtbot):
    viewer = ViewerModel()
    volume = np.zeros((20, 30, 40), np.float32)
    volume[5:15, 10:22, 8:30] = np.random.default_rng(0).uniform(50, 100, (10, 12, 22))
    layer = viewer.add_image(volume, scale=(3, 1, 2), translate=(7, 0, 0))
    box = extent_of_brain(layer, tuple(viewer.dims.point))
    assert box.low == pytest.approx((7 + 3 * 4.5, 9.5, 15.0))
    assert box.high == pytest.approx((7 + 3 * 14.5, 21.5, 59.0))
