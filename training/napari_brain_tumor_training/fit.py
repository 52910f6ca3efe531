"""Train a network from recipe to checkpoint, in a run that can be stopped at any moment and resumed."""

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from filelock import FileLock, Timeout

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.labels import Region
from napari_brain_tumor.models.cards import Calibration, Metrics, ModelInfo, find_model
from napari_brain_tumor.progress import Job, part_of
from napari_brain_tumor_training.calibrate import calibrations, count_logits, draw_reliability
from napari_brain_tumor_training.case_files import find_cases, sides_hash, split_hash
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.dataset import TrainingCase, load_cases
from napari_brain_tumor_training.evaluate import as_metrics, mean_scores, score_cases
from napari_brain_tumor_training.export import export_checkpoint
from napari_brain_tumor_training.folds import Fold, with_fold
from napari_brain_tumor_training.optimisation import learning_rate_at, torch_settings
from napari_brain_tumor_training.process_group import ProcessGroup, joined
from napari_brain_tumor_training.report import score_subsets, write_report
from napari_brain_tumor_training.run_files import (
    CURVES_FILE,
    HISTORY_FILE,
    BoardEvents,
    Row,
    write_curves,
    write_history,
)
from napari_brain_tumor_training.run_state import restore, save_best, save_state
from napari_brain_tumor_training.sample_pictures import SlicePictures
from napari_brain_tumor_training.sampling import sampler_for
from napari_brain_tumor_training.synthetic_source import make_synthetic_cases
from napari_brain_tumor_training.trainer import Best, Trainer
from napari_brain_tumor_training.validation_loss import validation_loss

__all__ = ["TrainingResult", "fit", "learning_rate_at", "loaded_cases"]

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

