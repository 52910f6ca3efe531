"""Seconds and memory of one 240x240x155 case: ours next to MONAI's inferer with the same weights, in one run.

    python benchmarks/segment_one_case.py [CASE] [--rounds 3] [--model unet]

Each measurement is a process of its own, the contestants in turn; the table gives medians and their ratio. Every
process opens the case, warms up on a small volume, and then times everything from the opened sequences to labels on
the case's grid. Without CASE the shipped sample is padded to 240x240x155.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor import Study, open_study
from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.sample import sample_case_folder

SHAPE = (240, 240, 155)
Labels = npt.NDArray[np.uint8]


def case(path: Path | None) -> Study:
    """The study to segment, on a grid of 240x240x155."""
    study = open_study(path or sample_case_folder())
    if path is not None:
        return study
    start = tuple((want - have) // 2 for want, have in zip(SHAPE, study.grid.shape, strict=True))
    place = Box(start, tuple(s + n for s, n in zip(start, study.grid.shape, strict=True)))
    sequences = {}
    for role, array in study.sequences.items():
        padded = np.zeros(SHAPE, array.dtype)
        padded[place.slices] = array
        sequences[role] = padded
    affine = study.grid.affine.copy()
    affine[:3, 3] = study.grid.world(tuple(-s for s in start))
    return Study(sequences, Grid(SHAPE, affine), study.name)


def ours(study: Study, model: str, **settings: Any) -> Labels:
    from napari_brain_tumor import segment

    return segment(study, model, "cpu", **settings).data


def ours_bfloat16(study: Study, model: str) -> Labels:
    return ours(study, model, precision="bfloat16")


def ours_flips(study: Study, model: str) -> Labels:
    return ours(study, model, flips=True)


def monai(study: Study, model: str) -> Labels:
    """The same weights through MONAI's SliceInferer over the whole volume, in plain float32."""
    import torch
    from monai.inferers import SliceInferer

    from napari_brain_tumor.geometry import to_ras
    from napari_brain_tumor.labels import classes_from_regions
    from napari_brain_tumor.models.cards import find_model
    from napari_brain_tumor.models.checkpoint import load_network
    from napari_brain_tumor.preprocessing.intensity import foreground_mask, standardise

    info = find_model(model)
    turn = to_ras(study.grid)
    volumes = [turn.apply(study.sequences[role]).transpose(2, 1, 0) for role in info.roles]
    mask = foreground_mask(volumes)
    percentiles = info.card.preprocessing.clip_percentiles
    channels = np.stack([standardise(volume, mask, percentiles) for volume in volumes])
    network = load_network(info)
    inferer = SliceInferer(roi_size=channels.shape[2:], spatial_dim=0, sw_batch_size=8)
    with torch.inference_mode():
        logits = inferer(torch.from_numpy(channels)[None], network)
    labels = classes_from_regions((torch.sigmoid(logits)[0] >= 0.5).numpy()) * mask
    return turn.undo(labels.transpose(2, 1, 0))


CONTESTANTS: dict[str, Callable[[Study, str], Labels]] = {
    "ours": ours,
    "ours, bfloat16": ours_bfloat16,
    "ours, four flips": ours_flips,
    "MONAI SliceInferer, float32": monai,
}


def measure(name: str, path: Path | None, model: str) -> dict[str, float]:
    """Seconds, peak memory above the opened case, and tumour voxels, in this process."""
    study = case(path)
    small = {role: np.ascontiguousarray(a[::4, ::4, ::20]) for role, a in study.sequences.items()}
    shape = next(iter(small.values())).shape
    CONTESTANTS[name](Study(small, Grid(shape, np.diag([4.0, 4, 20, 1]))), model)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    labels = CONTESTANTS[name](study, model)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": seconds,
        "peak_mb": peak / 1024,
        "rise_mb": (peak - before) / 1024,
        "voxels": int((labels > 0).sum()),
    }


def run(arguments: argparse.Namespace) -> None:
    results: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for _ in range(arguments.rounds):
        for name in CONTESTANTS:
            command = [sys.executable, __file__, "--only", name, "--model", arguments.model]
            command += [str(arguments.case)] if arguments.case else []
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            results[name].append(json.loads(output.splitlines()[-1]))
    median = {name: {key: statistics.median(r[key] for r in rows) for key in rows[0]} for name, rows in results.items()}
    print(f"{'':30} {'seconds':>8} {'times ours':>10} {'peak MB':>8} {'rise MB':>8} {'voxels':>8}")
    for name, row in median.items():
        ratio = row["seconds"] / median["ours"]["seconds"]
        print(
            f"{name:30} {row['seconds']:8.2f} {ratio:10.1f} {row['peak_mb']:8.0f} {row['rise_mb']:8.0f} "
            f"{row['voxels']:8.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="unet")
    parser.add_argument("--only", choices=list(CONTESTANTS))
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.case, arguments.model)))
    else:
        run(arguments)


if __name__ == "__main__":
    main()
