"""DICOM series: where their voxels lie, and what is refused because they would not lie there."""

import os

import numpy as np
import pytest

from dicom_phantoms import AXIAL, CORONAL, ROOT, SAGITTAL, STUDY, write, write_enhanced, write_series, write_stack
from napari_brain_tumor.errors import GridMismatchError, RoleError, UnreadableFileError
from napari_brain_tumor.io import list_series, open_image, open_sources, open_study, recognise
from phantoms import noise

SHAPE = (7, 6, 9)


def opened(path, **options):
    study = open_study(path, **options)
    (role,) = study.roles
    return study.sequences[role], study.grid, " ".join(study.notes)


def oblique(degrees=20.0):
    """Axial, turned about two axes."""
    a = np.radians(degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turned = about_z @ about_x
    return (*turned[:, 0], *turned[:, 1])


# Where voxels lie -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, oblique()], ids=["axial", "cor", "sag", "oblique"])
def test_every_voxel_lies_where_its_header_puts_it(tmp_path, orientation, direction):
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    step = direction * 4.0 * np.cross(row, column)
    array = write_stack(tmp_path, noise(SHAPE), step=step, ImageOrientationPatient=orientation)
    values, grid, notes = opened(tmp_path)
    for x, y, k in [(0, 0, 0), (6, 5, 8), (2, 4, 3)]:
        # By the standard: position + column index along the row + row index along the column, LPS
        lps = np.array((-30, 12, 70)) + k * step + x * 0.5 * row + y * 1.25 * column
        voxel = np.rint(grid.voxels(lps * (-1, -1, 1))).astype(int)
        np.testing.assert_allclose(grid.world(voxel), lps * (-1, -1, 1), atol=1e-6)
        assert values[tuple(voxel)] == array[x, y, k]
    np.testing.assert_allclose(grid.spacing_mm, (0.5, 1.25, 4.0))
    assert grid.unit == "mm"
    assert notes == ""


def test_slices_stand_in_order_of_position_whatever_names_and_numbers_say(tmp_path):
    array = noise(SHAPE)
    shuffled = np.random.default_rng(5).permutation(9)
    for k in range(9):
        write(
            tmp_path / f"{shuffled[k]}.dcm",
            array[:, :, k].T,
            InstanceNumber=int(shuffled[::-1][k]) + 1,
            SOPInstanceUID=f"{ROOT}.4.{k + 1}",
            ImagePositionPatient=[0, 0, -3.0 * k],
        )
    values, grid, _ = opened(tmp_path)
    np.testing.assert_array_equal(values, array[:, :, ::-1])  # from the feet to the head
    np.testing.assert_allclose(grid.world((0, 0, 0)), (0, 0, -24))


def test_a_tilted_stack_keeps_its_shear_and_says_so(tmp_path):
    array = write_stack(tmp_path, noise(SHAPE), step=(0, 2, 4))
    values, grid, notes = opened(tmp_path)
    np.testing.assert_allclose(grid.world((0, 0, 8)), (30, -12 - 16, 70 + 32), atol=1e-6)
    np.testing.assert_allclose(grid.world((6, 5, 8)), (30 - 3, -12 - 16 - 6.25, 70 + 32), atol=1e-6)
    assert grid.voxel_volume_mm3 == pytest.approx(0.5 * 1.25 * 4)  # not of the slanted length
    assert "tilted stack" in notes
    assert "26.6 degrees" in notes
    np.testing.assert_array_equal(values, array)


def test_rounded_positions_are_one_even_stack(tmp_path):
    for k in range(9):
        write(
            tmp_path / f"{k}.dcm",
            noise((6, 7), k),
            SOPInstanceUID=f"{ROOT}.4.{k + 1}",
            ImagePositionPatient=[0, 0, round(1.23 * k, 1)],
        )
    _, grid, notes = opened(tmp_path)
    assert grid.spacing_mm[2] == pytest.approx(9.8 / 8)
    assert "differ by up to" in notes


def test_positions_win_over_a_stated_spacing(tmp_path):
    write_stack(tmp_path, noise(SHAPE), step=(0, 0, 4), SpacingBetweenSlices=5, SliceThickness=5)
    _, grid, notes = opened(tmp_path)
    assert grid.spacing_mm[2] == pytest.approx(4)
    assert "5 mm between slices, their positions 4 mm" in notes


def test_a_single_slice_is_as_thick_as_its_header_says(tmp_path):
    write(tmp_path / "one.dcm", noise((6, 7)), SliceThickness=4)
    _, grid, notes = opened(tmp_path)
    assert grid.spacing_mm == pytest.approx((0.5, 1.25, 4.0))
    np.testing.assert_allclose(grid.world((0, 0, 0)), (30, -12, 70))
    assert "single slice" in notes


def test_a_single_slice_of_unknown_thickness_claims_no_millimetres(tmp_path):
    write(tmp_path / "one.dcm", noise((6, 7)), SliceThickness=None)
    _, grid, notes = opened(tmp_path)
    assert grid.unit == "voxel"
    assert "does not state its thickness" in notes


@pytest.mark.parametrize(
    ("stripped", "told"),
    [
        ({"ImagePositionPatient": None}, "position of"),
        ({"ImageOrientationPatient": None}, "orientation of"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "orientation of"),
        ({"PixelSpacing": None}, "pixel spacing of"),
        ({"PixelSpacing": [0, 0]}, "pixel spacing of"),
        ({"ImagePositionPatient": None, "ImageOrientationPatient": None}, "position and orientation of"),
    ],
)
def test_without_geometry_sizes_are_in_voxels_and_slices_in_the_order_of_their_numbers(tmp_path, stripped, told):
    array = write_stack(tmp_path, noise(SHAPE), SpacingBetweenSlices=4, **stripped)
    values, grid, notes = opened(tmp_path)
    np.testing.assert_array_equal(values, array)
    assert grid.unit == "voxel"
    assert grid.spacing == pytest.approx((1, 1, 1))
    assert told in notes
    assert "sizes are in voxels" in notes
    values, grid, _ = opened(tmp_path, spacing_mm=(0.5, 1.25, 4))
    assert grid.spacing_mm == pytest.approx((0.5, 1.25, 4))


def test_a_spacing_is_not_taken_where_positions_tell_it(tmp_path):
    write_series(tmp_path)
    with pytest.raises(GridMismatchError, match="own geometry"):
        open_study(tmp_path, spacing_mm=(1, 1, 1))


def test_without_positions_a_gap_in_the_numbers_is_refused(tmp_path):
    write_stack(tmp_path, noise(SHAPE), ImagePositionPatient=None)
    (tmp_path / "003.dcm").unlink()
    with pytest.raises(UnreadableFileError, match=r"from 3 \(002.dcm\) to 5 \(004.dcm\)"):
        open_study(tmp_path)


# What is no stack -----------------------------------------------------------------------------------------------------


def test_a_byte_equal_copy_is_left_out_with_a_note(tmp_path):
    array = write_stack(tmp_path, noise(SHAPE))
    write(tmp_path / "copy.dcm", array[:, :, 4].T, InstanceNumber=77, ImagePositionPatient=[-30, 12, 94])
    values, grid, notes = opened(tmp_path)
    np.testing.assert_array_equal(values, array)
    assert grid.spacing_mm[2] == pytest.approx(6)
    assert "1 copy of a slice left out: copy.dcm repeats 004.dcm" in notes


def test_a_series_exported_twice_opens_once(tmp_path):
    array = write_stack(tmp_path / "a", noise(SHAPE))
    write_stack(tmp_path / "b", noise(SHAPE))
    values, _, notes = opened(tmp_path)
    np.testing.assert_array_equal(values, array)
    assert "9 copies of a slice left out" in notes


def test_different_slices_at_one_position_are_refused_by_name(tmp_path):
    array = write_stack(tmp_path, noise(SHAPE))
    write(tmp_path / "other.dcm", array[:, :, 4].T + 1, InstanceNumber=77, ImagePositionPatient=[-30, 12, 94])
    with pytest.raises(UnreadableFileError, match=r"at 94 mm: 004.dcm and other.dcm"):
        open_study(tmp_path)


@pytest.mark.parametrize("gone", [(3,), (3, 4), (1, 5)])
def test_missing_slices_are_refused_with_where(tmp_path, gone):
    write_stack(tmp_path, noise(SHAPE))
    for k in gone:
        (tmp_path / f"{k:03}.dcm").unlink()
    before, after = gone[0] - 1, next(k for k in range(gone[0], 9) if k not in gone)
    with pytest.raises(UnreadableFileError, match=f"about {len(gone)} slices? missing") as caught:
        open_study(tmp_path)
    assert f"{70 + 6 * before} mm ({before:03}.dcm) and {70 + 6 * after} mm ({after:03}.dcm)" in str(caught.value)


def test_an_uneven_step_is_refused_with_where(tmp_path):
    write_stack(tmp_path, noise(SHAPE), step=(0, 0, 4))
    write(tmp_path / "004.dcm", noise((6, 7)), InstanceNumber=5, ImagePositionPatient=[-30, 12, 70 + 16 + 1.2])
    with pytest.raises(UnreadableFileError, match=r"an uneven step.*5.2 mm between 82 mm \(003.dcm\)"):
        open_study(tmp_path)


def test_steps_that_change_halfway_are_refused(tmp_path):
    heights = [4.0 * k if k < 10 else 40 + 4.3 * (k - 10) for k in range(20)]
    for k, z in enumerate(heights):
        write(tmp_path / f"{k}.dcm", noise((6, 7), k), InstanceNumber=k + 1, ImagePositionPatient=[0, 0, z])
    with pytest.raises(UnreadableFileError, match="not a regular stack"):
        open_study(tmp_path)


def test_a_slice_shifted_sideways_is_refused(tmp_path):
    write_stack(tmp_path, noise(SHAPE))
    write(tmp_path / "004.dcm", noise((6, 7)), InstanceNumber=5, ImagePositionPatient=[-25, 12, 94])
    with pytest.raises(UnreadableFileError, match=r"004.dcm at 94 mm lies 5 mm from where"):
        open_study(tmp_path)


@pytest.mark.parametrize("length", [0, 60, 140, 400, 700, -20])
def test_a_file_cut_short_is_refused_by_name(tmp_path, length):
    write_stack(tmp_path, noise(SHAPE))
    file = tmp_path / "004.dcm"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(UnreadableFileError, match=r"004\.dcm cannot be read"):
        open_study(tmp_path)


@pytest.mark.parametrize("told", [{"Rows": 5}, {"Columns": 6}, {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}])
def test_a_header_that_tells_fewer_pixels_than_there_are_is_refused(tmp_path, told):
    write_stack(tmp_path, noise(SHAPE), **told)
    with pytest.raises(UnreadableFileError, match="84 are there"):
        open_study(tmp_path)


def test_a_damaged_file_without_suffix_is_known_by_its_name(tmp_path):
    write_stack(tmp_path, noise(SHAPE))
    for path in sorted(tmp_path.iterdir()):
        path.rename(path.with_name(f"IM{path.stem}"))
    (tmp_path / "IM008").write_bytes(b"")  # the last one: no gap would show it
    with pytest.raises(UnreadableFileError, match="IM008 cannot be read: it is empty"):
        open_study(tmp_path)


def test_series_whose_uid_was_removed_are_checked_as_any_other(tmp_path):
    array = write_stack(tmp_path, noise(SHAPE), SeriesInstanceUID=None, StudyInstanceUID=None)
    study = open_study(tmp_path)
    np.testing.assert_array_equal(study.sequences["FLAIR"], array)
    assert open_sources(study.sources, "again").grid == study.grid
    (tmp_path / "004.dcm").unlink()
    with pytest.raises(UnreadableFileError, match="1 slice missing"):
        open_study(tmp_path)


def test_a_header_that_speaks_of_more_images_is_told(tmp_path):
    write_stack(tmp_path, noise(SHAPE), ImagesInAcquisition=12)
    assert "12 images in this acquisition, this stack has 9" in opened(tmp_path)[2]


# Folders --------------------------------------------------------------------------------------------------------------


def test_files_without_suffix_deep_below_beside_a_directory_and_other_files(tmp_path):
    array = write_series(tmp_path / "DICOM" / "PA0" / "ST0" / "SE0" / "x" / "y", uid="1")
    for path in (tmp_path / "DICOM").rglob("*.dcm"):
        path.rename(path.with_suffix(""))
    write(tmp_path / "DICOMDIR", noise((6, 7)), SOPClassUID="1.2.840.10008.1.3.10")
    (tmp_path / "README.TXT").write_text("Thank you for choosing our viewer.")
    (tmp_path / "VIEWER.EXE").write_bytes(b"MZ" + bytes(500))
    assert recognise(tmp_path) == "study"
    values, _, notes = opened(tmp_path)
    np.testing.assert_array_equal(values, array)
    assert "README.TXT, VIEWER.EXE" in notes
    assert "DICOMDIR" not in notes
    np.testing.assert_array_equal(opened(tmp_path / "DICOMDIR")[0], array)


def test_files_without_preamble_are_read(tmp_path):
    array = write_stack(tmp_path, noise(SHAPE), syntax="implicit")
    for path in list(tmp_path.iterdir()):
        content = path.read_bytes()
        start = content.index(b"\x08\x00\x16\x00")
        (tmp_path / f"{ROOT}.{path.stem}").write_bytes(content[start:])
        path.unlink()
    np.testing.assert_array_equal(opened(tmp_path)[0], array)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_pipes_and_links_in_circles_are_passed_over(tmp_path):
    array = write_series(tmp_path / "s")
    os.mkfifo(tmp_path / "s" / "IM0009.dcm")
    (tmp_path / "s" / "round").symlink_to(tmp_path)
    np.testing.assert_array_equal(opened(tmp_path)[0], array)


def test_what_is_no_scan_is_left_out_with_a_note(tmp_path):
    array = write_series(tmp_path)
    other = {"SeriesInstanceUID": f"{ROOT}.50", "SOPInstanceUID": f"{ROOT}.50.1"}
    write(tmp_path / "report.dcm", noise((6, 7)), **other, Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    write(tmp_path / "seg.dcm", noise((6, 7)), **other, Modality="SEG", SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4")
    write(
        tmp_path / "shot.dcm",
        noise((6, 7)),
        **other,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7",
        ImagePositionPatient=None,
    )
    colour = np.zeros((6, 7 * 3), np.uint8)
    write(tmp_path / "map.dcm", colour, **other, SamplesPerPixel=3, Columns=7, PhotometricInterpretation="RGB")
    values, _, notes = opened(tmp_path)
    np.testing.assert_array_equal(values, array)
    for what in ("a report: report.dcm", "a segmentation: seg.dcm", "a screenshot: shot.dcm", "a colour picture: map"):
        assert what in notes
    with pytest.raises(UnreadableFileError, match="it is a screenshot"):
        open_study(tmp_path / "shot.dcm")


def test_a_picture_beside_an_export_does_not_hide_it(tmp_path):
    import tifffile

    array = write_series(tmp_path / "s")
    tifffile.imwrite(tmp_path / "screen.tif", np.zeros((20, 20), np.uint8))
    np.testing.assert_array_equal(opened(tmp_path)[0], array)


def test_a_result_finds_its_series_again(tmp_path):
    write_series(tmp_path, "AX FLAIR", uid="1")
    second = write_series(tmp_path / "more", "AX T2", seed=1, uid="2")
    study = open_study(tmp_path, series={"T2": "AX T2"})
    again = open_sources(study.sources, "again")
    np.testing.assert_array_equal(again.sequences["T2"], second)
    assert again.grid == study.grid


def test_one_file_opens_the_series_that_it_is_part_of_and_no_other(tmp_path):
    array = write_stack(tmp_path, noise(SHAPE), SeriesDescription="AX T1 POST")
    for k in range(4):
        write(
            tmp_path / f"b{k}.dcm",
            noise((6, 7), k),
            SeriesInstanceUID=f"{ROOT}.2",
            SOPInstanceUID=f"{ROOT}.2.{k + 1}",
            ImagePositionPatient=[-30, 12, 70 + 3 * k],
        )
    study = open_study(tmp_path / "005.dcm")
    assert study.roles == ("T1c",)
    np.testing.assert_array_equal(study.sequences["T1c"], array)
    ((_, values, _),) = open_image(tmp_path / "b2.dcm")
    assert values.shape == (7, 6, 4)
    study = open_study(tmp_path, roles={"T1": "005.dcm", "T2": "b1.dcm"}, resample="T1")
    assert study.roles == ("T1", "T2")


# What makes series of their own ---------------------------------------------------------------------------------------


def numbers(path):
    return [(one.number, one.slices) for one in list_series(path)]


def both(tmp_path, first, second, **shared):
    """Two stacks under one UID, of different values, that differ by some tags."""
    one = write_stack(tmp_path / "a", noise(SHAPE), SeriesNumber=5, **shared, **first)
    other = noise(SHAPE, 1)
    for k in range(9):
        own = {"SOPInstanceUID": f"{ROOT}.1.{k + 101}", "InstanceNumber": k + 101, "SeriesNumber": 5}
        place = {"ImagePositionPatient": [-30, 12, 70 + 6.0 * k], "SeriesInstanceUID": f"{ROOT}.1"}
        write(tmp_path / "b" / f"{k:03}.dcm", other[:, :, k].T, **(own | place | shared | second))
    return one, other


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"EchoTime": 12}, {"EchoTime": 90}),
        ({"EchoNumbers": 1}, {"EchoNumbers": 2}),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M"]}, {"ImageType": ["DERIVED", "PRIMARY", "MPR"]}),
        ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
        ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
        ({"InversionTime": 400}, {"InversionTime": 900}),
        ({"FrameOfReferenceUID": f"{ROOT}.61"}, {"FrameOfReferenceUID": f"{ROOT}.62"}),
        ({"AcquisitionTime": "101010"}, {"AcquisitionTime": "101510.25"}),
    ],
)
def test_what_differs_at_the_same_positions_becomes_series_of_their_own(tmp_path, first, second):
    one, other = both(tmp_path, first, second)
    assert numbers(tmp_path) == [("5.1", 9), ("5.2", 9)]
    study = open_study(tmp_path, series={"T2": "5.2"})
    np.testing.assert_array_equal(study.sequences["T2"], other)
    np.testing.assert_array_equal(open_study(tmp_path, series={"T2": "5.1"}).sequences["T2"], one)
    assert "holds 2 stacks" in " ".join(study.notes)
    again = open_sources(study.sources, "again")
    np.testing.assert_array_equal(again.sequences["T2"], other)


