"""Estimate the time and memory of a run on a device, from one timed step."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.errors import OutOfMemoryError
from napari_brain_tumor.inference.device import free_bytes, resolve_device
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.models.neighbours import stacked_channels
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.optimisation import torch_settings
from napari_brain_tumor_training.sampling import Batch
from napari_brain_tumor_training.trainer import Trainer

_GIB = 2**30
_BOX_SHARE = 0.45


@dataclass(frozen=True, slots=True)
class Cost:
    """Measured cost of a run on a device.

    Parameters
    ----------
    parameters : int
        Number of parameters of the network.
    seconds_per_step : float
        Excludes drawing and reading of samples, which run in parallel, and validation.
    steps : int
        Number of steps of the whole run.
    memory_bytes : int
        Peak during a step: weights, gradients, optimiser state, and activations kept for the backward pass.
    free_bytes : int, optional
        Free memory of the device; None if the system does not report it.
    seconds_per_voxel : float
        Time to predict one voxel, as in validation.
    """

    device: str
    parameters: int
    seconds_per_step: float
    steps: int
    epochs: int
    memory_bytes: int
    free_bytes: int | None
    seconds_per_voxel: float = 0.0

    @property
    def seconds_per_epoch(self) -> float:
        """Time of an epoch, without validation."""
        return self.seconds_per_step * self.steps / self.epochs

    @property
    def fits(self) -> bool:
        """Whether the run fits into memory, as far as known."""
        return self.free_bytes is None or self.memory_bytes < self.free_bytes

    def describe(self) -> str:
        """Describe the cost in words, and what to lower if it does not fit."""
        free = "" if self.free_bytes is None else f" of {self.free_bytes / _GIB:.1f} GiB that are free"
        lines = [
            f"{self.parameters:,} parameters on {self.device}",
            f"{self.seconds_per_step:.3g} s per step, {self.seconds_per_epoch / 60:.1f} min per epoch, "
            f"{self.seconds_per_epoch * self.epochs / 3600:.1f} h in all, without validation",
            f"{self.memory_bytes / _GIB:.2f} GiB{free}",
        ]
        if not self.fits:
            lines.append(
                "This does not fit. Lower optimisation.batch and raise optimisation.accumulation by the same factor, "
                "or lower patch, or the network's width."
            )
        return "\n".join(lines)


def estimate_cost(config: TrainConfig, device: str = "auto") -> Cost:
    """Measure one step with random images, after a warm-up step.

    Parameters
    ----------
    config : TrainConfig
        The recipe; its data are not read.
    device : str
        As in `segment`.

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
        per_voxel = _seconds_to_predict(trainer, config, target)
    fixed = sum(p.numel() * 4 for p in trainer.network.parameters()) * 5  # weights, average, gradients, two moments
    memory = (
        torch.cuda.max_memory_reserved(target)
        if target.type == "cuda"
        else saved_bytes.total // plan.accumulation + fixed
    )
    parameters = sum(p.numel() for p in trainer.network.parameters())
    steps = plan.epochs * plan.iterations_per_epoch
    return Cost(str(target), parameters, seconds, steps, plan.epochs, memory, free, per_voxel)


def voxels_to_validate(config: TrainConfig, root: Path) -> float:
    """Return the number of voxels predicted in all validations of a run, counting only curated data sets.

    About 45 % of a scan is in the bounding box of the head or brain, which is all that is predicted.
    """
    spacing = config.preprocessing
    voxels = 0.0
    for source in config.sources:
        if source.kind != "curated":
            continue
        dataset = CuratedDataset(root / source.path)
        for case in dataset.cases(split="val"):
            grid = case.grid.grid
            if case.state not in source.states:
                continue
            through = spacing.slice_spacing_mm or max(grid.spacing)
            volume_mm3 = grid.voxel_volume_mm3 * float(np.prod(grid.shape))
            voxels += _BOX_SHARE * volume_mm3 / (spacing.plane_spacing_mm**2 * through)
    times = config.optimisation.epochs // config.validate_every + config.validate_start
    return voxels * times


def _seconds_to_predict(trainer: Trainer, config: TrainConfig, device: torch.device) -> float:
    images = torch.from_numpy(_invented(config).images).to(device)
    network = trainer.average.module
    network.eval()
    with torch.inference_mode():
        began = time.perf_counter()
        network(images)
        _wait(device)
    return (time.perf_counter() - began) / (len(images) * float(np.prod(config.patch)))


class _KeptBytes:
    """Count the memory of tensors kept for the backward pass, each once."""

    def __init__(self) -> None:
        self.total = 0
        self._seen: set[int] = set()

    def pack(self, tensor: torch.Tensor) -> torch.Tensor:
        """Record a tensor; used as an autograd hook."""
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
