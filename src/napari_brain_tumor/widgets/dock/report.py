"""A report of the one examination that is open, written in the worker process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.plugin import from_layers
from napari_brain_tumor.plugin.layers import LayerView
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Role
from napari_brain_tumor.widgets.correct_start import on_study
from napari_brain_tumor.widgets.worker import Stop

_TARGET: Final = "napari_brain_tumor.reports:report_job"


def report_steps(
    stop: Stop,
    scans: Mapping[Role, LayerView],
    labels: LayerView,
    references: Sequence[LayerView],
    path: Path,
    worker: WorkerProcess,
) -> Job[Path]:
    """Read the layers and write the report.

    Parameters
    ----------
    labels : LayerView
        Of the labels to report.
    references : sequence of LayerView
        Opened layers, one of which labels painted from scratch belong to.
    path : Path
        Ends in `.html`.
    """
    yield Progress(0, 1, "reading the layers")
    study = from_layers.study_from_layers(scans)
    segmentation = on_study(labels, references, study)
    written: Path = yield from stop.guard(worker.run(_TARGET, study, segmentation, path, name=study.name))
    return written
