"""Visits in order, their sizes and changes, target lesions, and what is written of them."""

import csv
import json
from datetime import date

import numpy as np
import pytest
from visit_phantoms import motion

from dicom_phantoms import write_series
from napari_brain_tumor import open_study
from napari_brain_tumor.errors import SaveError, VisitError
from napari_brain_tumor.followup.facts import VisitFacts
from napari_brain_tumor.followup.followup import follow_up
from napari_brain_tumor.followup.plot import save_plot
from napari_brain_tumor.followup.registration import Registration
from napari_brain_tumor.followup.rigid import RigidTransform
from napari_brain_tumor.followup.scan_agreement import Agreement
from napari_brain_tumor.followup.tables import rows_of, save_csv, save_json, track_rows
from napari_brain_tumor.followup.visits import FoundDate, Visit, date_of, in_order, parse_date, with_spacing
from napari_brain_tumor.followup.wording import percent, size_text
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.study import Segmentation, Study
from phantoms import affine, ball, write_nifti

GRID = Grid((90, 60, 50), affine())
STILL = Registration(RigidTransform(np.eye(4)), "T1", "T1", *[Agreement(1, 1, 1)] * 2, "same space")


def visit(name: str, *balls, day: str | None = None, grid: Grid = GRID, around: int = 0, **facts) -> Visit:
    """A visit whose enhancing lesions are balls, with edema of that many voxels around them."""
    data = np.zeros(grid.shape, np.uint8)
    for centre, radius in balls:
        if around:
            data[ball(grid.shape, centre, radius + around)] = 1
    for centre, radius in balls:
        data[ball(grid.shape, centre, radius)] = 3
    found = None if day is None else FoundDate(parse_date(day), "the user")
    return Visit(name, Segmentation(data, grid), date=found, facts=VisitFacts(**facts))


LEFT, RIGHT, SMALL = (22, 30, 25), (60, 30, 25), (42, 10, 10)


def test_visits_stand_in_the_order_of_their_dates() -> None:
    late, early = visit("late", day="2025-05-01"), visit("early", day="2024-12-31")
    assert [one.name for one in in_order([late, early])] == ["early", "late"]


def test_without_dates_the_given_order_holds_and_is_said() -> None:
    found = follow_up([visit("b", (LEFT, 8)), visit("a", (LEFT, 8))])
    assert [result.visit.name for result in found.visits] == ["b", "a"]
    assert any("order in which they were given" in note for note in found.notes)


def test_some_dates_must_not_contradict_the_order() -> None:
    with pytest.raises(VisitError, match="middle has none"):
        in_order([visit("late", day="2025-05-01"), visit("middle"), visit("early", day="2024-01-01")])
    given = [visit("early", day="2024-01-01"), visit("middle"), visit("late", day="2025-05-01")]
    assert in_order(given) == tuple(given)


@pytest.mark.parametrize(
    ("visits", "message"),
    [
        ([], "No visit was given"),
        ([visit("a"), visit("a")], "called a"),
        ([visit("a", baseline=True), visit("b", baseline=True)], "Only one visit"),
    ],
    ids=["none", "twice", "baselines"],
)
def test_visits_that_cannot_be_compared_are_refused(visits, message) -> None:
    with pytest.raises(VisitError, match=message):
        in_order(visits)


def three_visits() -> list[Visit]:
    return [
        visit("one", (LEFT, 10), (RIGHT, 8), (SMALL, 3), day="2025-01-01", around=2, baseline=True),
        visit("two", (LEFT, 7), (RIGHT, 8), (SMALL, 3), day="2025-03-01", around=2),
        visit("three", (LEFT, 9), (RIGHT, 8), (SMALL, 3), day="2025-05-01", around=2),
    ]


