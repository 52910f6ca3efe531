"""Save and restore the state of a run and its best weights, so that it can be resumed; files are written atomically."""

import json
import zipfile
from pathlib import Path
from typing import Any

import torch

from napari_brain_tumor.errors import SaveError, TrainingError, attempted
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.models.tensor_file import check_archive
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.trainer import Best, Trainer

STATE_FILE = "state.pt"
BEST_FILE = "best.pt"


def save_state(trainer: Trainer, folder: Path) -> None:
    """Save everything that changes except the best weights; on failure, raises `SaveError` and keeps the old file."""
    state = {
        "config": trainer.config.model_dump_json(),
        "processes": trainer.group.size,
        "epoch": trainer.epoch,
        "iteration": trainer.iteration,
        "total_loss": trainer.total_loss,
        "seconds": trainer.seconds,
        "overlap": trainer.overlap,
        "history": json.dumps(trainer.history),
        "network": trainer.network.state_dict(),
        "average": trainer.average.state_dict(),
        "optimiser": trainer.optimiser.state_dict(),
        "scaler": trainer.scaler.state_dict(),
    }
    _write(folder / STATE_FILE, state)


def save_best(best: Best, folder: Path) -> None:
    """Save the best weights; on failure, raises `SaveError` and keeps the old file."""
    content = {"score": best.score, "epoch": best.epoch, "row": json.dumps(best.row), "weights": best.weights}
    _write(folder / BEST_FILE, content)


def restore(trainer: Trainer, folder: Path, *, resume: bool) -> None:
    """Restore the state from the folder; never silently restarts in a folder that contains a run.

    Raises
    ------
    TrainingError
        If the folder contains a run and `resume` is false, its recipe differs, or its state cannot be read.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return
    if not resume:
        raise TrainingError(f"{folder} already holds a training run. Resume it (--resume) or choose another folder.")
    state = _read(path, trainer.device)
    changed = trainer.config.differences(TrainConfig.model_validate_json(state["config"]))
    if changed:
        msg = f"The recipe changed since the run in {folder} began ({', '.join(changed)}). Start it in a new folder."
        raise TrainingError(msg)
    processes = state.get("processes", 1)
    if processes != trainer.group.size:
        raise TrainingError(
            f"The run in {folder} is one of {processes} processes, and {trainer.group.size} of them resume it, whose "
            f"batches would be others. Resume it with {processes}, or start in a new folder."
        )
    trainer.network.load_state_dict(state["network"])
    trainer.average.load_state_dict(state["average"])
    trainer.optimiser.load_state_dict(state["optimiser"])
    trainer.epoch = state["epoch"]
    trainer.history = json.loads(state["history"])
    if "iteration" in state:  # runs of the first version were only saved between epochs
        trainer.iteration, trainer.total_loss = state["iteration"], state["total_loss"]
        trainer.seconds, trainer.overlap = state["seconds"], state["overlap"].cpu()
        trainer.scaler.load_state_dict(state["scaler"])
    if (folder / BEST_FILE).is_file():
        best = _read(folder / BEST_FILE, torch.device("cpu"))
        trainer.best = Best(best["score"], best["epoch"], json.loads(best["row"]), best["weights"])


def _write(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, lambda part: torch.save(content, part), _check)


def _check(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise SaveError(f"{path} was not written as a whole.")


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    with attempted() as reading:
        check_archive(path)
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        return content
    msg = f"{path} cannot be read: {reading.error}. The run cannot be resumed: delete its folder and start it again."
    raise TrainingError(msg) from reading.error