def test_repeats_whose_times_differ_slice_by_slice_are_told_apart(tmp_path):
    for turn in range(2):
        for k in range(9):
            write(
                tmp_path / f"{turn}{k}.dcm",
                np.full((6, 7), 100 * turn + k, np.int16),
                InstanceNumber=9 * turn + k + 1,
                ImagePositionPatient=[0, 0, 3.0 * k],
                AcquisitionTime=f"1010{10 + 9 * turn + k}",
                AcquisitionDate="20240301",
            )
    assert [slices for _, slices in numbers(tmp_path)] == [9, 9]
    study = open_study(tmp_path, series={"T1": "x1.2"})
    np.testing.assert_array_equal(study.sequences["T1"][0, 0], 100 + np.arange(9))


def test_slices_acquired_in_two_halves_stay_one_stack(tmp_path):
    array = noise(SHAPE)
    for k in range(9):
        write(
            tmp_path / f"{k}.dcm",
            array[:, :, k].T,
            InstanceNumber=k + 1,
            AcquisitionNumber=1 + k % 2,
            AcquisitionTime=f"1010{10 + k % 2}",
            EchoTime=90 + 0.5 * (k % 2),
            ImagePositionPatient=[0, 0, 3.0 * k],
        )
    np.testing.assert_array_equal(opened(tmp_path)[0], array)


