"""Train a network: one story from recipe to checkpoint, which can be stopped at any moment and resumed."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.inference.device import resolve_device
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor_training.case_files import find_cases, split_hash
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.dataset import TrainingCase, load_cases
from napari_brain_tumor_training.evaluate import CaseScore, as_metrics, mean_scores, score_cases
from napari_brain_tumor_training.export import export_checkpoint
from napari_brain_tumor_training.optimisation import learning_rate_at, torch_settings
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

__all__ = ["TrainingResult", "fit", "learning_rate_at", "loaded_cases"]

logger = logging.getLogger(__name__)

LOCK_FILE = "run.lock"
CACHE_FOLDER = "cache"


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run gave: the checkpoint with the best weights, and the history, one row an epoch."""

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
) -> Job[TrainingResult]:
    """Train the network of a recipe: a job.

    The state is saved after every epoch, after every `output.save_minutes`, and when the job is closed; each file as a
    whole or not at all. A run that was ended at any moment and resumed goes through the same steps as one that never
    was; on the CPU with `optimisation.deterministic` it ends with the same bits. Closing the job keeps the best weights
    so far as a checkpoint.

    Parameters
    ----------
    config : TrainConfig
        The recipe.
    data_root : Path
        Folder that the recipe's paths are relative to.
    run_folder : Path
        For state, history, curves, pictures and the checkpoints: the best as `<name>`, the last as `<name>-last`.
    device : str
        As for `segment`.
    resume : bool
        Go on from the state in the folder.
    epochs : int, optional
        Instead of the recipe's number.
    max_minutes : float, optional
        Stop after the epoch that exceeds it; the checkpoint is written and the run can be resumed.

    Raises
    ------
    TrainingError
        If the folder holds a run and `resume` was not asked for, the recipe changed since, another process trains
        there, a case cannot be used, or the loss is not finite.
    OutOfMemoryError
        If a batch does not fit into memory.
    SaveError
        If a file cannot be written, such as on a full disk; those that were written before are good.
    """
    run_folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(run_folder / LOCK_FILE, timeout=0):
            return (yield from _fit(config, data_root, run_folder, device, resume, epochs, max_minutes))
    except Timeout as error:
        msg = f"Another process trains in {run_folder}. Wait for it, or choose another folder."
        raise TrainingError(msg) from error


def loaded_cases(config: TrainConfig, data_root: Path, run_folder: Path) -> Job[list[TrainingCase]]:
    """The prepared cases of a recipe, with what is still missing of synthetic sources made: a job."""
    for source in config.sources:
        if source.kind == "synthetic":
            yield from make_synthetic_cases(source, data_root)
    files = [case for case in find_cases(config, data_root) if case.split in ("train", "val")]
    return (yield from load_cases(files, config.roles, config.preprocessing, run_folder / CACHE_FOLDER))


def _fit(
    config: TrainConfig,
    data_root: Path,
    run_folder: Path,
    device: str,
    resume: bool,
    epochs: int | None,
    max_minutes: float | None,
) -> Job[TrainingResult]:
    plan = config.optimisation if epochs is None else config.optimisation.model_copy(update={"epochs": epochs})
    with torch_settings(plan):
        trainer = Trainer.start(config, plan, resolve_device(device))
        restore(trainer, run_folder, resume=resume)
        cases = yield from loaded_cases(config, data_root, run_folder)
        files = [case.files for case in cases]
        run = _Run(trainer, run_folder, cases, split_hash(config, data_root, files), max_minutes)
        try:
            yield from run.go()
        except GeneratorExit:
            # Whoever closes the job does so between two steps: all that was done is worth keeping.
            if trainer.steps:
                run.save()
                run.export()
            raise
        except TrainingError:
            if trainer.best is not None:
                run.export()
            raise
        return TrainingResult(run.export(), trainer.history)


