"""What a case costs, stage by stage, and how that grows: writes docs/performance.md.

    python benchmarks/performance.py [--model ensemble] [-o docs/performance.md]

Times are seconds of one core (CPU time of the process, torch on one thread), so that they mean the same on a machine
that is busy with something else; on a quiet one with more cores the network's part is shared among them. Every row is a
process of its own, which segments a small volume first. The case is the shipped sample, padded to 240x240x155, as a
whole head would be; the others are parts of it.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from napari_brain_tumor import Study, open_study, save_segmentation
from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.sample import sample_case_folder

STAGES = {
    "read": "reading",
    "brain": "brain",
    "prepare": "preprocessing",
    "network": "network",
    "finish": "restoring",
    "write": "writing",
}
_SHAPE = (240, 240, 155)
VARIANTS: dict[str, dict[str, Any]] = {
    "240x240x155, four sequences": {},
    "every second slice": {"step": (1, 1, 2)},
    "every second pixel": {"step": (2, 2, 1)},
    "two sequences (T1c, FLAIR)": {"roles": ("T1c", "FLAIR")},
    "one sequence (FLAIR)": {"roles": ("FLAIR",)},
}


def case(path: Path | None) -> Study:
    """The study to segment, on a grid of 240x240x155."""
    study = open_study(path or sample_case_folder())
    if path is not None:
        return study
    start = tuple((want - have) // 2 for want, have in zip(_SHAPE, study.grid.shape, strict=True))
    place = Box(start, tuple(s + n for s, n in zip(start, study.grid.shape, strict=True)))
    sequences = {}
    for role, array in study.sequences.items():
        padded = np.zeros(_SHAPE, array.dtype)
        padded[place.slices] = array
        sequences[role] = padded
    affine = study.grid.affine.copy()
    affine[:3, 3] = study.grid.world(tuple(-s for s in start))
    return Study(sequences, Grid(_SHAPE, affine), study.name)


def part(study: Study, step: tuple[int, int, int] = (1, 1, 1), roles: tuple[str, ...] | None = None) -> Study:
    """Every so many voxels along each axis, and some of the sequences."""
    thin = tuple(slice(None, None, n) for n in step)
    chosen = {r: np.ascontiguousarray(a[thin]) for r, a in study.sequences.items() if roles is None or r in roles}
    shape = next(iter(chosen.values())).shape
    return Study(chosen, Grid(shape, study.grid.affine @ np.diag([*step, 1.0])), study.name)


def write_study(study: Study, folder: Path) -> Path:
    import nibabel as nib

    for role, array in study.sequences.items():
        image = nib.Nifti1Image(array.astype(np.int16), study.grid.affine)
        nib.save(image, folder / f"case_{role.lower()}.nii.gz")
    return folder


def measure(name: str, model: str) -> dict[str, Any]:
    """Seconds of each stage, and the peak of memory, in this process."""
    import torch

    from napari_brain_tumor import segment
    from napari_brain_tumor.workflow import network

    class CoreClock(network.Clock):
        """Counts the seconds of the processor instead of those of the wall."""

        def __init__(self) -> None:
            self.seconds = {}
            self._last = time.process_time()

        def lap(self, step: str) -> None:
            now = time.process_time()
            self.seconds[step] = now - self._last
            self._last = now

    torch.set_num_threads(1)
    study = part(case(None), **VARIANTS[name])
    with tempfile.TemporaryDirectory() as folder:
        place = write_study(study, Path(folder))
        segment(part(case(None), (4, 4, 16)), model, "cpu")  # loads what is loaded once
        network.Clock = CoreClock  # type: ignore[misc]
        began = time.process_time()
        opened = open_study(place)
        read = time.process_time() - began
        result = segment(opened, model, "cpu")
        seconds = dict(result.provenance["seconds"]) | {"read": read}
        began = time.process_time()
        save_segmentation(result, place / "result.nii.gz")
        seconds["write"] = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    return {"seconds": seconds, "peak_mb": peak, "shape": opened.grid.shape, "precision": _precision(result)}


def _precision(result: Any) -> str:
    return str(result.provenance["settings"].get("precision", ""))


def table(rows: dict[str, dict[str, Any]]) -> list[str]:
    lines = [f"| case | {' | '.join(STAGES.values())} | together | peak MB |", "|---|" + "---:|" * (len(STAGES) + 2)]
    for name, row in rows.items():
        cells = [row["seconds"].get(stage, 0.0) for stage in STAGES]
        told = " | ".join(f"{cell:.2f}" for cell in cells)
        lines.append(f"| {name} | {told} | {sum(cells):.2f} | {row['peak_mb']:.0f} |")
    return lines


def page(rows: dict[str, dict[str, Any]], model: str) -> str:
    precision = next(iter(rows.values()))["precision"]
    machine = f"{platform.machine()}, {platform.system()}"
    head = [
        "# Performance",
        "",
        "The cost of a case by stage, from its files to the saved labels, once the model is loaded: seconds of",
        "**one core** (CPU time of one thread, which does not depend on what else the machine is doing). Written by",
        f"`python benchmarks/performance.py`; model `{model}` in {precision}, {machine}.",
        "The case is the shipped sample padded to 240x240x155; the other rows are parts of it. Its scans are",
        "skull-stripped; for a whole head, brain extraction is added.",
        "",
    ]
    return "\n".join([*head, *table(rows), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ensemble")
    parser.add_argument("--output", "-o", type=Path, default=Path("docs/performance.md"))
    parser.add_argument("--only", choices=list(VARIANTS))
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measure(given.only, given.model)))
        return
    rows = {}
    for name in VARIANTS:
        command = [sys.executable, __file__, "--only", name, "--model", given.model]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows[name] = json.loads(output.splitlines()[-1])
        print(*table({name: rows[name]})[2:], sep="\n", flush=True)
    given.output.write_text(page(rows, given.model) + by_hand(given.output), encoding="utf-8")


def by_hand(page: Path) -> str:
    """What follows the mark in an earlier page: numbers of other commands."""
    mark = "\n<!-- by hand -->\n"
    rest = page.read_text(encoding="utf-8").partition(mark)[2] if page.exists() else ""
    return mark + rest if rest else ""


if __name__ == "__main__":
    main()
