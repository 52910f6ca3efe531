"""What a run will cost on a device, before it starts: time and memory of one timed step."""

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
    """What was measured on a device.

    Parameters
    ----------
    parameters : int
        Of the network.
    seconds_per_step : float
        Without drawing and reading, which go on beside the step, and without validation.
    steps : int
        Of the whole run.
    memory_bytes : int
        At most in use during a step: weights, gradients, optimiser, and what is kept for the backward pass.
    free_bytes : int, optional
        Of memory that is free on the device; None where the system does not tell.
    seconds_per_voxel : float
        Of predicting, as validation does.
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
    """Voxels that the network is run on by all validations of a run; those of curated data sets alone are counted.

    Of a scan about 45 % lie in the box of the head or brain, which alone is predicted.
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
