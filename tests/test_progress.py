import pytest

from napari_brain_tumor.progress import Progress, part_of, run_job


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
