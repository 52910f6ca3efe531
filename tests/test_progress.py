import pytest

from napari_brain_tumor.progress import Progress, run_job


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
