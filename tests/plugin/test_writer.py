import nibabel as nib
import numpy as np
import pydicom
import pytest
from napari.components import ViewerModel

from dicom_results import write_source
from napari_brain_tumor import io
from napari_brain_tumor.errors import GridMismatchError, LabelSchemaError, SaveError
from napari_brain_tumor.plugin import viewers
from napari_brain_tumor.plugin.reader import get_reader
from napari_brain_tumor.plugin.writer import write_labels

AFFINE = np.array([[0, 0, 3, -5], [-1, 0, 0, 20], [0, 1.5, 0, 7], [0, 0, 0, 1.0]])
SHAPE = (8, 9, 5)


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "case_flair.nii.gz"
    image = nib.Nifti1Image(np.random.default_rng(0).integers(1, 99, SHAPE).astype(np.int16), AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 2)
    nib.save(image, path)
    return path


@pytest.fixture
def viewer(monkeypatch, scan):
    viewer = ViewerModel()
    viewers.add_layers(viewer, get_reader(str(scan))(str(scan)))
    monkeypatch.setattr(viewers, "current_layers", lambda: list(viewer.layers))
    return viewer


def painted(viewer, voxel, value):
    viewer.layers.selection = {viewer.layers[0]}
    viewer._new_labels()
    labels = viewer.layers[-1]
    world = (AFFINE @ [*voxel, 1])[:3]
    at = tuple(np.rint(labels.world_to_data(world[::-1])).astype(int))
    labels.data_setitem(tuple(np.array([one]) for one in at), value)
    return labels


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_labels_painted_from_scratch_are_saved_where_they_were_painted(viewer, tmp_path, suffix):
    labels = painted(viewer, (2, 7, 3), 3)
    path = tmp_path / f"mine{suffix}"
    assert write_labels(str(path), [labels.as_layer_data_tuple()]) == [str(path)]
    back = io.open_segmentation(path)
    ((x, y, z),) = np.argwhere(back.data == 3)
    np.testing.assert_allclose(back.grid.world((x, y, z)), (AFFINE @ [2, 7, 3, 1])[:3], atol=1e-4)


def test_nifti_keeps_the_codes_of_the_scan(viewer, tmp_path):
    labels = painted(viewer, (2, 7, 3), 1)
    write_labels(str(tmp_path / "mine.nii.gz"), [labels.as_layer_data_tuple()])
    header = nib.load(tmp_path / "mine.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 2)
    np.testing.assert_allclose(header.get_sform(), AFFINE, atol=1e-5)


def test_several_layers_are_saved_to_a_file_each(viewer, tmp_path):
    one, other = painted(viewer, (1, 1, 1), 1), painted(viewer, (2, 2, 2), 2)
    one.name, other.name = "first", "second look"
    written = write_labels(str(tmp_path / "out.nii.gz"), [layer.as_layer_data_tuple() for layer in (one, other)])
    assert written == [str(tmp_path / "out_first.nii.gz"), str(tmp_path / "out_second_look.nii.gz")]
    assert io.open_segmentation(written[1]).data.sum() == 2


def test_layers_that_would_overwrite_each_other_are_refused(viewer, tmp_path):
    tuples = [painted(viewer, (1, 1, 1), 1).as_layer_data_tuple() for _ in range(2)]
    for _, attributes, _ in tuples:
        attributes["name"] = "same"
    with pytest.raises(SaveError, match="one file"):
        write_labels(str(tmp_path / "out.nii.gz"), tuples)
    assert list(tmp_path.glob("out*")) == []


def test_class_that_the_schema_lacks_is_refused_and_nothing_is_written(viewer, tmp_path):
    labels = painted(viewer, (1, 1, 1), 9)
    with pytest.raises(LabelSchemaError, match="9"):
        write_labels(str(tmp_path / "out.nii.gz"), [labels.as_layer_data_tuple()])
    assert list(tmp_path.glob("out*")) == []


def test_labels_of_no_opened_scan_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(viewers, "current_layers", list)
    stray = ViewerModel().add_labels(np.ones((3, 4, 5), np.uint8))
    with pytest.raises(GridMismatchError, match="no opened scan"):
        write_labels(str(tmp_path / "out.nii.gz"), [stray.as_layer_data_tuple()])


def test_labels_painted_on_a_dicom_scan_are_saved_as_a_dicom_segmentation(monkeypatch, tmp_path):
    viewer = ViewerModel()
    viewers.add_layers(viewer, get_reader(str(write_source(tmp_path / "source", "axial")))(str(tmp_path / "source")))
    monkeypatch.setattr(viewers, "current_layers", lambda: list(viewer.layers))
    viewer.layers.selection = {viewer.layers[0]}
    viewer._new_labels()
    labels = viewer.layers[-1]
    labels.data_setitem(tuple(np.array([at]) for at in (3, 4, 5)), 3)
    path = tmp_path / "mine.dcm"
    assert write_labels(str(path), [labels.as_layer_data_tuple()]) == [str(path)]
    segments = pydicom.dcmread(path).SegmentSequence
    assert {one.SegmentAlgorithmType for one in segments} == {"MANUAL"}
    assert (io.open_segmentation(path).data == 3).sum() == 1
    # It is offered to us, and opens as labels.
    ((data, attributes, kind),) = get_reader(str(path))(str(path))
    assert (kind, (data == 3).sum()) == ("labels", 1)
    assert attributes["name"] == "mine.dcm"


def test_surfaces_of_a_layer_are_files_of_its_regions(viewer, tmp_path):
    labels = painted(viewer, (2, 7, 3), 3)
    written = write_labels(str(tmp_path / "mine.stl"), [labels.as_layer_data_tuple()])
    assert written == [str(tmp_path / f"mine_{region}.stl") for region in ("WT", "TC", "ET")]