def test_a_projection_one_step_beyond_the_stack_is_no_slice_of_it(tmp_path):
    array = write_stack(tmp_path, noise(SHAPE), SeriesNumber=4, ImageType=["ORIGINAL", "PRIMARY", "M"])
    place = {"ImagePositionPatient": [-30, 12, 70 + 54], "SeriesNumber": 4, "InstanceNumber": 10}
    write(tmp_path / "mip.dcm", noise((6, 7)), ImageType=["DERIVED", "PRIMARY", "MIP"], **place)
    assert [(one.number, one.slices, one.role) for one in list_series(tmp_path)] == [
        ("4.1", 9, "FLAIR"),
        ("4.2", 1, None),
    ]
    values, _, notes = opened(tmp_path)
    np.testing.assert_array_equal(values, array)
    assert "a projection" in notes


def test_a_scout_of_three_planes_becomes_three_series_and_no_sequence(tmp_path):
    for at, (orientation, step) in enumerate([(AXIAL, (0, 0, 9)), (CORONAL, (0, 9, 0)), (SAGITTAL, (9, 0, 0))]):
        write_stack(
            tmp_path / str(at),
            noise((7, 6, 3), at),
            step=step,
            uid="1",
            ImageOrientationPatient=orientation,
            InstanceNumber=at + 1,
            SOPInstanceUID=f"{ROOT}.70.{at}",
            SeriesDescription="T2 loc",
            SeriesNumber=1,
            ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        )
    listed = list_series(tmp_path)
    assert [(one.number, one.plane, one.slices) for one in listed] == [
        ("1.1", "axial", 3),
        ("1.2", "coronal", 3),
        ("1.3", "sagittal", 3),
    ]
    assert {one.role for one in listed} == {None}
    assert all("scout" in one.reason for one in listed)


