import bz2
import gzip

import nrrd as pynrrd
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import phantoms
from napari_brain_tumor.errors import BrainTumorError, DimensionError, UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_study
from napari_brain_tumor.io.nrrd import nrrd_bytes, read_nrrd, read_nrrd_header

FIELDS = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "7 6 5",
    "space directions": "(0.5,0,0) (0,1.25,0) (0,0,6)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(-30,12,70)",
}
VALUES = phantoms.noise()
LPS_POINT = (30 - 1, -12 - 3.75, 70 + 24)


def header(magic="NRRD0004", **changes):
    fields = {**FIELDS, **{key.replace("_", " "): value for key, value in changes.items()}}
    lines = [magic, *(f"{key}: {value}" for key, value in fields.items() if value is not None)]
    return "".join(f"{line}\n" for line in (*lines, "")).encode("latin-1")


def write(path, content=None, **changes):
    path.write_bytes(header(**changes) + (VALUES.tobytes("F") if content is None else content))
    return path


@pytest.mark.parametrize("encoding", ["raw", "gzip", "gz", "bzip2", "bz2", "GZIP"])
def test_every_encoding_gives_the_same_voxels(tmp_path, encoding):
    pack = {"r": bytes, "g": gzip.compress, "b": bz2.compress}[encoding[0].lower()]
    (volume,) = read_nrrd(write(tmp_path / "x.nrrd", pack(VALUES.tobytes("F")), encoding=encoding))
    np.testing.assert_array_equal(volume.array, VALUES)
    np.testing.assert_allclose(volume.grid.world((2, 3, 4)), LPS_POINT)
    assert volume.notes == ()


@pytest.mark.parametrize("encoding", ["ascii", "text", "TXT"])
def test_voxels_as_text_are_read_and_checked(tmp_path, encoding):
    text = " ".join(map(str, VALUES.ravel(order="F"))).encode() + b"\n"
    (volume,) = read_nrrd(write(tmp_path / "x.nrrd", text, encoding=encoding, endian=None))
    np.testing.assert_array_equal(volume.array, VALUES)
    assert volume.array.dtype == np.int16
    rest = text.split(b" ", 1)[1]
    others = (b"x ", b"99999 ", b"1.5 ", b"nan ", b"1-2 ")
    for wrong in (text[:-6], text + b"7", *(other + rest for other in others)):
        with pytest.raises(UnreadableFileError, match=r"x\.nrrd"):
            read_nrrd(write(tmp_path / "x.nrrd", wrong, encoding=encoding))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_what_itk_and_pynrrd_write_is_read_alike(tmp_path, kind, compressed):
    values = phantoms.noise(dtype=np.dtype(kind))
    image = sitk.GetImageFromArray(values.transpose(2, 1, 0))
    image.SetSpacing((0.5, 1.25, 6))
    image.SetOrigin((-30, 12, 70))
    image.SetDirection(phantoms.tilt().ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / "x.nrrd"), compressed)
    (volume,) = read_nrrd(tmp_path / "x.nrrd")
    assert volume.array.dtype == kind
    np.testing.assert_array_equal(volume.array, values)
    x, y, z = image.TransformIndexToPhysicalPoint((2, 3, 4))
    np.testing.assert_allclose(volume.grid.world((2, 3, 4)), (-x, -y, z), atol=1e-9)
    again = {"space": "left-posterior-superior", "space directions": np.eye(3), "space origin": np.zeros(3)}
    pynrrd.write(str(tmp_path / "y.nrrd"), values, again | {"encoding": "gzip" if compressed else "raw"})
    np.testing.assert_array_equal(read_nrrd(tmp_path / "y.nrrd")[0].array, values)


