"""What can be exported for a paper or a talk: titles, file types and the jobs that write them. No Qt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.measure.tables import examinations_csv
from napari_brain_tumor.plugin import from_layers
from napari_brain_tumor.plugin.layers import LayerView
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Role
from napari_brain_tumor.widgets.correct_start import on_study
from napari_brain_tumor.widgets.worker import Stop

ExportKind = Literal["figure", "film", "surfaces", "numbers", "copied numbers"]


@dataclass(frozen=True, slots=True)
class Export:
    """An entry of the Export menu.

    Parameters
    ----------
    suffixes : tuple of str
        File suffixes, the usual one first; empty if the export goes to the clipboard.
    ending : str
        Ending of the proposed file name, after the name of the case.
    """

    title: str
    tip: str
    suffixes: tuple[str, ...] = ()
    ending: str = ""

    @property
    def file_filter(self) -> str:
        """File filter for a save dialog."""
        return f"{self.title.rstrip('…')} ({' '.join(f'*{suffix}' for suffix in self.suffixes)})"


EXPORTS: Final[Mapping[ExportKind, Export]] = {
    "figure": Export(
        "Figure…",
        "Three planes through the tumour at one scale, with outlines, volumes and a scale bar: PNG, SVG or PDF.",
        (".png", ".svg", ".pdf"),
        "figure",
    ),
    "film": Export(
        "Film through the slices…", "Every axial slice with outlines: GIF or MP4.", (".gif", ".mp4"), "slices"
    ),
    "surfaces": Export(
        "Surfaces…", "The outlines of the regions as meshes, for printing and modelling: STL or PLY.", (".stl", ".ply")
    ),
    "numbers": Export("Lesion numbers…", "Volumes, diameters and more, one row per lesion: CSV.", (".csv",), "lesions"),
    "copied numbers": Export("Copy the lesion numbers", "The same table to the clipboard, for a spreadsheet."),
}


def export_steps(
    stop: Stop,
    kind: ExportKind,
    scans: Mapping[Role, LayerView],
    labels: LayerView,
    references: Sequence[LayerView],
    path: Path | None,
    worker: WorkerProcess,
    *,
    role: Role | None = None,
) -> Job[str]:
    """Read the layers and write one export in the worker process.

    Parameters
    ----------
    kind : str
        A key of `EXPORTS`.
    labels : LayerView
        The labels to export.
    references : sequence of LayerView
        Open layers, one of which has the grid of labels that were painted from scratch.
    path : Path or None
        None for the clipboard. An existing file is overwritten; the dialog has already asked.
    role : str, optional
        The scan that is shown.

    Returns
    -------
    str
        The text for the clipboard, or a message that says what was written.
    """
    yield Progress(0, 1, "reading the layers")
    study = from_layers.study_from_layers(scans)
    segmentation = on_study(labels, references, study)
    if kind in ("numbers", "copied numbers"):
        target = "napari_brain_tumor.measure.examination:measure_study_job"
        text = examinations_csv(
            [(yield from stop.guard(worker.run(target, segmentation, study)))], "," if path is not None else "\t"
        )
        if path is None:
            return text
        write_text(path, text)
    elif kind == "surfaces":
        target = "napari_brain_tumor.io:save_segmentation"
        yield from stop.guard(worker.run(target, segmentation, path, overwrite=True))
    else:
        target = _PICTURES[kind]
        yield from stop.guard(worker.run(target, study, segmentation, path, role=role, overwrite=True))
    return f"Saved {path}."


_REPORT: Final = "napari_brain_tumor.reports:report_job"
_PICTURES: Final[Mapping[str, str]] = {
    "figure": "napari_brain_tumor.reports.figure:save_figure",
    "film": "napari_brain_tumor.reports.slice_through:save_slice_through_job",
}


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
        The labels to report on.
    references : sequence of LayerView
        Open layers, one of which has the grid of labels that were painted from scratch.
    path : Path
        Must end in `.html`.
    """
    yield Progress(0, 1, "reading the layers")
    study = from_layers.study_from_layers(scans)
    segmentation = on_study(labels, references, study)
    written: Path = yield from stop.guard(worker.run(_REPORT, study, segmentation, path, name=study.name))
    return written