def test_one_slice_of_another_size_is_no_part_of_the_stack(tmp_path):
    write_stack(tmp_path, noise(SHAPE), SeriesNumber=4)
    write(tmp_path / "screen.dcm", noise((20, 20)), InstanceNumber=99, SeriesNumber=4)
    assert numbers(tmp_path) == [("4.1", 9), ("4.2", 1)]


# Multi-frame ----------------------------------------------------------------------------------------------------------


def frames_of(count, **more):
    return [{"position": (-30, 12, 70 + 4.0 * k), **more} for k in range(count)]


def test_frames_of_one_file_stand_in_order_of_position(tmp_path):
    array = noise(SHAPE)
    order = np.random.default_rng(2).permutation(9)
    all_frames = frames_of(9)
    write_enhanced(
        tmp_path / "e.dcm",
        [array[:, :, k].T for k in order],
        [all_frames[k] for k in order],
        {"orientation": AXIAL},
    )
    values, grid, _ = opened(tmp_path)
    np.testing.assert_array_equal(values, array)
    np.testing.assert_allclose(grid.spacing_mm, (0.5, 1.25, 4))
    np.testing.assert_allclose(grid.world((0, 0, 2)), (30, -12, 78))
    np.testing.assert_array_equal(opened(tmp_path / "e.dcm")[0], array)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"stack": "1"}, {"stack": "2"}),
        ({"echo": 12}, {"echo": 90}),
        ({"temporal": 1}, {"temporal": 2}),
        ({"kind": ("ORIGINAL", "PRIMARY", "T2", "NONE")}, {"kind": ("DERIVED", "PRIMARY", "T2_MAP", "T2")}),
    ],
)
def test_stacks_echoes_times_and_types_in_one_file_are_series_of_their_own(tmp_path, first, second):
    array, other = noise(SHAPE), noise(SHAPE, 1)
    write_enhanced(
        tmp_path / "e.dcm",
        [volume[:, :, k].T for k in range(9) for volume in (array, other)],
        [frames_of(9, **kind)[k] for k in range(9) for kind in (first, second)],
        {"orientation": AXIAL},
        SeriesNumber=3,
    )
    assert numbers(tmp_path) == [("3.1", 9), ("3.2", 9)]
    study = open_study(tmp_path, series={"T1": "3.1", "T2": "3.2"})
    np.testing.assert_array_equal(study.sequences["T1"], array)
    np.testing.assert_array_equal(study.sequences["T2"], other)
    again = open_sources(study.sources, "again")
    np.testing.assert_array_equal(again.sequences["T2"], other)


