from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_brain_tumor.errors import RecordError, RoleError, SpacingUnknownError
from napari_brain_tumor.plugin import from_layers, layers, viewers
from napari_brain_tumor.requests.opening import ViewRequest
from napari_brain_tumor.widgets.open_state import open_case, open_lines, role_options, spacing_of

SHAPE = (8, 9, 5)


def write_scan(path, seed=0, shape=SHAPE):
    nib.save(nib.Nifti1Image(np.random.default_rng(seed).integers(1, 99, shape).astype(np.int16), np.eye(4)), path)


def write_slices(folder):
    folder.mkdir()
    for number in (1, 2, 3):
        rgb = np.random.default_rng(number).integers(1, 255, (16, 16, 3)).astype(np.uint8)
        tifffile.imwrite(folder / f"TCGA_XX_{number}.tif", rgb)
        tifffile.imwrite(folder / f"TCGA_XX_{number}_mask.tif", np.full((16, 16), 255, np.uint8))


def roles_of(opened):
    return [attributes["metadata"][layers.KEY].role for _, attributes, kind in opened if kind == "image"]


def test_roles_given_by_hand_open_files_whose_names_tell_nothing(tmp_path):
    for seed, name in enumerate(("one", "two")):
        write_scan(tmp_path / f"{name}.nii.gz", seed)
    with pytest.raises(RoleError):
        open_case(ViewRequest(path=tmp_path, roles={"T1": 7}))
    assert role_options(tmp_path) == [("one.nii.gz", "one.nii.gz"), ("two.nii.gz", "two.nii.gz")]
    opened = open_case(ViewRequest(path=tmp_path, roles={"T2": "one.nii.gz", "FLAIR": "two.nii.gz"}))
    assert roles_of(opened) == ["T2", "FLAIR"]


def test_volumes_of_a_file_are_chosen_by_number(tmp_path):
    path = tmp_path / "scan.nii.gz"
    write_scan(path, shape=(*SHAPE, 3))
    assert [number for _, number in role_options(path)] == [0, 1, 2]
    opened = open_case(ViewRequest(path=path, roles={"T1c": 2, "FLAIR": 0}))
    assert roles_of(opened) == ["T1c", "FLAIR"]
    back = from_layers.study_from_layers({"T1c": layers.layer_of(opened[0])})
    np.testing.assert_array_equal(back.sequences["T1c"], np.asarray(nib.load(path).dataobj)[..., 2])


def test_voxel_size_given_by_hand_makes_millimetres_of_slices_and_masks(tmp_path):
    write_slices(tmp_path / "TCGA_XX")
    opened = open_case(ViewRequest(path=tmp_path / "TCGA_XX", spacing_mm=(0.5, 0.5, 3.0)))
    assert [kind for *_, kind in opened] == ["image"] * 3 + ["labels"]
    for _, attributes, _ in opened:
        assert attributes["units"] == ("mm", "mm", "mm")
        assert attributes["scale"] == pytest.approx((3.0, 0.5, 0.5))


def test_meaning_given_by_hand_opens_ambiguous_labels(tmp_path):
    path = tmp_path / "x_mask.nii.gz"
    data = np.random.default_rng(0).choice(np.array([0, 1, 2], np.uint8), SHAPE)
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    ((shown, attributes, kind),) = open_case(ViewRequest(path=path, schema_name="BraTS2018-2022"))
    assert kind == "labels"
    assert attributes["metadata"][layers.KEY].understood
    np.testing.assert_array_equal(shown.T == 1, data == 2)  # 2 is edema there, which is our 1


@pytest.mark.parametrize("text", ["0.5 0.5 3", "0.5, 0.5, 3.0", "0.5;0.5;3"])
def test_voxel_size_is_read_as_people_type_it(text):
    assert spacing_of(text) == (0.5, 0.5, 3.0)


def test_no_voxel_size_leaves_it_to_the_file():
    assert spacing_of("  ") is None