def test_what_is_written_is_read_alike_by_itk_and_pynrrd(tmp_path):
    grid = Grid((7, 6, 5), phantoms.affine(phantoms.tilt(), (0.5, 1.25, 6)))
    text = '{"napari-brain-tumor": {"schema": "MSD"}}'
    (tmp_path / "x.nrrd").write_bytes(nrrd_bytes(phantoms.tumour(), grid, {"napari-brain-tumor": text}))
    image = sitk.ReadImage(str(tmp_path / "x.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).transpose(2, 1, 0), phantoms.tumour())
    x, y, z = image.TransformIndexToPhysicalPoint((2, 3, 4))
    np.testing.assert_allclose(grid.world((2, 3, 4)), (-x, -y, z), atol=1e-9)
    values, fields = pynrrd.read(str(tmp_path / "x.nrrd"))
    np.testing.assert_array_equal(values, phantoms.tumour())
    assert fields["napari-brain-tumor"] == text
    assert read_nrrd(tmp_path / "x.nrrd")[0].grid.same_place(grid, 1e-9)


@pytest.mark.parametrize(
    ("space", "signs", "told"),
    [
        ("left-posterior-superior", (-1, -1, 1), True),
        ("LPS", (-1, -1, 1), True),
        ("right-anterior-superior", (1, 1, 1), True),
        ("RAS", (1, 1, 1), True),
        ("left-anterior-superior", (-1, 1, 1), True),
        ("scanner-xyz", (-1, -1, 1), False),
        ("3D-right-handed", (-1, -1, 1), False),
    ],
)
def test_the_space_tells_the_sides(tmp_path, space, signs, told):
    (volume,) = read_nrrd(write(tmp_path / "x.nrrd", space=space))
    np.testing.assert_allclose(volume.grid.world((2, 3, 4)), np.multiply(signs, (-30 + 1, 12 + 3.75, 70 + 24)))
    assert told == (volume.notes == ())
    assert told or "no orientation" in volume.notes[0]


@pytest.mark.parametrize(
    ("changes", "note", "unit"),
    [
        ({"space": None, "space dimension": "3"}, "no orientation", "mm"),
        ({"space origin": None}, "no position", "mm"),
        ({"space": None, "space directions": None, "space origin": None}, "voxel size", "voxel"),
        ({"space directions": None, "spacings": "0.5 1.25 6"}, "no orientation", "mm"),
        ({"space directions": None, "spacings": "0.5 1 6", "axis mins": "9 9 9"}, "no position", "mm"),
        ({"space directions": None, "spacings": "0.5 nan 6"}, "voxel size", "voxel"),
        ({"space units": '"mm" "mm" "furlong"'}, "voxel size", "voxel"),
        ({"space units": '"mm" "mm" "mm"'}, "", "mm"),
        ({"measurement frame": "(1,0,0) (0,0,1) (0,1,0)"}, "", "mm"),
    ],
)
def test_what_the_header_does_not_tell_is_noted(tmp_path, changes, note, unit):
    (volume,) = read_nrrd(write(tmp_path / "x.nrrd", **changes))
    assert volume.grid.unit == unit
    assert note in " ".join(volume.notes)
    assert bool(volume.notes) == bool(note)
    np.testing.assert_array_equal(volume.array, VALUES)


def test_units_of_length_become_millimetres(tmp_path):
    changes = {"space units": '"cm" "cm" "cm"', "space directions": "(0.05,0,0) (0,0.125,0) (0,0,0.6)"}
    (volume,) = read_nrrd(write(tmp_path / "x.nrrd", **changes, space_origin="(-3,1.2,7)"))
    np.testing.assert_allclose(volume.grid.world((2, 3, 4)), LPS_POINT)


def test_steps_of_an_axis_that_is_not_of_space_are_images_of_their_own(tmp_path):
    both = np.stack([VALUES, VALUES + 1000])
    first = {"dimension": "4", "sizes": "2 7 6 5", "kinds": "list domain domain domain"}
    first |= {"space directions": "none (0.5,0,0) (0,1.25,0) (0,0,6)"}
    last = {"dimension": "4", "sizes": "7 6 5 2", "kinds": "domain domain domain time"}
    last |= {"space directions": "(0.5,0,0) (0,1.25,0) (0,0,6) none"}
    for changes, values in ((first, both), (last, np.moveaxis(both, 0, -1))):
        volumes = read_nrrd(write(tmp_path / "x.nrrd", values.tobytes("F"), **changes))
        assert [v.array[2, 3, 4] - VALUES[2, 3, 4] for v in volumes] == [0, 1000]
        np.testing.assert_allclose(volumes[1].grid.world((2, 3, 4)), LPS_POINT)


@pytest.mark.parametrize("kind", ["RGB-color", "3D-symmetric-matrix", "complex", "covariant-vector", "quaternion"])
def test_voxels_of_several_numbers_are_refused(tmp_path, kind):
    changes = {"dimension": "4", "sizes": "3 7 6 5", "kinds": f"{kind} domain domain domain"}
    path = write(tmp_path / "x.nrrd", **changes, space_directions="none (0.5,0,0) (0,1.25,0) (0,0,6)")
    with pytest.raises(DimensionError, match=kind.lower()):
        read_nrrd(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"dimension": "-1"}, {"dimension": "0"}, {"dimension": "4"}, {"dimension": None}, {"dimension": "x"},
        {"dimension": "2", "sizes": "7 30", "space_directions": None, "kinds": None, "space": None},
        {"sizes": "7 6"}, {"sizes": "7 6 0"}, {"sizes": "7 6 -5"}, {"sizes": "7 6 5.5"}, {"sizes": None},
        {"sizes": "99999999 99999999 99999999"}, {"sizes": "7 6 6"}, {"sizes": "nan 6 5"}, {"sizes": "1e30 1 1"},
        {"sizes": "999999999999999999999999 6 5"}, {"type": "block"}, {"type": "string"}, {"type": None},
        {"endian": None}, {"endian": "middle"}, {"encoding": "hex"}, {"encoding": "ascii"},
        {"encoding": "text", "endian": None}, {"encoding": None},
        {"encoding": "%s%n"}, {"space_directions": "(0,0,0) (0,1,0) (0,0,1)"}, {"space_directions": "(1,0) (0,1)"},
        {"space_directions": "none none none"}, {"space_directions": "(nan,0,0) (0,1,0) (0,0,1)"},
        {"space_directions": "(1e999,0,0) (0,1,0) (0,0,1)"}, {"space_directions": "%s"}, {"kinds": "domain domain"},
        {"kinds": "list domain domain"}, {"labels": '"a'}, {"space_directions": None, "spacings": "0 1 1"},
        {"space_directions": None, "spacings": "-1 1 1"}, {"byte_skip": "-2"}, {"line_skip": "-1"},
        {"line_skip": "99999999999999999999999"}, {"byte_skip": "99999999999999"}, {"magic": "NRRD0009"},
        {"magic": "%s%s%n"}, {"data_file": "LIST"}, {"data_file": "x%03d.raw 1 5 1"}, {"data_file": "../x.raw"},
        {"data_file": "/etc/passwd"}, {"datafile": "/etc/passwd"}, {"data_file": "C:\\x.raw"}, {"data_file": "C:x.raw"},
        {"data_file": "\\\\host\\x"}, {"data_file": "no_such.raw"}, {"data_file": ""}, {"data_file": "NUL"},
        {"Data File": "/etc/passwd"}, {"comment": "x" * (2 << 20)},
    ],
    ids=lambda changes: " ".join(f"{key}={str(value)[:20]}" for key, value in changes.items()),
)  # fmt: skip
def test_a_header_that_cannot_be_true_is_refused_by_name(tmp_path, changes):
    with pytest.raises((UnreadableFileError, DimensionError), match=r"x\.nrrd"):
        read_nrrd(write(tmp_path / "x.nrrd", **changes))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"NRRD0004",
        b"NRRD0004\n",
        b"NRRD0004\nno field\n\n",
        b"x" * (3 << 20),
        b"NRRD0004\ntype: int\ntype: int\n\n",
    ],
    ids=["empty", "half", "no fields", "no field", "long line", "twice"],
)
def test_a_file_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "x_t1.nrrd").write_bytes(content)
    with pytest.raises(UnreadableFileError, match="x_t1"):
        open_study(tmp_path / "x_t1.nrrd")


