import csv
import io
import json

import numpy as np
import pytest
from bodies import CENTRE, ball, grid_around, sampled, shell

from napari_brain_tumor.errors import MeasureError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_segmentation, open_study
from napari_brain_tumor.measure.examination import Examination, measure_study
from napari_brain_tumor.measure.settings import MeasureSettings
from napari_brain_tumor.measure.tables import COLUMNS, examinations_csv, examinations_json
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path
from napari_brain_tumor.study import Segmentation


def tumour_of_shells(spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Segmentation:
    """A core of 8 mm in a rim of 6 mm in an edema of 8 mm, and an enhancing ball of 3.5 mm apart from it."""
    grid = grid_around(spacing, 40)
    data = np.zeros(grid.shape, np.uint8)
    data[sampled(ball(22), grid)] = 1
    data[sampled(shell(14, 8), grid)] = 3
    data[sampled(ball(8), grid)] = 2
    small = sampled(lambda mm: ball(3.5)(mm - np.array([30.0, 0, 0])), grid)
    data[small] = 3
    return Segmentation(data, grid, "shells")


def without_millimetres(segmentation: Segmentation) -> Segmentation:
    return Segmentation(segmentation.data, Grid(segmentation.grid.shape, np.eye(4), "voxel"), "pixels")


@pytest.fixture(scope="module")
def examination() -> Examination:
    return measure_study(tumour_of_shells())


@pytest.fixture(scope="module")
def sample() -> Examination:
    return measure_study(open_segmentation(sample_truth_path()), open_study(sample_case_folder()))


def test_lesions_come_by_region_and_size_with_their_volumes(examination: Examination) -> None:
    assert [lesion.title for lesion in examination.lesions] == ["ET 1", "ET 2", "TC 1", "TC 2", "WT 1", "WT 2"]
    shell_ml = 4 / 3 * np.pi * (14**3 - 8**3) / 1000
    assert examination.of_region("ET")[0].volume_ml == pytest.approx(shell_ml, rel=0.02)
    assert examination.of_region("WT")[0].volume_ml == pytest.approx(4 / 3 * np.pi * 22**3 / 1000, rel=0.02)
    assert np.allclose(examination.of_region("WT")[0].centre, CENTRE, atol=0.01)
    assert np.allclose(examination.of_region("WT")[1].centre, CENTRE + np.array([30, 0, 0]), atol=0.01)


def test_a_lesion_is_as_large_as_its_box_says(examination: Examination) -> None:
    lesion = examination.of_region("ET")[1]
    assert lesion.box.shape == (7, 7, 7)
    assert lesion.slices == 7
    assert lesion.voxels == int((tumour_of_shells().data[lesion.box.slices] == 3).sum())


def test_a_rim_is_measured_in_its_wall_and_the_whole_tumour_across_it(examination: Examination) -> None:
    # On slices above the core the rim has no hole: there its product is largest, if only just.
    rim = examination.of_region("ET")[0].diameters
    assert rim is not None
    above = 2 * np.sqrt(14**2 - 9**2)
    assert rim.long_mm == pytest.approx(max(above, 2 * np.sqrt(14**2 - 8**2)), abs=1.5)
    whole = examination.of_region("WT")[0].diameters
    assert whole is not None
    assert (whole.long_mm, whole.short_mm) == pytest.approx((44, 44), abs=1)
    assert whole.index == examination.grid.shape[2] // 2
    assert examination.of_region("TC")[0].diameters is None


def test_filled_cavities_give_the_outer_border_of_the_rim() -> None:
    filled = measure_study(tumour_of_shells(), settings=MeasureSettings(fill_cavities=True))
    diameters = filled.of_region("ET")[0].diameters
    assert diameters is not None
    assert (diameters.long_mm, diameters.short_mm) == pytest.approx((28, 28), abs=1)


def test_small_lesions_are_not_measurable_and_say_why(examination: Examination) -> None:
    large, small = examination.of_region("ET")
    assert large.measurable
    assert not small.measurable
    assert small.reason == "not measurable: both diameters are less than 10 mm"


def test_thick_slices_ask_for_twice_their_distance() -> None:
    grid = grid_around((1.0, 1.0, 6.0), 20)
    data = (sampled(ball(5.8), grid) * 3).astype(np.uint8)
    lesion = measure_study(Segmentation(data, grid)).of_region("ET")[0]
    assert lesion.diameters is not None
    assert 10 < lesion.diameters.short_mm < 12
    assert lesion.reason == "not measurable: both diameters are less than 12 mm"


def test_a_lesion_on_one_slice_alone_is_not_measurable() -> None:
    data = np.zeros((30, 30, 5), np.uint8)
    data[5:25, 5:25, 2] = 3
    lesion = measure_study(Segmentation(data, Grid(data.shape, np.eye(4)))).of_region("ET")[0]
    assert lesion.reason == "not measurable: seen on 1 slice, 2 are needed"


def test_parts_that_touch_by_a_corner_are_one_lesion_and_others_are_two() -> None:
    data = np.zeros((20, 20, 20), np.uint8)
    data[2:6, 2:6, 2:6] = 3
    data[6:10, 6:10, 6:10] = 3
    data[11:15, 11:15, 11:15] = 3
    lesions = measure_study(Segmentation(data, Grid(data.shape, np.eye(4)))).of_region("ET")
    assert [lesion.voxels for lesion in lesions] == [128, 64]


def test_parts_below_the_smallest_size_are_counted_and_said() -> None:
    data = np.zeros((30, 30, 30), np.uint8)
    data[2:8, 2:8, 2:8] = 3
    data[12, 12, 12], data[20:22, 20, 20] = 3, 3
    segmentation = Segmentation(data, Grid(data.shape, np.eye(4)))
    found = measure_study(segmentation)
    assert len(found.of_region("ET")) == 1
    assert (found.left_out["ET"].parts, found.left_out["ET"].voxels) == (2, 3)
    assert "ET: 2 parts of less than 50 mm³ left out, 3 voxels together." in found.notes
    assert len(measure_study(segmentation, settings=MeasureSettings(least_mm3=2)).of_region("ET")) == 2


def test_the_size_of_the_smallest_lesion_is_in_mm_not_in_voxels() -> None:
    data = np.zeros((20, 20, 20), np.uint8)
    data[2:4, 2:4, 2:4] = 3  # 8 voxels
    coarse = Segmentation(data, Grid(data.shape, np.diag([2.0, 2.0, 2.0, 1.0])))  # 64 mm3
    assert len(measure_study(coarse).of_region("ET")) == 1


def test_without_a_scan_no_side_is_told(examination: Examination) -> None:
    assert {lesion.side for lesion in examination.lesions} == {None}
    assert {lesion.midline_mm for lesion in examination.lesions} == {None}
    assert any("No scan was given" in note for note in examination.notes)


def test_the_lesions_of_the_sample_lie_on_their_sides_of_its_midline(sample: Examination) -> None:
    # As drawn: the edema grows through the corpus callosum, a satellite lies on the other side.
    assert sample.of_region("WT")[0].side == "both sides"
    assert sample.of_region("WT")[0].midline_mm == 0
    assert sample.of_region("ET")[0].side == "left"
    satellite = sample.of_region("ET")[1]
    assert (satellite.side, satellite.midline_mm) == ("right", pytest.approx(14.4, abs=2))


def test_without_millimetres_nothing_is_given_in_them() -> None:
    found = measure_study(without_millimetres(tumour_of_shells()))
    assert found.volumes.unit == "voxels"
    assert (found.rim, found.midline) == (None, None)
    assert {lesion.volume_ml for lesion in found.lesions} == {None}
    assert {lesion.diameters for lesion in found.lesions} == {None}
    assert {lesion.reason for lesion in found.lesions} == {"not assessable: the files do not state the voxel size"}
    assert "mm" not in " ".join(found.notes)
    rows = list(csv.DictReader(io.StringIO(examinations_csv([found]))))
    assert {row[column] for row in rows for column in COLUMNS if "_m" in column and "cross" not in column} == {""}
    assert {row["least_size"] for row in rows if row["kind"] == "region"} == {"50 voxels"}


def test_a_mask_of_the_whole_tumour_has_no_enhancing_lesions() -> None:
    shells = tumour_of_shells()
    data = (shells.data > 0).astype(np.uint8)
    mask = Segmentation(data, shells.grid, known_regions=("WT",), class_names={1: "whole tumour"})
    found = measure_study(mask)
    assert {lesion.region for lesion in found.lesions} == {"WT"}
    assert found.rim is None
    assert any("enhancing disease is not assessable" in note for note in found.notes)


def test_a_lesion_at_the_border_of_the_scan_is_said() -> None:
    data = np.zeros((12, 12, 12), np.uint8)
    data[0:6, 3:8, 3:8] = 1
    found = measure_study(Segmentation(data, Grid(data.shape, np.eye(4))))
    assert "WT 1 reaches the border of the scan: it may be larger than measured." in found.notes


def test_an_empty_segmentation_has_no_lesions() -> None:
    found = measure_study(Segmentation(np.zeros((5, 5, 5), np.uint8), Grid((5, 5, 5), np.eye(4))))
    assert found.lesions == ()
    assert found.rim is None
    assert found.volumes["WT"].ml == 0


@pytest.mark.parametrize("wrong", [{"plane": "slanted"}, {"least_mm3": -1}, {"measurable_mm": float("nan")}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(MeasureError, match=next(iter(wrong)).replace("plane", "slanted")):
        MeasureSettings(**wrong)


def test_the_csv_has_a_row_for_each_class_region_and_lesion_and_reads_back_exactly(sample: Examination) -> None:
    rows = list(csv.DictReader(io.StringIO(examinations_csv([sample, sample]))))
    assert len(rows) == 2 * (len(sample.volumes.rows) + len(sample.lesions))
    assert [row["kind"] for row in rows[:6]] == ["class"] * 3 + ["region"] * 3
    first = next(row for row in rows if row["kind"] == "lesion")
    diameters = sample.lesions[0].diameters
    assert diameters is not None
    assert float(first["product_mm2"]) == diameters.product_mm2
    assert float(first["volume_ml"]) == sample.lesions[0].volume_ml
    assert first["by_hand"] == "False"
    enhancing = next(row for row in rows if row["kind"] == "region" and row["key"] == "ET")
    assert sample.rim is not None
    assert float(enhancing["rim_mean_mm"]) == sample.rim.mean_mm
    assert (enhancing["lesions"], enhancing["least_size"]) == (str(len(sample.of_region("ET"))), "50 mm³")


def test_the_json_holds_everything_and_what_it_is_not_for(sample: Examination) -> None:
    document = json.loads(examinations_json([sample]))
    assert "not for clinical use" in document["notice"]
    lesion = document["examinations"][0]["lesions"][0]
    diameters = sample.lesions[0].diameters
    assert diameters is not None
    assert lesion["diameters"]["long_mm"] == diameters.long_mm
    assert lesion["diameters"]["long"]["start"] == list(diameters.long.start)
    assert document["examinations"][0]["settings"]["least_mm3"] == 50
    assert document["examinations"][0]["grid"]["unit"] == "mm"
