"""Every kind of case: one drop on the window, or one command, and it is there as one wants to see it."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from napari.utils.key_bindings import coerce_keybinding
from npe2 import PluginManifest

import napari_brain_tumor
import phantoms
from dicom_phantoms import write_series
from napari_brain_tumor.io import open_segmentation, open_study, save_segmentation
from napari_brain_tumor.plugin import from_layers, layers, reader, to_layers, viewers
from napari_brain_tumor.plugin.layers import KEY, SequenceTag
from napari_brain_tumor.study import Segmentation

SHAPE = (12, 10, 8)
FOUR = ["T1", "T1c", "T2", "FLAIR"]


def brats(folder):
    truth = phantoms.tumour(SHAPE)
    truth[truth == 3] = 4  # as that year numbers the enhancing tumour
    return phantoms.write_brats_case(folder / "BraTS2021_00001", truth, SHAPE), FOUR


def one_nifti(folder):
    return phantoms.write_nifti(folder / "patient_flair.nii.gz", phantoms.noise(SHAPE)), ["FLAIR"]


def four_in_one(folder):
    (folder / "dataset.json").write_text(json.dumps({"modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}}))
    return phantoms.write_nifti(folder / "imagesTr" / "BRATS_001.nii.gz", phantoms.noise((*SHAPE, 4))), FOUR


def four_in_one_of_no_order(folder):
    return phantoms.write_nifti(folder / "scan.nii.gz", phantoms.noise((*SHAPE, 4))), [None] * 4


def nrrd(folder):
    image = sitk.GetImageFromArray(phantoms.noise(SHAPE).T.copy())
    sitk.WriteImage(image, str(folder / "patient_t1c.nrrd"))
    return folder / "patient_t1c.nrrd", ["T1c"]


def dicom(folder):
    for at, description in enumerate(("AX FLAIR", "AX T1 POST")):
        write_series(folder / "dicom" / str(at), description, seed=at, uid=str(at + 1))
    return folder / "dicom", ["T1c", "FLAIR"]


def slices(folder):
    phantoms.write_lgg_patient(folder / "TCGA_CS_0001_20000101", range(1, 5))
    return folder / "TCGA_CS_0001_20000101", ["T1", "T1c", "FLAIR"]


def oblique(folder):
    matrix = phantoms.affine(phantoms.tilt(), (1.0, 1.2, 3.0))
    return phantoms.write_brats_case(folder / "BraTS2021_00002", None, SHAPE, matrix), FOUR


KINDS = (brats, one_nifti, four_in_one, four_in_one_of_no_order, nrrd, dicom, slices, oblique)


@pytest.fixture
def told(monkeypatch):
    """What the user was told."""
    messages = []
    monkeypatch.setattr(viewers, "tell", lambda notes, **_: messages.extend(notes))
    return messages


@pytest.fixture
def manifests(npe2pm):
    """Ours and napari's own."""
    npe2pm.register(PluginManifest.from_file(Path(napari_brain_tumor.__file__).with_name("napari.yaml")))
    npe2pm.register(PluginManifest.from_distribution("napari"))


def scans_of(viewer):
    return [layer for layer in viewer.layers if isinstance(layer.metadata.get(KEY), SequenceTag)]


def shown_well(scans, roles):
    """Whether scans stand in order, one is shown, and its contrast leaves out neither dark nor bright tissue."""
    assert [scan.metadata[KEY].role for scan in scans] == roles
    assert sum(scan.visible for scan in scans) == 1
    for scan in scans:
        low, high = scan.contrast_limits
        inside = scan.data[scan.data != 0]
        assert inside.min() <= low < np.median(inside) < high <= inside.max()
    return True


