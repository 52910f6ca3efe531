import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import tifffile

from napari_brain_tumor.errors import GridMismatchError, UnreadableFileError
from napari_brain_tumor.plugin import from_layers, layers, viewers
from napari_brain_tumor.plugin.reader import get_reader

SHAPE = (8, 9, 5)
AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])


def write_scan(path, seed=0, affine=AFFINE, shape=SHAPE):
    data = np.random.default_rng(seed).integers(1, 500, shape).astype(np.int16)
    nib.save(nib.Nifti1Image(data, affine), path)
    return data


def write_labels(path, values=(0, 1, 2, 4)):
    data = np.random.default_rng(9).choice(np.array(values, dtype=np.uint8), SHAPE)
    nib.save(nib.Nifti1Image(data, AFFINE), path)
    return data


@pytest.fixture
def case(tmp_path):
    folder = tmp_path / "BraTS2021_00001"
    folder.mkdir()
    for seed, role in enumerate(("t1", "t1ce", "t2", "flair")):
        write_scan(folder / f"BraTS2021_00001_{role}.nii.gz", seed)
    write_labels(folder / "BraTS2021_00001_seg.nii.gz")
    return folder


@pytest.fixture
def told(monkeypatch):
    """What the user was told."""
    messages = []
    monkeypatch.setattr(viewers, "tell", lambda notes, **_: messages.extend(notes))
    return messages


def read(path):
    reader = get_reader(str(path))
    assert reader is not None
    return reader(str(path))


def test_case_folder_opens_as_four_images_and_the_labels(case):
    opened = read(case)
    assert [kind for *_, kind in opened] == ["image"] * 4 + ["labels"]
    roles = [attributes["metadata"][layers.KEY].role for _, attributes, kind in opened if kind == "image"]
    assert roles == ["T1", "T1c", "T2", "FLAIR"]
    tag = opened[-1][1]["metadata"][layers.KEY]
    assert tag.class_names == {1: "edema", 2: "non-enhancing", 3: "enhancing"}
    raw = np.asarray(nib.load(case / "BraTS2021_00001_seg.nii.gz").dataobj)
    shown = from_layers.segmentation_from_layer(layers.layer_of(opened[-1]))
    np.testing.assert_array_equal(shown.data == 3, raw == 4)


def test_one_file_with_a_role_opens_as_one_image(case):
    ((data, attributes, kind),) = read(case / "BraTS2021_00001_flair.nii.gz")
    assert kind == "image"
    assert attributes["metadata"][layers.KEY].role == "FLAIR"
    assert data.shape == SHAPE[::-1]


def test_several_files_open_together(case):
    paths = [str(case / f"BraTS2021_00001_{role}.nii.gz") for role in ("t1", "flair")]
    opened = get_reader(paths)(paths)
    assert [attributes["metadata"][layers.KEY].role for _, attributes, _ in opened] == ["T1", "FLAIR"]


def test_image_without_a_role_opens_under_its_own_name(tmp_path):
    write_scan(tmp_path / "scan.nii.gz")
    ((_, attributes, kind),) = read(tmp_path / "scan.nii.gz")
    assert (attributes["name"], kind) == ("scan", "image")
    assert attributes["metadata"][layers.KEY].role is None


def test_four_volumes_without_an_order_open_as_four_images(tmp_path):
    write_scan(tmp_path / "scan.nii.gz", shape=(*SHAPE, 4))
    opened = read(tmp_path / "scan.nii.gz")
    assert len(opened) == 4
    assert {kind for *_, kind in opened} == {"image"}
    assert [attributes["visible"] for _, attributes, _ in opened] == [True, False, False, False]
    assert len({attributes["name"] for _, attributes, _ in opened}) == 4


def test_labels_of_uncertain_meaning_open_raw_and_ask_for_the_schema(tmp_path, told):
    write_labels(tmp_path / "tumour_mask.nii.gz", (0, 1, 2))
    ((data, attributes, kind),) = read(tmp_path / "tumour_mask.nii.gz")
    assert kind == "labels"
    assert "1 (meaning not known)" in attributes["features"]["class"]
    assert set(np.unique(data)) == {0, 1, 2}
    assert "schema" in told[0]


