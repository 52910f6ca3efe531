"""The status that a training process writes to its run's folder, and how others read it; does not import torch."""

import csv
import hashlib
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from napari_brain_tumor.errors import CancelledError, SaveError, TrainingError
from napari_brain_tumor.io.json_file import write_document
from napari_brain_tumor.progress import Job, Progress

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
RunState = Literal["starting", "running", "finished", "stopped", "failed", "died"]

STATUS_FILE: Final = "status.json"
STOP_FILE: Final = "stop"
LOCK_FILE: Final = "status.lock"
HISTORY_FILE: Final = "history.csv"
_WRITE_SECONDS: Final = 0.5
_START_SECONDS: Final = 60
_LOCK_SECONDS: Final = 5
_OF_EPOCH: Final = re.compile(r"epoch (\d+) of (\d+), loss (\S+)$")
"""Progress message of a step, as formatted by `Trainer.train_epoch`."""
_REGION: Final = re.compile(r"(?P<set>.+) (?:WT|TC|ET)")


def machine_mark() -> str:
    """Return a text that identifies this machine but hides its name, because folders of runs may be passed on."""
    return hashlib.sha256(f"run status {socket.gethostname()}".encode()).hexdigest()[:12]


class RunStatus(BaseModel, extra="forbid", frozen=True):
    """Status of a run, as last written by its process.

    Times are in UTC. `epoch` counts from 1 and is 0 before the first. The state `died` is never written, only detected.
    """

    state: RunState
    pid: int
    host: str
    """Anonymous identifier of the machine; runs of earlier versions contain its name."""
    started: datetime
    updated: datetime
    title: str = ""
    message: str = ""
    """Current activity."""
    reason: str = ""
    """Why the run stopped, failed or is believed dead."""
    fraction: float = 0.0
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    best_dice: float | None = None
    """Mean Dice over regions and sets of the best validation so far."""
    remaining_seconds: float | None = None
    installed: str = ""
    """Name of the finished model in the model list."""

    @property
    def is_alive(self) -> bool:
        """Whether the process is running."""
        return self.state in ("starting", "running")

    @property
    def is_of_this_machine(self) -> bool:
        """Whether the process was started on this machine; only there can it be checked whether it is alive."""
        return self.host in (machine_mark(), socket.gethostname())


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of a run and its status."""

    folder: Path
    status: RunStatus


def attach(folder: Path) -> Run:
    """Return the run in a folder, no matter who started it; reported as `died` if its process ended unexpectedly.

    Raises
    ------
    TrainingError
        If there is no run, or its status cannot be read.
    """
    status = _read(folder)
    if not status.is_alive or not status.is_of_this_machine or _is_held(folder):
        return Run(folder, status)
    # Between the two checks the process may have ended normally.
    status = _read(folder)
    if status.state == "starting" and _may_still_start(status):
        return Run(folder, status)
    if not status.is_alive:
        return Run(folder, status)
    reason = (
        f"Its process {status.pid} ended unexpectedly: it was killed, ran out of memory or the machine went down. "
        "Resume continues from the last save."
    )
    return Run(folder, status.model_copy(update={"state": "died", "reason": reason, "remaining_seconds": None}))


def list_runs(parent: Path) -> list[Run]:
    """Return the runs in a folder, newest first, without those whose status cannot be read."""
    folders = [path.parent for path in parent.glob(f"*/{STATUS_FILE}")] if parent.is_dir() else []
    runs = []
    for folder in folders:
        try:
            runs.append(attach(folder))
        except TrainingError as error:
            logger.warning("%s", error)
    return sorted(runs, key=lambda run: run.status.started, reverse=True)


def request_stop(folder: Path) -> None:
    """Ask the process of a run to stop after its current step, keeping its state and best weights.

    Raises
    ------
    TrainingError
        If no process is running there.
    """
    run = attach(folder)
    if not run.status.is_alive:
        raise TrainingError(f"The run in {folder} is {run.status.state}: there is nothing to stop.")
    (folder / STOP_FILE).touch()


def tell_starting(folder: Path, pid: int, title: str) -> None:
    """Write the status of a newly started process, and discard an earlier request to stop."""
    now = datetime.now(UTC)
    _write(folder, RunStatus(state="starting", pid=pid, host=machine_mark(), started=now, updated=now, title=title))


def watched(
    job: Job[Result], folder: Path, title: str = "", installed_as: Callable[[Result], str] | None = None
) -> Job[Result]:
    """Wrap a job so that it writes its status to the folder, and stops when `request_stop` asks it to.

    Parameters
    ----------
    job : generator
        A job such as `fit`; it is closed when it has to stop, so that it saves its work.
    folder : Path
        Folder of the run.
    title : str
        Displayed title.
    installed_as : callable, optional
        Returns the name in the model list, given the job's result.

    Raises
    ------
    CancelledError
        If the run was asked to stop.
    TrainingError
        If another process works in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder):
        (folder / STOP_FILE).unlink(missing_ok=True)
        with _Teller(folder, title) as teller:
            result = yield from _until_asked(job, folder, teller)
        teller.end("finished", installed=installed_as(result) if installed_as is not None else "")
        return result


