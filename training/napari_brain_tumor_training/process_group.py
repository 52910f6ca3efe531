"""Processes that train one network together: their ranks, and the data they exchange."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

import torch
import torch.distributed as dist

from napari_brain_tumor.errors import DeviceError
from napari_brain_tumor.inference.device import resolve_device

Item = TypeVar("Item")

_LONGEST_WAIT: Final = timedelta(hours=6)
"""Longest wait for each other, such as while the first scores the finished network. If one dies, torchrun ends all."""


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """A process within a group that trains together; by default, it is the only one.

    Parameters
    ----------
    rank : int
        From 0 to `size - 1`; rank 0 writes the files.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes the run's files."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Return this process's share of the items."""
        return list(items[self.rank :: self.size])

    def gathered(self, own: Sequence[Item]) -> list[Item]:
        """Collect every process's results for its `share`, and return them in the order of all items."""
        if self.size == 1:
            return list(own)
        parts: list[Sequence[Item]] = [()] * self.size
        dist.all_gather_object(parts, own)
        count = sum(len(part) for part in parts)
        return [parts[place % self.size][place // self.size] for place in range(count)]

    def joined_batch(self, own: torch.Tensor) -> torch.Tensor:
        """Concatenate the tensors `(N, ...)` of all processes; only this process's own part has gradients."""
        if self.size == 1:
            return own
        # Not all backends support bool.
        sent = own.detach().to(torch.uint8 if own.dtype == torch.bool else own.dtype).contiguous()
        parts = [torch.empty_like(sent) for _ in range(self.size)]
        dist.all_gather(parts, sent)
        received = [part.to(own.dtype) for part in parts]
        received[self.rank] = own
        return torch.cat(received)

    def agreed(self, own: bool) -> bool:
        """Return the value of the first process."""
        if self.size == 1:
            return own
        shared = [own]
        dist.broadcast_object_list(shared)
        return shared[0]

    def wait(self) -> None:
        """Wait until all processes get here."""
        if self.size > 1:
            dist.barrier()


def number_of_processes() -> int:
    """Return the number of processes that torchrun started on all machines; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank_of_process() -> int:
    """Return the rank that torchrun gave this process; 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def joined(device: str) -> Iterator[tuple[ProcessGroup, torch.device]]:
    """Join the group started by torchrun, and yield it with this process's device; a group of one without torchrun.

    Processes communicate through NCCL on NVIDIA GPUs, and through Gloo otherwise.

    Raises
    ------
    DeviceError
        If this machine has fewer GPUs than processes, or the device is not available.
    """
    own = _own_device(device)
    if number_of_processes() == 1 and not dist.is_initialized():
        yield ProcessGroup(), own
        return
    started_here = not dist.is_initialized()
    if started_here:
        if own.type == "cuda":
            torch.cuda.set_device(own)
        dist.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=_LONGEST_WAIT)
    yield ProcessGroup(dist.get_rank(), dist.get_world_size()), own
    # Not after an error: other processes may be waiting for this one, until torchrun ends them.
    if started_here:
        dist.destroy_process_group()


def _own_device(device: str) -> torch.device:
    """Return the requested device; with several GPUs, the one with this process's local rank."""
    resolved = resolve_device(device)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if resolved.type != "cuda" or processes == 1:
        return resolved
    if processes > torch.cuda.device_count():
        raise DeviceError(
            f"torchrun started {processes} processes on this machine, which has {torch.cuda.device_count()} GPUs. Give "
            "it --nproc-per-node with the number of GPUs, or train with --device cpu."
        )
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