def test_unnamed_labels_are_recognised_by_their_values(tmp_path, told):
    write_labels(tmp_path / "anything.nii.gz", (0, 1, 3))
    ((_, _, kind),) = read(tmp_path / "anything.nii.gz")
    assert kind == "labels"


def test_sequences_on_different_grids_are_shown_where_they_lie_with_a_warning(tmp_path, told):
    write_scan(tmp_path / "case_t1.nii.gz")
    write_scan(tmp_path / "case_flair.nii.gz", affine=np.diag([2.0, 2, 2, 1]))
    opened = read(tmp_path)
    assert len(opened) == 2
    assert any("grid" in message for message in told)
    views = {"T1": layers.layer_of(opened[0]), "FLAIR": layers.layer_of(opened[1])}
    with pytest.raises(GridMismatchError):
        from_layers.study_from_layers(views)


def test_masks_of_slices_open_as_labels(tmp_path):
    folder = tmp_path / "TCGA_XX_0001"
    folder.mkdir()
    for number in (1, 2, 10):
        rgb = np.random.default_rng(number).integers(1, 255, (16, 16, 3)).astype(np.uint8)
        tifffile.imwrite(folder / f"TCGA_XX_0001_{number}.tif", rgb)
        mask = np.zeros((16, 16), np.uint8)
        mask[3, number] = 255
        tifffile.imwrite(folder / f"TCGA_XX_0001_{number}_mask.tif", mask)
    opened = read(folder)
    assert [kind for *_, kind in opened] == ["image"] * 3 + ["labels"]
    assert "units" not in opened[0][1]
    labels = opened[-1][0]
    assert [int(np.flatnonzero(plane.any(axis=0))[0]) for plane in labels] == [15 - 1, 15 - 2, 15 - 10]
    assert opened[-1][1]["features"]["class"] == ["background", "whole tumour"]


@pytest.mark.parametrize("name", ["photo.tif", "table.csv"])
def test_files_of_others_are_left_to_others(tmp_path, name):
    (tmp_path / name).write_bytes(b"something")
    assert get_reader(str(tmp_path / name)) is None


def test_folders_of_others_are_left_to_others(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to see")
    assert get_reader(str(tmp_path)) is None


def test_missing_paths_are_not_ours(tmp_path):
    assert get_reader(str(tmp_path / "nowhere.nii.gz")) is None


def test_ruined_file_says_so(tmp_path):
    (tmp_path / "bad_flair.nii.gz").write_bytes(b"this is no gzip")
    with pytest.raises(UnreadableFileError, match=r"bad_flair\.nii\.gz"):
        read(tmp_path / "bad_flair.nii.gz")


def test_opening_loads_neither_torch_nor_qt(case):
    script = (
        "import sys; from napari_brain_tumor.plugin.reader import get_reader\n"
        f"assert len(get_reader({str(case)!r})({str(case)!r})) == 5\n"
        "print([m for m in ('torch', 'PyQt6', 'PySide6', 'napari._qt') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert out.stdout.strip() == "[]", out.stderr


@pytest.mark.real_data
def test_real_case_opens_with_roles_and_class_names(real_data):
    folder = next(path for path in (real_data / "cases" / "brats2018").iterdir() if path.is_dir())
    opened = read(folder)
    assert [kind for *_, kind in opened] == ["image"] * 4 + ["labels"]
    assert opened[0][0].shape == (155, 240, 240)
    back = from_layers.segmentation_from_layer(layers.layer_of(opened[-1]))
    truth = nib.load(next(folder.glob("*_seg.nii*")))
    np.testing.assert_array_equal(back.data == 3, np.asarray(truth.dataobj) == 4)
    np.testing.assert_allclose(back.grid.affine, truth.affine)
