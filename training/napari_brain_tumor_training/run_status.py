"""What a training process tells of itself in its run's folder, and how others read it; without torch."""

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
"""The message of a step: `Trainer.train_epoch` makes it."""
_REGION: Final = re.compile(r"(?P<set>.+) (?:WT|TC|ET)")


def machine_mark() -> str:
    """The same text on the same machine, another one elsewhere: folders of runs are handed on, its name is not."""
    return hashlib.sha256(f"run status {socket.gethostname()}".encode()).hexdigest()[:12]


class RunStatus(BaseModel, extra="forbid", frozen=True):
    """How far a run is, as its process wrote it last.

    Times are in UTC; `epoch` counts from 1 and is 0 before the first; `died` is never written, only found.
    """

    state: RunState
    pid: int
    host: str
    """A mark of the machine that does not tell its name; runs of earlier versions have the name."""
    started: datetime
    updated: datetime
    title: str = ""
    message: str = ""
    """What it does now."""
    reason: str = ""
    """Why it stopped, failed or is believed dead."""
    fraction: float = 0.0
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    best_dice: float | None = None
    """Mean Dice of the best validation so far, over regions and sets."""
    remaining_seconds: float | None = None
    installed: str = ""
    """Name under which the finished model is in the model list."""

    @property
    def is_alive(self) -> bool:
        """Whether its process is at work."""
        return self.state in ("starting", "running")

    @property
    def is_of_this_machine(self) -> bool:
        """Whether its process was started on this machine, where alone one can see if it lives."""
        return self.host in (machine_mark(), socket.gethostname())


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder and its status."""

    folder: Path
    status: RunStatus


def attach(folder: Path) -> Run:
    """The run in a folder, whoever started it; a process that ended without a word is told as `died`.

    Raises
    ------
    TrainingError
        If there is no run, or its status cannot be read.
    """
    status = _read(folder)
    if not status.is_alive or not status.is_of_this_machine or _is_held(folder):
        return Run(folder, status)
    # Between the two looks the process may have ended as it should.
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
    """The runs in a folder, the newest first; those whose status cannot be read are left out."""
    folders = [path.parent for path in parent.glob(f"*/{STATUS_FILE}")] if parent.is_dir() else []
    runs = []
    for folder in folders:
        try:
            runs.append(attach(folder))
        except TrainingError as error:
            logger.warning("%s", error)
    return sorted(runs, key=lambda run: run.status.started, reverse=True)


def request_stop(folder: Path) -> None:
    """Ask the process of a run to stop after its present step; it keeps state and best weights.

    Raises
    ------
    TrainingError
        If nothing runs there.
    """
    run = attach(folder)
    if not run.status.is_alive:
        raise TrainingError(f"The run in {folder} is {run.status.state}: there is nothing to stop.")
    (folder / STOP_FILE).touch()


def tell_starting(folder: Path, pid: int, title: str) -> None:
    """Write the status of a process that was just started, and forget an earlier wish to stop."""
    now = datetime.now(UTC)
    _write(folder, RunStatus(state="starting", pid=pid, host=machine_mark(), started=now, updated=now, title=title))


def watched(
    job: Job[Result], folder: Path, title: str = "", installed_as: Callable[[Result], str] | None = None
) -> Job[Result]:
    """The same job, which tells in its folder how far it is, and stops where `request_stop` asks.

    Parameters
    ----------
    job : generator
        Such as `fit`; it is closed, and so keeps what it has, when it is to stop.
    folder : Path
        Of the run.
    title : str
        For people.
    installed_as : callable, optional
        The name in the model list, from the job's result.

    Raises
    ------
    CancelledError
        If someone asked it to stop.
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
    """The rows of a run's history, without the cells that are empty; none before its first epoch."""
    try:
        with (folder / HISTORY_FILE).open(newline="", encoding="utf-8") as file:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, csv.Error, AttributeError) as error:
        msg = f"The history in {folder} cannot be read: {error}. The run itself is not affected."
        raise TrainingError(msg) from error


def mean_dice(row: dict[str, float]) -> float | None:
    """Mean validation Dice of a row of the history, over regions and sets; None where it was not validated."""
    matches = [(_REGION.fullmatch(key), value) for key, value in row.items()]
    values = [value for match, value in matches if match is not None and match["set"] != "train"]
    return sum(values) / len(values) if values else None


def best_dice(rows: list[dict[str, float]]) -> float | None:
    """The best of the rows' mean validation Dice."""
    return max((value for value in map(mean_dice, rows) if value is not None), default=None)


class _Teller:
    """Writes the status, at most twice a second; a status that cannot be written never ends a run."""

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
    """The job until its end, or until the file that asks it to stop is there."""
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
    """A lock that the system takes back however the process ends, so that no pid is mistaken for another's."""
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=_LOCK_SECONDS)  # someone who looks whether we live holds it for a moment
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
        return True  # a folder of somebody else's, that tells nothing: believe what is written


def _may_still_start(status: RunStatus) -> bool:
    """Whether a process that has not said anything yet is still coming up."""
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
