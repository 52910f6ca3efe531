import pytest

from napari_brain_tumor.progress import Progress, RemainingTime, part_of, run_job


def job():
    yield Progress(1, 2, "half")
    yield Progress(2, 2)
    return "result"


def test_a_job_reports_and_returns():
    seen = []
    assert run_job(job(), seen.append) == "result"
    assert [p.fraction for p in seen] == [0.5, 1.0]
    assert run_job(job()) == "result"


@pytest.mark.parametrize(("done", "total", "fraction"), [(3, 2, 1.0), (0, 0, 0.0), (1, 4, 0.25)])
def test_fraction_stays_between_zero_and_one(done, total, fraction):
    assert Progress(done, total).fraction == fraction


def test_a_part_of_a_job_moves_between_two_fractions_under_its_title():
    steps: list[Progress] = []
    assert run_job(part_of(job(), 0.2, 0.6, "case"), steps.append) == "result"
    assert [step.fraction for step in steps] == pytest.approx([0.4, 0.6])
    assert [step.message for step in steps] == ["case: half", "case"]


# How long it still takes --------------------------------------------------------------------------------------------

STAGES = ((0.0, 0.0), (0.15, 0.1), (0.95, 0.9), (0.98, 0.99), (1.0, 1.0))


def told(events, expected, total, stages=STAGES, step=0.5):
    """Seconds left as a clock tells them every half second of a job, with what is right: (now, told, right)."""
    began = 1000.0
    estimate, waiting = RemainingTime(began, expected, stages), list(events)
    for tick in range(int(total / step)):
        now = tick * step
        while waiting and waiting[0][0] <= now:
            at, fraction = waiting.pop(0)
            estimate.follow(fraction, began + at)
        yield now, estimate.seconds_left(began + now), total - now


def network_run(total, blocks=20):
    """Times and fractions that a run tells: nothing new while the brain is found, then the network block by block."""
    yield 0.0, 0.0
    yield 0.01 * total, 0.05
    for block in range(blocks + 1):
        yield (0.1 + 0.8 * block / blocks) * total, 0.15 + 0.8 * block / blocks
    yield 0.99 * total, 0.98


def off_by(estimate, right):
    return max(estimate / right, right / estimate)


@pytest.mark.parametrize("total", [8.0, 70.0, 200.0])
@pytest.mark.parametrize("blocks", [2, 20])
def test_with_the_right_cost_the_time_left_is_right_within_a_factor_of_two_from_the_first_second(total, blocks):
    found = [one for one in told(network_run(total, blocks), total, total) if one[2] >= 1.5]
    assert found[0][1] == pytest.approx(total)
    assert max(off_by(estimate, right) for _, estimate, right in found) < 2


def test_a_first_half_that_tells_of_too_little_progress_does_not_mislead_by_more_than_a_factor_of_two():
    slow_at_first = [
        (0.0, 0.0),
        *((0.16 * k, 0.01 * k) for k in range(1, 51)),
        *((8 + 0.04 * k, 0.5 + 0.01 * k) for k in range(50)),
    ]
    found = [one for one in told(slow_at_first, 10.0, 10.0, STAGES[:1] + STAGES[-1:]) if one[2] >= 2]
    assert max(off_by(estimate, right) for _, estimate, right in found) < 2.1


def test_it_counts_down_between_events():
    estimate = RemainingTime(0.0, 60.0)
    estimate.follow(0.0, 0.0)
    assert [estimate.seconds_left(now) for now in (1.0, 11.0, 31.0)] == pytest.approx([59.0, 49.0, 29.0])


@pytest.mark.parametrize("expected", [None, 20.0, 600.0])
def test_without_a_cost_or_with_a_wrong_one_the_pace_decides(expected):
    found = [one for one in told(network_run(100.0), expected, 100.0) if one[0] >= 35 and one[2] >= 5]
    assert max(off_by(estimate, right) for _, estimate, right in found) < 2


def test_without_cost_and_pace_nothing_is_told():
    estimate = RemainingTime(100.0)
    assert estimate.seconds_left(100.0) is None
    estimate.follow(0.0, 100.0)
    assert estimate.seconds_left(103.0) is None
    estimate.follow(0.2, 104.0)
    assert estimate.seconds_left(104.0) == pytest.approx(16.0)
    estimate.follow(0.5, 105.0)
    assert estimate.seconds_left(105.0) == pytest.approx(5.0)
    estimate.follow(0.0, 106.0)  # the next of several jobs
    assert estimate.seconds_left(106.0) is None


def test_a_job_that_takes_longer_than_expected_is_not_told_to_end_at_once():
    estimate = RemainingTime(0.0, 10.0)
    assert estimate.seconds_left(10.0) >= 2.5
    assert estimate.seconds_left(60.0) >= 15.0
