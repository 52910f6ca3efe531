import subprocess
import sys
import zlib

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import phantoms
from napari_brain_tumor.errors import BrainTumorError, DimensionError, UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_study
from napari_brain_tumor.io.metaimage import metaimage_bytes, read_metaimage, read_metaimage_header

FIELDS = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "-30 12 70",
    "ElementSpacing": "0.5 1.25 6",
    "DimSize": "7 6 5",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}
VALUES = phantoms.noise()


def header(**changes):
    lines = {**FIELDS, **changes}
    last = lines.pop("ElementDataFile")
    told = {key: value for key, value in lines.items() if value is not None}
    return "".join(f"{key} = {value}\n" for key, value in {**told, "ElementDataFile": last}.items()).encode("latin-1")


def write(path, content=None, **changes):
    path.write_bytes(header(**changes) + (VALUES.tobytes("F") if content is None else content))
    return path


def test_a_plain_header_is_read(tmp_path):
    (volume,) = read_metaimage(write(tmp_path / "x.mha"))
    np.testing.assert_array_equal(volume.array, VALUES)
    np.testing.assert_allclose(volume.grid.world((2, 3, 4)), (30 - 1, -12 - 3.75, 70 + 24))
    assert volume.notes == ()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_what_itk_writes_is_read_alike(tmp_path, kind, compressed):
    image = sitk.GetImageFromArray(phantoms.noise(dtype=np.dtype(kind)).transpose(2, 1, 0))
    image.SetSpacing((0.5, 1.25, 6))
    image.SetOrigin((-30, 12, 70))
    image.SetDirection(phantoms.tilt().ravel().tolist())
    image.SetMetaData("0008|103e", "AX FLAIR = dark fluid")
    sitk.WriteImage(image, str(tmp_path / "x.mha"), compressed)
    (volume,) = read_metaimage(tmp_path / "x.mha")
    assert volume.array.dtype == kind
    np.testing.assert_array_equal(volume.array, phantoms.noise(dtype=np.dtype(kind)))
    x, y, z = image.TransformIndexToPhysicalPoint((2, 3, 4))
    np.testing.assert_allclose(volume.grid.world((2, 3, 4)), (-x, -y, z), atol=1e-9)


def test_what_is_written_is_read_alike_by_itk(tmp_path):
    grid = Grid((7, 6, 5), phantoms.affine(phantoms.tilt(), (0.5, 1.25, 6)))
    (tmp_path / "x.mha").write_bytes(metaimage_bytes(phantoms.tumour(), grid, {"napari-brain-tumor": "{}"}))
    image = sitk.ReadImage(str(tmp_path / "x.mha"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).transpose(2, 1, 0), phantoms.tumour())
    x, y, z = image.TransformIndexToPhysicalPoint((2, 3, 4))
    np.testing.assert_allclose(grid.world((2, 3, 4)), (-x, -y, z), atol=1e-9)
    assert read_metaimage(tmp_path / "x.mha")[0].grid.same_place(grid, 1e-9)


def test_a_sheared_grid_cannot_be_written():
    sheared = Grid((7, 6, 5), phantoms.affine(((1, 0.3, 0), (0, 1, 0), (0, 0, 1))))
    with pytest.raises(DimensionError, match="right angles"):
        metaimage_bytes(phantoms.tumour(), sheared)


def test_spellings_and_orders_of_bytes(tmp_path):
    big = VALUES.astype(">i2").tobytes("F")
    names = {"Offset": None, "TransformMatrix": None, "Orientation": "1 0 0 0 1 0 0 0 1", "Position": "-30 12 70"}
    (volume,) = read_metaimage(write(tmp_path / "x.mha", big, BinaryDataByteOrderMSB="1", **names))
    np.testing.assert_array_equal(volume.array, VALUES)
    np.testing.assert_allclose(volume.grid.world((0, 0, 0)), (30, -12, 70))
    (volume,) = read_metaimage(write(tmp_path / "x.mha", BinaryDataByteOrderMSB=None))
    assert any("byte order" in note for note in volume.notes)
    centimetres = write(tmp_path / "x.mha", DistanceUnits="cm", ElementSpacing="0.05 0.125 0.6", Offset="-3 1.2 7")
    np.testing.assert_allclose(read_metaimage(centimetres)[0].grid.affine, volume.grid.affine)


@pytest.mark.parametrize(
    ("changes", "note", "unit"),
    [
        ({"TransformMatrix": None, "Offset": None}, "no orientation", "mm"),
        ({"Offset": None}, "no position", "mm"),
        ({"ElementSpacing": None}, "voxel size", "voxel"),
        ({"ElementSpacing": None, "ElementSize": "0.5 1.25 6"}, "", "mm"),
    ],
)
def test_what_the_header_does_not_tell_is_noted(tmp_path, changes, note, unit):
    (volume,) = read_metaimage(write(tmp_path / "x.mha", **changes))
    assert volume.grid.unit == unit
    assert note in " ".join(volume.notes)
    assert bool(volume.notes) == bool(note)


def test_a_scaling_that_changes_nothing_is_no_scaling(tmp_path):
    changes = {"ElementToIntensityFunctionSlope": "1", "ElementToIntensityFunctionOffset": "0"}
    np.testing.assert_array_equal(read_metaimage(write(tmp_path / "x.mha", **changes))[0].array, VALUES)


