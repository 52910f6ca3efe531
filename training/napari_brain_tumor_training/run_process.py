"""The training process, `python -m napari_brain_tumor_training.run_process FOLDER`, started by `detached`."""

import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from napari_brain_tumor.errors import BrainTumorError, CancelledError, TrainingError
from napari_brain_tumor.models.cards import ModelInfo, list_models, models_folder
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.default_recipe import recipe_of
from napari_brain_tumor_training.detached import RunRequest, read_request
from napari_brain_tumor_training.readiness import require_ready, why_not_ready
from napari_brain_tumor_training.run_cost import RunCost
from napari_brain_tumor_training.run_status import attach, watched
from napari_brain_tumor_training.stop_signals import StoppedError, run_until_stopped

__all__ = ["RunCost"]

logger = logging.getLogger(__name__)

INSTALLED_FILE: Final = "installed.txt"
_PARENT_SECONDS: Final = 5


def main(arguments: Sequence[str]) -> int:
    """Train according to the request in the folder, and return the exit code."""
    folder = Path(arguments[0])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    _wait_for_parent(folder)
    try:
        run_until_stopped(watched(_training(folder), folder, folder.name, str), lambda _: None)
    except CancelledError as stopped:
        logger.info("%s", stopped)
    except StoppedError as stopped:
        logger.info("%s", stopped)
        return stopped.exit_code
    except BrainTumorError as error:
        logger.error("%s", error)
        return 1
    return 0


def config_of(request: RunRequest) -> tuple[TrainConfig, Path]:
    """Return the recipe of a request, and the folder that its paths are relative to.

    Raises
    ------
    TrainingError
        If the recipe cannot be read or does not fit the request.
    DatasetError
        If the folder is not a data set.
    """
    root = request.source if request.source.is_dir() else request.data or request.source.parent
    return _with_settings(recipe_of(request), request), root


def configurations_job() -> Job[list[tuple[str, str, int]]]:
    """List the available networks (name, title, published dimensions), for a window without torch."""
    from napari_brain_tumor.models.configurations import CONFIGURATIONS

    yield Progress(0, 1)
    return [(name, configuration.title, configuration.dims) for name, configuration in CONFIGURATIONS.items()]


def estimate_job(request: str) -> Job[RunCost]:
    """Estimate the cost of a request (as JSON) on its device."""
    from napari_brain_tumor_training.estimate import estimate_cost, voxels_to_validate

    yield Progress(0, 1, "measuring one step")
    run_request = RunRequest.model_validate_json(request)
    config, root = config_of(run_request)
    cost = estimate_cost(config, run_request.device)
    validation = cost.seconds_per_voxel * voxels_to_validate(config, root)
    return RunCost(cost.steps, cost.device, cost.seconds_per_step * cost.steps + validation, cost.describe())


def install_job(folder: Path, name: str | None = None, *, anyway: bool = False) -> Job[str]:
    """Add a checkpoint to the model list under its own name, or a similar one if taken, and return that name.

    Parameters
    ----------
    folder : Path
        The checkpoint folder.
    name : str, optional
        Name of one of the user's own models to replace.
    anyway : bool
        Accept even weights that were hardly trained and never validated.

    Raises
    ------
    TrainingError
        If the weights were hardly trained and never validated.
    CheckpointError, SaveError
        If the checkpoint is damaged or cannot be copied.
    """
    from napari_brain_tumor.models.cards import find_model
    from napari_brain_tumor.models.packages import export_package, import_package

    yield Progress(0, 1, "adding the model to the list")
    if not anyway:
        require_ready(folder)
    model = find_model(folder)
    new_name = name or _free_name(model)
    with tempfile.TemporaryDirectory() as scratch:
        package = export_package(model, Path(scratch) / "model.zip")
        replaces = (models_folder() / new_name).is_dir()
        return import_package(package, name=new_name, replace=replaces).name


def _training(folder: Path) -> Job[str]:
    """Train, then add the model to the list, and return its name there."""
    from napari_brain_tumor_training.fit import fit

    yield Progress(0, 1, "preparing")
    request = read_request(folder)
    config, root = config_of(request)
    result = yield from fit(config, root, folder, device=request.device, resume=True)
    if not request.install:
        return ""
    reason = why_not_ready(result.model.card)
    if reason:
        logger.warning("It is not added to the list of models: %s", reason)
        return ""
    return (yield from install_result_job(result.model.folder, folder))


def install_result_job(checkpoint: Path, run_folder: Path, *, anyway: bool = False) -> Job[str]:
    """Add the result of a run to the list of models, replacing its earlier result; returns the name, as a job.

    Raises the same errors as `install_job`.
    """
    name = yield from install_job(checkpoint, _installed_before(run_folder), anyway=anyway)
    (run_folder / INSTALLED_FILE).write_text(name, encoding="utf-8")
    return name


def _with_settings(config: TrainConfig, request: RunRequest) -> TrainConfig:
    plan = {"epochs": request.epochs, "batch": request.batch, "learning_rate": request.learning_rate}
    return with_plan(config, validate_every=request.validate_every, **plan)


def with_plan(config: TrainConfig, *, validate_every: int | None = None, **plan: float | None) -> TrainConfig:
    """Return the recipe with other entries of `optimisation`, such as batch or learning_rate; None keeps an entry.

    Raises
    ------
    TrainingError
        If the entries are inconsistent.
    """
    entries: dict[str, Any] = config.model_dump(mode="json")
    entries["optimisation"] |= {key: value for key, value in plan.items() if value is not None}
    if validate_every is not None:
        entries["validate_every"] = validate_every
    try:
        return TrainConfig.model_validate(entries)
    except ValidationError as error:
        problems = "; ".join(e["msg"] for e in error.errors())
        raise TrainingError(f"These settings do not go together: {problems}.") from error


def _free_name(model: ModelInfo) -> str:
    used = {installed.name for installed in list_models()}
    names = (model.card.name if k == 1 else f"{model.card.name}-{k}" for k in range(1, len(used) + 2))
    return next(name for name in names if name not in used)


def _installed_before(folder: Path) -> str | None:
    """Return the name under which this run's earlier model was installed, so that the better one replaces it."""
    path = folder / INSTALLED_FILE
    name = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    return name if name and (models_folder() / name).is_dir() else None


def _wait_for_parent(folder: Path) -> None:
    """Wait until the parent process has written our pid, so that it does not overwrite our status later."""
    deadline = time.monotonic() + _PARENT_SECONDS
    while time.monotonic() < deadline:
        try:
            if attach(folder).status.pid == os.getpid():
                return
        except TrainingError:
            pass  # not written yet
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
