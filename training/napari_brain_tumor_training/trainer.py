"""The state of a network in training, and one training step."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_brain_tumor.errors import OutOfMemoryError, TrainingError
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.models.outputs import HasSides
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor_training.augmentation import Augmentation
from napari_brain_tumor_training.config import OptimisationConfig, TrainConfig
from napari_brain_tumor_training.flat_convolutions import with_exact_flat_convolutions
from napari_brain_tumor_training.losses import PartialRegionLoss, weighted_outputs
from napari_brain_tumor_training.optimisation import learning_rate_at, optimiser_for
from napari_brain_tumor_training.process_group import ProcessGroup
from napari_brain_tumor_training.sampling import Batch, VolumeSampler, draw_ahead
from napari_brain_tumor_training.starting_weights import frozen_parts, network_for

logger = logging.getLogger(__name__)

_ABSURD = 1e15
"""Running statistics of a layer beyond this value are invalid; most values from uninitialised memory exceed it."""
_PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """The averaged weights of the best validation so far, its mean Dice over regions and sets, and its history row."""

    score: float
    epoch: int
    row: dict[str, float]
    weights: dict[str, torch.Tensor]


@dataclass(slots=True)
class Trainer:
    """The state of a run.

    No random state is stored: every batch is drawn with generators seeded by the run's seed and the number of the
    batch, so a run resumed after any step draws the same samples as an uninterrupted one.

    With several processes, each draws its own part of the batch and runs the network on it. The loss is computed over
    the whole batch from logits gathered across processes, so N processes with a batch of b are equivalent to a single
    process with N b.
    """

    config: TrainConfig
    plan: OptimisationConfig
    device: torch.device
    network: nn.Module
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    augment: Augmentation
    loss: PartialRegionLoss
    group: ProcessGroup
    outputs: nn.Module
    """The network with its side outputs, which shares gradients with the other processes."""
    overlap: torch.Tensor
    """Sums over the epoch `(3, 2)`: by region, twice the intersection of truth and prediction, and the sum of both."""
    epoch: int = 0
    """Number of completed epochs."""
    iteration: int = 0
    """Number of completed steps in the current epoch."""
    total_loss: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: Best | None = None

    @classmethod
    def start(
        cls, config: TrainConfig, plan: OptimisationConfig, device: torch.device, group: ProcessGroup | None = None
    ) -> "Trainer":
        """Create a run before its first step; raises `TrainingError` if the group cannot divide a batch evenly."""
        group = group or ProcessGroup()
        _check_shards(plan, group)
        torch.manual_seed(config.seed)
        network = network_for(config)
        if plan.channels_last:
            # torch's type annotations lack Module.to(memory_format=...) and the type of get_ema_multi_avg_fn.
            network = network.to(memory_format=_layout(config.model.dims))  # type: ignore[call-overload]
        if config.model.dims == 3 and device.type == "cpu" and plan.precision != "float32":
            network = with_exact_flat_convolutions(network)
        if group.size > 1 and device.type == "cuda":
            # No such layer exists for the CPU, where each process normalises over its own part of the batch.
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        network = network.to(device)
        ema = get_ema_multi_avg_fn(plan.ema_decay)  # type: ignore[no-untyped-call]
        average = AveragedModel(network, multi_avg_fn=ema, use_buffers=True)
        scaler = torch.amp.GradScaler(device.type, enabled=plan.precision == "float16")
        overlap = torch.zeros(len(REGIONS), 2, dtype=torch.float64)
        return cls(
            config,
            plan,
            device,
            network,
            average,
            optimiser_for(network, plan),
            scaler,
            Augmentation(config.augmentation),
            PartialRegionLoss(config.loss),
            group,
            _shared(network, config.loss.deep_supervision, group),
            overlap,
        )

    @property
    def steps(self) -> int:
        """Number of steps since the start of the run."""
        return self.epoch * self.plan.iterations_per_epoch + self.iteration

    @property
    def has_waited_enough(self) -> bool:
        """Whether validation has not improved for as long as the recipe's patience allows."""
        return self.best is not None and self.epoch - self.best.epoch >= (self.plan.patience or self.plan.epochs)

    def train_epoch(self, sampler: VolumeSampler) -> Job[dict[str, float]]:
        """Train the rest of the epoch and return its row of the history; safe to stop between any two steps."""
        self.set_to_train()
        batches = self._batches(sampler)
        while self.iteration < self.plan.iterations_per_epoch:
            began = time.monotonic()
            self.total_loss += self.step(batches)
            self.iteration += 1
            self.seconds += time.monotonic() - began
            epochs_done = self.epoch + self.iteration / self.plan.iterations_per_epoch
            message = f"epoch {self.epoch + 1} of {self.plan.epochs}, loss {self.total_loss / self.iteration:.3f}"
            yield Progress(epochs_done, self.plan.epochs, message)
        return self._row()

    def end_epoch(self, row: dict[str, float]) -> None:
        """Add the row to the history and start the next epoch."""
        self.history.append(row)
        self.epoch += 1
        self.iteration = 0
        self.total_loss = self.seconds = 0.0
        self.overlap.zero_()

    def set_to_train(self) -> None:
        """Set the network to training mode, except frozen parts, whose batch norms must not change either."""
        self.network.train()
        for part in frozen_parts(self.network, self.config.model):
            part.eval()

    def step(self, batches: Iterator[tuple[Batch, int]]) -> float:
        """Accumulate gradients over the recipe's number of batches, take one optimiser step, and return the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate_at(self.steps, self.plan)
        self.optimiser.zero_grad(set_to_none=True)
        statistics = self._statistics()
        try:
            value = sum(
                self._backward([next(batches) for _ in range(self._own_shards)], last=k + 1 == self.plan.accumulation)
                for k in range(self.plan.accumulation)
            )
        except torch.OutOfMemoryError as error:
            raise OutOfMemoryError(_too_large(self.config, self.device)) from error
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.gradient_norm)
        # With float16, the scaler skips such a step and lowers its scale.
        if not (self.scaler.is_enabled() or torch.isfinite(norm)):
            raise TrainingError(self._not_finite("gradient", float(norm)))
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self._mend_statistics(statistics)
        self.average.update_parameters(self.network)
        return value

    @torch.no_grad()
    def loss_of(self, batch: Batch) -> float:
        """Return the loss of the averaged weights on an unaugmented batch, with the outputs and weights of training."""
        images, targets, known = self._on_device(batch, *self._tensors(batch))
        with torch.autocast(self.device.type, _PRECISIONS[self.plan.precision], self.plan.precision != "float32"):
            outputs = weighted_outputs(self.average.module, images, self.config.loss.deep_supervision)
        fraction = min(1.0, self.steps / (self.plan.epochs * self.plan.iterations_per_epoch))
        return float(sum(weight * self.loss(logits.float(), targets, known, fraction) for weight, logits in outputs))

    def _statistics(self) -> dict[str, torch.Tensor]:
        """Return copies of the layers' running statistics."""
        buffers = self.network.named_buffers()
        return {name: buffer.clone() for name, buffer in buffers if buffer.is_floating_point()}

    def _mend_statistics(self, before: Mapping[str, torch.Tensor]) -> None:
        """Restore running statistics that a step made infinite or absurdly large.

        On the CPU, bfloat16 convolutions of torch 2.13 have been seen to return values from uninitialised memory, once
        in hundreds of steps. The loss survives this, because batch norm divides by the variance it sees, but an
        infinite running variance would stay infinite, and so would the averaged weights.
        """
        if not before:
            return
        buffers = dict(self.network.named_buffers())
        sound = torch.stack([(buffers[name].abs() < _ABSURD).all() for name in before]).tolist()  # a single GPU sync
        for (name, previous), is_sound in zip(before.items(), sound, strict=True):
            if not is_sound:
                logger.warning("%s became infinite in step %d; its previous value is used.", name, self.steps + 1)
                buffers[name].copy_(previous)

    def _batches(self, sampler: VolumeSampler) -> Iterator[tuple[Batch, int]]:
        own = self._own_shards
        shards = own * self.group.size
        first = self.steps * self.plan.accumulation
        last = (self.epoch + 1) * self.plan.iterations_per_epoch * self.plan.accumulation
        numbers = [batch * shards + self.group.rank * own + k for batch in range(first, last) for k in range(own)]
        size = self.plan.batch // own
        return draw_ahead(lambda number: drawn_batch(sampler, size, self.config.seed, number), numbers)

    @property
    def _own_shards(self) -> int:
        """Return the number of parts in which this process draws its batch."""
        return (self.plan.shards or self.group.size) // self.group.size

    def _backward(self, shards: Sequence[tuple[Batch, int]], *, last: bool) -> float:
        """Accumulate the gradients of a batch, synchronised with the `last` one; returns its part of the loss."""
        # Gradients stay local until the last accumulated batch.
        apart = isinstance(self.outputs, DistributedDataParallel) and not last
        images, targets, known = self._drawn(shards)
        with self.outputs.no_sync() if apart else nullcontext():  # type: ignore[operator]
            with torch.autocast(self.device.type, _PRECISIONS[self.plan.precision], self.plan.precision != "float32"):
                own = self.outputs(images)
            outputs = [(weight, self.group.joined_batch(logits.float())) for weight, logits in own]
            fraction = self.steps / (self.plan.epochs * self.plan.iterations_per_epoch)
            losses = [weight * self.loss(logits, targets, known, fraction) for weight, logits in outputs]
            loss = torch.stack(losses).sum() / self.plan.accumulation
            value = float(loss.detach())
            if not np.isfinite(value):
                raise TrainingError(self._not_finite("loss", value))
            # Each process computes the gradient of its own logits; DDP averages over processes, but the sum is needed.
            self.scaler.scale(loss * self.group.size).backward()  # type: ignore[no-untyped-call]
        self.overlap += _overlap(outputs[0][1].detach(), targets, known)
        return value

    def _drawn(self, shards: Sequence[tuple[Batch, int]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return this process's images, the targets of all processes, and where these are known."""
        parts = []
        for batch, seed in shards:
            torch.manual_seed(seed)
            parts.append(self._prepared(batch))
        if len(parts) == self.group.size == 1:
            return parts[0]
        images, targets = (torch.cat([part[k] for part in parts]) for k in (0, 1))
        known = torch.cat([part[2].expand_as(part[1]) for part in parts])
        return images, self.group.joined_batch(targets), self.group.joined_batch(known)

    def _prepared(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return augmented images, targets, and where these are known, on the device."""
        images, masks = self.augment(*self._tensors(batch), torch.from_numpy(batch.present))
        return self._on_device(batch, images, masks)

    def _tensors(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images, and targets followed by the mask of known voxels, on a device that can augment them."""
        # Metal lacks some of the required operations.
        place = self.device if self.device.type == "cuda" else torch.device("cpu")
        images, targets = (torch.from_numpy(part).to(place) for part in (batch.images, batch.targets))
        masks = targets if batch.where is None else torch.cat([targets, torch.from_numpy(batch.where).to(targets)], 1)
        return images, masks

    def _on_device(
        self, batch: Batch, images: torch.Tensor, masks: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return images, targets, and where these are known, on the device."""
        known = torch.from_numpy(batch.known)[(..., *[None] * (images.ndim - 2))].to(self.device)
        targets, where = masks[:, : len(REGIONS)], masks[:, len(REGIONS) :]
        if batch.where is not None:
            known = known & (where.to(self.device) > 0.5)
        layout = _layout(images.ndim - 2) if self.plan.channels_last else torch.contiguous_format
        return images.to(self.device, memory_format=layout), targets.to(self.device), known

    def _row(self) -> dict[str, float]:
        row = {
            "epoch": self.epoch + 1,
            "loss": self.total_loss / self.plan.iterations_per_epoch,
            "learning rate": self.optimiser.param_groups[0]["lr"],
            "seconds": self.seconds,
        }
        dice = {
            f"train {region}": float(shared / both)
            for region, (shared, both) in zip(REGIONS, self.overlap, strict=True)
            if both
        }
        return row | dice

    def _not_finite(self, what: str, value: float) -> str:
        return (
            f"The {what} became {value} in step {self.iteration + 1} of epoch {self.epoch + 1}. The state that was "
            "saved before is kept: lower the learning rate or choose precision float32, then begin in a new folder, "
            "or resume, in case it was a hardware fault."
        )


class _Outputs(nn.Module):
    """A network that returns all trained outputs with their weights when called."""

    def __init__(self, network: nn.Module, supervision: str) -> None:
        super().__init__()
        self.network = network
        self._supervision = supervision

    def forward(self, images: torch.Tensor) -> list[tuple[float, torch.Tensor]]:
        """Return pairs of weight and logits `(N, R, [Z,] Y, X)`, the final output first."""
        return weighted_outputs(self.network, images, self._supervision)


def _shared(network: nn.Module, supervision: str, group: ProcessGroup) -> nn.Module:
    outputs = _Outputs(network, supervision)
    if group.size == 1:
        return outputs
    idle = supervision == "none" and isinstance(network, HasSides)
    return DistributedDataParallel(outputs, find_unused_parameters=idle)


def _check_shards(plan: OptimisationConfig, group: ProcessGroup) -> None:
    shards = plan.shards or group.size
    if shards % group.size or plan.batch % (shards // group.size):
        raise TrainingError(
            f"optimisation.shards is {shards}, with {group.size} processes and batches of {plan.batch} on each. Make "
            "it a multiple of the number of processes, and the batch a multiple of the parts on each; or leave it out."
        )


def drawn_batch(sampler: VolumeSampler, size: int, seed: int, number: int) -> tuple[Batch, int]:
    """Draw the batch of this number, and the seed of its augmentation."""
    random = np.random.default_rng([seed, number])
    return sampler.draw(size, random), int(random.integers(2**62))


@torch.no_grad()
def _overlap(logits: torch.Tensor, targets: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return twice the intersection, and the sum, of truth and prediction `(3, 2)` over known voxels."""
    axes = (0, *range(2, logits.ndim))
    predicted, truth = (logits > 0) & known, (targets > 0.5) & known
    shared = 2 * (predicted & truth).sum(axes)
    return torch.stack([shared, predicted.sum(axes) + truth.sum(axes)], dim=1).to("cpu", torch.float64)


def _layout(dims: int) -> torch.memory_format:
    return torch.channels_last if dims == 2 else torch.channels_last_3d


def _too_large(config: TrainConfig, device: torch.device) -> str:
    batch, patch = config.optimisation.batch, "x".join(map(str, config.patch))
    return (
        f"A batch of {batch} windows of {patch} does not fit into the memory of {device}. Lower optimisation.batch "
        "(and raise optimisation.accumulation as much), or patch, or the network's width."
    )
