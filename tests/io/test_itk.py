import numpy as np
import pytest
import SimpleITK as sitk

import phantoms
from napari_brain_tumor.errors import (
    DimensionError,
    GridMismatchError,
    UnreadableFileError,
)
from napari_brain_tumor.io import open_image, open_study

MARK = (5, 1, 3)


def itk_image(directions=None, spacing=(0.5, 1.25, 6.0), dtype=np.int16):
    array = phantoms.noise(dtype=dtype)
    array[MARK] = 250
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    image.SetSpacing(spacing)
    image.SetOrigin((-30.0, 12.0, 70.0))
    image.SetDirection(np.asarray(np.eye(3) if directions is None else directions).ravel().tolist())
    return image


def world_in_ras(image, voxel):
    x, y, z = image.TransformIndexToPhysicalPoint(voxel)
    return -x, -y, z


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd"])
@pytest.mark.parametrize("order", phantoms.axis_orders()[::7])
def test_voxel_ends_at_the_same_patient_point_as_in_itk(tmp_path, suffix, order):
    image = itk_image(phantoms.tilt() @ order if np.linalg.det(order) > 0 else order)
    path = tmp_path / f"case_t1c{suffix}"
    sitk.WriteImage(image, str(path))
    study = open_study(path)
    assert study.roles == ("T1c",)
    where = np.unravel_index(study.sequences["T1c"].argmax(), study.grid.shape)
    assert tuple(int(i) for i in where) == MARK
    np.testing.assert_allclose(study.grid.world(MARK), world_in_ras(image, MARK), atol=1e-4)
    assert study.layout is None


def test_nrrd_and_nifti_of_one_image_share_a_grid(tmp_path):
    image = itk_image(phantoms.tilt())
    sitk.WriteImage(image, str(tmp_path / "case_t1.nrrd"))
    sitk.WriteImage(image, str(tmp_path / "case_flair.nii.gz"))
    study = open_study(tmp_path)
    assert study.roles == ("T1", "FLAIR")
    np.testing.assert_array_equal(study.sequences["T1"], study.sequences["FLAIR"])


def test_vector_image_gives_one_image_per_component(tmp_path):
    parts = [itk_image(dtype=np.float32) + float(i) for i in range(3)]
    sitk.WriteImage(sitk.Compose(parts), str(tmp_path / "x.mha"))
    named = open_image(tmp_path / "x.mha")
    assert len(named) == 3
    np.testing.assert_allclose(named[2][1] - named[0][1], 2.0)


def test_2d_image_is_refused(tmp_path):
    sitk.WriteImage(sitk.Image(8, 8, sitk.sitkInt16), str(tmp_path / "x_t1.mha"))
    with pytest.raises(DimensionError, match="2 dimensions"):
        open_study(tmp_path / "x_t1.mha")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_truncated_and_empty_files_are_refused(tmp_path, suffix):
    path = tmp_path / f"x_t1{suffix}"
    sitk.WriteImage(itk_image(), str(path))
    path.write_bytes(path.read_bytes()[:-150])
    with pytest.raises(UnreadableFileError, match="x_t1"):
        open_study(path)
    path.write_bytes(b"")
    with pytest.raises(UnreadableFileError, match="x_t1"):
        open_study(path)


def test_spacing_cannot_be_given_to_a_file_that_tells_it(tmp_path):
    sitk.WriteImage(itk_image(), str(tmp_path / "x_t1.mha"))
    with pytest.raises(GridMismatchError, match="own geometry"):
        open_study(tmp_path / "x_t1.mha", spacing_mm=(1, 1, 1))


@pytest.mark.real_data
def test_real_nrrd_keeps_its_slice_thickness(real_data):
    folder = real_data / "cases" / "nrrd_t1gd"
    study = open_study(folder / "brain1_image.nrrd", roles={"T1gd": "brain1_image.nrrd"})
    image = sitk.ReadImage(str(folder / "brain1_image.nrrd"))
    np.testing.assert_allclose(study.grid.spacing_mm, image.GetSpacing())
    np.testing.assert_allclose(study.grid.world((3, 40, 9)), world_in_ras(image, (3, 40, 9)), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("x_flair.nrrd", "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 3 4 5\nencoding: raw\n\n"),
        (
            "x_flair.mha",
            "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 3 4 5\n"
            "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
        ),
    ],
)
def test_a_header_without_voxel_size_claims_no_millimetres(tmp_path, name, header):
    (tmp_path / name).write_bytes(header.encode() + bytes(range(60)))
    study = open_study(tmp_path / name)
    assert study.grid.unit == "voxel"
    assert "does not tell the voxel size" in " ".join(study.notes)
    assert open_study(tmp_path / name, spacing_mm=(1, 2, 3)).grid.spacing_mm == (1.0, 2.0, 3.0)
