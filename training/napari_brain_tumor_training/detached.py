"""Start a training in a separate process that outlives the one that started it; does not import torch."""

import os
import subprocess
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.interpreter import module_command, safe_environment
from napari_brain_tumor.io.json_file import write_document
from napari_brain_tumor.requests.quoting import install_command
from napari_brain_tumor.requests.train import TrainRequest as RunRequest
from napari_brain_tumor_training.run_status import STATUS_FILE, Run, attach, tell_starting

__all__ = ["RunRequest"]

REQUEST_FILE: Final = "run.json"
LOG_FILE: Final = "train.log"
_NEEDED: Final = ("monai",)


def missing_packages() -> list[str]:
    """Return the packages that training needs and that are not installed."""
    return [name for name in _NEEDED if find_spec(name) is None]


def start_run(request: RunRequest, folder: Path) -> Run:
    """Start a training in a process that continues when this one ends.

    Parameters
    ----------
    request : RunRequest
        Describes the training.
    folder : Path
        Folder of the run; must not contain a run yet.

    Raises
    ------
    TrainingError
        If the folder contains a run, a package is missing or no process can be started.
    SaveError
        If the folder cannot be written.
    """
    if any((folder / name).exists() for name in (REQUEST_FILE, STATUS_FILE)):
        raise TrainingError(f"{folder} already holds a training run. Resume it or choose another folder.")
    start = request.start_from
    absolute = request.model_copy(
        update={
            "source": request.source.resolve(),
            "data": request.data and request.data.resolve(),
            "start_from": str(Path(start).resolve()) if start and Path(start).is_dir() else start,
        }
    )
    write_document(folder / REQUEST_FILE, absolute)
    return _launch(folder)


def resume_run(folder: Path) -> Run:
    """Resume a run that was stopped, failed or died, in a new process.

    Raises
    ------
    TrainingError
        If it is still running, was not started by `start_run`, or no process can be started.
    """
    read_request(folder)
    if (folder / STATUS_FILE).exists() and attach(folder).status.is_alive:
        raise TrainingError(f"The run in {folder} is still running. Stop it first, or just watch it.")
    return _launch(folder)


def read_request(folder: Path) -> RunRequest:
    """Return the request of a run; raises `TrainingError` if it was not started by `start_run`."""
    path = folder / REQUEST_FILE
    try:
        return RunRequest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{folder} has no {REQUEST_FILE}: that run was not started detached. Resume it as it was started."
        raise TrainingError(msg) from error
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise TrainingError(f"{path} cannot be read: {error}. Start the training again in another folder.") from error


def _launch(folder: Path) -> Run:
    missing = missing_packages()
    if missing:
        raise TrainingError(
            f"Training needs {', '.join(missing)}, which is not installed. Install it with: {install_command(missing)}"
        )
    command = module_command("napari_brain_tumor_training.run_process", str(folder.resolve()))
    try:
        with (folder / LOG_FILE).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=safe_environment(),
                **_detached(),
            )
    except OSError as error:
        msg = f"No process could be started for {folder}: {error.strerror or error}. Free some space or memory."
        raise TrainingError(msg) from error
    # Written only now because it contains the pid; the new process waits for it before writing its own status.
    tell_starting(folder, process.pid, folder.name)
    # As long as this process lives, it has to reap the child when that ends.
    threading.Thread(target=process.wait, daemon=True).start()
    return attach(folder)


def _detached() -> dict[str, Any]:
    if os.name == "nt":
        flags = "CREATE_NEW_PROCESS_GROUP", "DETACHED_PROCESS", "CREATE_BREAKAWAY_FROM_JOB"
        return {"creationflags": sum(getattr(subprocess, flag) for flag in flags)}
    return {"start_new_session": True}
