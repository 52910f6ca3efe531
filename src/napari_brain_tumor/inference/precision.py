"""Choose the precision of a model on a device: what its card permits, and what is faster on this machine.

Reduced precision changes labels at the borders of a tumour. Whether that matters was measured for each model and is
stated in its card. Whether it is faster depends on the processor, and on some it is slower: both precisions are timed
once for each kind of network, and the times are stored in `precisions.json` in the user's folder.
"""

import json
import logging
import platform
import time
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field
from torch import nn

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.home import home_folder
from napari_brain_tumor.inference.device import check_bfloat16, cpu_has_bfloat16, fast_dtype
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.io.json_file import read_document, write_document
from napari_brain_tumor.models.cards import Card
from napari_brain_tumor.progress import run_job

logger = logging.getLogger(__name__)

_CPU: Final = torch.device("cpu")
_TIMED_SLICES: Final = (4, 144, 144)
_TIMED_VOLUME: Final = (32, 96, 96)
_ROUNDS: Final = 3
_MOST_KEPT: Final = 200


class ForwardTimes(BaseModel, extra="forbid", frozen=True):
    """Run times in seconds of a small input on one core of a processor, in both precisions."""

    processor: str
    torch: str
    network: str
    """Architecture and arguments; the weights do not affect the run time."""
    float32: float = Field(gt=0)
    bfloat16: float = Field(gt=0)


class _Document(BaseModel, extra="forbid", frozen=True):
    format: Literal[1] = 1
    times: tuple[ForwardTimes, ...]


def engine_in(precision: str, network: nn.Module, card: Card, device: torch.device) -> Engine:
    """Prepare the network of a card for a device, in the given precision.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        `"auto"` chooses float16 on a GPU, unless the card says that the model's Dice changes too much in it. On the
        CPU it chooses bfloat16 if the card says that its effect was measured and is small, the processor supports it
        and it is faster. Otherwise it chooses float32.
    network : nn.Module
        As returned by `load_network`; it is copied.
    card : Card
    device : torch.device

    Raises
    ------
    DeviceError
        If bfloat16 was requested but the device does not support it.
    """
    if precision == "bfloat16":
        check_bfloat16(device)
    dtype = _usual(network, card, device) if precision == "auto" else getattr(torch, precision)
    return Engine.prepare(network, card.dims, device, dtype)


def _usual(network: nn.Module, card: Card, device: torch.device) -> torch.dtype:
    if device.type != "cpu":
        check = card.precisions.get("float16")
        return torch.float32 if check is not None and not check.agrees else fast_dtype(device)
    check = card.precisions.get("bfloat16")
    if check is None or not check.agrees or not cpu_has_bfloat16():
        return torch.float32
    times = forward_times(network, card)
    return torch.bfloat16 if times.bfloat16 < times.float32 else torch.float32


def forward_times(network: nn.Module, card: Card) -> ForwardTimes:
    """Return the run times of a network on this processor: stored ones, or else measured now and stored."""
    key = (_processor(), torch.__version__, _kind(card))
    path = home_folder() / "precisions.json"
    document = read_document(path, _Document)
    kept = document.times if document is not None else ()
    for times in kept:
        if (times.processor, times.torch, times.network) == key:
            return times
    seconds = _timed(network, card)
    processor, version, kind = key
    times = ForwardTimes(
        processor=processor,
        torch=version,
        network=kind,
        float32=seconds["float32"],
        bfloat16=seconds["bfloat16"],
    )
    logger.info("Timed %s: %.3f s in float32, %.3f s in bfloat16.", card.name, times.float32, times.bfloat16)
    _keep(path, (*kept, times)[-_MOST_KEPT:])
    return times


def _timed(network: nn.Module, card: Card) -> dict[str, float]:
    """Return the fastest of several alternating rounds in each precision, after a warm-up round.

    Measures the CPU time of this thread, on one core, so that other load on the machine has no influence.
    """
    fold = max((int(getattr(module, "fold", 1)) for module in network.modules()), default=1)
    shape = _TIMED_SLICES if card.dims == 2 else (_TIMED_VOLUME[0] * fold, *_TIMED_VOLUME[1:])
    channels = np.random.default_rng(0).standard_normal((len(card.roles), *shape), dtype=np.float32)
    engines = {
        "float32": Engine.prepare(network, card.dims, _CPU, torch.float32),
        "bfloat16": Engine.prepare(network, card.dims, _CPU, torch.bfloat16),
    }
    best = dict.fromkeys(engines, float("inf"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for number in range(_ROUNDS + 1):
            for name, engine in engines.items():
                began = time.thread_time()
                run_job(engine.probabilities(channels))
                if number:
                    best[name] = min(best[name], max(1e-9, time.thread_time() - began))
    finally:
        torch.set_num_threads(threads)
    return best


def _kind(card: Card) -> str:
    """Return what the run time of a network depends on; weights do not matter."""
    parts = [(member.architecture, member.arguments, member.dims or card.dims) for member in card.members]
    return json.dumps(parts or [(card.architecture, card.arguments, card.dims)], sort_keys=True)


@lru_cache(maxsize=1)
def _processor() -> str:
    """Return the name of the processor; machines that share a home folder may have different ones."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return platform.processor() or platform.machine()
    entries = path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
    pairs = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in entries)}
    named = [pairs[key] for key in ("model name", "cpu family", "model", "stepping") if pairs.get(key)]
    return " ".join(named) or platform.machine()


def _keep(path: Path, times: tuple[ForwardTimes, ...]) -> None:
    try:
        write_document(path, _Document(times=times))
    except SaveError as error:
        logger.info("The measured speed of the precisions was not stored: %s", error)
