"""The processes that train one network together: the rank of each, and what they exchange."""

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
"""For each other, such as while the first one scores the finished network. If one dies, torchrun ends the others."""


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """A process among those that train together; by default it is alone.

    Parameters
    ----------
    rank : int
        From 0 to `size - 1`; the first one writes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """What of the items is this process's part."""
        return list(items[self.rank :: self.size])

    def gathered(self, own: Sequence[Item]) -> list[Item]:
        """The results for all items, in their order, from those that every process has for its `share`."""
        if self.size == 1:
            return list(own)
        parts: list[Sequence[Item]] = [()] * self.size
        dist.all_gather_object(parts, own)
        count = sum(len(part) for part in parts)
        return [parts[place % self.size][place // self.size] for place in range(count)]

    def joined_batch(self, own: torch.Tensor) -> torch.Tensor:
        """The tensors `(N, ...)` of all processes one after the other, of which this process's own passes gradients."""
        if self.size == 1:
            return own
        # Not every backend knows bool.
        sent = own.detach().to(torch.uint8 if own.dtype == torch.bool else own.dtype).contiguous()
        parts = [torch.empty_like(sent) for _ in range(self.size)]
        dist.all_gather(parts, sent)
        received = [part.to(own.dtype) for part in parts]
        received[self.rank] = own
        return torch.cat(received)

    def agreed(self, own: bool) -> bool:
        """What the first process says."""
        if self.size == 1:
            return own
        shared = [own]
        dist.broadcast_object_list(shared)
        return shared[0]

    def wait(self) -> None:
        """Go on when all are here."""
        if self.size > 1:
            dist.barrier()


def number_of_processes() -> int:
    """How many processes torchrun started, on all machines; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank_of_process() -> int:
    """The rank that torchrun gave to this process; 0 without it."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def joined(device: str) -> Iterator[tuple[ProcessGroup, torch.device]]:
    """The group that torchrun started, and the device of this process in it; alone without torchrun.

    Processes talk through NCCL where they compute on NVIDIA's GPUs, through Gloo elsewhere.

    Raises
    ------
    DeviceError
        If there are more processes on this machine than GPUs, or the device is not present.
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
    # Not after an error: the others may then wait for this process, which torchrun ends.
    if started_here:
        dist.destroy_process_group()


def _own_device(device: str) -> torch.device:
    """The device asked for; of several GPUs the one with this process's number on its machine."""
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
