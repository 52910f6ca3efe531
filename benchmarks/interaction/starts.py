"""The cases of the benchmark and what their corrections begin with, each computed once and kept."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor import segment, segment_with_probabilities
from napari_brain_tumor.labels import Region
from napari_brain_tumor.study import Segmentation, Study

Labels = npt.NDArray[np.uint8]

STARTS: Final = ("model", "nothing", "u2netp", "threshold", "shifted")
SHIFT_MM: Final = 5.0


class Maps:
    """Probabilities from a file, in the form in which a correction reads them."""

    def __init__(self, arrays: dict[Region, Any]) -> None:
        self._arrays = arrays
        self.regions: tuple[Region, ...] = tuple(arrays)

    def __getitem__(self, region: Region) -> Any:
        return self._arrays[region]


def begin(
    start: str, study: Study, truth: Labels, regions: tuple[Region, ...], cache: Path
) -> tuple[Segmentation | None, Any]:
    """Labels and probabilities that a correction begins with; None for what is not there."""
    if start == "nothing":
        return None, None
    if start == "shifted":
        labels, maps = _shifted(truth, study.grid.spacing), None
    else:
        labels, maps = _computed(start, study, cache)
    if regions == ("WT",):  # the truth is one class: so is what is corrected
        labels = (labels > 0).astype(np.uint8)
    return Segmentation(labels, study.grid, known_regions=regions), maps


def _shifted(truth: Labels, spacing: tuple[float, float, float]) -> Labels:
    """The truth, 5 mm to the side along the axis with the finest voxels of the first two."""
    moved = np.zeros_like(truth)
    step = max(1, round(SHIFT_MM / spacing[0]))
    moved[step:] = truth[:-step]
    return moved


def _computed(start: str, study: Study, cache: Path) -> tuple[Labels, Any]:
    file = cache / f"{study.name} {start}.npz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        if start == "threshold":
            arrays = {"labels": segment(study, "threshold").data}
        else:
            name, _, roles = start.partition(" of ")
            some = study.only(tuple(json.loads(roles))) if roles else study  # type: ignore[arg-type]
            found, maps = segment_with_probabilities(some, None if name == "model" else name)
            arrays = {"labels": found.data, **{region: maps[region].astype(np.float16) for region in maps.regions}}
        np.savez_compressed(file, **arrays)
    with np.load(file) as kept:
        maps = {region: kept[region] for region in ("WT", "TC", "ET") if region in kept}
        return kept["labels"], Maps(maps) if maps else None
