"""DICOM folders as archives, scanners and interrupted copies leave them: right in every voxel, or refused."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import RLELossless
from series_builder import AXIAL, CORONAL, SAGITTAL, Slice, dataset_of, lies_right, stack, write

from napari_brain_tumor import open_study
from napari_brain_tumor.errors import BrainTumorError


def opened(folder):
    """The study, or None where it is refused."""
    try:
        return open_study(folder)
    except BrainTumorError:
        return None


def assert_right_or_refused(folder, *stacks):
    """Whatever was opened is one of the stacks, whole and in its place."""
    study = opened(folder)
    if study is not None:
        assert any(lies_right(study, one) for one in stacks), (study.grid.describe(), study.notes)
    return study


@pytest.mark.parametrize(
    "orientation", [AXIAL, SAGITTAL, CORONAL, (0.8, 0.6, 0, -0.6, 0.8, 0), (1, 0, 0, 0, 0.6, -0.8)]
)
@pytest.mark.parametrize("step", [4.0, -2.5])
def test_every_pixel_lies_where_its_slice_says(tmp_path, orientation, step):
    slices = stack(6, step, orientation=orientation)
    write(tmp_path, slices)
    assert lies_right(open_study(tmp_path), slices)


@pytest.mark.parametrize("thickness", [1, 8, None])
def test_the_distance_comes_from_positions_not_from_the_thickness(tmp_path, thickness):
    slices = stack(6, 4.0, SliceThickness=thickness)
    write(tmp_path, slices)
    assert lies_right(open_study(tmp_path), slices)


def test_positions_that_are_rounded_are_one_stack(tmp_path):
    slices = stack(30, 1.1111)
    for part in slices:
        part.position = tuple(np.round(part.position, 2))
    write(tmp_path, slices)
    study = open_study(tmp_path)
    assert study.grid.shape[2] == 30
    assert abs(study.grid.spacing[2] - 1.1111) < 0.002


@pytest.mark.parametrize("same_pixels", [True, False])
def test_a_slice_twice_is_told_or_refused(tmp_path, same_pixels):
    slices = stack(10)
    write(tmp_path, slices)
    pixels = slices[4].pixels if same_pixels else slices[4].pixels + 1
    write(tmp_path, [Slice(pixels, slices[4].position, tags={"InstanceNumber": 40})], prefix="again")
    study = assert_right_or_refused(tmp_path, slices)
    if same_pixels and study is not None:
        assert study.notes
    if not same_pixels:
        assert study is None


@pytest.mark.parametrize("missing", [(4,), (1,), (8,), (3, 4, 5), (2, 4, 6, 8)])
def test_missing_slices_are_refused(tmp_path, missing):
    write(tmp_path, [part for k, part in enumerate(stack(10)) if k not in missing])
    assert opened(tmp_path) is None


def test_one_step_of_another_length_is_refused(tmp_path):
    slices = stack(10)
    x, y, z = slices[-1].position
    slices[-1].position = (x, y, z + 0.8)
    write(tmp_path, slices)
    assert opened(tmp_path) is None


@pytest.mark.parametrize(
    "tag",
    ["EchoTime", "EchoNumbers", "AcquisitionNumber", "TemporalPositionIdentifier", "ImageType", "DiffusionBValue"],
)
@pytest.mark.parametrize("count", [2, 3])
def test_repeats_of_one_stack_under_one_uid_never_become_one(tmp_path, tag, count):
    values = {
        "EchoTime": (20, 90, 160),
        "ImageType": (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"], ["ORIGINAL", "PRIMARY", "R"]),
    }
    groups = []
    for k, value in enumerate(values.get(tag, (1, 2, 3))[:count]):
        part = stack(8, seed=k, **{tag: value})
        for number, one in enumerate(part):
            one.tags["InstanceNumber"] = number * count + k + 1
        groups.append(part)
        write(tmp_path, part, prefix=f"g{k}_")
    assert_right_or_refused(tmp_path, *groups)


def test_interleaved_packages_are_one_stack_or_two(tmp_path):
    slices = stack(10, 2.0)
    for k, part in enumerate(slices):
        part.tags["AcquisitionNumber"] = k % 2 + 1
    write(tmp_path, slices)
    assert_right_or_refused(tmp_path, slices, slices[::2], slices[1::2])


def test_a_scout_under_the_same_uid_is_kept_apart(tmp_path):
    slices = stack(10)
    write(tmp_path, slices)
    scouts = [
        *stack(1, orientation=SAGITTAL, seed=5),
        *stack(1, orientation=CORONAL, seed=6),
        *stack(1, seed=8, start=(-9, -12, 3.1)),
    ]
    for k, scout in enumerate(scouts):
        scout.tags.update(InstanceNumber=90 + k, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write(tmp_path, scouts, prefix="loc")
    assert_right_or_refused(tmp_path, slices)


def test_a_slice_that_is_turned_is_not_stacked(tmp_path):
    slices = stack(10)
    slices[5].orientation = (0.0, 1, 0, -1, 0, 0)
    write(tmp_path, slices)
    assert opened(tmp_path) is None


def test_slices_of_different_sizes_are_not_stacked(tmp_path):
    slices = stack(10)
    slices[5].pixels = np.ones((20, 24), int)
    write(tmp_path, slices)
    assert opened(tmp_path) is None


def test_slices_of_different_pixel_sizes_are_not_stacked(tmp_path):
    slices = stack(10)
    for part in slices[5:]:
        part.spacing = (1.0, 0.75)
    write(tmp_path, slices)
    assert_right_or_refused(tmp_path)


@pytest.mark.parametrize("shift", [(0, 1.5, 0), (0.9, 0, 0), (2, -2, 0)])
def test_a_tilted_stack_keeps_its_shear_or_tells(tmp_path, shift):
    slices = stack(8, shift=shift)
    write(tmp_path, slices)
    study = opened(tmp_path)
    if study is not None and not lies_right(study, slices):
        assert any(word in " ".join(study.notes).lower() for word in ("shear", "tilt", "resampl"))


@pytest.mark.parametrize("count", [1, 8])
def test_without_positions_there_are_no_millimetres(tmp_path, count):
    slices = stack(count)
    for part in slices:
        part.position = None
    write(tmp_path, slices)
    study = opened(tmp_path)
    assert study is None or study.grid.unit == "voxel"


def test_some_slices_without_positions_are_refused(tmp_path):
    slices = stack(8)
    slices[3].position = None
    write(tmp_path, slices)
    assert_right_or_refused(tmp_path)


@pytest.mark.parametrize("keep", [0, 100, 300, 900, -2])
def test_a_member_that_cannot_be_read_is_refused_by_name(tmp_path, keep):
    paths = write(tmp_path, stack(8))
    paths[3].write_bytes(paths[3].read_bytes()[:keep])
    with pytest.raises(BrainTumorError, match=paths[3].stem):
        open_study(tmp_path)


def test_the_first_slice_is_missed_wherever_its_file_was_cut(tmp_path):
    """No gap tells that it is missing: only the file itself can."""
    slices = stack(4)
    paths = write(tmp_path, slices)
    whole = paths[0].read_bytes()
    for length in range(0, len(whole), 23):
        paths[0].write_bytes(whole[:length])
        with pytest.raises(BrainTumorError, match=paths[0].stem):
            open_study(tmp_path)


def test_what_is_no_slice_does_not_disturb(tmp_path):
    slices = stack(8)
    write(tmp_path, slices)
    (tmp_path / "notes.txt").write_text("T2 was repeated")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    report = dataset_of(Slice(np.ones((2, 2), int), None), "700", "77")
    del report.PixelData
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.Modality, report.SeriesDescription = "SR", "Report"
    report.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    assert lies_right(open_study(tmp_path), slices)


def test_rescaling_is_that_of_each_slice(tmp_path):
    slices = stack(6)
    for k, part in enumerate(slices):
        part.tags.update(RescaleSlope=k + 1, RescaleIntercept=-10 * k)
    write(tmp_path, slices)
    for k, part in enumerate(slices):
        part.pixels = part.pixels * (k + 1) - 10 * k
    assert lies_right(open_study(tmp_path), slices)


def test_twelve_bits_and_signs_are_read_as_such(tmp_path):
    slices = stack(6)
    write(tmp_path, [Slice(p.pixels, p.position, tags={**p.tags, "BitsStored": 12, "HighBit": 11}) for p in slices])
    assert lies_right(open_study(tmp_path), slices)
    signed = stack(6, seed=3)
    for part in signed:
        part.pixels = part.pixels - 2000
        part.tags["PixelRepresentation"] = 1
    write(tmp_path / "signed", signed)
    assert lies_right(open_study(tmp_path / "signed"), signed)


def test_run_length_encoding_keeps_every_value(tmp_path):
    slices = stack(6)
    for path in write(tmp_path, slices):
        import pydicom

        data = pydicom.dcmread(path)
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path, enforce_file_format=True)
    assert lies_right(open_study(tmp_path), slices)


def frames_of(slices, order):
    """An enhanced MR file of those slices, its frames in any order."""
    data = dataset_of(slices[0], "1")
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(data, name)
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(slices[0].spacing), 4
    shared.PixelMeasuresSequence = Items([measures])
    data.SharedFunctionalGroupsSequence = Items([shared])
    frames = []
    for k in order:
        position, orientation, frame = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = list(slices[k].position)
        orientation.ImageOrientationPatient = list(slices[k].orientation)
        frame.PlanePositionSequence, frame.PlaneOrientationSequence = Items([position]), Items([orientation])
        frames.append(frame)
    data.PerFrameFunctionalGroupsSequence = Items(frames)
    data.NumberOfFrames = len(order)
    data.PixelData = b"".join(slices[k].pixels.astype("<u2").tobytes() for k in order)
    return data


@pytest.mark.parametrize("order", [range(6), range(5, -1, -1), (3, 0, 5, 1, 4, 2)])
def test_frames_are_ordered_by_their_positions(tmp_path, order):
    slices = stack(6, orientation=CORONAL)
    frames_of(slices, list(order)).save_as(tmp_path / "frames.dcm", enforce_file_format=True)
    assert lies_right(open_study(tmp_path), slices)


def test_frames_of_two_echoes_never_become_one_stack(tmp_path):
    first, second = stack(6), stack(6, seed=2)
    both = [part for pair in zip(first, second, strict=True) for part in pair]
    frames_of(both, list(range(12))).save_as(tmp_path / "frames.dcm", enforce_file_format=True)
    assert_right_or_refused(tmp_path, first, second)


def test_a_missing_frame_is_refused(tmp_path):
    slices = stack(8)
    frames_of(slices, [0, 1, 2, 5, 6, 7]).save_as(tmp_path / "frames.dcm", enforce_file_format=True)
    assert opened(tmp_path) is None


def test_two_series_of_one_role_are_both_named(tmp_path):
    write(tmp_path, stack(6), series="1")
    write(tmp_path, stack(6, seed=4, SeriesDescription="FLAIR 3D"), series="2")
    with pytest.raises(BrainTumorError) as refused:
        open_study(tmp_path)
    assert "AX FLAIR" in str(refused.value)
    assert "FLAIR 3D" in str(refused.value)
