"""Run a network on a prepared study, in the current process."""

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_brain_tumor.errors import OutOfMemoryError
from napari_brain_tumor.geometry import Box
from napari_brain_tumor.inference.device import fast_dtype
from napari_brain_tumor.inference.memory import freed_memory_kept
from napari_brain_tumor.inference.slices import SliceVolume, every_second, slice_blocks, suspect_slices
from napari_brain_tumor.inference.windows import blending_weights, plan_windows
from napari_brain_tumor.models.blocks import context_of
from napari_brain_tumor.models.combination import Calibrated, Ensemble
from napari_brain_tumor.models.neighbours import neighbours_of
from napari_brain_tumor.progress import Job, Progress, part_of

logger = logging.getLogger(__name__)

_SLICES_PER_BATCH: Final = {"cpu": 4, "mps": 32, "cuda": 64}
_WINDOW: Final = (96, 128, 128)
"""Sub-volume passed to a 3D network; larger by the factor by which the network folds voxels into channels."""
_LEAST: Final = 2.0**-12
"""Half the step between half-precision numbers close to 1; bounds probabilities away from 0 and 1."""
_WINDOWS_PER_BATCH: Final = {"cpu": 1, "mps": 1, "cuda": 2}


@dataclass(frozen=True, slots=True)
class Engine:
    """A network optimised for a device: batch norm folded, channels-last layout, fast precision.

    Parameters
    ----------
    network : nn.Module
        Returns logits `(N, R, [Z,] Y, X)`.
    dims : {2, 3}
        Whether the network takes slices (2) or sub-volumes (3).
    device : torch.device
    dtype : torch.dtype
        Precision of the computation.
    window : tuple of int
        Size `(Z, Y, X)` of sub-volumes, for a 3D network.
    """

    network: nn.Module
    dims: int
    device: torch.device
    dtype: torch.dtype
    window: tuple[int, int, int] = _WINDOW

    @classmethod
    def prepare(cls, network: nn.Module, dims: int, device: torch.device, dtype: torch.dtype | None = None) -> "Engine":
        """Create an engine for a device, in its fastest precision unless one is given; the network is copied."""
        dtype = fast_dtype(device) if dtype is None else dtype
        ready = fold_batch_norms(deepcopy(network).eval()).requires_grad_(False)
        return cls(_channels_last(ready.to(device, dtype)), dims, device, dtype, _window(ready))

    @classmethod
    def plain(cls, network: nn.Module, dims: int) -> "Engine":
        """Create the reference engine: float32 on the CPU without folding, against which optimisations are tested."""
        return cls(
            deepcopy(network).eval().requires_grad_(False), dims, torch.device("cpu"), torch.float32, _window(network)
        )

    def probabilities(
        self, channels: npt.NDArray[np.float32], *, flips: bool = False, within: Box | None = None, thin: bool = False
    ) -> Job[npt.NDArray[np.float16]]:
        """Predict the probabilities of every region, as a job.

        Parameters
        ----------
        channels : (C, Z, Y, X) float32 array
            Channels as returned by `preprocessing.prepare`.
        flips : bool
            Whether to average over all combinations of mirrored axes: 4 passes in 2D, 8 in 3D.
        within : Box, optional
            Block of `(Z, Y, X)` voxels that are needed. Only batches of slices, or windows, that reach into it are
            computed; they are the same as in a run on everything, so the values inside the block do not change.
        thin : bool
            Whether slices are so close that neighbours show nearly the same anatomy. A slice network with a limited
            field of view then computes every second slice; those in between are computed where a neighbour shows
            something, and interpolated elsewhere. In a cascade, the members after the first compute every second
            slice of those on which the first one sees something.

        Returns
        -------
        (R, Z, Y, X) float16 array
            Values outside `within` are incomplete: 0, or lower than in a full run.

        Raises
        ------
        OutOfMemoryError
            If memory runs out even with the smallest settings.
        """
        engine = self
        _, depth, height, width = channels.shape
        block = within or Box.whole((depth, height, width))
        batch = (_SLICES_PER_BATCH if self.dims == 2 else _WINDOWS_PER_BATCH)[self.device.type]
        while True:
            try:
                with freed_memory_kept() if engine.device.type == "cpu" else nullcontext():
                    if engine.dims == 2:
                        return (yield from engine._slices(channels, batch, block, flips=flips, thin=thin))
                    return (yield from engine._windows(channels, batch, block, flips=flips))
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                engine, batch, step = engine._smaller(batch)
                logger.warning("Memory ran out; trying again with %s.", step)
                yield Progress(0, 1, f"Memory ran out; trying again with {step}")

    def _smaller(self, batch: int) -> tuple["Engine", int, str]:
        """Return the next step when memory runs out: a smaller batch, a smaller window, or the CPU."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if batch > 1:
            return self, batch // 2, f"batches of {batch // 2}"
        if self.dims == 3 and min(self.window) > 64:
            window = (64, 64, 64)
            return Engine(self.network, 3, self.device, self.dtype, window), 1, "windows of 64x64x64"
        if self.device.type != "cpu":
            cpu = torch.device("cpu")
            dtype = fast_dtype(cpu)
            return Engine(_copy_on_cpu(self.network, dtype), self.dims, cpu, dtype, self.window), 1, "the CPU"
        raise OutOfMemoryError(
            "Memory ran out on the CPU with one slice or window at a time. Close other programs, "
            "or choose a smaller model."
        )

    @torch.inference_mode()
    def _infer(self, network: nn.Module, batch: torch.Tensor, *, flips: bool) -> torch.Tensor:
        """Return the network's probabilities for a batch `(N, C, [Z,] Y, X)`, in float32."""
        layout = torch.channels_last if self.dims == 2 else torch.channels_last_3d
        inputs = batch.to(self.device, self.dtype)
        if self.dtype != torch.float32 or self.device.type != "cpu":
            inputs = inputs.contiguous(memory_format=layout)
        axes = range(2, 2 + self.dims)
        mirrors = [m for n in range(self.dims + 1) for m in combinations(axes, n)] if flips else [()]
        total = torch.zeros((), device=self.device)
        for mirror in mirrors:
            logits = network(inputs.flip(mirror) if mirror else inputs).float()
            total = total + torch.sigmoid(logits.flip(mirror) if mirror else logits)
        return total / len(mirrors)

    def _slices(
        self, channels: npt.NDArray[np.float32], batch: int, within: Box, *, flips: bool, thin: bool
    ) -> Job[npt.NDArray[np.float16]]:
        calibrated = self.network if isinstance(self.network, Calibrated) else None
        network = self.network if calibrated is None else calibrated.network
        if not (thin and isinstance(network, Ensemble) and network.cascade):
            return (yield from self._slices_of(self.network, channels, batch, within, flips=flips, thin=thin))
        values = yield from self._cascade(network, channels, batch, within, flips=flips)
        if calibrated is not None:
            _temper(values, calibrated.temperatures.float().cpu().numpy())
        return values

    def _cascade(
        self, network: Ensemble, channels: npt.NDArray[np.float32], batch: int, within: Box, *, flips: bool
    ) -> Job[npt.NDArray[np.float16]]:
        """Run the first member on all slices, and average all members on the slices where it sees something."""
        first, *others = network.members
        depth, whole = channels.shape[1], Box.whole(channels.shape[1:])
        # The first member always sees the whole volume, so that a box gets the same result as a full run.
        first_job = self._slices_of(first, channels, batch, whole, flips=flips, thin=True)
        mean = yield from part_of(first_job, 0, 1 / len(network.members))
        suspect = suspect_slices(mean)
        places = every_second(suspect, depth)
        mixed = [z for z in suspect if within.start[0] <= z < within.stop[0]]
        needed = set(every_second(mixed, depth))
        batches = [
            some for start in range(0, len(places), batch) if needed & set(some := places[start : start + batch])
        ]
        shares = network.log_shares.exp().float().cpu().numpy()[:, :, None, None]
        mean[:, mixed] *= shares[0][:, None].astype(np.float16)
        for number, (member, share) in enumerate(zip(others, shares[1:], strict=True), 1):
            volume = SliceVolume(channels, partial(self._infer, member, flips=flips), neighbours_of(member), None)
            for done, some in enumerate(batches):
                fraction = (number + done / len(batches)) / len(network.members)
                yield Progress(fraction, 1, f"slice {some[0] + 1} of {depth}, network {number + 1}")
                volume.compute(some)
            for z in mixed:
                if z % 2:
                    volume.interpolate(z)
                mean[:, z] += (share * volume.probabilities[:, z]).astype(np.float16)
        yield Progress(1, 1, "")
        return mean

    def _slices_of(
        self, network: nn.Module, channels: npt.NDArray[np.float32], batch: int, within: Box, *, flips: bool, thin: bool
    ) -> Job[npt.NDArray[np.float16]]:
        """Compute slices in batches; with thin slices, every second one, then parts of those between."""
        depth, context = channels.shape[1], context_of(network) if thin else None
        in_turn = context is not None
        stride = 2 if in_turn else 1
        blocks = slice_blocks(within.start[0], within.stop[0], depth, batch * stride)
        ahead = slice_blocks(blocks[-1].stop, depth, depth, batch * stride)[:1] if in_turn else []
        parts = [(block[::stride], False) for block in [*blocks, *ahead]]
        parts += [(block[1::2], True) for block in blocks if in_turn]
        parts = [(places, between) for places, between in parts if places]
        volume = SliceVolume(channels, partial(self._infer, network, flips=flips), neighbours_of(network), context)
        for number, (places, between) in enumerate(parts):
            yield Progress(number, len(parts), f"slice {places.start + 1} of {depth}")
            if between:
                volume.compute_between(places)
            else:
                volume.compute(places)
        yield Progress(len(parts), len(parts), "")
        return volume.probabilities

    def _windows(
        self, channels: npt.NDArray[np.float32], batch: int, within: Box, *, flips: bool
    ) -> Job[npt.NDArray[np.float16]]:
        sides = channels.shape[1:]
        window = tuple(min(w, s) for w, s in zip(self.window, sides, strict=True))
        weights = blending_weights(window)
        places = [place for place in plan_windows(sides, window, overlap=0.5) if _reaches(place, within)]
        total: npt.NDArray[np.float32] | None = None
        coverage = np.zeros(sides, dtype=np.float32)
        for number, some in enumerate(_batches(places, batch)):
            yield Progress(number * batch, len(places), f"window {number * batch + 1} of {len(places)}")
            stacked = torch.from_numpy(np.stack([channels[(slice(None), *place)] for place in some]))
            predicted = self._infer(self.network, stacked, flips=flips).cpu().numpy()
            if total is None:
                total = np.zeros((predicted.shape[1], *sides), dtype=np.float32)
            for place, probabilities in zip(some, predicted, strict=True):
                total[(slice(None), *place)] += probabilities * weights
                coverage[place] += weights
        yield Progress(len(places), len(places), "")
        assert total is not None
        np.divide(total, coverage, out=total, where=coverage > 0)
        return total.astype(np.float16)