@pytest.mark.parametrize("text", ["1 1", "1 1 0", "1 1 -2", "a b c", "1 1 1 1", "1 1 nan", "1 1 inf"])
def test_voxel_size_that_cannot_be_is_refused(text):
    with pytest.raises(SpacingUnknownError, match="three positive numbers"):
        spacing_of(text)


@pytest.mark.gui
def test_panel_asks_for_roles_and_opens(make_napari_viewer, qtbot, tmp_path):
    from napari_brain_tumor.widgets.open_case import OpenCaseWidget

    for seed, name in enumerate(("one", "two")):
        write_scan(tmp_path / f"{name}.nii.gz", seed)
    viewer = make_napari_viewer()
    panel = OpenCaseWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Open case")
    panel.path_edit.setText(str(tmp_path))
    # No name tells a role: the panel asks
    with qtbot.waitSignal(panel._options_runner.finished, timeout=15_000):
        panel.open_button.click()
    assert panel.roles_panel.isVisibleTo(panel)
    panel.role_boxes["FLAIR"].setCurrentText("two.nii.gz")
    with qtbot.waitSignal(panel.runner.finished, timeout=15_000):
        panel.open_button.click()
    assert [layer.name.rpartition(" ")[2] for layer in viewer.layers] == ["FLAIR"]
    assert "Opened" in panel.status_label.text()
    assert panel.widget().minimumSizeHint().width() <= 330


@pytest.mark.gui
def test_panel_shows_why_a_file_is_refused_and_stays_usable(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    from napari_brain_tumor.widgets import open_case as module

    told = []
    monkeypatch.setattr(module, "notify_error", told.append)
    (tmp_path / "bad.nii.gz").write_bytes(b"no scan")
    panel = module.OpenCaseWidget(make_napari_viewer())
    qtbot.addWidget(panel)
    panel.path_edit.setText(str(tmp_path / "bad.nii.gz"))
    with qtbot.waitSignal(panel.runner.failed, timeout=15_000):
        panel.open_button.click()
    assert "bad.nii.gz" in panel.status_label.text()
    assert len(told) == 1
    assert panel.open_button.isEnabled()


def test_opening_into_an_empty_viewer_turns_it(tmp_path):
    write_scan(tmp_path / "case_flair.nii.gz")
    viewer = ViewerModel()
    viewers.add_layers(viewer, open_case(ViewRequest(path=tmp_path / "case_flair.nii.gz")))
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    assert [str(one) for one in camera.orientation2d] == ["up", "left"]


def run_lines(lines, name):
    told = {}
    exec(lines.python, told)
    return told[name]


def test_the_lines_open_the_same_scans_as_the_panel(tmp_path):
    path = tmp_path / "scan.nii.gz"
    write_scan(path, shape=(*SHAPE, 3))
    lines = open_lines(ViewRequest(path=path, roles={"T1c": 2, "FLAIR": 0}))
    study = run_lines(lines, "study")
    np.testing.assert_array_equal(study.sequences["T1c"], np.asarray(nib.load(path).dataobj)[..., 2])
    assert lines.arguments == ("view", str(path), "--roles=T1c=2,FLAIR=0")


def test_the_lines_open_labels_as_what_they_are_told_to_mean(tmp_path):
    path = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(np.full(SHAPE, 4, np.uint8), np.eye(4)), path)
    lines = open_lines(ViewRequest(path=path, schema_name="BraTS2018-2022"))
    assert set(np.unique(run_lines(lines, "segmentation").data)) == {3}
    assert lines.arguments == ("view", str(path), "--schema", "BraTS2018-2022")


def test_the_lines_of_slices_tell_their_voxel_size(tmp_path):
    write_slices(tmp_path / "TCGA_XX")
    lines = open_lines(ViewRequest(path=tmp_path / "TCGA_XX", spacing_mm=(0.5, 0.5, 3.0)))
    assert run_lines(lines, "study").grid.spacing == pytest.approx((0.5, 0.5, 3.0))
    assert "--spacing=0.5,0.5,3.0" in lines.arguments


def test_without_a_file_the_lines_say_what_to_do():
    with pytest.raises(RecordError, match="Choose a file or a folder first"):
        open_lines(ViewRequest(path=Path()))
