"""Many cases from Python: whole results, one table, nothing twice, whatever is lost on the way."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_brain_tumor import measure_many, segment_many
from napari_brain_tumor.batch import BatchRows, CaseRow, CaseTable, SegmentWork
from napari_brain_tumor.batch.targets import task_of
from napari_brain_tumor.errors import ModelNotFoundError
from napari_brain_tumor.measure.examination import Examination
from napari_brain_tumor.progress import Progress, run_job
from napari_brain_tumor.requests.segment import SegmentRequest

BY_THRESHOLD = SegmentRequest(model="threshold")
AFFINE = np.diag([-2.0, -2.0, 4.0, 1.0])


def write_case(folder: Path, seed: int) -> Path:
    """A bright spot in a head, which the method `threshold` segments in a moment."""
    x, y, z = np.ogrid[:36, :36, :18]
    head = ((x - 18) ** 2 + (y - 18) ** 2 + (2 * z - 18) ** 2 < 15**2) * 100.0
    head[10 : 16 + seed, 12:18, 6:10] = 260
    head += np.random.default_rng(seed).normal(0, 3, head.shape)
    folder.mkdir(parents=True)
    nib.save(nib.Nifti1Image(head.astype(np.float32), AFFINE), folder / f"{folder.name}_flair.nii.gz")
    return folder


@pytest.fixture
def cases(tmp_path: Path) -> list[Path]:
    made = [write_case(tmp_path / "cases" / name, seed) for seed, name in enumerate(("one", "two", "three"))]
    (tmp_path / "cases" / "torn").mkdir()
    (tmp_path / "cases" / "torn" / "torn_flair.nii.gz").write_bytes(b"torn")
    return [*made, tmp_path / "cases" / "torn"]


@pytest.fixture(params=["here", *(pytest.param(name, marks=pytest.mark.slow) for name in ("pool", "cluster"))])
def where(request: pytest.FixtureRequest) -> Iterator[dict[str, object]]:
    if request.param == "here":
        yield {}
    elif request.param == "pool":
        yield {"jobs": 2}
    else:
        distributed = pytest.importorskip("distributed")
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
            distributed.Client(local) as client,
        ):
            yield {"client": client}


def test_many_cases_give_whole_results_and_one_table(
    cases: list[Path], tmp_path: Path, where: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    told: list[Progress] = []
    given = [case.relative_to(tmp_path) for case in cases]
    rows = segment_many(given, "out", "threshold", on_progress=told.append, **where)  # type: ignore[arg-type]
    assert [row.status for row in rows] == ["done", "done", "done", "failed"]
    assert rows[3].error
    assert told[-1].done == told[-1].total == 4
    assert sorted(p.name for p in out.glob("*.nii.gz")) == [f"{n}_segmentation.nii.gz" for n in ("one", "three", "two")]
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    with (out / "segmentation_results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["status"] for row in table] == ["done", "done", "done", "failed"]
    assert all(float(row["WT_ml"]) > 0 for row in table[:3])
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.nii.gz")}
    again = segment_many(cases, out, "threshold", skip_existing=True, **where)  # type: ignore[arg-type]
    assert [row.status for row in again] == ["skipped", "skipped", "skipped", "failed"]
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.nii.gz")} == before
    measured = measure_many(sorted(before), **where)  # type: ignore[arg-type]
    assert all(isinstance(one, Examination) for one in measured)


@pytest.mark.slow
def test_every_way_gives_the_same_labels(cases: list[Path], tmp_path: Path) -> None:
    for name, where in {"a": {}, "b": {"jobs": 2}}.items():
        segment_many(cases[:3], tmp_path / name, "threshold", **where)
    for path in (tmp_path / "a").glob("*.nii.gz"):
        other = nib.load(tmp_path / "b" / path.name)
        np.testing.assert_array_equal(np.asarray(nib.load(path).dataobj), np.asarray(other.dataobj))


def test_a_model_that_is_not_there_is_said_before_the_work(cases: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        segment_many(cases, tmp_path / "out", "no-such-model")
    assert not (tmp_path / "out").exists()


def test_a_result_whose_worker_was_lost_before_it_could_say_so_is_not_computed_again(
    cases: list[Path], tmp_path: Path
) -> None:
    work = SegmentWork(request=BY_THRESHOLD)
    task = task_of(cases[0], tmp_path / "one_segmentation.nii.gz")
    first = run_job(work.compute(task, work.read(task)))
    assert json.loads((tmp_path / "one_segmentation.json").read_text())["provenance"]["batch"] == work.batch
    opened = work.read(task)
    assert isinstance(opened, CaseRow)
    assert opened.status == "done"
    assert opened.volumes == first.row.volumes
    assert run_job(work.compute(task, opened)).row == opened
    other = replace(work, batch="another")
    assert other.read(task).status == "exists"  # type: ignore[union-attr]
    assert replace(other, skip_existing=True).read(task).status == "skipped"  # type: ignore[union-attr]


def test_a_result_that_another_batch_wrote_meanwhile_is_passed_over(cases: list[Path], tmp_path: Path) -> None:
    ours, theirs = SegmentWork(request=BY_THRESHOLD, skip_existing=True), SegmentWork(request=BY_THRESHOLD)
    task = task_of(cases[0], tmp_path / "one_segmentation.nii.gz")
    opened = ours.read(task)
    run_job(theirs.compute(task, theirs.read(task)))
    before = task.target.stat().st_mtime_ns
    assert run_job(ours.compute(task, opened)).row.status == "skipped"
    assert task.target.stat().st_mtime_ns == before


def test_the_table_of_thousands_of_cases_is_not_written_for_each_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = CaseTable(tmp_path / "table.csv")
    writes: list[int] = []
    original = CaseTable.write
    monkeypatch.setattr(CaseTable, "write", lambda self, rows: (writes.append(len(rows)), original(self, rows))[1])
    rows = BatchRows(2000, table)
    for number in reversed(range(2000)):
        rows.add(number, CaseRow(f"case{number:04d}", "done"))
    rows.write()
    rows.write()
    assert len(writes) < 20
    lines = (tmp_path / "table.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == [f"case{n:04d}" for n in range(2000)]
