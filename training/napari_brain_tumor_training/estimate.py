"""What a run will cost on a device, before it starts: time and memory of one timed step."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from napari_brain_tumor.errors import OutOfMemoryError
from napari_brain_tumor.inference.device import free_bytes, resolve_device
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.models.neighbours import stacked_channels
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.optimisation import torch_settings
from napari_brain_tumor_training.sampling import Batch
from napari_brain_tumor_training.trainer import Trainer

__all__ = ["Cost", "estimate_cost"]

_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Cost:
    """What was measured on a device.

    Parameters
    ----------
    device : str
    parameters : int
        Of the network.
    seconds_per_step : float
        Without drawing and reading, which go on beside the step, and without validation.
    steps : int
        Of the whole run.
    epochs : int
    memory_bytes : int
        At most in use during a step: weights, gradients, optimiser, and what is kept for the backward pass.
    free_bytes : int, optional
        Of memory that is free on the device; None where the system does not tell.
    """

    device: str
    parameters: int
    seconds_per_step: float
    steps: int
    epochs: int
    memory_bytes: int
    free_bytes: int | None

    @property
    def seconds_per_epoch(self) -> float:
        """Time of an epoch without validation."""
        return self.seconds_per_step * self.steps / self.epochs

    @property
    def fits(self) -> bool:
        """Whether the memory is there, as far as is known."""
        return self.free_bytes is None or self.memory_bytes < self.free_bytes

    def describe(self) -> str:
        """In words, with what to lower where it does not fit."""
        free = "" if self.free_bytes is None else f" of {self.free_bytes / _GIB:.1f} GiB that are free"
        lines = [
            f"{self.parameters:,} parameters on {self.device}",
            f"{self.seconds_per_step:.3g} s a step, {self.seconds_per_epoch / 60:.1f} min an epoch, "
            f"{self.seconds_per_epoch * self.epochs / 3600:.1f} h in all, without validation",
            f"{self.memory_bytes / _GIB:.2f} GiB{free}",
        ]
        if not self.fits:
            lines.append(
                "This does not fit. Lower optimisation.batch and raise optimisation.accumulation as much, "
                "or lower patch, or the network's width."
            )
        return "\n".join(lines)


def estimate_cost(config: TrainConfig, device: str = "auto") -> Cost:
    """Measure one step, after one to warm up, with invented images.

    Parameters
    ----------
    config : TrainConfig
        The recipe; its data are not read.
    device : str
        As for `segment`.

    Raises
    ------
    OutOfMemoryError
        If not even one step fits into memory.
    """
    target = resolve_device(device)
    plan = config.optimisation
    free = free_bytes(str(target))
    batches = iter([(_invented(config), 0)] * (2 * plan.accumulation))
    with torch_settings(plan), torch.random.fork_rng():
        trainer = Trainer.start(config, plan, target)
        trainer.set_to_train()
        saved_bytes = _KeptBytes()
        try:
            with torch.autograd.graph.saved_tensors_hooks(saved_bytes.pack, lambda tensor: tensor):
                trainer.step(batches)
            _wait(target)
            began = time.perf_counter()
            trainer.step(batches)
            _wait(target)
        except MemoryError as error:
            if isinstance(error, OutOfMemoryError):
                raise
            msg = "One step does not fit into memory. Lower optimisation.batch, patch or the network's width."
            raise OutOfMemoryError(msg) from error
        seconds = time.perf_counter() - began
    fixed = sum(p.numel() * 4 for p in trainer.network.parameters()) * 5  # weights, average, gradients, two moments
    memory = (
        torch.cuda.max_memory_reserved(target)
        if target.type == "cuda"
        else saved_bytes.total // plan.accumulation + fixed
    )
    parameters = sum(p.numel() for p in trainer.network.parameters())
    steps = plan.epochs * plan.iterations_per_epoch
    return Cost(str(target), parameters, seconds, steps, plan.epochs, memory, free)


class _KeptBytes:
    """Counts the memory of tensors that are kept for the backward pass, each once."""

    def __init__(self) -> None:
        self.total = 0
        self._seen: set[int] = set()

    def pack(self, tensor: torch.Tensor) -> torch.Tensor:
        """Take note of a tensor; to be a hook of autograd."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen and not isinstance(tensor, torch.nn.Parameter):
            self._seen.add(storage.data_ptr())
            self.total += storage.nbytes()
        return tensor


def _invented(config: TrainConfig) -> Batch:
    size, sides = config.optimisation.batch, config.patch
    random = np.random.default_rng(0)
    channels = stacked_channels(len(config.roles), config.model.neighbours)
    images = random.standard_normal((size, channels, *sides), dtype=np.float32)
    targets = np.zeros((size, len(REGIONS), *sides), dtype=np.float32)
    middle = tuple(slice(side // 3, 2 * side // 3) for side in sides)
    targets[(slice(None), slice(None), *middle)] = 1
    present = np.ones((size, len(config.roles)), dtype=np.bool_)
    return Batch(images, targets, present, np.ones((size, len(REGIONS)), dtype=np.bool_))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
