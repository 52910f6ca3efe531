"""Estimates of run time and memory from measured runs: some supplied with the package, others made on this machine.

Costs depend on how a network is built, not on its weights. They are stored by architecture and arguments, so that they
also apply to models trained by users.
"""

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from napari_brain_tumor import catalogue
from napari_brain_tumor.catalogue import Method, ModelInfo
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.home import home_folder
from napari_brain_tumor.io.json_file import read_document, write_document
from napari_brain_tumor.requests.segment import SegmentRequest

logger = logging.getLogger(__name__)

Kind = Literal["cpu", "cuda", "mps"]

_KINDS: Final[tuple[Kind, ...]] = ("cpu", "cuda", "mps")
NETWORK_PROGRESS: Final = (0.15, 0.95)
"""Progress of `workflow.segment_job` at which the network starts and ends; repeated here to avoid loading torch."""
_PLACED_PROGRESS: Final = 0.98
"""Progress of `workflow.segment_job` when the result has been mapped to the scan's grid."""
_SHIPPED: Final = Path(__file__).with_name("costs.json")
_BYTES_PER_VOXEL: Final = 40
"""Memory for arrays: four sequences and three probabilities in float32, the labels and their post-processing."""


class MeasuredCost(BaseModel, extra="forbid", frozen=True):
    """Cost of one measured run, without loading the model and without mirrored copies.

    `voxels` is the number of voxels of the network's grid within the bounding box of the brain or head.
    """

    method: str
    """Key as returned by `key_of`."""
    family: str
    """The method without its arguments."""
    parameters: int = Field(ge=0)
    device: Kind
    machine: str
    """Description of the machine for display."""
    voxels: int = Field(gt=0)
    seconds: float = Field(gt=0)
    """Time apart from the network: finding the brain, and mapping the result to the scan's grid."""
    network_seconds: float = Field(ge=0)
    memory_mb: float | None = None
    """Peak host memory of the process in MiB, beyond what it uses when nothing is open."""