@pytest.mark.slow
@pytest.mark.gui
def test_a_drop_opens_every_kind_once_we_are_the_default_and_j_steps_through_its_scans(
    make_napari_viewer, manifests, monkeypatch, tmp_path, told
):
    from napari._qt.dialogs import qt_reader_dialog
    from napari.settings import get_settings
    from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
    from qtpy.QtGui import QDropEvent

    from napari_brain_tumor.plugin.default_reader import make_default_reader

    monkeypatch.setattr(qt_reader_dialog.QtReaderDialog, "get_user_choices", lambda _: pytest.fail("napari has asked"))
    monkeypatch.setattr(get_settings().plugins, "extension2reader", {})
    make_default_reader(folders=True)
    viewer = make_napari_viewer()
    for kind in KINDS:
        (tmp_path / kind.__name__).mkdir()
        path, roles = kind(tmp_path / kind.__name__)
        viewer.layers.clear()
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        none = Qt.KeyboardModifier.NoModifier
        dropped = QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, none)
        viewer.window._qt_viewer.dropEvent(dropped)
        scans = scans_of(viewer)
        assert shown_well(scans, roles), kind
        assert (type(viewer.layers[-1]).__name__ == "Labels") == (kind in (brats, slices)), kind
        first = next(at for at, scan in enumerate(scans) if scan.visible)
        viewer.keymap[coerce_keybinding("J")](viewer)
        assert [scan.visible for scan in scans].index(True) == (first + 1) % len(scans), kind
        assert sum(scan.visible for scan in scans) == 1


@pytest.mark.gui
def test_the_command_shows_what_the_drop_shows(make_napari_viewer, tmp_path, told):
    from napari_brain_tumor.widgets.show import show

    for kind in (four_in_one_of_no_order, dicom):
        (tmp_path / kind.__name__).mkdir()
        path, roles = kind(tmp_path / kind.__name__)
        viewer = make_napari_viewer()
        show(path, viewer=viewer)
        assert shown_well(scans_of(viewer), roles)
        assert "Brain Tumor" in viewer.window.dock_widgets
        viewer.keymap[coerce_keybinding("J")](viewer)
        assert sum(scan.visible for scan in scans_of(viewer)) == 1
        viewer.close()


# Oblique ------------------------------------------------------------------------------------------------------------


def test_an_oblique_case_says_that_it_is_shown_resampled(tmp_path, told):
    path, _ = oblique(tmp_path)
    opened = reader.read_path(path)
    assert all("resampled: oblique" in attributes["name"] for _, attributes, _ in opened)
    (said,) = [note for note in told if "oblique" in note]
    assert "BraTS2021_00002" in said
    assert "1 x 1.2 x 3 mm" in said
    assert "own grid" in said


def test_a_straight_case_says_nothing_of_it(tmp_path, told):
    reader.read_path(one_nifti(tmp_path)[0])
    assert told == []


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_an_oblique_scan_shows_lies_where_it_is_in_the_world(tmp_path, told, axis):
    matrix = phantoms.affine(phantoms.tilt(23), (1.0, 1.2, 3.0))
    voxels = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    coordinate = (voxels @ matrix[:3, :3].T + matrix[:3, 3])[..., axis]  # what each voxel holds: its own place
    path = phantoms.write_nifti(tmp_path / "place_flair.nii.gz", coordinate.astype(np.float32) + 1000, matrix)
    layer = layers.layer_of(reader.read_path(path)[0])
    within = np.argwhere(layer.data != 0)  # outside of the scan there is nothing
    seen = np.array([layer.data_to_world(tuple(at)) for at in within])[:, ::-1][:, axis]
    half_a_voxel = layer.scale[2 - axis] / 2
    assert len(within) > 300
    assert (np.abs(layer.data[tuple(within.T)] - 1000 - seen) <= half_a_voxel).all()


def test_labels_of_an_oblique_case_are_written_on_the_scans_own_grid(tmp_path, told):
    path, _ = oblique(tmp_path)
    study = open_study(path)
    data = phantoms.tumour(SHAPE)
    layer = layers.layer_of(to_layers.segmentation_to_layer(Segmentation(data, study.grid, study.name)))
    at = tuple(n // 2 for n in layer.data.shape)
    layer.data_setitem(tuple(np.array([n]) for n in at), 3)
    back = from_layers.segmentation_from_layer(layer)
    save_segmentation(back, tmp_path / "edited.nii.gz", "MSD")
    saved = open_segmentation(tmp_path / "edited.nii.gz", "MSD")
    assert saved.grid.same_place(study.grid)
    painted = np.rint(study.grid.voxels(np.asarray(layer.data_to_world(at))[::-1])).astype(int)
    assert saved.data[tuple(painted)] == 3
    assert np.count_nonzero(saved.data != data) <= 3  # what was not touched is as it was
