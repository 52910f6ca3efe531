"""The starting labels of the benchmark's corrections, each computed once and stored."""

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
    """Probability maps from a file, with the interface that corrections expect."""

    def __init__(self, arrays: dict[Region, Any]) -> None:
        self._arrays = arrays
        self.regions: tuple[Region, ...] = tuple(arrays)

    def __getitem__(self, region: Region) -> Any:
        return self._arrays[region]


def begin(
    start: str, study: Study, truth: Labels, regions: tuple[Region, ...], cache: Path
) -> tuple[Segmentation | None, Any]:
    """Return the labels and probabilities that a correction starts from; None for either that does not exist."""
    if start == "nothing":
        return None, None
    if start == "shifted":
        labels, maps = _shifted(truth, study.grid.spacing), None
    else:
        labels, maps = _computed(start, study, cache)
    if regions == ("WT",):  # the truth has a single class, so the labels get one as well
        labels = (labels > 0).astype(np.uint8)
    return Segmentation(labels, study.grid, known_regions=regions), maps


def _shifted(truth: Labels, spacing: tuple[float, float, float]) -> Labels:
    """Return the truth shifted by 5 mm along the first axis."""
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
