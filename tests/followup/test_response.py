"""Every edge of the response rules, as a table; and that nothing is guessed where a fact is missing."""

from datetime import date, timedelta

import pytest
from pydantic import ValidationError

from napari_brain_tumor.followup.facts import VisitFacts
from napari_brain_tumor.followup.response import Burden, assess

FIRST = date(2025, 1, 6)
WELL = {"steroids": "none", "clinical_status": "stable or improved", "radiotherapy_end": "none"}


def visits(*values, weeks=None, facts=None, **more):
    """A baseline and later visits, well and fully described unless told otherwise; `more` is of the last one."""
    weeks = weeks or [6 * i for i in range(len(values))]
    told = facts or {}
    made = []
    for i, (value, week) in enumerate(zip(values, weeks, strict=True)):
        known = VisitFacts(baseline=i == 0, **{**WELL, **told.get(i, {})})
        settings = {"enhancing": value > 0, "measurable": value >= 100, "new_lesion": False}
        made.append(Burden(f"visit {i}", value, date=FIRST + timedelta(weeks=week), facts=known, **settings))
    if more:
        made[-1] = Burden(**{**{f: getattr(made[-1], f) for f in made[-1].__slots__}, **more})
    return made


AREA = [
    ((1000, 1249), "SD"),
    ((1000, 1250), "PD"),
    ((1000, 1251), "PD"),
    ((1000, 1000), "SD"),
    ((1000, 501, 501), "SD"),
    ((1000, 500, 500), "PR"),
    ((1000, 400, 499), "SD"),
    ((1000, 400, 400, 500), "PD"),
    ((1000, 0, 0), "CR"),
    ((1000, 0, 400), "PD"),
]


@pytest.mark.parametrize(("values", "expected"), AREA, ids=str)
def test_category_by_area(values, expected) -> None:
    responses = assess(visits(*values), "area")
    judged = responses[1] if expected in ("PR", "CR") else responses[-1]
    if values == (1000, 400, 499):
        # 24.75 % above the nadir, and still 50.1 % below the baseline: the response goes on, unconfirmed as yet.
        assert judged.imaging == "PR"
        assert judged.verdict == "not assessable"
        return
    assert judged.verdict == expected, judged.sentence
    assert judged.imaging == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((10, 13.99), "SD"),
        ((10, 14), "PD"),
        ((10, 3.51, 3.51), "SD"),
        ((10, 3.5, 3.5), "PR"),
        ((10, 2, 2.8), "PD"),
        ((10, 0, 0), "CR"),
    ],
    ids=str,
)
def test_category_by_volume(values, expected) -> None:
    burdens = [
        Burden(b.name, b.value, b.enhancing, measurable=b.value > 1, date=b.date, new_lesion=False, facts=b.facts)
        for b in visits(*values)
    ]
    responses = assess(burdens, "volume")
    assert responses[1 if expected in ("PR", "CR") else -1].verdict == expected


def test_progression_is_measured_from_the_nadir_and_response_from_the_baseline() -> None:
    _, second, third = assess(visits(1000, 400, 510), "area")
    assert third.verdict == "PD"
    assert third.change_from_baseline == pytest.approx(-0.49)
    assert third.change_from_nadir == pytest.approx(0.275)
    assert second.change_from_baseline == pytest.approx(-0.6)


def test_a_new_measurable_lesion_is_progression_even_where_targets_shrink() -> None:
    *_, last = assess(visits(1000, 400, new_lesion=True), "area")
    assert last.verdict == "PD"
    assert last.reasons == ("a new measurable lesion",)


def test_the_reader_outranks_the_matching() -> None:
    burdens = visits(1000, 900, new_lesion=True, facts={1: {"new_lesion": False}})
    assert assess(burdens, "area")[-1].verdict == "SD"


@pytest.mark.parametrize("value", [0, 400], ids=["CR", "PR"])
def test_a_response_without_a_later_scan_is_not_assessable(value) -> None:
    *_, last = assess(visits(1000, value), "area")
    assert last.verdict == "not assessable"
    assert last.imaging == ("CR" if value == 0 else "PR")
    assert any("at least 4 weeks later" in one for one in last.missing)
    assert f"by imaging alone: {last.imaging}" in last.sentence


@pytest.mark.parametrize(("weeks", "expected"), [((0, 6, 9.9), "not assessable"), ((0, 6, 10), "CR")], ids=str)
def test_confirmation_takes_four_weeks(weeks, expected) -> None:
    days = [round(w * 7) for w in weeks]
    burdens = visits(1000, 0, 0, weeks=[d / 7 for d in days])
    assert assess(burdens, "area")[1].verdict == expected


