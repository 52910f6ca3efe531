"""Seconds of one forward pass of every configuration: ours next to plain float32 channels-first, in one run.

    python benchmarks/forward_times.py [--rounds 3] [--only unet,u2netp]

A 2D network takes 4 slices of 160x192 voxels, a 3D network one window of 64x96x96, with four sequences in and three
regions out. Plain is the network as it was trained: float32, channels-first, nothing folded. Ours is the same network
as `Engine.prepare` makes it ready: batch norm folded, channels-last, in float32 and in bfloat16. The contestants take
turns; the table gives medians and their ratio to plain, and how far ours is from plain in float32 (relative to the
largest logit).
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from napari_brain_tumor.errors import DeviceError
from napari_brain_tumor.inference.device import check_bfloat16
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.models.registry import CONFIGURATIONS, build_configuration, count_parameters

ROLES, REGIONS = 4, 3
SIDES = {2: (4, ROLES, 160, 192), 3: (1, ROLES, 64, 96, 96)}
LAYOUT = {2: torch.channels_last, 3: torch.channels_last_3d}
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Row:
    """Medians in seconds for one configuration."""

    name: str
    dims: int
    parameters: int
    seconds: dict[str, float]
    deviation: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(CONFIGURATIONS), help="names of configurations, with commas")
    given = parser.parse_args()
    torch.manual_seed(0)
    widths = (24, 4, 12, 9, 9, 9, 7, 7, 9)
    for cells in table(given.only.split(","), given.rounds):
        print(" ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), flush=True)


def table(names: list[str], rounds: int) -> Iterator[tuple[str, ...]]:
    """Head and rows, each row as soon as it was measured."""
    yield "configuration", "dims", "parameters", "plain s", "ours s", "bf16 s", "ratio", "bf16", "deviation"
    for name in names:
        row = measure(name, rounds)
        plain, ours, quick = row.seconds["plain"], row.seconds["ours"], row.seconds.get("bfloat16")
        yield (
            name,
            f"{row.dims}D",
            f"{row.parameters:,}",
            f"{plain:.3f}",
            f"{ours:.3f}",
            "" if quick is None else f"{quick:.3f}",
            f"{plain / ours:.2f}",
            "" if quick is None else f"{plain / quick:.2f}",
            f"{row.deviation:.1e}",
        )


@torch.inference_mode()
def measure(name: str, rounds: int) -> Row:
    """Medians of one configuration, after a pass of each contestant that is not counted."""
    dims = CONFIGURATIONS[name].dims
    network = build_configuration(name, ROLES, REGIONS).eval()
    images = torch.randn(SIDES[dims])
    passes = contestants(network, images, dims)
    outputs = {key: run() for key, run in passes.items()}
    deviation = float((outputs["plain"] - outputs["ours"]).abs().max() / outputs["plain"].abs().max())
    taken: dict[str, list[float]] = {key: [] for key in passes}
    for _ in range(rounds):
        for key, run in passes.items():
            start = time.perf_counter()
            run()
            taken[key].append(time.perf_counter() - start)
    medians = {key: statistics.median(values) for key, values in taken.items()}
    return Row(name, dims, count_parameters(name, ROLES, REGIONS), medians, deviation)


def contestants(network: nn.Module, images: torch.Tensor, dims: int) -> dict[str, Callable[[], torch.Tensor]]:
    """A forward pass of each: plain, ours, and ours in bfloat16 where the processor has it."""
    plain = Engine.plain(network, dims).network
    passes: dict[str, Callable[[], torch.Tensor]] = {"plain": lambda: plain(images)}
    ready = Engine.prepare(network, dims, CPU, torch.float32).network
    passes["ours"] = lambda: ready(images)
    try:
        check_bfloat16(CPU)
    except DeviceError:
        return passes
    quick = Engine.prepare(network, dims, CPU, torch.bfloat16).network
    small = images.to(torch.bfloat16).contiguous(memory_format=LAYOUT[dims])
    passes["bfloat16"] = lambda: quick(small)
    return passes


if __name__ == "__main__":
    main()
