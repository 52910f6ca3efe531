"""Cases an hour with one and two workers, beside one another, and what the coordinator costs for thousands of cases.

    python benchmarks/many_cases.py [--cases 4] [--simulated 10000] [--rounds 1] [--side 160]

The cases are copies of the shipped sample. One worker and two take turns in one run, through the pool and through a
cluster of local processes; start-up is counted. The simulated cases do nothing: what they take is the coordinator's,
with rows, table and lines of the log.
"""

import argparse
import contextlib
import io
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from napari_brain_tumor import segment_many
from napari_brain_tumor.batch.case_table import CaseRow, CaseTable
from napari_brain_tumor.cli.batch import run_batch
from napari_brain_tumor.cli.outputs import plan_tasks
from napari_brain_tumor.executors import Executor, Finished, Started, open_executor
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.sample import sample_case_folder


class Nothing:
    """Does nothing with a case, and says that it is done."""

    def place(self, name: str) -> Path:
        return Path.cwd()

    def read(self, name: str) -> str:
        return name

    def compute(self, name: str, opened: str) -> Job[CaseRow]:
        yield Progress(1, 1)
        return CaseRow(name, "done", f"{name}.nii.gz", "none", seconds=0.0)


class Immediate:
    """Finishes every case at once: what is left is the cost of rows, table and lines."""

    parallel = True

    def run(self, work: Any, items: Sequence[Any]) -> Iterator[Any]:
        for number, item in enumerate(items):
            yield Started(number)
            yield Finished(number, CaseRow(item, "done", f"{item}.nii.gz", "none", seconds=0.0))


def simulated(executor: Executor, count: int, folder: Path) -> float:
    """Seconds that a batch of cases takes that cost nothing."""
    names = [f"case_{number:05d}" for number in range(count)]
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run_batch(
            executor,
            Nothing(),
            names,
            names,
            lambda _, row: row,
            CaseTable(folder / "table.csv"),
            doing="computing",
            past_tense="computed",
        )
    seconds = time.perf_counter() - began
    assert (folder / "table.csv").read_text().count("\n") == count + 1
    (folder / "table.csv").unlink()
    return seconds


@contextlib.contextmanager
def local_client(workers: int, threads: int) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=workers, threads_per_worker=threads, dashboard_address=None)
    with cluster, Client(cluster) as client:
        yield client


def segmented(cases: Sequence[Path], output: Path, way: str, workers: int) -> float:
    """Seconds for all cases, start-up counted."""
    began = time.perf_counter()
    if way == "pool":
        rows = segment_many(cases, output, "unet", "cpu", jobs=workers)
    else:
        with local_client(workers, max(1, 2 // workers)) as client:
            rows = segment_many(cases, output, "unet", "cpu", client=client)
    seconds = time.perf_counter() - began
    assert all(row.status == "done" for row in rows), rows
    shutil.rmtree(output)
    return seconds


def coordinator(count: int, folder: Path) -> dict[str, float]:
    """Seconds of each part of what is done with cases that cost nothing themselves."""
    places = [folder / f"case{n:05d}" for n in range(count)]
    began = time.perf_counter()
    plan_tasks(places, str(folder / "out/"))
    result = {"cases": count, "plan_s": round(time.perf_counter() - began, 2)}
    result["rows_table_lines_s"] = round(simulated(Immediate(), count, folder), 2)
    print(json.dumps(result), flush=True)
    with local_client(2, 1) as client, open_executor(client=client) as executor:
        result["through_the_cluster_s"] = round(simulated(executor, count, folder), 2)
    return result


def copies(folder: Path, count: int) -> list[Path]:
    return [shutil.copytree(sample_case_folder(), folder / f"case{n:03d}") for n in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--simulated", type=int, default=10_000)
    parser.add_argument("--ways", default="pool,cluster")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.simulated:
            print(json.dumps(coordinator(given.simulated, folder)), flush=True)
        cases = copies(folder / "cases", given.cases)
        for way in filter(None, given.ways.split(",")):
            hours: dict[int, list[float]] = {1: [], 2: []}
            for _ in range(given.rounds):
                for workers, seconds in hours.items():
                    seconds.append(segmented(cases, folder / "out", way, workers))
            told = {str(n): round(given.cases / statistics.median(s) * 3600) for n, s in hours.items()}
            print(json.dumps({"way": way, "cases_an_hour_by_workers": told}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
