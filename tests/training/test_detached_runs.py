"""Runs in processes of their own: started, watched, stopped, killed and resumed from another process."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from curated_phantoms import write_data
from typer.testing import CliRunner

from napari_brain_tumor.errors import CancelledError, TrainingError
from napari_brain_tumor.models.cards import list_models
from napari_brain_tumor.progress import Progress, run_job
from napari_brain_tumor_training import runs_command
from napari_brain_tumor_training.detached import RunRequest, read_request, resume_run, start_run
from napari_brain_tumor_training.run_status import (
    RunStatus,
    attach,
    best_dice,
    list_runs,
    machine_mark,
    read_history,
    request_stop,
    tell_starting,
    watched,
)
from napari_brain_tumor_training.runs_command import describe


def job(steps=3, error=None):
    for k in range(steps):
        yield Progress((k + 1) / steps, 2, f"epoch 1 of 2, loss {0.5 + k:.3f}")
    if error is not None:
        raise error
    return "model"


def until(folder, wanted, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run = attach(folder)
        if wanted(run.status):
            return run
        time.sleep(0.1)
    raise AssertionError(f"{run.status}\n{(folder / 'train.log').read_text()}")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def test_a_watched_job_tells_how_far_it_is_and_that_it_finished(tmp_path):
    seen = []
    assert run_job(watched(job(), tmp_path, "Mine", str), lambda _: seen.append(attach(tmp_path).status)) == "model"
    assert [s.state for s in seen] == ["running"] * 3
    assert (seen[0].epoch, seen[0].epochs, seen[0].loss, seen[0].pid) == (1, 2, 0.5, os.getpid())
    done = attach(tmp_path).status
    assert (done.state, done.title, done.installed, done.fraction) == ("finished", "Mine", "model", 1.0)


def test_a_job_that_fails_leaves_the_reason(tmp_path):
    with pytest.raises(TrainingError):
        run_job(watched(job(error=TrainingError("The loss became nan.")), tmp_path))
    assert attach(tmp_path).status.state == "failed"
    assert attach(tmp_path).status.reason == "The loss became nan."


def test_a_request_stops_a_job_after_its_step_and_closes_it(tmp_path):
    closed = []

    def closing():
        try:
            yield from job(100)
        finally:
            closed.append(True)

    watching = watched(closing(), tmp_path)
    next(watching)
    request_stop(tmp_path)
    with pytest.raises(CancelledError):
        next(watching)
    assert closed == [True]
    assert attach(tmp_path).status.state == "stopped"
    assert not (tmp_path / "stop").exists()
    with pytest.raises(TrainingError, match="nothing to stop"):
        request_stop(tmp_path)


def test_two_processes_do_not_train_in_one_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_brain_tumor_training.run_status._LOCK_SECONDS", 0.1)
    first = watched(job(), tmp_path)
    next(first)
    with pytest.raises(TrainingError, match="Another process trains"):
        next(watched(job(), tmp_path))
    first.close()
    assert attach(tmp_path).status.state == "stopped"


def test_a_pid_that_another_process_has_now_is_not_mistaken_for_the_run(tmp_path):
    now = datetime.now(UTC)
    status = RunStatus(state="running", pid=os.getpid(), host=socket.gethostname(), started=now, updated=now)
    (tmp_path / "status.json").write_text(status.model_dump_json())
    assert attach(tmp_path).status.state == "died"
    assert "Resume" in attach(tmp_path).status.reason
    # The name of a machine is that of an earlier version; what is written now does not tell it.
    (tmp_path / "status.json").write_text(status.model_copy(update={"host": machine_mark()}).model_dump_json())
    assert attach(tmp_path).status.state == "died"
    elsewhere = status.model_copy(update={"host": "another"})
    (tmp_path / "status.json").write_text(elsewhere.model_dump_json())
    assert attach(tmp_path).status.state == "running"


def test_status_does_not_tell_the_name_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "workstation-of-dr-smith")
    tell_starting(tmp_path, os.getpid(), "run")
    assert "smith" not in (tmp_path / "status.json").read_text()
    assert attach(tmp_path).status.is_of_this_machine
    assert "smith" not in describe(attach(tmp_path))


def test_a_process_that_never_came_up_is_told_as_dead(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    tell_starting(tmp_path, process.pid, "run")
    assert attach(tmp_path).status.state == "died"


def test_what_is_no_run_is_refused_and_left_out(tmp_path):
    with pytest.raises(TrainingError, match="holds no training run"):
        attach(tmp_path)
    (tmp_path / "ruined").mkdir()
    (tmp_path / "ruined" / "status.json").write_text('{"state": ')
    with pytest.raises(TrainingError, match="cannot be read"):
        attach(tmp_path / "ruined")
    assert list_runs(tmp_path) == list_runs(tmp_path / "absent") == []


def test_the_best_dice_is_that_of_validation(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,loss,train WT,set WT,set TC\n1,0.9,0.99,,\n2,0.5,0.99,0.6,0.4\n")
    assert read_history(tmp_path)[0] == {"epoch": 1, "loss": 0.9, "train WT": 0.99}
    assert best_dice(read_history(tmp_path)) == pytest.approx(0.5)


def test_reading_runs_needs_no_torch():
    code = "import sys, napari_brain_tumor_training.detached; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_detached_run_is_stopped_resumed_killed_and_finished(home):
    data, folder = write_data(home / "data"), home / "runs" / "one"
    start_run(RunRequest(source=data / "recipe.toml", device="cpu", epochs=400, validate_every=1), folder)
    with pytest.raises(TrainingError, match="already holds"):
        start_run(RunRequest(source=data / "recipe.toml"), folder)
    until(folder, lambda s: s.best_dice is not None)
    request_stop(folder)
    stopped = until(folder, lambda s: not s.is_alive).status
    assert stopped.state == "stopped"
    assert 1 <= stopped.epoch < 400
    assert (folder / "tiny" / "card.json").is_file()
    resume_run(folder)
    running = until(folder, lambda s: s.epoch > stopped.epoch).status
    with pytest.raises(TrainingError, match="still running"):
        resume_run(folder)
    os.kill(running.pid, signal.SIGKILL)
    assert "killed" in until(folder, lambda s: not s.is_alive, 10).status.reason
    (folder / "run.json").write_text(read_request(folder).model_copy(update={"epochs": 400}).model_dump_json())
    assert [run.status.state for run in list_runs(folder.parent)] == ["died"]


@pytest.mark.slow
def test_a_finished_run_is_in_the_model_list_at_once(home):
    data, folder = write_data(home / "data"), home / "runs" / "one"
    start_run(RunRequest(source=data / "recipe.toml", device="cpu", epochs=1), folder)
    done = until(folder, lambda s: not s.is_alive).status
    assert (done.state, done.reason) == ("finished", "")
    assert done.installed == "tiny"
    assert "tiny" in [model.name for model in list_models()]
    told = CliRunner().invoke(runs_command.app, ["list", str(folder.parent)]).output
    assert "finished" in told
    assert "model list as tiny" in CliRunner().invoke(runs_command.app, ["show", str(folder)]).output
    refused = CliRunner().invoke(runs_command.app, ["stop", str(folder)])
    assert refused.exit_code == 1


@pytest.mark.slow
def test_a_run_that_cannot_start_says_why(home):
    folder = home / "runs" / "one"
    start_run(RunRequest(source=home / "absent.toml", device="cpu"), folder)
    failed = until(folder, lambda s: not s.is_alive).status
    assert failed.state == "failed"
    assert "absent.toml" in failed.reason