def test_channels_and_steps_are_images_of_their_own(tmp_path):
    both = np.stack([VALUES, VALUES + 1000])
    volumes = read_metaimage(write(tmp_path / "x.mha", both.tobytes("F"), ElementNumberOfChannels="2"))
    assert [(v.channel, v.array[2, 3, 4] - VALUES[2, 3, 4]) for v in volumes] == [(0, 0), (1, 1000)]
    four = {"NDims": "4", "ElementSpacing": "0.5 1.25 6 1", "Offset": "-30 12 70 0"}
    four |= {"TransformMatrix": " ".join(map(str, np.eye(4, dtype=int).ravel()))}
    steps = np.moveaxis(both, 0, -1).tobytes("F")
    volumes = read_metaimage(write(tmp_path / "x.mha", steps, DimSize="7 6 5 2", **four))
    assert [v.array[2, 3, 4] - VALUES[2, 3, 4] for v in volumes] == [0, 1000]
    (volume,) = read_metaimage(write(tmp_path / "x.mha", DimSize="7 6 5 1", **four))
    assert volume.channel is None


@pytest.mark.parametrize(
    "changes",
    [
        {"NDims": "-1"}, {"NDims": "-3"}, {"NDims": "0"}, {"NDims": "1"}, {"NDims": "2"}, {"NDims": "5"},
        {"NDims": "99999999999999999999"}, {"NDims": "three"}, {"NDims": "%s%s%n"}, {"NDims": None},
        {"DimSize": "7 6"}, {"DimSize": "7 6 0"}, {"DimSize": "7 6 -5"}, {"DimSize": "7 6 5.5"}, {"DimSize": None},
        {"DimSize": "99999999 99999999 99999999"}, {"DimSize": "7 6 6"},
        {"ElementSpacing": "0.5 1.25"}, {"ElementSpacing": "0.5 1.25 0"}, {"ElementSpacing": "nan 1 1"},
        {"ElementSpacing": "-0.5 1.25 6"}, {"ElementSpacing": "1e999 1 1"}, {"Offset": "1 2 x"},
        {"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, {"TransformMatrix": "1 0 0 0 1"}, {"TransformMatrix": "%n"},
        {"ElementType": "MET_OTHER"}, {"ElementType": "MET_FLOAT_ARRAY"}, {"ElementType": "%s%n"},
        {"ElementType": None}, {"BinaryData": "False"}, {"BinaryData": "perhaps"}, {"CompressedData": "True"},
        {"ObjectType": "Tube"}, {"ElementNumberOfChannels": "-2"}, {"ElementNumberOfChannels": "1000000000000"},
        {"ElementToIntensityFunctionSlope": "2"}, {"HeaderSize": "12"}, {"HeaderSize": "-1"}, {"DistanceUnits": "mile"},
        {"Comment": "x" * (2 << 20)}, {"ElementDataFile": "LIST"}, {"ElementDataFile": "x%03d.raw 1 5 1"},
        {"ElementDataFile": "%s%s%n%n%n%n"}, {"ElementDataFile": "../x.raw"}, {"ElementDataFile": "/etc/passwd"},
        {"ElementDataFile": "C:\\x.raw"}, {"ElementDataFile": "C:x.raw"}, {"ElementDataFile": "\\\\host\\x.raw"},
        {"ElementDataFile": "no_such.raw"}, {"ElementDataFile": ""}, {"ElementDataFile": "NUL"},
    ],
    ids=lambda changes: " ".join(f"{key}={str(value)[:20]}" for key, value in changes.items()),
)  # fmt: skip
def test_a_header_that_cannot_be_true_is_refused_by_name(tmp_path, changes):
    with pytest.raises((UnreadableFileError, DimensionError), match=r"x\.mha"):
        read_metaimage(write(tmp_path / "x.mha", **changes))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 5000,
        b"NDims = 3\n",
        b"no header\n",
        b"x" * (3 << 20),
        b"NDims = 3\nNDims = 3\n",
        b"\x89PNG\r\n\x1a\n",
    ],
    ids=["empty", "zeros", "half", "text", "long line", "twice", "png"],
)
def test_a_file_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "x_t1.mha").write_bytes(content)
    with pytest.raises(UnreadableFileError, match="x_t1"):
        open_study(tmp_path / "x_t1.mha")


def test_voxels_beside_the_header(tmp_path):
    (tmp_path / "x.raw").write_bytes(b"head" + VALUES.tobytes("F"))
    write(tmp_path / "x.mhd", b"", ElementDataFile="x.raw", HeaderSize="4")
    np.testing.assert_array_equal(read_metaimage(tmp_path / "x.mhd")[0].array, VALUES)
    write(tmp_path / "x.mhd", b"", ElementDataFile="x.raw", HeaderSize="-1")
    np.testing.assert_array_equal(read_metaimage(tmp_path / "x.mhd")[0].array, VALUES)
    assert read_metaimage_header(tmp_path / "x.mhd").data_file == tmp_path / "x.raw"
    (tmp_path / "x.zraw").write_bytes(zlib.compress(VALUES.tobytes("F")))
    write(tmp_path / "x.mhd", b"", ElementDataFile="x.zraw", CompressedData="True", CompressedDataSize="7")
    np.testing.assert_array_equal(read_metaimage(tmp_path / "x.mhd")[0].array, VALUES)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(sorted(FIELDS)), st.text(max_size=30) | st.integers().map(str) | st.floats().map(repr))
def test_no_entry_of_a_header_ends_in_a_traceback(tmp_path, key, value):
    path = tmp_path / "x.mha"
    path.write_bytes(header(**{key: value.encode("utf-8", "replace").decode("latin-1")}) + VALUES.tobytes("F"))
    try:
        (volume, *_) = read_metaimage(path)
    except BrainTumorError:
        return
    assert volume.array.shape == volume.grid.shape


def test_the_interpreter_outlives_a_header_that_ended_itk(tmp_path):
    write(tmp_path / "x_flair.mha", NDims="-3")
    code = f"from napari_brain_tumor import open_study; open_study({str(tmp_path / 'x_flair.mha')!r})"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "UnreadableFileError" in done.stderr
