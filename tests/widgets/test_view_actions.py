"""Keys to look around: one scan at a time, slices with tumour, the largest part, labels on and off."""

import numpy as np
import pytest
from napari._qt.qt_viewer import QtViewer  # noqa: F401  (registers napari's own actions)
from napari.components import ViewerModel
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.shortcuts import default_shortcuts
from panel_cases import make_study
from views_cases import fill

from napari_brain_tumor.plugin.to_layers import image_to_layer, study_to_layers
from napari_brain_tumor.plugin.viewers import add_layers
from napari_brain_tumor.widgets import view_actions
from napari_brain_tumor.widgets.curate_pages import KEYS as CURATE_KEYS
from napari_brain_tumor.widgets.doubt import KEYS as DOUBT_KEYS
from napari_brain_tumor.widgets.layout import KEYS as LAYOUT_KEYS

pytestmark = pytest.mark.gui


@pytest.fixture
def told(monkeypatch):
    messages = []
    monkeypatch.setattr(view_actions, "notify", messages.append)
    return messages


@pytest.fixture
def viewer(qtbot):
    made = ViewerModel()
    fill(made)
    return made


def shown(viewer):
    return [layer.name for layer in viewer.layers if layer.visible]


def test_next_scan_shows_one_scan_at_a_time_and_leaves_the_labels(viewer):
    labels = viewer.layers[-1].name
    assert shown(viewer) == ["case FLAIR", labels]
    for name in ("case T1", "case T1c", "case T2", "case FLAIR"):
        view_actions.next_scan(viewer)
        assert shown(viewer) == [name, labels]
    view_actions.previous_scan(viewer)
    assert shown(viewer) == ["case T2", labels]


def test_next_scan_stays_in_the_study_and_hides_those_of_others(viewer):
    add_layers(viewer, study_to_layers(make_study("other")))
    uncertainty = viewer.add_image(np.ones((12, 24, 20)), name="uncertainty")
    viewer.layers.selection.active = viewer.layers["case T1"]
    view_actions.next_scan(viewer)
    assert [name for name in shown(viewer) if "segmentation" not in name] == ["case T1", uncertainty.name]
    assert viewer.layers.selection.active is viewer.layers["case T1"]


def test_next_scan_steps_through_scans_that_were_opened_one_by_one(qtbot):
    viewer = ViewerModel()
    grid = make_study().grid
    for at in range(3):
        add_layers(viewer, [image_to_layer(f"scan volume {at}", np.ones(grid.shape), grid, visible=at == 0)])
    for name in ("scan volume 1", "scan volume 2", "scan volume 0"):
        view_actions.next_scan(viewer)
        assert shown(viewer) == [name]


def test_next_scan_of_layers_that_we_did_not_open(qtbot, told):
    viewer = ViewerModel()
    view_actions.next_scan(viewer)
    assert told == ["There is no scan to show. Open a case first."]
    for name in "ab":
        viewer.add_image(np.ones((4, 5, 6)), name=name)
    view_actions.next_scan(viewer)
    assert shown(viewer) == ["a"]


def test_tumour_slices_are_stepped_through_in_the_plane_that_is_shown(viewer):
    labels = viewer.layers[-1]
    viewer.dims.set_current_step(0, 0)
    steps = []
    for _ in range(7):
        view_actions.next_tumour_slice(viewer)
        steps.append(viewer.dims.current_step[0])
    assert steps == [*np.flatnonzero(labels.data.any(axis=(1, 2))), 4]
    view_actions.previous_tumour_slice(viewer)
    assert viewer.dims.current_step[0] == 10
    viewer.dims.order = (2, 0, 1)
    viewer.dims.set_current_step(2, 0)
    view_actions.next_tumour_slice(viewer)
    assert viewer.dims.current_step[2] == np.flatnonzero(labels.data.any(axis=(0, 1)))[0]


def test_largest_part_is_gone_to_in_all_planes(viewer):
    labels = viewer.layers[-1]
    viewer.dims.current_step = (0, 0, 0)
    view_actions.look_at_largest_part(viewer)
    at = tuple(round(float(one)) for one in labels.world_to_data(viewer.dims.point))
    large = np.argwhere(labels.data[:9] > 0)
    assert labels.data[at] > 0
    assert np.abs(np.array(at) - large.mean(axis=0)).max() <= 1
    camera = viewer.scene.camera
    assert camera.center[-2:] == pytest.approx(viewer.dims.point[-2:])


def test_labels_are_hidden_and_shown_again(viewer):
    labels = viewer.layers[-1]
    view_actions.toggle_labels(viewer)
    assert not labels.visible
    view_actions.toggle_labels(viewer)
    assert labels.visible


def test_without_labels_the_keys_say_what_to_do(qtbot, told):
    viewer = ViewerModel()
    viewer.add_image(np.ones((4, 5, 6)))
    view_actions.next_tumour_slice(viewer)
    view_actions.look_at_largest_part(viewer)
    view_actions.toggle_labels(viewer)
    assert len(told) == 3
    assert all("no labels" in one for one in told)


def test_keys_are_neither_naparis_nor_the_curate_panels():
    actions = (*view_actions.KEYS, *LAYOUT_KEYS, *DOUBT_KEYS)
    ours = {str(coerce_keybinding(action.key)) for action in actions}
    napari = {str(key) for keys in default_shortcuts.values() for key in keys}
    from napari.layers import Image, Labels, Points, Shapes, Surface

    for kind in (Image, Labels, Points, Shapes, Surface, ViewerModel):
        napari |= {str(key) for key in kind.class_keymap if key is not Ellipsis}
    curate = {str(coerce_keybinding(key)) for key in CURATE_KEYS.values()}
    assert not ours & napari
    assert not ours & curate
    assert len(ours) == len(actions)


def test_bound_keys_act_and_leave_what_the_user_bound(viewer):
    mine = []
    viewer.bind_key("J", lambda _: mine.append(1))
    view_actions.bind_keys(viewer)
    view_actions.bind_keys(viewer)
    viewer.keymap[coerce_keybinding("J")](viewer)
    viewer.keymap[coerce_keybinding("Shift-H")](viewer)
    assert mine == [1]
    assert not viewer.layers[-1].visible