def test_dimension_indices_tell_frames_apart_that_no_other_tag_does(tmp_path):
    array, other = noise(SHAPE), noise(SHAPE, 1)
    pointers = (0x00209056, 0x00209057, 0x2005109A)  # stack, place in it, and something private
    frames = [dict(frame, indices=(1, k + 1, which + 1)) for which in range(2) for k, frame in enumerate(frames_of(9))]
    planes = [volume[:, :, k].T for volume in (array, other) for k in range(9)]
    write_enhanced(tmp_path / "e.dcm", planes, frames, {"orientation": AXIAL}, pointers=pointers, SeriesNumber=3)
    assert numbers(tmp_path) == [("3.1", 9), ("3.2", 9)]


def test_each_frame_is_scaled_by_its_own_factors(tmp_path):
    planes = np.arange(1, 3 * 42 + 1, dtype=np.int16).reshape(3, 6, 7)
    frames = [dict(frame, scale=(1.0 + k, -k)) for k, frame in enumerate(frames_of(3))]
    write_enhanced(tmp_path / "e.dcm", planes, frames, {"orientation": AXIAL})
    values = opened(tmp_path)[0]
    for k in range(3):
        np.testing.assert_allclose(values[:, :, k], planes[k].T * (1.0 + k) - k)


def test_frames_without_positions_are_in_voxels(tmp_path):
    array = noise(SHAPE)
    write(
        tmp_path / "m.dcm",
        np.ascontiguousarray(array.transpose(2, 1, 0)),
        NumberOfFrames=9,
        ImagePositionPatient=[0, 0, 0],
    )
    values, grid, _ = opened(tmp_path)
    np.testing.assert_array_equal(values, array)
    assert grid.unit == "voxel"


def test_a_file_that_describes_other_frames_than_it_has_is_refused(tmp_path):
    write_enhanced(tmp_path / "e.dcm", [noise((6, 7), k) for k in range(4)], frames_of(3), {"orientation": AXIAL})
    with pytest.raises(UnreadableFileError, match="4 frames and describes 3"):
        open_study(tmp_path)


# Studies --------------------------------------------------------------------------------------------------------------


def test_a_folder_of_two_examinations_asks_even_where_no_role_is_doubled(tmp_path):
    write_series(tmp_path / "a", "AX FLAIR", uid="1")
    write_series(tmp_path / "b", "AX T1 POST", seed=1, uid="2", StudyInstanceUID=f"{STUDY}.2", StudyDate="20240601")
    with pytest.raises(RoleError, match="more than one examination"):
        open_study(tmp_path)
    study = open_study(tmp_path, series={"T1c": "AX T1 POST", "FLAIR": "AX FLAIR"})
    assert study.roles == ("T1c", "FLAIR")
    assert "different examinations" in " ".join(study.notes)
