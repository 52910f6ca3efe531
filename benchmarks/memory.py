"""Most memory that `segment` takes, from the files to the saved labels, for scans of several sizes.

    python benchmarks/memory.py [--model ensemble] [--only NAME] [-o docs/performance.md]

Each scan is the shipped sample, its voxels repeated to the size, written uncompressed; a child process opens it,
segments it on one thread and saves the labels, and says what the system counted as its peak (ru_maxrss: all of Python,
torch and the model included). The table goes into the page between its marks.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from marked_page import replace_marked
from performance import case

SIZES: dict[str, tuple[tuple[int, int, int], tuple[str, ...], float]] = {
    "240x240x155, four sequences": ((240, 240, 155), ("T1", "T1c", "T2", "FLAIR"), 1.2),
    "512x512x400, four sequences": ((512, 512, 400), ("T1", "T1c", "T2", "FLAIR"), 2.0),
    "1024x1024x600, one sequence": ((1024, 1024, 600), ("FLAIR",), 4.0),
}
"""Shape, sequences, and the GB that it may take."""


def write_scans(folder: Path, shape: tuple[int, int, int], roles: tuple[str, ...]) -> Path:
    """The sample at another sampling of the same head, a file for each sequence."""
    import nibabel as nib

    study = case(None)
    old = study.grid.shape
    places = [np.arange(n) * side // n for n, side in zip(shape, old, strict=True)]
    steps = np.diag([*(side / n for n, side in zip(shape, old, strict=True)), 1.0])
    for role in roles:
        array = study.sequences[role].astype(np.int16)  # type: ignore[index]
        large = np.empty(shape, np.int16, order="F")
        for z, from_z in enumerate(places[2]):
            large[:, :, z] = array[:, :, from_z][np.ix_(places[0], places[1])]
        nib.save(nib.Nifti1Image(large, study.grid.affine @ steps), folder / f"case_{role.lower()}.nii")
    return folder


def measure(folder: Path, model: str) -> dict[str, Any]:
    """Peak of this process after everything."""
    import torch

    from napari_brain_tumor import open_study, save_segmentation, segment

    torch.set_num_threads(1)
    began = time.process_time()
    result = segment(open_study(folder), model, "cpu")
    save_segmentation(result, folder / "result.nii.gz")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"peak_gb": peak / 1e9, "seconds": time.process_time() - began, "voxels": int((result.data > 0).sum())}


def measured(name: str, model: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        # The scans are written by a process of their own: a child begins with the peak of its parent.
        for task in ("write", "measure"):
            command = [sys.executable, __file__, "--task", task, "--folder", place, "--only", name, "--model", model]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    row: dict[str, Any] = json.loads(output.splitlines()[-1])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ensemble")
    parser.add_argument("--only", choices=list(SIZES))
    parser.add_argument("--output", "-o", type=Path, default=Path("docs/performance.md"))
    parser.add_argument("--task", choices=["write", "measure"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task == "write":
        write_scans(given.folder, *SIZES[given.only][:2])
        return
    if given.task == "measure":
        print(json.dumps(measure(given.folder, given.model)))
        return
    lines = ["| scan | peak GB | limit GB | seconds of one core |", "|---|---:|---:|---:|"]
    for name in [given.only] if given.only else SIZES:
        row = measured(name, given.model)
        lines.append(f"| {name} | {row['peak_gb']:.2f} | {SIZES[name][2]:.1f} | {row['seconds']:.0f} |")
        print(lines[-1], flush=True)
    if not given.only:
        replace_marked(given.output, "memory", lines)


if __name__ == "__main__":
    main()
