"""What jobs took, and what is expected of the next one."""

import pytest

from napari_brain_tumor.progress import Progress, RemainingTime, run_job
from napari_brain_tumor.widgets import job_times
from napari_brain_tumor.widgets.job_times import (
    JobTime,
    expectation_of,
    read_job_times,
    remember_start,
    stages_of,
    start_seconds,
    timed,
    with_start,
)
from napari_brain_tumor.widgets.worker import Expectation

STEPS = [(8.0, 0.1), (8.5, 0.12), (9.0, 0.6), (10.0, 0.99)]
"""Of a job that is slow at first: seconds, and what it tells of its progress."""


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(job_times.time, "monotonic", lambda: self.now)


def job(clock, steps=STEPS, last=10.2):
    before = clock.now
    for at, fraction in steps:
        clock.now = before + at
        yield Progress(fraction, 1, "working")
    clock.now = before + last
    return "done"


def test_the_course_tells_which_share_of_the_time_has_passed_at_a_fraction():
    stages = stages_of(STEPS, 10.0)
    assert stages == ((0.0, 0.0), (0.1, 0.8), (0.6, 0.9), (0.99, 1.0), (1.0, 1.0))
    assert stages_of([], 3.0) == ((0.0, 0.0), (1.0, 1.0))


def test_after_the_first_job_the_next_ones_time_left_is_right_within_a_factor_of_two(monkeypatch, tmp_path):
    clock = Clock(monkeypatch)
    assert expectation_of("never measured", 2.0, tmp_path) is None
    assert run_job(timed(job(clock), "report", 2.0, tmp_path)) == "done"
    known = expectation_of("report", 4.0, tmp_path)  # twice as large
    assert known.seconds == pytest.approx(20.4)
    estimate = RemainingTime(0.0, known.seconds, known.stages)
    for at, fraction in [(1.0, 0.0), *((2 * at, fraction) for at, fraction in STEPS[:-1])]:
        estimate.follow(fraction, at)
        assert 0.5 <= estimate.seconds_left(at) / (20.4 - at) <= 2


PREPARED = [
    (6.2, 0.05), (10.2, 0.09), (13.0, 0.13), (15.5, 0.17), (21.4, 0.22), (30.3, 0.26), (37.1, 0.32), (44.1, 0.36),
    (51.8, 0.41), (57.4, 0.46), (63.2, 0.5), (73.4, 0.56), (81.7, 0.61), (84.2, 0.68), (97.9, 0.73), (104.2, 0.77),
    (106.0, 0.81), (107.0, 0.89), (107.9, 0.95),
]  # fmt: skip
"""Seconds and progress of a real examination of four series, of 111.2 s, with a load of 7 on two cores."""
REPORTED = [(2.3, 0.05), (6.5, 0.12), (6.7, 0.18), (7.1, 0.3), (10.0, 0.5), (10.8, 0.7), (15.0, 0.8)]
"""Of the report of its result, of 15.2 s, with a load of 9."""


@pytest.mark.parametrize(
    ("kind", "size", "slowdown", "course", "total"),
    [("prepare", 4.0, 4.0, PREPARED, 111.2), ("report", 8_959_632.0, 5.0, REPORTED, 15.2)],
)
def test_the_first_job_of_a_machine_is_right_within_a_factor_of_two_from_the_first_second(
    kind, size, slowdown, course, total, monkeypatch, tmp_path
):
    monkeypatch.setattr("napari_brain_tumor.widgets.job_times.slowdown_now", lambda: slowdown)
    known = expectation_of(kind, size, tmp_path)
    estimate = RemainingTime(0.0, known.seconds, known.stages)
    estimate.follow(0.0, 0.0)
    for second in range(1, int(0.93 * total)):
        for at, fraction in course:
            if second - 1 < at <= second:
                estimate.follow(fraction, at)
        assert 0.5 <= estimate.seconds_left(second) / (total - second) <= 2


def test_a_run_whose_process_has_to_start_is_expected_to_take_so_much_longer(tmp_path):
    work = Expectation(10.0, ((0.0, 0.0), (0.15, 0.1), (1.0, 1.0)))
    known = with_start(work, 10.0)
    assert known.seconds == 20.0
    assert known.stages == ((0.0, 0.5), (0.15, 0.55), (1.0, 1.0))
    assert with_start(None, 10.0) is None
    assert with_start(Expectation(), 10.0) == Expectation()
    estimate = RemainingTime(0.0, known.seconds, known.stages)
    for at, fraction in ((1.0, None), (5.0, None), (10.1, 0.0), (11.0, 0.15), (15.0, 0.53), (19.0, 0.9)):
        if fraction is not None:
            estimate.follow(fraction, at)
        assert 0.5 <= estimate.seconds_left(at) / (20 - at) <= 2


def test_a_first_start_takes_longer_on_a_busy_machine_and_a_known_one_as_long_as_it_took(monkeypatch, tmp_path):
    monkeypatch.setattr("napari_brain_tumor.widgets.job_times.slowdown_now", lambda: 1.0)
    idle = start_seconds(warm=False, home=tmp_path)
    monkeypatch.setattr("napari_brain_tumor.widgets.job_times.slowdown_now", lambda: 3.0)
    assert start_seconds(warm=False, home=tmp_path) == 3 * idle
    remember_start(5.0, warm=False, home=tmp_path)
    assert start_seconds(warm=False, home=tmp_path) == 5.0


def test_what_a_start_took_is_kept_for_warm_and_cold_ones_apart(tmp_path):
    assert 0 < start_seconds(warm=True, home=tmp_path) < start_seconds(warm=False, home=tmp_path)
    remember_start(21.5, warm=False, home=tmp_path)
    remember_start(0.25, warm=True, home=tmp_path)
    assert start_seconds(warm=False, home=tmp_path) == 21.5
    assert start_seconds(warm=True, home=tmp_path) == 0.25


def test_a_job_that_fails_or_is_given_up_leaves_what_was_known(monkeypatch, tmp_path):
    clock = Clock(monkeypatch)
    run_job(timed(job(clock), "prepare", home=tmp_path))
    before = read_job_times(tmp_path)
    closed = []

    def endless():
        try:
            while True:
                yield Progress(0.5, 1)
        finally:
            closed.append(True)

    given_up = timed(endless(), "prepare", home=tmp_path)
    next(given_up)
    given_up.close()
    assert closed == [True]

    def fails():
        yield Progress(0.5, 1)
        raise LookupError("no such scan")

    with pytest.raises(LookupError, match="no such scan"):
        run_job(timed(fails(), "prepare", home=tmp_path))
    assert read_job_times(tmp_path) == before == {"prepare": before["prepare"]}


def test_kinds_are_kept_apart_and_a_damaged_file_is_as_none(monkeypatch, tmp_path):
    clock = Clock(monkeypatch)
    for kind, last in (("report", 10.2), ("prepare", 60.0)):
        run_job(timed(job(clock, last=last), kind, home=tmp_path))
    known = read_job_times(tmp_path)
    assert {kind: round(entry.seconds, 1) for kind, entry in known.items()} == {"report": 10.2, "prepare": 60.0}
    assert isinstance(known["report"], JobTime)
    (tmp_path / "job_times.json").write_text("{")
    assert read_job_times(tmp_path) == {}
    assert expectation_of("never measured", home=tmp_path) is None


def test_a_home_that_cannot_be_written_disturbs_no_job(monkeypatch, tmp_path):
    clock = Clock(monkeypatch)
    (tmp_path / "file").touch()
    home = tmp_path / "file" / "home"
    assert run_job(timed(job(clock), "report", home=home)) == "done"
    assert read_job_times(home) == {}
