"""The shipped case through the whole path: segment, measure, compare with its truth, save, draw, look at it."""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from napari_brain_tumor.cli.console import print_table, run_shown, say, volume_table
from napari_brain_tumor.evaluation.overlap import region_dice
from napari_brain_tumor.io import open_segmentation, open_study, save_segmentation
from napari_brain_tumor.measure.picture import save_picture
from napari_brain_tumor.measure.volumes import measure_volumes
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path
from napari_brain_tumor.workflow import segment_job

__all__ = ["WINDOW_MODULE", "open_window", "run_demo", "why_no_window"]

_QT_BINDINGS: Final = ("PyQt6", "PySide6", "PyQt5")
WINDOW_MODULE: Final = "napari_brain_tumor.widgets.show"
_SECONDS_TO_FAIL: Final = 6.0
"""A window that cannot open says so within this time."""


def run_demo(folder: Path, *, model: str | None = None, device: str = "auto", window: bool = True) -> None:
    """Segment the shipped sample; write `segmentation.nii.gz`, `.json` and `.png` into the folder and show the result.

    Earlier results of the demo in that folder are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(sample_case_folder())
    truth = open_segmentation(sample_truth_path())
    start = time.perf_counter()
    segmentation = run_shown(segment_job(study, model, device), study.name)
    seconds = time.perf_counter() - start
    print_table(
        f"{study.name}: segmented in {seconds:.1f} s; Dice against the sample's truth",
        volume_table(measure_volumes(segmentation), region_dice(truth, segmentation)),
    )
    target = folder / "segmentation.nii.gz"
    save_segmentation(segmentation, target)
    picture = save_picture(study, segmentation, folder / "segmentation.png")
    for written in (target, folder / "segmentation.json", picture):
        say(f"Wrote {written}")
    _show_or_explain(sample_case_folder(), target, wanted=window)


def why_no_window(environment: Mapping[str, str], platform: str = sys.platform) -> str | None:
    """Why napari cannot open a window here, or None where it can."""
    on_desktop = platform in ("darwin", "win32") or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    if not on_desktop:
        return "there is no display"
    if not any(importlib.util.find_spec(name) for name in _QT_BINDINGS):
        return 'no Qt binding is installed (pip install "napari-brain-tumor[all]")'
    return None


def open_window(case: Path, segmentation: Path, log: Path) -> str | None:
    """Open napari in a process of its own, which stays when this one ends; return its last words if it failed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", WINDOW_MODULE, str(case), str(segmentation)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        code = process.wait(timeout=_SECONDS_TO_FAIL)
    except subprocess.TimeoutExpired:
        return None
    words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"{words[-1] if words else 'no message'} (exit code {code}, see {log})" if code else None


def _show_or_explain(case: Path, segmentation: Path, *, wanted: bool) -> None:
    reason = why_no_window(os.environ) if wanted else "not asked for"
    if reason is None:
        say("Opening napari ...")
        reason = open_window(case, segmentation, segmentation.with_name("napari.log"))
    if reason is not None:
        say(f"napari is not open: {reason}. To look at the result later:")
        say(f"  python -m {WINDOW_MODULE} {case} {segmentation}")
