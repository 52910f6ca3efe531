import bz2
import gzip
import tracemalloc
import zlib

import nibabel as nib
import numpy as np
import pytest

import phantoms
from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import nifti
from napari_brain_tumor.io.metaimage import metaimage_bytes, read_metaimage
from napari_brain_tumor.io.nrrd import nrrd_bytes, read_nrrd
from napari_brain_tumor.io.voxel_data import read_voxels

SHAPE = (5, 4, 3)
PACK = {"raw": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "zlib": zlib.compress}
PACKINGS = tuple(PACK)


def read(path, packing, content, dtype="<i2", shape=SHAPE, **more):
    path.write_bytes(content)
    with path.open("rb") as file:
        return read_voxels(file, path, packing, np.dtype(dtype), shape, **more)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u1", ">f8"])
def test_voxels_come_as_they_were_stored(tmp_path, packing, dtype):
    values = phantoms.noise(SHAPE, dtype=np.dtype(dtype))
    found, notes = read(tmp_path / "x", packing, PACK[packing](bytes(7) + values.tobytes("F")), dtype, skip=7)
    np.testing.assert_array_equal(found, values)
    assert found.dtype.isnative
    assert found.flags.writeable
    assert notes == ()


@pytest.mark.parametrize("packing", PACKINGS)
def test_what_is_lacking_is_refused_and_what_is_more_is_noted(tmp_path, packing):
    values = phantoms.noise(SHAPE, dtype=np.int16)
    content = values.tobytes("F")
    with pytest.raises(UnreadableFileError, match=r"promises 120 bytes.*118"):
        read(tmp_path / "x", packing, PACK[packing](content[:-2]))
    found, (note,) = read(tmp_path / "x", packing, PACK[packing](content + b"xyz"))
    np.testing.assert_array_equal(found, values)
    assert "3 bytes more" in note


@pytest.mark.parametrize("packing", PACKINGS[1:])
def test_no_flipped_bit_changes_a_voxel_unnoticed(tmp_path, packing):
    values = phantoms.noise((16, 15, 14), dtype=np.int16)
    packed = PACK[packing](values.tobytes("F"))
    random = np.random.default_rng(0)
    refused = 0
    for at, bit in zip(random.integers(0, len(packed), 300), random.integers(0, 8, 300), strict=True):
        damaged = bytearray(packed)
        damaged[at] ^= 1 << bit
        try:
            found, _ = read(tmp_path / "x", packing, damaged, shape=values.shape)
        except UnreadableFileError:
            refused += 1
        else:
            np.testing.assert_array_equal(found, values)  # the bit was one of those that mean nothing, as a time stamp
    assert refused >= 285


@pytest.mark.parametrize("packing", PACKINGS[1:])
def test_a_file_that_lost_its_checksum_is_refused(tmp_path, packing):
    packed = PACK[packing](phantoms.noise(SHAPE, dtype=np.int16).tobytes("F"))
    with pytest.raises(UnreadableFileError, match="damaged"):
        read(tmp_path / "x", packing, packed[:-2])


def test_several_parts_one_after_the_other_are_one_file(tmp_path):
    values = phantoms.noise(SHAPE, dtype=np.int16)
    content = values.tobytes("F")
    for packing in ("gzip", "bzip2"):
        found, _ = read(tmp_path / "x", packing, PACK[packing](content[:50]) + PACK[packing](content[50:]))
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("shape", [(2**40, 2**40, 2**40), (2**31, 2**31, 4), (1 << 20, 1 << 20, 1)])
def test_a_promise_that_cannot_be_kept_costs_nothing(tmp_path, packing, shape):
    tracemalloc.start()
    with pytest.raises(UnreadableFileError, match=r"cut short|memory"):
        read(tmp_path / "x", packing, PACK[packing](bytes(1000)), shape=shape)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize(
    "kind", ["nii", pytest.param("nrrd", marks=pytest.mark.slow), pytest.param("mha", marks=pytest.mark.slow)]
)
def test_a_bomb_costs_no_more_than_its_header_promises(tmp_path, kind):
    """A small file of zeros that would unpack to 400 MB, under a header of 2 kB or 4 MB."""
    labels, grid = np.zeros((10, 10, 20), np.uint8), Grid((10, 10, 20), phantoms.affine())
    header, stop = {
        "nii": (_nifti_head(labels), b""),
        "nrrd": (nrrd_bytes(labels, grid), b"\n\n"),
        "mha": (metaimage_bytes(labels, grid), b"LOCAL\n"),
    }[kind]
    zeros = bytes(1 << 20)
    pack = zlib.compressobj(wbits=31 if kind != "mha" else 15)
    parts = [pack.compress(header)] if kind == "nii" else []
    packed = b"".join([*parts, *(pack.compress(zeros) for _ in range(400)), pack.flush()])
    if kind == "mha":
        header = header.replace(
            header[header.index(b"CompressedDataSize") :].split(b"\n")[0], b"CompressedDataSize = 0"
        )
    path = tmp_path / {"nii": "x.nii.gz", "nrrd": "x.nrrd", "mha": "x.mha"}[kind]
    path.write_bytes(packed if kind == "nii" else header[: header.index(stop) + len(stop)] + packed)
    opened = {"nii": nifti.read_nifti, "nrrd": read_nrrd, "mha": read_metaimage}[kind]
    tracemalloc.start()
    (volume,) = opened(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert volume.array.shape == (10, 10, 20)
    assert peak < 20e6
    assert any("more than its header states" in note for note in volume.notes)


def _nifti_head(labels):
    header = nib.Nifti1Image(labels, phantoms.affine()).header
    header["vox_offset"] = 352
    return header.binaryblock + bytes(4)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_reading_takes_less_than_three_times_what_is_promised(tmp_path, dtype):
    values = phantoms.noise((128, 128, 64), dtype=dtype)
    path = phantoms.write_nifti(tmp_path / "x.nii.gz", values)
    tracemalloc.start()
    (volume,) = nifti.read_nifti(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(volume.array, values)
    assert peak < 3 * values.nbytes + 10e6
