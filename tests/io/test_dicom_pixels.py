"""Values of DICOM slices: how they are stored, scaled and compressed, and what damaged files may cost."""

import contextlib
import os
import struct
import tracemalloc

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder

from dicom_phantoms import ROOT, dataset, write, write_stack
from napari_brain_tumor.errors import BrainTumorError, UnreadableFileError
from napari_brain_tumor.io import list_series, open_study
from phantoms import noise

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
JPEG_LS = "1.2.840.10008.1.2.4.80"
HTJ2K = "1.2.840.10008.1.2.4.201"
RLE = "1.2.840.10008.1.2.5"
DEFLATED = "1.2.840.10008.1.2.1.99"


def values(path):
    study = open_study(path)
    return study.sequences["FLAIR"][:, :, 0].T, " ".join(study.notes)


def plane(dtype=np.uint16, low=0, high=4000):
    return np.random.default_rng(7).integers(low, high, (6, 7)).astype(dtype)


# Stored values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big"])
@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [(np.uint8, 0, 255), (np.uint16, 0, 65535), (np.int16, -9000, 9000), (np.uint32, 0, 2**32 - 1)],
)
def test_numbers_of_every_kind_and_byte_order(tmp_path, syntax, dtype, low, high):
    wanted = plane(dtype, low, high)
    write(tmp_path / "a.dcm", wanted, syntax, PixelSpacing=[1, 1])
    if syntax == "big" and dtype == np.uint8:  # bytes stand in words there
        path = tmp_path / "a.dcm"
        content = path.read_bytes()
        at = content.rindex(wanted.tobytes())
        swapped = np.frombuffer(wanted.tobytes(), ">u2").astype("<u2").tobytes()
        path.write_bytes(content[:at] + swapped + content[at + len(swapped) :])
    got, _ = values(tmp_path)
    np.testing.assert_array_equal(got, wanted)


def test_bits_that_hold_no_value_are_cleared_and_the_sign_is_extended(tmp_path):
    wanted = plane(np.int16, -2048, 2047)
    stored = ((wanted.astype(np.uint16) & 0x0FFF) | 0xA000).astype(np.uint16)  # an overlay in the upper bits
    write(tmp_path / "a.dcm", stored, BitsStored=12, HighBit=11, PixelRepresentation=1)
    np.testing.assert_array_equal(values(tmp_path)[0], wanted)


def test_values_at_the_top_of_their_word_are_shifted_down(tmp_path):
    wanted = plane(np.uint16, 0, 4095)
    write(tmp_path / "a.dcm", (wanted << 4).astype(np.uint16), BitsStored=12, HighBit=15)
    np.testing.assert_array_equal(values(tmp_path)[0], wanted)


def test_inverted_values_are_turned_and_told(tmp_path):
    wanted = plane(np.uint16, 0, 4095)
    inverted = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1"}
    write(tmp_path / "a.dcm", 4095 - wanted, **inverted)
    got, notes = values(tmp_path)
    np.testing.assert_array_equal(got, wanted)
    assert "MONOCHROME1" in notes


def test_slices_are_scaled_each_by_its_own_factors(tmp_path):
    array = noise((7, 6, 4))
    for k in range(4):
        write(
            tmp_path / f"{k}.dcm",
            array[:, :, k].T,
            InstanceNumber=k + 1,
            ImagePositionPatient=[0, 0, 3 * k],
            RescaleSlope=1.5 + k,
            RescaleIntercept=-7,
        )
    got = open_study(tmp_path).sequences["FLAIR"]
    np.testing.assert_allclose(got, array * (1.5 + np.arange(4)) - 7, rtol=1e-6)


# Compressed -----------------------------------------------------------------------------------------------------------


def _rle(wanted):
    return RLELosslessEncoder.encode(
        wanted.tobytes(),
        rows=wanted.shape[0],
        columns=wanted.shape[1],
        samples_per_pixel=1,
        bits_allocated=16,
        bits_stored=16,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
        number_of_frames=1,
    )


PACKERS = {
    JPEG_LOSSLESS: lambda image: imagecodecs.jpeg8_encode(image, lossless=True, bitspersample=16),
    "1.2.840.10008.1.2.4.57": lambda image: imagecodecs.ljpeg_encode(image, bitspersample=12),
    JPEG_2000: lambda image: imagecodecs.jpeg2k_encode(image, level=0, codecformat="j2k", reversible=True),
    JPEG_LS: imagecodecs.jpegls_encode,
    HTJ2K: imagecodecs.htj2k_encode,
    RLE: _rle,
}


def picture(size=40):
    return np.random.default_rng(1).integers(0, 4000, (size, size + 8)).astype(np.uint16)