LOCK_FILE = "run.lock"
CACHE_FOLDER = "cache"
REPORT_FILE = "report.md"
RELIABILITY_FILE = "reliability.png"


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Result of a run: the checkpoint with the best weights, and the history with one row per epoch."""

    model: ModelInfo
    history: list[Row]


def fit(
    config: TrainConfig,
    data_root: Path,
    run_folder: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    epochs: int | None = None,
    max_minutes: float | None = None,
    fold: Fold | None = None,
    prepared: Path | None = None,
) -> Job[TrainingResult]:
    """Train the network of a recipe, as a job.

    The state is saved after each epoch, every `output.save_minutes` and when the job is closed; each file is written
    atomically. A run that was interrupted at any moment and resumed takes the same steps as an uninterrupted one; on
    the CPU, with `optimisation.deterministic` and the same number of threads, it ends with bitwise identical weights.
    Closing the job keeps the best weights so far as a checkpoint.

    At the end, the best weights are calibrated and scored with every subset of sequences, for the card and `report.md`.

    Processes started by torchrun form a single run: each runs the network on its own part of every batch, and the first
    one writes the files.

    Parameters
    ----------
    config : TrainConfig
        The recipe.
    data_root : Path
        Folder that the recipe's paths are relative to.
    run_folder : Path
        Folder for state, history, curves, pictures and checkpoints: the best as `<name>`, the last as `<name>-last`.
    device : str
        As in `segment`.
    resume : bool
        Continue from the state in the folder.
    epochs : int, optional
        Overrides the recipe's number of epochs.
    max_minutes : float, optional
        Stop after the epoch that exceeds this time; the checkpoint is written and the run can be resumed.
    fold : Fold, optional
        Validate on the patients of this fold, and train on the other patients of the training side.
    prepared : Path, optional
        Folder for the prepared cases, if several runs share them; the run's own folder if not given.

    Raises
    ------
    TrainingError
        If the folder contains a run and `resume` is False, the recipe has changed, another process trains in the
        folder, a case cannot be used, or the loss is not finite.
    OutOfMemoryError
        If a batch does not fit into memory.
    SaveError
        If a file cannot be written, for example because the disk is full; files written earlier remain valid.
    """
    run_folder.mkdir(parents=True, exist_ok=True)
    if fold is not None:
        # The name is recorded in state and card, so that no run is resumed as another fold.
        config = config.model_copy(update={"name": f"{config.name}-fold-{fold.number}"})
    plan = config.optimisation if epochs is None else config.optimisation.model_copy(update={"epochs": epochs})
    try:
        with (
            joined(device) as (group, own_device),
            FileLock(run_folder / LOCK_FILE, timeout=0) if group.is_first else nullcontext(),
            torch_settings(plan),
        ):
            trainer = Trainer.start(config, plan, own_device, group)
            restore(trainer, run_folder, resume=resume)
            # All folds of a cross-validation use the same prepared cases.
            shared = prepared or (run_folder if fold is None else run_folder.parent)
            return (yield from _fit(trainer, data_root, run_folder, shared, max_minutes, fold))
    except Timeout as error:
        msg = f"Another process trains in {run_folder}. Wait for it, or choose another folder."
        raise TrainingError(msg) from error


def loaded_cases(
    config: TrainConfig, data_root: Path, run_folder: Path, group: ProcessGroup | None = None, fold: Fold | None = None
) -> Job[list[TrainingCase]]:
    """Return the prepared cases of a recipe or of one fold, after making missing synthetic cases, as a job.

    With several processes, each prepares its share, and then all of them read everything from the run's cache.
    """
    group, cache = group or ProcessGroup(), run_folder / CACHE_FOLDER
    if group.is_first:
        for source in config.sources:
            if source.kind == "synthetic":
                yield from make_synthetic_cases(source, data_root)
    group.wait()
    cases = find_cases(config, data_root) if fold is None else with_fold(find_cases(config, data_root), fold)
    files = [case for case in cases if case.split in ("train", "val")]
    teacher = config.distillation.teacher if config.distillation else None
    if group.size > 1:
        yield from load_cases(group.share(files), config.roles, config.preprocessing, cache, teacher)
        group.wait()
    return (yield from load_cases(files, config.roles, config.preprocessing, cache, teacher))


def _fit(
    trainer: Trainer, data_root: Path, run_folder: Path, shared: Path, max_minutes: float | None, fold: Fold | None
) -> Job[TrainingResult]:
    config, group = trainer.config, trainer.group
    cases = yield from loaded_cases(config, data_root, shared, group, fold)
    files = [case.files for case in cases]
    split = split_hash(config, data_root, files) if fold is None else sides_hash(files)
    run = _Run(trainer, run_folder, cases, split, max_minutes)
    try:
        yield from run.go()
        if config.output.report and group.is_first:
            yield from run.report()
    except GeneratorExit:
        # The job is closed between two steps, so the work so far can be saved.
        if trainer.steps and group.is_first:
            run.save()
            run.export()
        raise
    except TrainingError:
        if trainer.best is not None and group.is_first:
            run.export()
        raise
    if group.is_first:
        run.export()
    group.wait()
    return TrainingResult(find_model(run_folder / config.name), trainer.history)


@dataclass(slots=True)
class _Run:
    """A run with its cases loaded: epochs, validations and the files written."""

    trainer: Trainer
    folder: Path
    cases: Sequence[TrainingCase]
    split_sha256: str
    max_minutes: float | None
    metrics: list[Metrics] = field(default_factory=list)
    """Metrics of the best weights, from the report; before the report, from their validation during training."""
    calibration: dict[Region, Calibration] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    def go(self) -> Job[None]:
        """Run the remaining epochs."""
        trainer, output = self.trainer, self.trainer.config.output
        sampler = sampler_for(trainer.config, self._side("train"))
        board = BoardEvents(self.folder, trainer.epoch + 1) if output.tensorboard and trainer.group.is_first else None
        try:
            yield from self._validation_of_start()
            while trainer.epoch < trainer.plan.epochs and not trainer.has_waited_enough:
                row = yield from self._saved_now_and_then(trainer.train_epoch(sampler))
                row |= yield from self._validation_loss(trainer.epoch + 1)
                row |= yield from self._validation(trainer.epoch + 1)
                self._finish_epoch(row)
                if board is not None:
                    board.add(row)
                late = self.max_minutes is not None and time.monotonic() - self.started > 60 * self.max_minutes
                if trainer.group.agreed(late):
                    logger.info("The time limit was reached after epoch %d; resume continues from here.", trainer.epoch)
                    return
            if trainer.has_waited_enough:
                logger.info("Validation did not improve for %s epochs: the run ends.", trainer.plan.patience)
        finally:
            if board is not None:
                board.close()

    def report(self) -> Job[None]:
        """Calibrate the best weights on the validation side, and score them with every subset of sequences."""
        trainer, best, validation = self.trainer, self.trainer.best, self._side("val")
        if best is None or not validation:
            return
        config, dims, device = trainer.config, trainer.config.model.dims, trainer.device
        network = deepcopy(trainer.average.module)
        network.load_state_dict(best.weights)
        epochs = trainer.plan.epochs
        counts = yield from _within_epoch(count_logits(network, dims, validation, device), trainer.epoch, epochs)
        calibration = calibrations(counts)
        draw_reliability(self.folder / RELIABILITY_FILE, counts, calibration)
        scoring = score_subsets(network, dims, config.roles, validation, device)
        metrics = yield from _within_epoch(scoring, trainer.epoch, epochs)
        write_report(self.folder / REPORT_FILE, f"{config.title}, epoch {best.epoch}", metrics, calibration)
        self.metrics, self.calibration = metrics, calibration

    def save(self) -> None:
        """Save the current state, between two steps."""
        save_state(self.trainer, self.folder)
        self.saved = time.monotonic()

    def export(self) -> ModelInfo:
        """Write the checkpoint of the best weights, and that of the last ones if they differ."""
        trainer, best = self.trainer, self.trainer.best
        last = trainer.average.module.state_dict()
        if best is None:
            return self._checkpoint(trainer.config.name, last, trainer.epoch, {})
        if best.epoch != trainer.epoch or trainer.iteration:
            self._checkpoint(f"{trainer.config.name}-last", last, trainer.epoch, {})
        return self._checkpoint(trainer.config.name, best.weights, best.epoch, best.row, is_best=True)

    def _saved_now_and_then(self, epoch: Job[Row]) -> Job[Row]:
        """Wrap the job of an epoch, saving the state whenever it is due."""
        while True:
            try:
                progress = next(epoch)
            except StopIteration as finished:
                row: Row = finished.value
                return row
            due = time.monotonic() - self.saved >= 60 * self.trainer.config.output.save_minutes
            if due and self.trainer.group.is_first:
                self.save()
            yield progress

    def _validation_loss(self, epoch: int) -> Job[Row]:
        """Compute the loss on the validation side; only in a group's first process, which writes the history."""
        trainer, validation = self.trainer, self._side("val")
        if not validation or not trainer.group.is_first:
            return {}
        return (yield from _within_epoch(validation_loss(trainer, validation), epoch, trainer.plan.epochs))

    def _validation(self, epoch: int) -> Job[Row]:
        """Compute the mean Dice of the averaged weights if validation is due, and keep the best weights."""
        trainer, validation = self.trainer, self._side("val")
        config = trainer.config
        if not validation or not (epoch % config.validate_every == 0 or epoch == trainer.plan.epochs):
            return {}
        pictures = SlicePictures(config.output.sample_slices)
        own = trainer.group.share(validation)
        scoring = score_cases(trainer.average.module, config.model.dims, own, trainer.device, pictures.observe)
        scores = yield from _within_epoch(scoring, epoch, trainer.plan.epochs)
        row = mean_scores(trainer.group.gathered(scores))
        if trainer.group.is_first:
            pictures.draw(self.folder / "samples" / f"epoch_{epoch:04d}.png")
        score = sum(row.values()) / len(row) if row else 0.0
        if trainer.best is None or score > trainer.best.score:
            weights = {name: t.detach().cpu().clone() for name, t in trainer.average.module.state_dict().items()}
            trainer.best = Best(score, epoch, row, weights)
            if trainer.group.is_first:
                save_best(trainer.best, self.folder)
        return row

    def _validation_of_start(self) -> Job[None]:
        """Validate the starting weights if the recipe asks for it; recorded as epoch 0 of the history."""
        if self.trainer.steps or self.trainer.history or not self.trainer.config.validate_start:
            return
        row = yield from self._validation(0)
        if row:
            self.trainer.history.append({"epoch": 0.0, **row})

    def _finish_epoch(self, row: Row) -> None:
        self.trainer.end_epoch(row)
        if not self.trainer.group.is_first:
            return
        self.save()
        write_history(self.folder / HISTORY_FILE, self.trainer.history)
        write_curves(self.folder / CURVES_FILE, self.trainer.history)
        logger.info("%s", "  ".join(f"{key} {value:.4g}" for key, value in row.items()))

    def _checkpoint(
        self, name: str, weights: dict[str, torch.Tensor], epoch: int, row: Row, *, is_best: bool = False
    ) -> ModelInfo:
        config = self.trainer.config
        metrics = as_metrics(row, self._side("val"), config.roles)
        return export_checkpoint(
            config,
            weights,
            self.folder / name,
            cases=len(self._side("train")),
            split_sha256=self.split_sha256,
            epochs=self.trainer.epoch,
            weights_of_epoch=epoch,
            metrics=self.metrics if is_best and self.metrics else metrics,
            calibration=self.calibration if is_best else None,
        )

    def _side(self, split: str) -> list[TrainingCase]:
        return [case for case in self.cases if case.files.split == split]


def _within_epoch(job: Job[Result], epoch: int, epochs: int) -> Job[Result]:
    """Wrap a job that follows an epoch, reporting its progress as that of the run."""
    return part_of(job, epoch / epochs, epoch / epochs)