class _Document(BaseModel, extra="forbid", frozen=True):
    format: Literal[1] = 1
    costs: tuple[MeasuredCost, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """Estimated cost of a run.

    Parameters
    ----------
    memory_mb : float or None
        Host memory; None if it was not measured.
    basis : str
        Description of what the estimate is based on.
    network_seconds : float
        Part of the seconds that is spent in the network.
    """

    seconds: float
    memory_mb: float | None
    basis: str
    network_seconds: float = 0.0

    @property
    def stages(self) -> tuple[tuple[float, float], ...]:
        """Pairs of progress of `workflow.segment_job` and fraction of the time elapsed by then.

        The brain is found before the network runs, and the result is mapped to the scan's grid after it; both take
        about the same time. The final step, recording how the result was made, takes almost none.
        """
        before = (1 - self.network_seconds / self.seconds) / 2 if self.network_seconds else 0.0
        if not before:
            return (0.0, 0.0), (1.0, 1.0)
        network_begins, network_ends = NETWORK_PROGRESS
        placed = (_PLACED_PROGRESS, 1 - before / 10)
        return (0.0, 0.0), (network_begins, before), (network_ends, 1 - before), placed, (1.0, 1.0)


def key_of(method: Method) -> tuple[str, str]:
    """Return the key that the cost of a method depends on, and its family, whose cost per parameter is similar."""
    if not isinstance(method, ModelInfo):
        return method.name, method.name
    card = method.card
    parts = [(member.architecture, member.arguments, member.dims or card.dims) for member in card.members]
    parts = parts or [(card.architecture, card.arguments, card.dims)]
    spacing = card.preprocessing.plane_spacing_mm
    family = f"{'+'.join(f'{name} {dims}D' for name, _, dims in parts)} {spacing:g} mm"
    family += " cascade" if card.cascade else ""
    return f"{family} {json.dumps([arguments for _, arguments, _ in parts], sort_keys=True)}", family


def passes(method: Method, request: SegmentRequest) -> int:
    """Return the number of network passes: one, or one for each combination of mirrored axes."""
    return 2**method.card.dims if request.flips and isinstance(method, ModelInfo) else 1


def expected_cost(
    method: Method, device: str, voxels: int, known: Iterable[MeasuredCost], request: SegmentRequest
) -> Expected | None:
    """Estimate the cost of a run from the first comparable measured run; None if there is none.

    Parameters
    ----------
    device : str
        `"cpu"`, `"cuda:0"` or `"mps"`.
    voxels : int
        Number of voxels of the network's grid within the bounding box of the brain or head.
    known : iterable of MeasuredCost
        Measured costs, most reliable first.
    request : SegmentRequest
        How the method is run.
    """
    key, family = key_of(method)
    there = [cost for cost in known if cost.device == _kind(device)]
    same = next((cost for cost in there if cost.method == key), None)
    akin = same or next((cost for cost in there if cost.family == family and cost.parameters), None)
    if akin is None:
        return None
    size = 1.0 if same is not None or not isinstance(method, ModelInfo) else method.card.parameters / akin.parameters
    network = akin.network_seconds * size * passes(method, request)
    memory = akin.memory_mb
    if memory is not None:
        memory = max(0.0, memory + (voxels - akin.voxels) * _BYTES_PER_VOXEL / 2**20)
    basis = f"measured on {akin.machine}" if same is not None else f"from a similar network, measured on {akin.machine}"
    share = voxels / akin.voxels
    return Expected((akin.seconds + network) * share, memory, basis, network * share)


def usual_cost(method: Method, device: str, known: Iterable[MeasuredCost], request: SegmentRequest) -> Expected | None:
    """Estimate the cost of a case of the measured size, before the scans are known; None if there is none.

    Parameters
    ----------
    device : str
        `"auto"` for the device of the most reliable run.
    known : iterable of MeasuredCost
        Measured costs, most reliable first.
    request : SegmentRequest
        How the method is run.
    """
    key, kind = key_of(method)[0], _kind(device)
    same = (cost for cost in known if cost.method == key and (kind is None or cost.device == kind))
    cost = next(same, None)
    if cost is None:
        return None
    network = cost.network_seconds * passes(method, request)
    return Expected(cost.seconds + network, cost.memory_mb, f"measured on {cost.machine}", network)


def known_costs(home: Path | None = None, *, slowdown: float = 1.0) -> tuple[MeasuredCost, ...]:
    """Return all measured costs, those of this machine first.

    Parameters
    ----------
    home : Path, optional
        `home_folder()` if not given.
    slowdown : float
        Factor by which supplied costs, measured on idle machines, are increased. Those measured on this machine
        already include its usual load.
    """
    shipped = (
        cost.model_copy(update={"seconds": cost.seconds * slowdown, "network_seconds": cost.network_seconds * slowdown})
        for cost in _shipped()
    )
    return (*read_costs(_own(home)), *shipped)


def slowdown_now() -> float:
    """Estimate the slowdown caused by other programs, relative to an idle machine; 1 on Windows."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return _slowdown(load, os.cpu_count() or 1)


def _slowdown(load: float, cores: int) -> float:
    # A run uses as many threads as there are cores and shares these with `load` others, one of which is napari itself.
    return 1 + max(0.0, load - 1) / cores


def remember(provenance: Mapping[str, Any], home: Path | None = None) -> None:
    """Store the cost of a run from the provenance of its result; does nothing if that is incomplete."""
    try:
        measured = _of_run(provenance)
        if measured is not None:
            same = measured.method, measured.device
            others = [cost for cost in read_costs(_own(home)) if (cost.method, cost.device) != same]
            save_costs(_own(home), [measured, *others])
    except BrainTumorError as error:
        logger.info("The time of this run is not stored: %s", error)


def save_costs(path: Path, costs: Sequence[MeasuredCost]) -> None:
    """Save measured costs; raises `SaveError` if that fails."""
    write_document(path, _Document(costs=tuple(costs)))


def _of_run(provenance: Mapping[str, Any]) -> MeasuredCost | None:
    seconds = dict(provenance.get("seconds") or {})
    seconds.pop("load", None)
    settings, shape = provenance.get("settings") or {}, provenance.get("working_shape")
    network = seconds.pop("network", 0.0)
    device = _kind(str(provenance.get("device", "")))
    if not seconds or not shape or device is None or settings.get("box"):
        return None
    request = SegmentRequest.recorded_in(settings)
    made_by = provenance["model"]
    method = catalogue.find_model(made_by.get("folder") or made_by["name"])
    if settings.get("precision") == "bfloat16" and not _takes_bfloat16(method):
        return None
    key, family = key_of(method)
    z, y, x = shape
    return MeasuredCost(
        method=key,
        family=family,
        parameters=method.card.parameters if isinstance(method, ModelInfo) else 0,
        device=device,
        machine="this machine",
        voxels=z * y * x,
        seconds=max(1e-3, sum(seconds.values())),
        network_seconds=network / passes(method, request),
    )


def _takes_bfloat16(method: Method) -> bool:
    """Whether bfloat16 in a recorded run may have been chosen automatically."""
    check = method.card.precisions.get("bfloat16") if isinstance(method, ModelInfo) else None
    return check is not None and check.agrees


def _kind(device: str) -> Kind | None:
    family = device.partition(":")[0]
    return next((kind for kind in _KINDS if kind == family), None)


def _own(home: Path | None) -> Path:
    return (home_folder() if home is None else home) / "costs.json"


def read_costs(path: Path) -> tuple[MeasuredCost, ...]:
    """Read the measured costs in a file; none if it does not exist or is of another version."""
    document = read_document(path, _Document)
    return document.costs if document is not None else ()  # losing these affects only estimates


@lru_cache(maxsize=1)
def _shipped() -> tuple[MeasuredCost, ...]:
    return read_costs(_SHIPPED)
