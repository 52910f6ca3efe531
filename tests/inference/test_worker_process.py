import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from napari_brain_tumor.errors import (
    BrainTumorError,
    CancelledError,
    MissingRolesError,
    OutOfMemoryError,
    WorkerDiedError,
)
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.progress import Progress, run_job

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(scope="module")
def worker():
    with WorkerProcess() as worker:
        yield worker


def test_job_yields_its_progress_and_returns_its_result(worker):
    seen = []
    result = run_job(worker.run("worker_tasks:count", 3), seen.append)
    assert result == 30
    assert seen == [Progress(0, 3, "step 0"), Progress(1, 3, "step 1"), Progress(2, 3, "step 2")]


def test_child_is_kept_warm_between_tasks(worker):
    first = run_job(worker.run("os:getpid"))
    assert run_job(worker.run("os:getpid")) == first == worker.pid
    assert first != __import__("os").getpid()


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_arrive_equal_and_writable(worker, order):
    array = np.asarray(np.random.default_rng(0).normal(size=(60, 70, 80)).astype(np.float32), order=order)
    result = run_job(worker.run("worker_tasks:doubled", array, offset=1))
    np.testing.assert_array_equal(result, array * 2 + 1)
    assert result.flags.writeable


def test_views_with_negative_strides_arrive_equal(worker):
    array = np.arange(24).reshape(2, 3, 4)[::-1, :, ::-1].transpose(2, 1, 0)
    np.testing.assert_array_equal(run_job(worker.run("worker_tasks:doubled", array)), array * 2)


def test_prints_in_the_child_do_not_disturb_the_messages(worker):
    assert run_job(worker.run("worker_tasks:noisy")) == "clean"


def test_our_errors_keep_type_and_message_and_the_child_lives_on(worker):
    pid = run_job(worker.run("os:getpid"))
    with pytest.raises(MissingRolesError, match="FLAIR is missing") as caught:
        run_job(worker.run("worker_tasks:fail_ours"))
    assert str(caught.value) == "FLAIR is missing"
    assert "fail_ours" in "".join(caught.value.__notes__)
    assert run_job(worker.run("os:getpid")) == pid


def test_errors_of_third_parties_become_ours(worker):
    with pytest.raises(BrainTumorError, match="StrangeError: odd"):
        run_job(worker.run("worker_tasks:fail_strange"))


def test_running_out_of_memory_is_told_as_such(worker):
    with pytest.raises(OutOfMemoryError, match="Memory ran out"):
        run_job(worker.run("worker_tasks:fail_memory"))


def test_unknown_target_is_an_error_of_the_task(worker):
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        run_job(worker.run("no_such_module:function"))


def test_death_of_the_child_is_told_with_its_code_and_the_next_task_gets_a_new_one(worker):
    with pytest.raises(WorkerDiedError, match="code 7"):
        run_job(worker.run("worker_tasks:die", 7))
    assert run_job(worker.run("worker_tasks:count", 1)) == 10


@posix
def test_killed_by_the_system_hints_at_memory(worker):
    with pytest.raises(WorkerDiedError, match=r"memory ran out \(signal 9\)"):
        run_job(worker.run("worker_tasks:kill_self"))


@pytest.mark.parametrize("task", ["sleep_steps", "deaf"])
def test_cancel_from_another_thread_acts_within_a_second(worker, task):
    if task == "deaf" and sys.platform == "win32":
        pytest.skip("signals of POSIX")
    job = worker.run(f"worker_tasks:{task}", 60)
    next(job)
    asked = []
    threading.Timer(0.1, lambda: (asked.append(time.monotonic()), job.cancel())).start()
    with pytest.raises(CancelledError):
        run_job(job)
    assert time.monotonic() - asked[0] < 2.0  # measured 0.03 s, and 0.45 s where the child does not listen
    assert run_job(worker.run("worker_tasks:count", 1)) == 10


def test_cancel_before_the_start_runs_nothing(worker):
    job = worker.run("worker_tasks:die", 1)
    job.cancel()
    with pytest.raises(CancelledError):
        run_job(job)


def test_second_task_waits_for_the_first_and_can_be_cancelled_while_it_waits(worker):
    first, second = worker.run("worker_tasks:sleep_steps", 60), worker.run("worker_tasks:count", 1)
    next(first)
    assert next(second).message == "Waiting for the previous job"
    second.cancel()
    with pytest.raises(CancelledError):
        next(second)
    assert next(first).message == "sleeping"  # the other's cancel does not touch it
    first.close()


def test_abandoned_job_does_not_leak_into_the_next(worker):
    job = worker.run("worker_tasks:count", 1000)
    next(job)
    job.close()
    assert run_job(worker.run("worker_tasks:noisy")) == "clean"


def test_close_ends_the_child_and_a_later_task_starts_a_new_one():
    worker = WorkerProcess()
    worker.start()
    process = worker._child.process
    worker.close()
    assert process.poll() is not None
    assert run_job(worker.run("worker_tasks:count", 1)) == 10
    worker.close()


@posix
def test_child_dies_with_its_parent_even_in_the_middle_of_a_task():
    script = (
        "import os; from napari_brain_tumor.inference.worker_process import WorkerProcess\n"
        "worker = WorkerProcess(); job = worker.run('worker_tasks:sleep_steps', 60); next(job)\n"
        "print(worker.pid, flush=True); os._exit(1)"
    )
    env = {**__import__("os").environ, "PYTHONPATH": __import__("os").path.dirname(__file__)}
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, timeout=60)
    assert _gone(int(out.stdout), within_s=5)


def test_module_loads_neither_torch_nor_qt():
    script = (
        "import sys, napari_brain_tumor.inference.worker_process as w\n"
        "from napari_brain_tumor.progress import run_job\n"
        "worker = w.WorkerProcess(); run_job(worker.run('os:getpid')); worker.close()\n"
        "print([m for m in ('torch', 'qtpy', 'napari') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "[]", out.stderr


def _gone(pid, within_s):
    import os

    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False
