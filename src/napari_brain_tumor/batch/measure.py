"""Measure many segmentations."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_brain_tumor.executors import Executor, Finished, open_executor
from napari_brain_tumor.io import open_segmentation, open_study
from napari_brain_tumor.io.reading import AnyPath
from napari_brain_tumor.measure.examination import Examination, measure_study_job
from napari_brain_tumor.measure.settings import MeasureSettings
from napari_brain_tumor.measure.volumes import VolumeTable, measure_volumes
from napari_brain_tumor.progress import Job, Progress, action, heard
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.study import Segmentation, Study

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, slots=True)
class MeasuredCase:
    """Measurements of a segmentation.

    Parameters
    ----------
    examination : Examination or None
        Lesions and other measurements, if requested.
    """

    name: str
    volumes: VolumeTable
    examination: Examination | None = None


@dataclass(frozen=True, slots=True)
class MeasureWork:
    """Settings for measuring each segmentation of a batch; see `executors.CaseWork`.

    Parameters
    ----------
    schema : str, optional
        Label schema, if the files leave it ambiguous.
    opening : OpenOptions
        Options for opening the scans; the voxel size also applies to labels whose files do not state it.
    settings : MeasureSettings or None
        How lesions are measured; None: only volumes.
    study : Path, optional
        The scans, in which the midline is found.
    """

    schema: str | None = None
    opening: OpenOptions = field(default_factory=OpenOptions)
    settings: MeasureSettings | None = None
    study: Path | None = None

    def place(self, labels: Path) -> Path:
        """Return the path of the labels."""
        return labels

    def read(self, labels: Path) -> tuple[Segmentation, Study | None]:
        """Open the labels, and the scans if there are any."""
        segmentation = open_segmentation(labels, self.schema, spacing_mm=self.opening.spacing_mm)
        return segmentation, None if self.study is None else open_study(self.study, **self.opening.changed())

    def compute(self, labels: Path, opened: tuple[Segmentation, Study | None]) -> Job[MeasuredCase]:
        segmentation, study = opened
        if self.settings is None:
            return MeasuredCase(segmentation.name, measure_volumes(segmentation))
        examination = yield from measure_study_job(segmentation, study, self.settings)
        return MeasuredCase(segmentation.name, examination.volumes, examination)


@action
def measure_many(
    labels: Iterable[AnyPath],
    settings: MeasureSettings | None = None,
    *,
    schema: str | None = None,
    spacing_mm: tuple[float, float, float] | None = None,
    jobs: int = 1,
    client: "Client | None" = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Job[list[Examination | Exception]]:
    """Measure many segmentations like `measure_study`.

    Parameters
    ----------
    labels : iterable of path-like
        Files or folders of segmentations.
    settings : MeasureSettings, optional
    schema, spacing_mm
        As for `open_segmentation`.
    jobs : int
        Number of processes on this machine; 1 uses the current process, 0 as many as cores and memory allow.
    client : distributed.Client, optional
        Client of a dask cluster.
    on_progress : callable, optional
        Called with each `Progress`.

    Returns
    -------
    list of Examination or Exception
        In the order of the segmentations; the error for those that could not be measured.

    Raises
    ------
    ClusterError
        If the workers of the cluster cannot do the work, or both `jobs` and `client` are given.
    """
    paths = [Path(path).absolute() for path in labels]
    work = MeasureWork(schema, OpenOptions(spacing_mm=spacing_mm), settings or MeasureSettings())
    measured: dict[int, Examination | Exception] = {}
    with open_executor(jobs, client=client) as executor:
        yield from heard(_batch_job(executor, work, paths, measured), on_progress)
    return [measured[number] for number in sorted(measured)]


measure_many_job = measure_many.job
"""`measure_many` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


def _batch_job(
    executor: Executor, work: MeasureWork, paths: Sequence[Path], measured: dict[int, Examination | Exception]
) -> Job[None]:
    """Measure the segmentations, and store each examination or error under its number."""
    for event in executor.run(work, paths):
        if isinstance(event, Finished):
            examination = None if event.result is None else event.result.examination
            measured[event.number] = examination or event.error or AssertionError()
            yield Progress(len(measured), len(paths), paths[event.number].name)