def read_history(folder: Path) -> list[dict[str, float]]:
    """Return the rows of a run's history, without empty cells; an empty list before its first epoch."""
    try:
        with (folder / HISTORY_FILE).open(newline="", encoding="utf-8") as file:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, csv.Error, AttributeError) as error:
        msg = f"The history in {folder} cannot be read: {error}. The run itself is not affected."
        raise TrainingError(msg) from error


def mean_dice(row: dict[str, float]) -> float | None:
    """Return a row's mean validation Dice over regions and sets; None if the epoch was not validated."""
    matches = [(_REGION.fullmatch(key), value) for key, value in row.items()]
    values = [value for match, value in matches if match is not None and match["set"] != "train"]
    return sum(values) / len(values) if values else None


def best_dice(rows: list[dict[str, float]]) -> float | None:
    """Return the highest mean validation Dice of the rows."""
    return max((value for value in map(mean_dice, rows) if value is not None), default=None)


class _Teller:
    """Write the status, at most twice a second; failure to write it never ends a run."""

    def __init__(self, folder: Path, title: str) -> None:
        self._folder = folder
        self._told = self._pace_since = -float("inf")
        self._pace_from: float | None = None
        now = datetime.now(UTC)
        self._status = RunStatus(
            state="running", pid=os.getpid(), host=machine_mark(), started=now, updated=now, title=title
        )
        self._tell(message="preparing")

    def __enter__(self) -> "_Teller":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        (self._folder / STOP_FILE).unlink(missing_ok=True)
        if isinstance(error, Exception):
            stopped = isinstance(error, CancelledError)
            self.end("stopped" if stopped else "failed", reason=str(error) or type(error).__name__)
        elif error is not None:
            self.end("stopped", reason="It was stopped by a signal or by the program that started it.")

    def step(self, progress: Progress) -> None:
        now = time.monotonic()
        of_epoch = _OF_EPOCH.match(progress.message)
        if of_epoch is not None and self._pace_from is None:
            self._pace_from, self._pace_since = progress.fraction, now
        if now - self._told < _WRITE_SECONDS:
            return
        self._told = now
        if of_epoch is None:
            self._tell(message=progress.message)
            return
        epoch, epochs, loss = int(of_epoch[1]), int(of_epoch[2]), float(of_epoch[3])
        if epoch != self._status.epoch:
            self._tell(best_dice=_best_so_far(self._folder))
        self._tell(
            message=progress.message,
            fraction=progress.fraction,
            epoch=epoch,
            epochs=epochs,
            loss=loss,
            remaining_seconds=self._left(progress.fraction, now),
        )

    def end(self, state: RunState, **more: Any) -> None:
        fraction = 1.0 if state == "finished" else self._status.fraction
        best = _best_so_far(self._folder)
        self._tell(state=state, message="", fraction=fraction, remaining_seconds=None, best_dice=best, **more)

    def _left(self, fraction: float, now: float) -> float | None:
        gained = fraction - (self._pace_from or 0.0)
        elapsed = now - self._pace_since
        return elapsed / gained * (1 - fraction) if gained > 0 and elapsed > 1 else None

    def _tell(self, **changes: Any) -> None:
        self._status = self._status.model_copy(update={**changes, "updated": datetime.now(UTC)})
        try:
            _write(self._folder, self._status)
        except SaveError as error:
            logger.warning("The status was not written: %s", error)


def _until_asked(job: Job[Result], folder: Path, teller: _Teller) -> Job[Result]:
    """Run the job to its end, or until the file that requests a stop appears."""
    try:
        while True:
            try:
                progress = next(job)
            except StopIteration as finished:
                result: Result = finished.value
                return result
            teller.step(progress)
            if (folder / STOP_FILE).exists():
                raise CancelledError("It was asked to stop. Resume continues from there.")
            yield progress
    finally:
        job.close()


def _best_so_far(folder: Path) -> float | None:
    try:
        return best_dice(read_history(folder))
    except TrainingError as error:
        logger.warning("%s", error)
        return None


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a lock that the system releases no matter how the process ends, so that reused pids cause no confusion."""
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=_LOCK_SECONDS)  # a process checking whether we are alive holds it for a moment
    except Timeout as error:
        raise TrainingError(f"Another process trains in {folder}. Wait for it, or choose another folder.") from error
    try:
        yield
    finally:
        lock.release()


def _is_held(folder: Path) -> bool:
    try:
        with FileLock(folder / LOCK_FILE, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return True  # somebody else's folder, where the lock cannot be checked: trust the written status


def _may_still_start(status: RunStatus) -> bool:
    """Whether a process that has not written a status yet may still be starting."""
    young = (datetime.now(UTC) - status.updated).total_seconds() < _START_SECONDS
    return young and (os.name == "nt" or _exists(status.pid))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _read(folder: Path) -> RunStatus:
    path = folder / STATUS_FILE
    try:
        return RunStatus.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{folder} holds no training run: it has no {STATUS_FILE}. Choose the folder that the run was given."
        raise TrainingError(msg) from error
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise TrainingError(f"{path} cannot be read: {error}. Resume the run to have it written again.") from error


def _write(folder: Path, status: RunStatus) -> None:
    write_document(folder / STATUS_FILE, status)