def test_sizes_and_changes_of_three_visits() -> None:
    found = follow_up(three_visits(), {"two": STILL, "three": STILL})
    volume = [4 / 3 * np.pi * (r**3 + 8**3) / 1000 for r in (10, 7, 9)]
    assert [change.value for change in found["volume"].changes] == pytest.approx(volume, rel=0.03)
    assert found["ET"].changes[1].value == pytest.approx(volume[1] + 4 / 3 * np.pi * 27 / 1000, rel=0.05)
    area = [change.value for change in found["area"].changes]
    assert area == pytest.approx([20**2 + 16**2, 14**2 + 16**2, 18**2 + 16**2], rel=0.08)
    third = found["area"].changes[2]
    assert third.from_baseline == pytest.approx(area[2] / area[0] - 1)
    assert third.from_nadir == pytest.approx(area[2] / area[1] - 1)
    assert third.from_nadir > 0.25
    assert found["WT"].changes[0].from_baseline is None


def test_targets_are_the_two_largest_measurable_lesions() -> None:
    found = follow_up(three_visits(), {"two": STILL, "three": STILL})
    assert found.targets == ("ET 1", "ET 2")
    assert found.responses["area"][0].verdict == "baseline"
    assert found.responses["area"][2].imaging == "PD"
    assert [one.imaging for one in found.responses["volume"]] == [None, "SD", "PD"]
    assert found.responses["area"][2].verdict == "not assessable"
    rows = list(track_rows(found))
    assert rows[0][0].startswith("1 (target)")
    assert "shrunk" in rows[0][2]
    assert "(target)" not in rows[2][0]


def test_a_lesion_that_appears_is_progression_by_images() -> None:
    visits = [visit("one", (LEFT, 8), baseline=True), visit("two", (LEFT, 8), (RIGHT, 8))]
    found = follow_up(visits, {"two": STILL})
    assert found.responses["area"][1].imaging == "PD"
    assert found.tracks[1].states == ("", "new")


def test_visits_that_are_not_registered_compare_sizes_and_leave_new_lesions_open() -> None:
    visits = [visit("one", (LEFT, 8), baseline=True), visit("two", (RIGHT, 8))]
    found = follow_up(visits, {})
    last = found.responses["area"][1]
    assert last.imaging == "SD"
    assert any("register the visits" in one for one in last.missing)
    assert any("not matched" in note for note in found.notes)
    assert found.tracks[0].states == ("first seen", "not compared")


def test_volumes_are_those_of_the_visits_own_grid_whatever_the_motion() -> None:
    way = RigidTransform(motion(20, (1, 1, 0), (9, 5, 2)))
    moved = Registration(way, "T1", "T1", *[Agreement(1, 1, 1)] * 2)
    coarse = Grid((45, 40, 25), affine(spacing=(2, 1.5, 2)))
    visits = [visit("one", (LEFT, 8), baseline=True), visit("two", ((20, 20, 12), 5), grid=coarse)]
    found = follow_up(visits, {"two": moved})
    voxels = int((visits[1].segmentation.data == 3).sum())
    assert found["ET"].changes[1].value == pytest.approx(voxels * 6 / 1000)


def test_sizes_in_voxels_are_never_called_millilitres() -> None:
    unknown = Grid(GRID.shape, GRID.affine, "voxel")
    visits = [visit("one", (LEFT, 8), grid=unknown, baseline=True), visit("two", (LEFT, 6), grid=unknown)]
    found = follow_up(visits)
    assert found["ET"].unit == "voxels"
    assert found["area"].changes[1].value is None
    assert "voxel size of one" in found.responses["area"][1].missing[0]
    assert follow_up([with_spacing(one, (1, 1, 5.5)) for one in visits])["ET"].unit == "mL"


def test_a_spacing_given_by_hand_scales_the_volume() -> None:
    plain = visit("one", (LEFT, 8))
    thick = with_spacing(plain, (1, 1, 5))
    before, after = (follow_up([one])["ET"].changes[0].value for one in (plain, thick))
    assert after == pytest.approx(5 * before)
    assert thick.segmentation.grid.spacing == pytest.approx((1, 1, 5))