def test_voxels_beside_the_header(tmp_path):
    (tmp_path / "x.raw").write_bytes(b"a line\nhead" + VALUES.tobytes("F"))
    for skips in ({"line skip": "1", "byte skip": "4"}, {"byte skip": "-1"}):
        write(tmp_path / "x.nhdr", b"", **skips, **{"data file": "x.raw"})
        np.testing.assert_array_equal(read_nrrd(tmp_path / "x.nhdr")[0].array, VALUES)
    assert read_nrrd_header(tmp_path / "x.nhdr").data_file == tmp_path / "x.raw"
    (tmp_path / "x.raw.gz").write_bytes(gzip.compress(b"head" + VALUES.tobytes("F")))
    write(tmp_path / "x.nhdr", b"", encoding="gzip", **{"byte skip": "4", "datafile": "x.raw.gz"})
    np.testing.assert_array_equal(read_nrrd(tmp_path / "x.nhdr")[0].array, VALUES)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([*FIELDS, "spacings", "units", "space units", "byte skip", "labels"]),
    st.text(max_size=30) | st.integers().map(str) | st.floats().map(repr),
)
def test_no_field_of_a_header_ends_in_a_traceback(tmp_path, key, value):
    path = tmp_path / "x.nrrd"
    path.write_bytes(header(**{key: value.encode("utf-8", "replace").decode("latin-1")}) + VALUES.tobytes("F"))
    try:
        (volume, *_) = read_nrrd(path)
    except BrainTumorError:
        return
    assert volume.array.shape == volume.grid.shape
