"""Run a method without weights on a prepared study."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast

import numpy as np

from napari_brain_tumor.classical.brain import brain_in_head
from napari_brain_tumor.classical.method import MethodResult
from napari_brain_tumor.classical.registry import Baseline
from napari_brain_tumor.classical.scan import Scan, Spacing, Voxel
from napari_brain_tumor.errors import SeedError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.labels import Region
from napari_brain_tumor.preprocessing.intensity import is_skull_stripped
from napari_brain_tumor.preprocessing.pipeline import Prepared
from napari_brain_tumor.progress import Job
from napari_brain_tumor.study import ROLES, Study
from napari_brain_tumor.types import Mask

Seed = tuple[float, float, float]
"""World coordinates (x, y, z): RAS+ millimetres, or voxels if the files do not state the spacing."""

_HEAD_MM = 150.0
"""Total height assumed for the slices of an examination whose files do not state their spacing."""


class _Method(Protocol):
    def find_regions(self, scan: Scan, seeds: Sequence[Voxel]) -> Mapping[Region, Mask]: ...


class _LongMethod(Protocol):
    def find_regions_job(self, scan: Scan, seeds: Sequence[Voxel]) -> Job[MethodResult]: ...


def find_regions(baseline: Baseline, scan: Scan, seeds: Sequence[Voxel] = ()) -> Mapping[Region, Mask]:
    """Return masks `(Z, Y, X)`, within the brain, of the regions that the method finds in these sequences."""
    method = cast("_Method", _module(baseline))
    return method.find_regions(scan, seeds)


def find_regions_job(baseline: Baseline, scan: Scan, seeds: Sequence[Voxel] = ()) -> Job[MethodResult]:
    """Run `find_regions` as a job, with the method's notes; a fast method yields no progress."""
    if baseline.takes_long:
        return (yield from cast("_LongMethod", _module(baseline)).find_regions_job(scan, seeds))
    return MethodResult(find_regions(baseline, scan, seeds))


def _module(baseline: Baseline) -> object:
    return import_module(f"napari_brain_tumor.classical.{baseline.name}")


def scan_of(study: Study, prepared: Prepared) -> Scan:
    """Return the input of the methods; `prepared` must be of the study with all roles."""
    channels = {role: prepared.channels[index] for index, role in enumerate(ROLES) if role in study.sequences}
    spacing = _spacing(prepared.work.grid, prepared.mask.shape[0])
    stripped = all(is_skull_stripped(volume) for volume in study.sequences.values())
    brain = prepared.mask if stripped else brain_in_head(channels, prepared.mask, spacing)
    return Scan(channels, brain, spacing)


def seeds_in_scan(seeds: Sequence[Seed], prepared: Prepared, scan: Scan) -> tuple[Voxel, ...]:
    """Convert seeds to voxels `(z, y, x)` of the scan.

    Raises
    ------
    SeedError
        If a seed is not three numbers, or lies outside the brain.
    """
    return tuple(_voxel(seed, prepared, scan) for seed in seeds)


def _voxel(seed: Seed, prepared: Prepared, scan: Scan) -> Voxel:
    point = np.asarray(seed, dtype=np.float64)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise SeedError(f"A seed is three world coordinates x, y, z; got {seed}.")
    grid = prepared.work.grid
    x, y, z = np.rint(grid.voxels(point)).astype(int)
    where = tuple(int(i) - first for i, first in zip((z, y, x), prepared.box.start, strict=True))
    inside = all(0 <= i < n for i, n in zip(where, scan.brain.shape, strict=True))
    if not inside or not scan.brain[where]:
        low, high = _extent(prepared, scan)
        unit = "mm (RAS)" if grid.unit == "mm" else "voxels, as the files do not state the spacing"
        raise SeedError(
            f"The seed {_text(point)} does not lie in the brain, which reaches from {_text(low)} to {_text(high)}. "
            f"Seeds are x,y,z in {unit}."
        )
    return cast("Voxel", where)


def _extent(prepared: Prepared, scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Return the range of world coordinates of the brain."""
    voxels = np.argwhere(scan.brain)
    if not len(voxels):
        voxels = np.array([(0, 0, 0), scan.brain.shape])
    ends = np.stack([voxels.min(axis=0), voxels.max(axis=0)]) + prepared.box.start
    world = prepared.work.grid.world(ends[:, ::-1])
    return world.min(axis=0), world.max(axis=0)


def _text(point: np.ndarray) -> str:
    return ",".join(f"{value:.0f}" for value in point)


def _spacing(grid: Grid, slices: int) -> Spacing:
    """Return the spacing along Z, Y, X; if the files do not state it, that of a head of usual size."""
    if grid.unit == "mm":
        x, y, z = grid.spacing
        return z, y, x
    return min(6.0, max(1.0, _HEAD_MM / slices)), 1.0, 1.0