@dataclass(slots=True)
class _Run:
    """A run that has its cases: epochs, validations, and what is written of them."""

    trainer: Trainer
    folder: Path
    cases: Sequence[TrainingCase]
    split_sha256: str
    max_minutes: float | None
    started: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    def go(self) -> Job[None]:
        """Every epoch that is left."""
        trainer, output = self.trainer, self.trainer.config.output
        sampler = sampler_for(trainer.config, self._side("train"))
        board = BoardEvents(self.folder, trainer.epoch + 1) if output.tensorboard else None
        try:
            while trainer.epoch < trainer.plan.epochs and not trainer.has_waited_enough:
                row = yield from self._saved_now_and_then(trainer.train_epoch(sampler))
                row |= yield from self._validation(trainer.epoch + 1)
                self._finish_epoch(row)
                if board is not None:
                    board.add(row)
                if self.max_minutes is not None and time.monotonic() - self.started > 60 * self.max_minutes:
                    logger.info("The time is used up after epoch %d; resume goes on from here.", trainer.epoch)
                    return
            if trainer.has_waited_enough:
                logger.info("Validation did not get better for %s epochs: the run ends.", trainer.plan.patience)
        finally:
            if board is not None:
                board.close()

    def save(self) -> None:
        """Write the state as it is, between two steps."""
        save_state(self.trainer, self.folder)
        self.saved = time.monotonic()

    def export(self) -> ModelInfo:
        """Write the checkpoint of the best weights; beside it the last ones, where they are others."""
        trainer, best = self.trainer, self.trainer.best
        last = trainer.average.module.state_dict()
        if best is None:
            return self._checkpoint(trainer.config.name, last, trainer.epoch, {})
        if best.epoch != trainer.epoch or trainer.iteration:
            self._checkpoint(f"{trainer.config.name}-last", last, trainer.epoch, {})
        return self._checkpoint(trainer.config.name, best.weights, best.epoch, best.row)

    def _saved_now_and_then(self, epoch: Job[Row]) -> Job[Row]:
        """The job of an epoch, with the state saved whenever the last time is too long ago."""
        while True:
            try:
                progress = next(epoch)
            except StopIteration as finished:
                row: Row = finished.value
                return row
            if time.monotonic() - self.saved >= 60 * self.trainer.config.output.save_minutes:
                self.save()
            yield progress

    def _validation(self, epoch: int) -> Job[Row]:
        """Mean Dice of the averaged weights, where this epoch is due; keeps the best weights."""
        trainer, validation = self.trainer, self._side("val")
        config = trainer.config
        if not validation or not (epoch % config.validate_every == 0 or epoch == trainer.plan.epochs):
            return {}
        pictures = SlicePictures(config.output.sample_slices)
        scoring = score_cases(trainer.average.module, config.model.dims, validation, trainer.device, pictures.observe)
        scores = yield from _within_epoch(scoring, epoch, trainer.plan.epochs)
        row = mean_scores(scores)
        pictures.draw(self.folder / "samples" / f"epoch_{epoch:04d}.png")
        score = sum(row.values()) / len(row) if row else 0.0
        if trainer.best is None or score > trainer.best.score:
            weights = {name: t.detach().cpu().clone() for name, t in trainer.average.module.state_dict().items()}
            trainer.best = Best(score, epoch, row, weights)
            save_best(trainer.best, self.folder)
        return row

    def _finish_epoch(self, row: Row) -> None:
        self.trainer.end_epoch(row)
        self.save()
        write_history(self.folder / HISTORY_FILE, self.trainer.history)
        write_curves(self.folder / CURVES_FILE, self.trainer.history)
        logger.info("%s", "  ".join(f"{key} {value:.4g}" for key, value in row.items()))

    def _checkpoint(self, name: str, weights: dict[str, torch.Tensor], epoch: int, row: Row) -> ModelInfo:
        config = self.trainer.config
        return export_checkpoint(
            config,
            weights,
            self.folder / name,
            cases=len(self._side("train")),
            split_sha256=self.split_sha256,
            epochs=self.trainer.epoch,
            weights_of_epoch=epoch,
            metrics=as_metrics(row, self._side("val"), config.roles),
        )

    def _side(self, split: str) -> list[TrainingCase]:
        return [case for case in self.cases if case.files.split == split]


def _within_epoch(scoring: Job[list[CaseScore]], epoch: int, epochs: int) -> Job[list[CaseScore]]:
    """A validation whose progress is told as that of the run."""
    while True:
        try:
            progress = next(scoring)
        except StopIteration as finished:
            scores: list[CaseScore] = finished.value
            return scores
        yield Progress(epoch, epochs, progress.message)
