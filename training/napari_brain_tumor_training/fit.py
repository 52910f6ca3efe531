"""Train a network: one story from recipe to checkpoint, which can be stopped and resumed."""

import csv
import hashlib
import json
import logging
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.inference.device import resolve_device
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.models.cards import ModelInfo, find_model
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.models.registry import build_network
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor_training.augmentation import Augmentation
from napari_brain_tumor_training.config import OptimisationConfig, TrainConfig
from napari_brain_tumor_training.dataset import SliceSampler, TrainingCase, find_cases, load_cases
from napari_brain_tumor_training.evaluate import mean_scores, score_cases
from napari_brain_tumor_training.export import export_checkpoint
from napari_brain_tumor_training.losses import PartialRegionLoss

__all__ = ["TrainingResult", "fit", "learning_rate_at"]

logger = logging.getLogger(__name__)

STATE_FILE = "state.pt"
HISTORY_FILE = "history.csv"
LOCK_FILE = "run.lock"


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run gave: the checkpoint and the history, one row an epoch."""

    model: ModelInfo
    history: list[dict[str, float]]


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

    Every epoch draws its samples from a generator seeded by the run's seed and the epoch's number, so a run that was
    stopped and resumed sees what it would have seen. After each epoch the state and the history are written, whole
    or not at all.

    Parameters
    ----------
    config : TrainConfig
        The recipe.
    data_root : Path
        Folder that the recipe's paths are relative to.
    run_folder : Path
        For state, history and checkpoint.
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
        there, or the loss is not finite.
    """
    run_folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(run_folder / LOCK_FILE, timeout=0):
            return (yield from _fit(config, data_root, run_folder, device, resume, epochs, max_minutes))
    except Timeout as error:
        msg = f"Another process trains in {run_folder}. Wait for it, or choose another folder."
        raise TrainingError(msg) from error


def _fit(
    config: TrainConfig,
    data_root: Path,
    run_folder: Path,
    device: str,
    resume: bool,
    epochs: int | None,
    max_minutes: float | None,
) -> Job[TrainingResult]:
    started = time.monotonic()
    plan = config.optimisation if epochs is None else config.optimisation.model_copy(update={"epochs": epochs})
    target = resolve_device(device)
    trainer = _Trainer.start(config, plan, target)
    trainer.restore(run_folder, resume=resume)

    files = find_cases(config, data_root)
    cases = yield from load_cases(files, config.roles, config.preprocessing, run_folder / "cache")
    training = [case for case in cases if case.files.split == "train"]
    validation = [case for case in cases if case.files.split == "val"]
    sampler = SliceSampler(training, config.sources, config.patch, config.foreground_share)
    split_sha256 = hashlib.sha256((data_root / config.split).read_bytes()).hexdigest()

    while trainer.epoch < plan.epochs:
        row = yield from trainer.train_epoch(sampler)
        if trainer.epoch % config.validate_every == 0 or trainer.epoch == plan.epochs:
            yield Progress(trainer.epoch, plan.epochs, "validating")
            row |= trainer.validate(validation)
        trainer.history.append(row)
        trainer.save(run_folder)
        logger.info("%s", "  ".join(f"{key} {value:.4g}" for key, value in row.items()))
        if max_minutes is not None and time.monotonic() - started > 60 * max_minutes:
            logger.info("The time is used up after epoch %d; resume goes on from here.", trainer.epoch)
            break
    model = export_checkpoint(
        config,
        trainer.average.module.state_dict(),
        run_folder / config.name,
        cases=len(training),
        split_sha256=split_sha256,
        epochs=trainer.epoch,
    )
    return TrainingResult(model, trainer.history)


def learning_rate_at(step: int, plan: OptimisationConfig) -> float:
    """Rate at an iteration: linear warm-up, then half a cosine to zero at the last one."""
    total = plan.epochs * plan.iterations_per_epoch
    warmup = max(1, round(plan.warmup_fraction * total))
    if step < warmup:
        return plan.learning_rate * (step + 1) / warmup
    fraction = (step - warmup) / max(1, total - warmup)
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))