@pytest.mark.parametrize("syntax", PACKERS)
def test_compressed_slices_give_the_values_that_were_packed(tmp_path, syntax):
    wanted = picture()
    write(tmp_path / "a.dcm", wanted, syntax, PACKERS[syntax](wanted))
    got, notes = values(tmp_path)
    np.testing.assert_array_equal(got, wanted)
    assert "loss" not in notes


def test_signed_values_come_out_of_a_codec_that_knows_no_sign(tmp_path):
    wanted = picture().astype(np.int16) - 2000
    packed = imagecodecs.jpeg8_encode((wanted.astype(np.uint16) & 0xFFFF), lossless=True, bitspersample=16)
    write(tmp_path / "a.dcm", wanted, JPEG_LOSSLESS, packed)
    np.testing.assert_array_equal(values(tmp_path)[0], wanted)


def test_compressed_frames_of_one_file_are_told_apart(tmp_path):
    planes = np.stack([picture() + k for k in range(3)])
    data = dataset(planes, JPEG_LS, b"", NumberOfFrames=3, ImagePositionPatient=None)
    data.PixelData = encapsulate([imagecodecs.jpegls_encode(one) for one in planes])
    data.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(open_study(tmp_path).sequences["FLAIR"], planes.transpose(2, 1, 0))


def test_loss_is_told(tmp_path):
    picture8 = np.add.outer(np.arange(40), np.arange(48)).astype(np.uint8)
    packed = imagecodecs.jpeg8_encode(picture8, level=90)
    write(tmp_path / "a.dcm", picture8, "1.2.840.10008.1.2.4.50", packed)
    got, notes = values(tmp_path)
    assert np.abs(got.astype(int) - picture8).max() <= 8
    assert "compressed with loss" in notes
    write(tmp_path / "a.dcm", picture8, LossyImageCompression="01")
    assert "compressed with loss" in values(tmp_path)[1]


def test_a_deflated_file_is_read(tmp_path):
    import zlib

    wanted = plane()
    data = dataset(wanted)
    data.save_as(tmp_path / "plain.dcm")
    content = (tmp_path / "plain.dcm").read_bytes()
    end = 144 + struct.unpack("<I", content[140:144])[0]
    packer = zlib.compressobj(wbits=-15)
    body = packer.compress(content[end:]) + packer.flush()
    meta = content[144:end]
    at = meta.index(b"1.2.840.10008.1.2.1\0")
    longer = meta[: at - 2] + struct.pack("<H", 22) + DEFLATED.encode() + meta[at + 20 :]
    (tmp_path / "plain.dcm").write_bytes(content[:140] + struct.pack("<I", len(longer)) + longer + body)
    np.testing.assert_array_equal(values(tmp_path)[0], wanted)


@pytest.mark.parametrize("syntax", PACKERS)
def test_damaged_compressed_pixels_are_refused_by_name(tmp_path, syntax):
    wanted = picture()
    write(tmp_path / "bad.dcm", wanted, syntax, PACKERS[syntax](wanted)[:30])
    with pytest.raises(UnreadableFileError, match=r"bad\.dcm cannot be read"):
        open_study(tmp_path)


@pytest.mark.parametrize("syntax", PACKERS)
@pytest.mark.parametrize("missing", [9, 30, 70])
def test_a_compressed_file_that_is_cut_short_is_refused(tmp_path, syntax, missing):
    wanted = picture()
    write(tmp_path / "bad.dcm", wanted, syntax, PACKERS[syntax](wanted))
    content = (tmp_path / "bad.dcm").read_bytes()
    (tmp_path / "bad.dcm").write_bytes(content[:-missing])
    with pytest.raises(UnreadableFileError, match=r"bad\.dcm"):
        open_study(tmp_path)


def test_a_jpeg_stream_without_its_end_is_refused(tmp_path):
    wanted = picture()
    write(tmp_path / "bad.dcm", wanted, JPEG_LOSSLESS, PACKERS[JPEG_LOSSLESS](wanted)[:-40])
    with pytest.raises(UnreadableFileError, match="before their end marker"):
        open_study(tmp_path)


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, JPEG_2000, JPEG_LS])
def test_pixels_of_another_size_than_the_header_tells_are_refused(tmp_path, syntax):
    packed = PACKERS[syntax](picture(80))
    write(tmp_path / "bad.dcm", picture(40), syntax, packed)
    with pytest.raises(UnreadableFileError, match="40 rows of 48 pixels, its compressed pixels 80 of 88"):
        open_study(tmp_path)


def test_a_transfer_syntax_that_is_not_read_is_named(tmp_path):
    write(tmp_path / "v.dcm", picture(), "1.2.840.10008.1.2.4.102", b"\0" * 64)
    with pytest.raises(UnreadableFileError, match=r"not read \(1.2.840.10008.1.2.4.102\)"):
        open_study(tmp_path)