def test_a_response_that_a_later_scan_does_not_show_any_more_is_stable_disease() -> None:
    assert assess(visits(1000, 400, 490, 520), "area")[2].verdict == "SD"


def test_nothing_enhancing_on_steroids_is_a_partial_response() -> None:
    middle = assess(visits(1000, 0, 0, facts={1: {"steroids": "stable"}}), "area")[1]
    assert (middle.verdict, middle.imaging) == ("PR", "CR")


def test_clinically_worse_is_progression_whatever_the_images_say() -> None:
    *_, last = assess(visits(1000, 900, facts={1: {"clinical_status": "worse"}}), "area")
    assert (last.verdict, last.imaging) == ("PD", "SD")


@pytest.mark.parametrize(
    ("fact", "values", "missing"),
    [
        ({"steroids": None}, (1000, 900), "steroids"),
        ({"clinical_status": None}, (1000, 900), "clinical status"),
        ({"radiotherapy_end": None}, (1000, 1300), "when radiotherapy ended"),
        ({"steroids": "increased"}, (1000, 900), "why steroids were increased"),
        ({"steroids": "reduced"}, (1000, 1300), "stable dose"),
    ],
    ids=str,
)
def test_a_missing_fact_is_named_and_the_images_are_told_apart(fact, values, missing) -> None:
    *_, last = assess(visits(*values, facts={1: fact}), "area")
    assert last.verdict == "not assessable"
    assert last.imaging == ("PD" if values[-1] > 1250 else "SD")
    assert len(last.missing) == 1
    assert missing in last.missing[0]


def test_what_no_one_told_and_no_registration_found_is_missing() -> None:
    *_, last = assess(visits(1000, 900, new_lesion=None), "area")
    assert "new measurable lesion" in last.missing[0]


def test_without_a_named_baseline_nothing_is_assessable() -> None:
    burdens = visits(1000, 900)
    burdens[0] = Burden("visit 0", 1000, True, True, date=FIRST, new_lesion=False, facts=VisitFacts(**WELL))
    first, last = assess(burdens, "area")
    assert first.verdict == last.verdict == "not assessable"
    assert "which one visit is the baseline" in last.missing[0]
    assert last.imaging == "SD"


def test_without_measurable_disease_at_the_baseline_only_progression_is_assessable() -> None:
    stable, progressed = visits(50, 55), visits(50, 80)
    assert "measurable disease" in assess(stable, "area")[-1].missing[0]
    assert assess(progressed, "area")[-1].verdict == "PD"


def test_a_size_that_is_not_known_is_missing() -> None:
    *_, last = assess(visits(1000, 900, value=None), "area")
    assert last.imaging is None
    assert last.missing == ("the size of visit 1",)
    assert "does not tell either" in last.sentence


RADIOTHERAPY = [
    (FIRST + timedelta(weeks=6) - timedelta(days=84), (1000, 1300), None, "not assessable"),
    (FIRST + timedelta(weeks=6) - timedelta(days=85), (1000, 1300), None, "PD"),
    (FIRST, (1000, 1300, 1300), None, "PD"),
    (FIRST, (1000, 1300, 1100), None, "SD"),
    (FIRST, (1000, 1300, 1300), (0, 6, 9), "not assessable"),
]


@pytest.mark.parametrize(("ended", "values", "weeks", "expected"), RADIOTHERAPY, ids=str)
def test_progression_within_twelve_weeks_after_radiotherapy_needs_a_later_scan(ended, values, weeks, expected) -> None:
    burdens = visits(*values, weeks=weeks, facts={1: {"radiotherapy_end": ended}})
    assert assess(burdens, "area")[1].verdict == expected


def test_visits_before_the_baseline_are_not_judged_and_give_no_nadir() -> None:
    burdens = visits(100, 1000, 1100)
    burdens[0] = Burden("early", 100, True, True, date=FIRST, facts=VisitFacts(**WELL))
    facts = VisitFacts(baseline=True, **WELL)
    burdens[1] = Burden("baseline", 1000, True, True, date=burdens[1].date, facts=facts)
    early, baseline, last = assess(burdens, "area")
    assert (early.verdict, baseline.verdict, last.verdict) == ("before the baseline", "baseline", "SD")


def test_lesions_that_are_no_targets_are_the_readers_to_judge() -> None:
    unknown = assess(visits(1000, 900, non_target_grew=True), "area")[-1]
    worse = assess(visits(1000, 900, facts={1: {"non_target_worse": True}}), "area")[-1]
    assert "non-target lesions" in unknown.missing[0]
    assert worse.verdict == "PD"


def test_facts_refuse_words_that_they_do_not_know() -> None:
    with pytest.raises(ValidationError):
        VisitFacts(steroids="some")
    with pytest.raises(ValidationError):
        VisitFacts(mood="good")
