"""One process, several, or a cluster: the same cases are finished, each once, whatever happens on the way."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from executor_work import Squares

from napari_brain_tumor.cores import available_cores
from napari_brain_tumor.errors import ClusterError, UnreadableFileError, WorkerDiedError
from napari_brain_tumor.executors import (
    Advanced,
    Executor,
    Finished,
    PoolExecutor,
    SerialExecutor,
    Started,
    fitting_jobs,
    open_executor,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def finished(executor: Executor, work: Squares, count: int) -> dict[int, Finished[Any]]:
    events = [event for event in executor.run(work, range(count)) if isinstance(event, Finished)]
    assert len(events) == len({event.number for event in events}), "a case was finished twice"
    return {event.number: event for event in events}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    # The processes of the workers find this module's helpers as pytest does.
    here = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
        with distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as local:
            yield local


@pytest.fixture(params=["serial", "pool", "cluster"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "serial":
        yield SerialExecutor()
    elif request.param == "pool":
        yield PoolExecutor(2)
    else:
        distributed = pytest.importorskip("distributed")
        with distributed.Client(request.getfixturevalue("cluster")) as client, open_executor(client=client) as made:
            yield made


def test_every_case_is_finished_once_and_a_bad_one_does_not_stop_the_others(executor: Executor, tmp_path: Path) -> None:
    events = finished(executor, Squares(tmp_path, bad=3), 9)
    assert sorted(events) == list(range(9))
    assert {n: e.result[0] for n, e in events.items() if e.result} == {n: n**2 for n in range(9) if n != 3}
    assert isinstance(events[3].error, UnreadableFileError)
    assert "3 is a bad case" in str(events[3].error)
    assert len(list(tmp_path.iterdir())) == 8


def test_no_cases_are_no_events(executor: Executor, tmp_path: Path) -> None:
    assert finished(executor, Squares(tmp_path), 0) == {}


def test_one_process_reports_each_case_from_beginning_to_end(tmp_path: Path) -> None:
    kinds = [(type(event), event.number) for event in SerialExecutor().run(Squares(tmp_path), range(2))]
    assert kinds == [(kind, number) for number in range(2) for kind in (Started, Advanced, Finished)]


def test_the_next_case_is_read_while_one_is_computed(tmp_path: Path) -> None:
    class Slow(Squares):
        def read(self, number: int) -> int:
            time.sleep(0.3)
            return number

    began = time.monotonic()
    assert len(finished(SerialExecutor(), Slow(tmp_path, seconds=0.3), 4)) == 4
    assert time.monotonic() - began < 0.3 * 8 - 0.3


def test_a_pool_keeps_its_processes_and_shares_out_the_cores(tmp_path: Path) -> None:
    results = [event.result for event in finished(PoolExecutor(2), Squares(tmp_path, seconds=0.05), 10).values()]
    assert len({pid for _, pid, _ in results}) == 2
    assert {int(threads) for *_, threads in results} == {max(1, available_cores() // 2)}
    assert fitting_jobs() >= 1


@posix
def test_a_case_whose_process_was_lost_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    lost_once = Squares(tmp_path / "once", kills=2)
    lost_ever = Squares(tmp_path / "ever", kills=2, lives=99)
    for work in (lost_once, lost_ever):
        work.folder.mkdir()
    events = finished(PoolExecutor(2), lost_once, 6)
    assert [events[n].result[0] for n in range(6)] == [n**2 for n in range(6)]
    assert len(list(lost_once.runs(2))) == 2
    events = finished(PoolExecutor(2), lost_ever, 4)
    assert [events[n].result[0] for n in (0, 1, 3)] == [0, 1, 9]
    assert isinstance(events[2].error, WorkerDiedError)
    assert "tried 3 times" in str(events[2].error)
    assert len(list(lost_ever.runs(2))) == 3


def test_stopping_a_pool_ends_its_processes(tmp_path: Path) -> None:
    with closing(PoolExecutor(2).run(Squares(tmp_path, seconds=30), range(4))) as events:
        while not isinstance(next(events), Advanced):
            pass
        began = time.monotonic()
    assert time.monotonic() - began < 5


@pytest.mark.slow
@posix
def test_cases_of_a_killed_worker_are_done_by_another_one(cluster: Any, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.Client(cluster) as client, open_executor(client=client) as executor:
        victim = next(iter(client.run(os.getpid).values()))
        results: dict[int, Finished[Any]] = {}
        for event in executor.run(Squares(tmp_path, seconds=0.2), range(12)):
            assert isinstance(event, Finished)
            assert event.number not in results
            results[event.number] = event
            if len(results) == 2:
                os.kill(victim, signal.SIGKILL)
        assert {n: e.result[0] for n, e in results.items()} == {n: n**2 for n in range(12)}
        assert len({e.result[1] for e in results.values()}) >= 2


@posix
@pytest.mark.slow
def test_a_case_that_ends_every_worker_is_given_up_and_the_others_are_done(cluster: Any, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    work = Squares(tmp_path, kills=1, lives=99)
    with distributed.Client(cluster) as client, open_executor(client=client) as executor:
        events = finished(executor, work, 4)
    assert len(list(work.runs(1))) == 3
    assert [events[n].result[0] for n in (0, 2, 3)] == [0, 4, 9]
    assert isinstance(events[1].error, WorkerDiedError)
    assert "memory ran out" in str(events[1].error)


def test_workers_that_do_not_see_the_files_are_said_before_the_work(cluster: Any, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    hidden = Hidden(tmp_path)
    with (
        distributed.Client(cluster) as client,
        open_executor(client=client) as executor,
        pytest.raises(ClusterError, match="every machine has under the same path"),
    ):
        finished(executor, hidden, 2)


class Hidden(Squares):
    """Its cases lie where only the process of the test can see them."""

    def place(self, number: int) -> Path:
        return Path("/proc/self/task") / str(os.getpid())


def test_a_scheduler_that_does_not_answer_is_said() -> None:
    pytest.importorskip("distributed")
    from napari_brain_tumor.executors.cluster import connect

    with pytest.raises(ClusterError, match="dask scheduler"):
        connect("tcp://127.0.0.1:9", timeout_s=0.5)


@pytest.mark.parametrize("given", [{"jobs": 2, "scheduler": "tcp://a:1"}, {"scheduler": "tcp://a:1", "slurm": Path()}])
def test_two_places_at_once_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ClusterError, match="Use only one of"), open_executor(**given):
        pass


def test_the_number_of_workers_and_the_dashboard_are_announced(cluster: Any) -> None:
    cluster.wait_for_workers(2, timeout=60)  # the tests before this one kill some, which come back
    lines: list[str] = []
    with open_executor(scheduler=cluster.scheduler_address, announce=lines.append):
        pass
    assert len(lines) == 1
    assert cluster.scheduler_address in lines[0]
    assert "2 workers" in lines[0]
    assert "Dashboard" in lines[0]