def _temper(values: npt.NDArray[np.float16], temperatures: npt.NDArray[np.float32]) -> None:
    """Divide the logits of probabilities `(R, Z, Y, X)` by the temperature of each region, in place."""
    for region, temperature in zip(values, temperatures, strict=True):
        for image in region:
            likely = np.clip(image.astype(np.float32), _LEAST, 1 - _LEAST)
            odds = (likely / (1 - likely)) ** (1 / temperature)
            image[...] = np.where(image > 0, odds / (1 + odds), 0)


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Fold every batch norm that directly follows a convolution in a Sequential into that convolution."""
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for (_, first), (name, second) in zip(
            list(module.named_children())[:-1], list(module.named_children())[1:], strict=True
        ):
            if isinstance(first, nn.Conv2d | nn.Conv3d) and isinstance(second, nn.BatchNorm2d | nn.BatchNorm3d):
                fused = fuse_conv_bn_eval(first, second)
                first.weight, first.bias = fused.weight, fused.bias
                setattr(module, name, nn.Identity())
    return network


def _channels_last(network: nn.Module) -> nn.Module:
    """Convert all kernels, 2D and 3D, to channels-last layout; a network for volumes may contain one for slices."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for kernel in network.parameters():
        if kernel.ndim in layouts:
            kernel.data = kernel.data.contiguous(memory_format=layouts[kernel.ndim])
    return network


def _window(network: nn.Module) -> tuple[int, int, int]:
    fold = max((int(getattr(module, "fold", 1)) for module in network.modules()), default=1)
    depth, height, width = _WINDOW
    return depth * fold, height * fold, width * fold


def _copy_on_cpu(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Copy a network to the CPU without using memory on the full device; the original is kept for the next case."""
    memo: dict[int, torch.Tensor] = {id(p): nn.Parameter(p.cpu(), requires_grad=False) for p in network.parameters()}
    memo |= {id(b): b.cpu() for b in network.buffers()}
    return deepcopy(network, memo).to(dtype)


def _reaches(place: tuple[slice, ...], box: Box) -> bool:
    """Whether a window and a box have a voxel in common."""
    return all(at.start < stop and start < at.stop for at, start, stop in zip(place, box.start, box.stop, strict=True))


def _batches(places: list[tuple[slice, ...]], size: int) -> Iterator[list[tuple[slice, ...]]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "defaultcpuallocator" in text
