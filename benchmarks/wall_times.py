"""How long somebody waits: the command's first line, and a case from its files to the saved labels, on all cores.

    python benchmarks/wall_times.py [--model ensemble] [--rounds 3] [-o docs/performance.md]

Seconds of the wall, the least of the rounds: other programs on the same cores make them longer, never shorter, so run
it where nothing else runs. The case is that of `performance.py`, its scans packed (`.nii.gz`) and its labels too.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from marked_page import replace_marked
from performance import case, part, write_study

TARGETS = {
    "from the command to its first line": 1.5,
    "from files to saved labels": 3.0,
    "the same with mirrored copies": 10.0,
}
"""Seconds that are promised."""


def first_line(folder: Path, model: str) -> float:
    """Seconds from the start of `brain-tumor segment` to the first line that it says."""
    command = [sys.executable, "-P", "-c", "from napari_brain_tumor.cli import main; main()", "segment", str(folder)]
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, "-o", str(folder / "out.nii.gz"), "--model", model, "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        seconds = time.perf_counter() - began
        process.kill()
        process.stdout.read()
    return seconds


def file_to_file(folder: Path, model: str, *, flips: bool) -> float:
    """Seconds for opening, segmenting and saving in this process, which has loaded the model."""
    from napari_brain_tumor import open_study, save_segmentation, segment

    began = time.perf_counter()
    result = segment(open_study(folder), model, "cpu", flips=flips)
    save_segmentation(result, folder / "result.nii.gz")
    seconds = time.perf_counter() - began
    print(f"flips {flips}: {seconds:.2f} s, {result.provenance['settings']['precision']}", flush=True)
    for path in folder.glob("result*"):
        path.unlink()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ensemble")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", "-o", type=Path)
    given = parser.parse_args()

    import torch

    from napari_brain_tumor import segment

    with tempfile.TemporaryDirectory() as name:
        folder = write_study(case(None), Path(name))
        segment(part(case(None), (4, 4, 16)), given.model, "cpu")  # loads what is loaded once
        rounds = range(given.rounds)
        seconds = [
            min(first_line(folder, given.model) for _ in rounds),
            min(file_to_file(folder, given.model, flips=False) for _ in rounds),
            min(file_to_file(folder, given.model, flips=True) for _ in rounds),
        ]
    lines = [f"| `{given.model}`, {torch.get_num_threads()} cores | seconds | at most |", "|---|---:|---:|"]
    lines += [f"| {what} | {s:.1f} | {most:g} |" for (what, most), s in zip(TARGETS.items(), seconds, strict=True)]
    print(*lines, sep="\n")
    if given.output:
        replace_marked(given.output, "wall", lines)


if __name__ == "__main__":
    main()