@dataclass(slots=True)
class _Trainer:
    """The state of a run, and one epoch of it."""

    config: TrainConfig
    plan: OptimisationConfig
    device: torch.device
    network: nn.Module
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    augment: Augmentation
    loss: PartialRegionLoss
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def start(cls, config: TrainConfig, plan: OptimisationConfig, device: torch.device) -> "_Trainer":
        torch.manual_seed(config.seed)
        model = config.model
        network = build_network(model.architecture, len(config.roles), len(REGIONS), model.dims, model.arguments)
        if model.init is not None:
            _begin_with(network, find_model(model.init), config)
        # torch's annotations lack Module.to(memory_format=...) and the type of get_ema_multi_avg_fn.
        network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        ema = get_ema_multi_avg_fn(plan.ema_decay)  # type: ignore[no-untyped-call]
        average = AveragedModel(network, multi_avg_fn=ema, use_buffers=True)
        optimiser = torch.optim.AdamW(network.parameters(), plan.learning_rate, weight_decay=plan.weight_decay)
        augment = Augmentation(config.augmentation)
        return cls(config, plan, device, network, average, optimiser, augment, PartialRegionLoss())

    def train_epoch(self, sampler: SliceSampler) -> Job[dict[str, float]]:
        """One epoch; returns its row of the history."""
        began = time.monotonic()
        random = np.random.default_rng([self.config.seed, self.epoch])
        torch.manual_seed(int(random.integers(2**62)))
        self.network.train()
        total = torch.zeros((), dtype=torch.float64)
        for iteration in range(self.plan.iterations_per_epoch):
            step = self.epoch * self.plan.iterations_per_epoch + iteration
            batch = sampler.draw(self.plan.batch, random)
            total += self._step(batch, step)
            done = self.epoch + (iteration + 1) / self.plan.iterations_per_epoch
            message = f"epoch {self.epoch + 1} of {self.plan.epochs}, loss {float(total) / (iteration + 1):.3f}"
            yield Progress(done, self.plan.epochs, message)
        self.epoch += 1
        return {
            "epoch": self.epoch,
            "loss": float(total) / self.plan.iterations_per_epoch,
            "learning rate": learning_rate_at(step, self.plan),
            "seconds": time.monotonic() - began,
        }

    def _step(self, batch: Any, step: int) -> float:
        images, targets, present, known = (
            torch.from_numpy(part) for part in (batch.images, batch.targets, batch.present, batch.known)
        )
        images, targets = self.augment(images, targets, present)
        images = images.to(self.device, memory_format=torch.channels_last)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate_at(step, self.plan)
        mixed = self.plan.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            logits = self.network(images)
        loss = self.loss(logits.float(), targets.to(self.device), known.to(self.device))
        if not torch.isfinite(loss):
            msg = (
                f"The loss became {float(loss)} in epoch {self.epoch + 1}. The state of the epoch before is kept: "
                "lower the learning rate, then resume."
            )
            raise TrainingError(msg)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.gradient_norm)
        self.optimiser.step()
        self.average.update_parameters(self.network)
        return float(loss.detach())

    def validate(self, cases: list[TrainingCase]) -> dict[str, float]:
        """Mean Dice of the averaged weights on the validation cases."""
        return mean_scores(score_cases(self.average.module, cases, self.device)) if cases else {}

    def save(self, folder: Path) -> None:
        """Write state and history, each as a whole."""
        state = {
            "config": self.config.model_dump_json(),
            "epoch": self.epoch,
            "history": json.dumps(self.history),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        partial = folder / (STATE_FILE + ".part")
        torch.save(state, partial)
        os.replace(partial, folder / STATE_FILE)
        _write_history(folder / HISTORY_FILE, self.history)

    def restore(self, folder: Path, *, resume: bool) -> None:
        """Take up the state in the folder; a folder that holds a run is never started over silently."""
        path = folder / STATE_FILE
        if not path.is_file():
            return
        if not resume:
            msg = f"{folder} already holds a training run. Resume it (--resume) or choose another folder."
            raise TrainingError(msg)
        state = torch.load(path, map_location=self.device, weights_only=True)
        earlier = TrainConfig.model_validate_json(state["config"])
        changed = self.config.differences(earlier)
        if changed:
            names = ", ".join(changed)
            msg = f"The recipe changed since the run in {folder} began ({names}). Start it in a new folder."
            raise TrainingError(msg)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch = state["epoch"]
        self.history = json.loads(state["history"])


def _begin_with(network: nn.Module, model: ModelInfo, config: TrainConfig) -> None:
    """Give a network the weights of a checkpoint of the same architecture, roles and regions."""
    card = model.card
    found = (card.architecture, card.arguments, card.dims, tuple(card.roles), tuple(card.regions))
    own = config.model
    wanted = (own.architecture, own.arguments, own.dims, config.roles, tuple(REGIONS))
    if found != wanted:
        msg = f"{model.name} is {found}; the recipe is for {wanted}. A run can begin with weights of its own kind only."
        raise TrainingError(msg)
    network.load_state_dict(load_network(model).state_dict())


def _write_history(path: Path, rows: list[dict[str, float]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    partial = path.with_suffix(".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(partial, path)