# What hostile files cost ----------------------------------------------------------------------------------------------


def peak_of(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refused(path):
    with pytest.raises(UnreadableFileError):
        open_study(path)


@pytest.mark.parametrize(
    "tags",
    [
        {"Rows": 65535, "Columns": 65535},
        {"Rows": 30000, "Columns": 2000},
        {"Rows": 0},
        {"NumberOfFrames": 2_000_000_000},
        {"NumberOfFrames": 0},
        {"NumberOfFrames": -3},
        {"BitsAllocated": 12},
        {"BitsStored": 20},
        {"HighBit": 40},
    ],
)
@pytest.mark.parametrize("syntax", ["explicit", JPEG_LS])
def test_headers_that_promise_what_cannot_be_cost_nothing(tmp_path, tags, syntax):
    packed = None if syntax == "explicit" else imagecodecs.jpegls_encode(picture())
    write(tmp_path / "a.dcm", picture(), syntax, packed, **tags)
    list_series(tmp_path)  # what is loaded once is not counted
    assert peak_of(lambda: refused(tmp_path)) < 3_000_000


def test_a_folder_of_small_files_that_promise_much_is_refused_before_memory_is_taken(tmp_path):
    packed = imagecodecs.jpegls_encode(picture())
    for k in range(20):
        own = {"InstanceNumber": k + 1, "SOPInstanceUID": f"{ROOT}.8.{k + 1}", "ImagePositionPatient": [0, 0, 3 * k]}
        write(tmp_path / f"{k}.dcm", picture(), JPEG_LS, packed, Rows=4096, Columns=4096, **own)
    list_series(tmp_path)
    assert peak_of(lambda: refused(tmp_path)) < 3_000_000


def _element(group, element, vr, length, value=b""):
    return struct.pack("<HH2sHI", group, element, vr, 0, length) + value


@pytest.mark.parametrize(
    "hostile",
    [
        _element(8, 0x1140, b"SQ", 0xFFFFFFFF, struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)) * 400,
        _element(9, 0x1010, b"OB", 0xFFFFFFF0),
        _element(9, 0x1010, b"UN", 0xFFFFFFFF, struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)) * 400,
        _element(8, 0x103E, b"UT", 0x7FFFFFFF),
        _element(8, 0x1140, b"SQ", 0xFFFFFFFF, struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 30_000),
        _element(0x5200, 0x9230, b"SQ", 0x7FFFFFF0),
    ],
    ids=["deep", "long", "deep-unknown", "long-text", "many-items", "long-groups"],
)
def test_hostile_elements_are_refused_soon_and_cheaply(tmp_path, hostile):
    write_stack(tmp_path / "good", noise((7, 6, 3)))
    list_series(tmp_path / "good")
    content = (tmp_path / "good" / "001.dcm").read_bytes()
    at = content.index(b"\x08\x00\x20\x00DA")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.dcm").write_bytes(content[:at] + hostile + content[at:])
    assert peak_of(lambda: refused(tmp_path / "bad")) < 60_000_000


def test_a_bomb_of_deflated_zeros_is_refused(tmp_path):
    import zlib

    dataset(plane()).save_as(tmp_path / "a.dcm")
    content = (tmp_path / "a.dcm").read_bytes()
    end = 144 + struct.unpack("<I", content[140:144])[0]
    meta = content[144:end]
    at = meta.index(b"1.2.840.10008.1.2.1\0")
    longer = meta[: at - 2] + struct.pack("<H", 22) + DEFLATED.encode() + meta[at + 20 :]
    packer = zlib.compressobj(9, wbits=-15)
    body = packer.compress(bytes(200_000_000)) + packer.flush()
    (tmp_path / "a.dcm").write_bytes(content[:140] + struct.pack("<I", len(longer)) + longer + body)
    refused(tmp_path)
    os.utime(tmp_path / "a.dcm", (1, 1))  # else the answer is remembered
    assert peak_of(lambda: refused(tmp_path)) < 80 * len(body) + 5_000_000


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_are_refused_or_read_and_never_end_otherwise(tmp_path, seed):
    random = np.random.default_rng(seed)
    syntax = ["explicit", "implicit", *PACKERS][seed % 8]
    wanted = picture(16)
    packed = None if syntax in ("explicit", "implicit") else PACKERS[syntax](wanted)
    for k in range(2):
        write(tmp_path / f"{k}.dcm", wanted, syntax, packed, InstanceNumber=k + 1, ImagePositionPatient=[0, 0, 3 * k])
    content = bytearray((tmp_path / "1.dcm").read_bytes())
    for at in random.integers(132, len(content), 6):
        content[at] = random.integers(256)
    (tmp_path / "1.dcm").write_bytes(content)
    with contextlib.suppress(BrainTumorError):
        open_study(tmp_path)