def test_labels_of_the_whole_tumour_alone_give_its_volume_and_no_category() -> None:
    def plain(name: str) -> Visit:
        data = ball(GRID.shape, LEFT, 9).astype(np.uint8)
        return Visit(name, Segmentation(data, GRID, known_regions=("WT",)), facts=VisitFacts(baseline=name == "one"))

    found = follow_up([plain("one"), plain("two")], {"two": STILL})
    assert [series.key for series in found.series] == ["WT", "area", "volume"]
    missing = found.responses["area"][1].missing
    assert "mark enhancing tumour" in missing[0]
    assert any("new measurable lesion" in one for one in missing), (
        "that labels do not tell it is not that there is none"
    )


@pytest.mark.slow
def test_real_scans_are_registered_and_a_failure_is_told_and_not_used() -> None:
    random = np.random.default_rng(0)
    one, two = (
        Visit(name, visit(name, (LEFT, 8)).segmentation, Study({"T1": random.random(GRID.shape, np.float32)}, GRID))
        for name in ("one", "two")
    )
    found = follow_up([one, two])
    assert found.visits[1].registration is not None
    assert found.visits[1].transform is None
    assert "failed" in found.visits[1].problem


@pytest.mark.parametrize("text", ["2025-01-31", "20250131", "2025-01-31T08:15:00"])
def test_dates_are_read(text) -> None:
    assert parse_date(text) == date(2025, 1, 31)


@pytest.mark.parametrize("text", ["31.1.2025", "2025-13-01", "", "soon"])
def test_what_is_no_date_is_refused(text) -> None:
    with pytest.raises(VisitError, match="not a date"):
        parse_date(text)


def test_dates_come_from_the_json_beside_a_file_and_never_from_its_name(tmp_path) -> None:
    scan = write_nifti(tmp_path / "2019-03-04_t1.nii.gz", np.arange(60).reshape(5, 4, 3).astype(np.int16))
    assert date_of(open_study(scan)) is None
    (tmp_path / "2019-03-04_t1.json").write_text(json.dumps({"AcquisitionDateTime": "2020-05-06T10:00:00"}))
    found = date_of(open_study(scan))
    assert found.day == date(2020, 5, 6)
    assert "AcquisitionDateTime" in found.told_by


def test_dates_come_from_dicom_headers(tmp_path) -> None:
    write_series(tmp_path, "t1", StudyDate="20210203")
    found = date_of(open_study(tmp_path))
    assert (found.day, found.told_by) == (date(2021, 2, 3), "study date of the DICOM header")


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.2499, "+24.9 %"), (0.25, "+25.0 %"), (-0.5, "−50.0 %"), (-0.4999, "−49.9 %"), (0, "0.0 %"), (None, "")],
)
def test_percent_never_rounds_over_a_threshold(share, text) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(12.345, "mL", "12.35 mL"), (1234.4, "mm²", "1 234 mm²"), (1234, "voxels", "1 234 voxels"), (None, "mL", "–")],
)
def test_sizes_as_people_read_them(value, unit, text) -> None:
    assert size_text(value, unit) == text


def test_csv_and_json_hold_what_was_found(tmp_path) -> None:
    found = follow_up(three_visits(), {"two": STILL, "three": STILL})
    table = list(csv.DictReader(save_csv(found, tmp_path / "visits.csv").open(encoding="utf-8")))
    assert len(table) == len(list(rows_of(found))) == 3 * 5
    area = [row for row in table if row["what"] == "area"]
    assert [row["imaging_alone"] for row in area] == ["", "SD", "PD"]
    assert float(area[2]["change_from_nadir_percent"]) > 25
    document = json.loads(save_json(found, tmp_path / "visits.json").read_text(encoding="utf-8"))
    assert "Not for clinical use" in document["notice"]
    assert document["responses"]["area"][2]["imaging_alone"] == "PD"
    assert document["visits"][1]["registration"]["kind"] == "same space"
    assert document["visits"][0]["date"] == "2025-01-01"


def test_the_plot_is_written_alike_twice_and_in_known_formats_alone(tmp_path) -> None:
    found = follow_up(three_visits(), {"two": STILL, "three": STILL})
    first = save_plot(found, tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "<svg" in first
    assert save_plot(found, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SaveError, match=r"\.png or \.svg"):
        save_plot(found, tmp_path / "a.bmp")
