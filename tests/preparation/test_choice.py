"""Which series is taken for which role: by stated rules, with reasons, and as a person says instead."""

import itertools

import numpy as np
import pytest

from napari_brain_tumor.errors import DuplicateRoleError, RoleError
from napari_brain_tumor.preparation import Candidate, candidates_of, select
from napari_brain_tumor.preparation.pipeline import PreparationReport
from phantoms import noise, write_nifti


def candidate(number, role="FLAIR", **facts):
    known = {"name": f"series {number}", "reason": "by its description", "read": lambda: None}
    known |= {"shape": (256, 256, 26), "spacing_mm": (0.9, 0.9, 5.5), "examination": "one"}
    return Candidate(number=str(number), role=role, **(known | facts))


def used(candidates, picks=None):
    return {role: one.number for role, one in select(candidates, picks).by_role.items()}


VOLUME = {"shape": (256, 256, 176), "spacing_mm": (1.0, 1.0, 1.0)}


@pytest.mark.parametrize(
    ("better", "worse", "why"),
    [
        (VOLUME, {}, "2D, the other is 3D"),
        ({}, {"shape": (256, 256, 20)}, "20 slices, the other has 26"),
        ({}, {"derived": True}, "derived from another one"),
        ({"spacing_mm": (0.5, 0.5, 5.5)}, {}, "larger voxels"),
        ({}, {"shape": (256, 256, 60), "spacing_mm": (0.9, 0.9, 1.0)}, "covers 60 mm only"),
        ({"acquired": "2024-03-01 10:40:00"}, {"acquired": "2024-03-01 10:22:31"}, "repeated later"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_the_better_of_two_is_taken_whatever_their_order_and_the_other_says_why(better, worse, why, first):
    both = [candidate(3, **better), candidate(7, **worse)]
    selection = select(both if first else both[::-1])
    assert selection.by_role["FLAIR"].number == "3"
    (passed_over,) = (one for one in selection.choices if one.used_as is None)
    assert why in passed_over.why
    assert passed_over.why.startswith("3 is taken for FLAIR")


def test_3d_comes_before_more_slices_and_original_before_derived_only_among_equals():
    thick = candidate(1, shape=(256, 256, 200), spacing_mm=(1, 1, 2.5))
    assert used([thick, candidate(2, **VOLUME)]) == {"FLAIR": "2"}
    assert used([candidate(1), candidate(2, derived=True, **VOLUME)]) == {"FLAIR": "2"}


def test_a_series_without_a_role_is_passed_over_with_its_own_reason():
    scout = candidate(1, role=None, reason="is a scout, by its image type")
    selection = select([scout, candidate(2)])
    assert selection.rows()[0]["why"] == "is a scout, by its image type"
    assert selection.rows()[0]["role"] == ""
    assert selection.rows()[1]["role"] == "FLAIR"


def test_a_pick_by_number_or_name_changes_that_role_alone():
    several = [candidate(1), candidate(2, **VOLUME), candidate(3, role="T1"), candidate(4, role=None, reason="?")]
    assert used(several) == {"T1": "3", "FLAIR": "2"}
    assert used(several, {"flair": 1}) == {"T1": "3", "FLAIR": "1"}
    assert used(several, {"FLAIR": "Series  1"}) == {"T1": "3", "FLAIR": "1"}
    assert used(several, {"T2": "4"}) == {"T1": "3", "T2": "4", "FLAIR": "2"}
    assert used(several, {"FLAIR": "-"}) == {"T1": "3"}
    assert select(several, {"FLAIR": "1"}).rows()[1]["why"] == "1 was picked for FLAIR"


def test_a_picked_series_is_not_used_for_its_own_role_too():
    assert used([candidate(1), candidate(2, role="T1")], {"T1c": "2"}) == {"T1c": "2", "FLAIR": "1"}


@pytest.mark.parametrize(
    ("picks", "error", "match"),
    [
        ({"FLAIR": "99"}, RoleError, r"no series or file '99' for FLAIR[\s\S]*1 \(series 1\)"),
        ({"FLAIR": "1", "T1": "1"}, RoleError, "picked for two roles"),
        ({"FLAIR": "5"}, RoleError, "cannot be used: it has only one slice"),
    ],
)
def test_picks_that_cannot_be_followed_are_refused(picks, error, match):
    with pytest.raises(error, match=match):
        select([candidate(1), candidate(5, problem="it has only one slice")], picks)


def test_what_cannot_be_opened_is_passed_over():
    selection = select([candidate(1, problem="a slice is missing"), candidate(2, shape=(256, 256, 20))])
    assert selection.by_role["FLAIR"].number == "2"
    assert selection.choices[0].why == "cannot be used: a slice is missing"


def test_series_of_two_examinations_are_a_question_unless_one_is_picked():
    two = [candidate(1), candidate(2, role="T1", examination="other"), candidate(3, examination="other")]
    with pytest.raises(DuplicateRoleError, match="2 examinations"):
        select(two)
    assert used(two, {"T1": "2"}) == {"T1": "2", "FLAIR": "3"}


def test_nothing_with_a_role_is_refused_with_the_list():
    with pytest.raises(RoleError, match="states which sequence it is"):
        select([candidate(1, role=None, reason="its name does not say which sequence it is")])


def test_a_dicom_study_says_of_every_series_what_becomes_of_it(examination):
    rows = {row["number"]: row for row in select(candidates_of(examination[0])).rows()}
    assert {number: row["role"] for number, row in rows.items()} == {
        "1": "", "2": "T1", "3": "T2", "4": "FLAIR", "5": "", "8": "T1c",
    }  # fmt: skip
    assert "scout" in rows["1"]["why"]
    assert rows["5"]["why"].startswith("4 is taken for FLAIR: 17 slices")
    assert rows["2"]["plane"] == "sagittal"
    assert rows["2"]["size"] == "150x130x36 of 1.4x1.4x5 mm"
    assert rows["8"]["agent"] == "GADOVIST"


def test_files_are_numbered_and_the_best_of_two_is_taken(tmp_path):
    small, large = np.diag([1.0, 1.0, 6.0, 1.0]), np.diag([1.0, 1.0, 2.0, 1.0])
    write_nifti(tmp_path / "flair_short.nii.gz", noise((8, 8, 18)), small)
    write_nifti(tmp_path / "flair.nii.gz", noise((8, 8, 60)), large)
    write_nifti(tmp_path / "t1_gd.nii.gz", noise((8, 8, 60)), large)
    write_nifti(tmp_path / "flair_seg.nii.gz", noise((8, 8, 60)), large)
    selection = select(candidates_of(tmp_path))
    assert {role: one.name for role, one in selection.by_role.items()} == {
        "T1c": "t1_gd.nii.gz",
        "FLAIR": "flair.nii.gz",
    }
    assert "labels" in next(one.why for one in selection.choices if one.candidate.name.startswith("flair_seg"))
    assert used(candidates_of(tmp_path), {"FLAIR": "flair_short.nii.gz"})["FLAIR"] == "3"


def only_choice(candidates):
    (choice,) = (one for one in select(candidates).choices if one.used_as is not None)
    return choice


def test_a_tie_with_one_rival_counts_whatever_a_rule_says_of_the_others():
    twins_and_a_worse_one = [candidate(1), candidate(2), candidate(3, shape=(256, 256, 20))]
    for order in itertools.permutations(twins_and_a_worse_one):
        assert only_choice(order).tied
        assert select(order).tied
    choice = only_choice(twins_and_a_worse_one)
    assert choice.candidate.number == "1"
    assert choice.rivals == ("2", "3")
    assert choice.why.endswith("before 2: nothing tells them apart; before 3: more slices before fewer")


def test_where_every_rival_is_worse_by_some_rule_there_is_no_tie():
    clear = [candidate(1), candidate(2, shape=(256, 256, 20)), candidate(3, derived=True)]
    for order in itertools.permutations(clear):
        choice = only_choice(order)
        assert (choice.candidate.number, choice.tied) == ("1", False)
    assert not select([candidate(1)]).tied


def test_rules_that_tell_pairs_apart_in_a_circle_still_give_one_answer_in_any_order():
    # 1 has smaller voxels than 2, 2 than 3; 3 has more slices than 1, and neither has clearly more than 2.
    circle = [
        candidate(1, shape=(256, 256, 100), spacing_mm=(0.8, 0.8, 1.5)),
        candidate(2, shape=(256, 256, 106), spacing_mm=(0.9, 0.9, 1.5)),
        candidate(3, shape=(256, 256, 112), spacing_mm=(1.0, 1.0, 1.5)),
    ]
    chosen = [only_choice(order) for order in itertools.permutations(circle)]
    assert {(one.candidate.number, one.tied) for one in chosen} == {("2", False)}
    whys = {row["number"]: row["why"] for row in select(circle).rows()}
    assert "100 slices, the other has 106" in whys["1"]
    assert "larger voxels" in whys["3"]


def test_the_report_is_a_data_frame_of_every_series_with_how_it_was_moved(tmp_path):
    series = select([candidate(3), candidate(7, "T1"), candidate(9, "T1")]).rows()
    report = PreparationReport(tmp_path, "FLAIR", (("T1", 1.5, 2.0, 0.9, 0.4),), (), {}, "case", series)
    frame = report.to_dataframe()
    assert list(frame["number"]) == ["3", "7", "9"]
    assert list(frame[frame["role"] == "T1"]["moved_mm"]) == [2.0]
    assert frame["moved_mm"].isna().sum() == 2
    assert frame.attrs["units"] == {"turned_degrees": "°", "moved_mm": "mm"}
