"""The shipped case through the whole path: segment, measure, compare with its truth, save, draw, look at it."""

import os
import time
from pathlib import Path

from napari_brain_tumor.cli.console import print_table, run_shown, say, say_written, volume_table
from napari_brain_tumor.cli.window import open_window, why_no_window
from napari_brain_tumor.io import open_segmentation, open_study, save_segmentation
from napari_brain_tumor.measure.picture import save_picture
from napari_brain_tumor.measure.volumes import measure_volumes
from napari_brain_tumor.metrics.overlap import region_dice
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path
from napari_brain_tumor.workflow import segment_job


def run_demo(folder: Path, request: SegmentRequest, *, window: bool = True) -> None:
    """Segment the shipped sample; write `segmentation.nii.gz`, `.json` and `.png` into the folder and show the result.

    Earlier results of the demo in that folder are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(sample_case_folder())
    truth = open_segmentation(sample_truth_path())
    start = time.perf_counter()
    job = segment_job(study, request.model, request.device, **request.options())
    segmentation = run_shown(job, study.name)
    seconds = time.perf_counter() - start
    print_table(
        f"{study.name}: segmented in {seconds:.1f} s; Dice against the sample's truth",
        volume_table(measure_volumes(segmentation), region_dice(truth, segmentation)),
    )
    target = folder / "segmentation.nii.gz"
    save_segmentation(segmentation, target, overwrite=True)
    picture = save_picture(study, segmentation, folder / "segmentation.png")
    say_written(target, folder / "segmentation.json", picture)
    _show_or_explain(sample_case_folder(), target, show=window)


def _show_or_explain(case: Path, segmentation: Path, *, show: bool) -> None:
    reason = why_no_window(os.environ) if show else "not asked for"
    if reason is None:
        say("Opening napari ...")
        reason = open_window(case, segmentation, segmentation.with_name("napari.log"))
    if reason is not None:
        say(f"napari is not open: {reason}. To look at the result later:")
        say(f"  brain-tumor view {case} --segmentation {segmentation}")
