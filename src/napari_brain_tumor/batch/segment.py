"""Segment many cases: open, segment, save and measure each; used from Python and the command line."""

import os
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from napari_brain_tumor import catalogue
from napari_brain_tumor.batch.case_table import CaseRow, CaseRows, CaseTable
from napari_brain_tumor.batch.changed_scans import changes_since_result
from napari_brain_tumor.batch.maps import existing_maps, write_maps
from napari_brain_tumor.batch.raw_series import RawSeries, open_scans, prepared_job, restored, study_folder
from napari_brain_tumor.batch.rows import BatchRows, CaseProgress
from napari_brain_tumor.batch.targets import Task, already_there, check_inputs_are_kept, task_of
from napari_brain_tumor.errors import BrainTumorError, SaveError
from napari_brain_tumor.executors import Advanced, Event, Executor, Finished, open_executor
from napari_brain_tumor.executors.pool import PROCESS_NUMBER
from napari_brain_tumor.io import open_segmentation, read_sidecar, save_segmentation
from napari_brain_tumor.io.case_names import distinct_names
from napari_brain_tumor.io.meaning import texts_of
from napari_brain_tumor.io.reading import AnyPath
from napari_brain_tumor.io.sidecar import notes_in
from napari_brain_tumor.io.sidecar_paths import PathStyle
from napari_brain_tumor.measure.volumes import measure_volumes
from napari_brain_tumor.preparation import PreparedStudy
from napari_brain_tumor.progress import Job, Progress, action, heard, part_of
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.prepare import RawSeriesRequest
from napari_brain_tumor.requests.request import takes
from napari_brain_tumor.requests.segment import SegmentOptions, SegmentRequest
from napari_brain_tumor.study import Segmentation, Study

if TYPE_CHECKING:
    from distributed import Client

    from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities


@dataclass(frozen=True, slots=True)
class SegmentedCase:
    """Result of a case, and what is shown on the command line.

    Parameters
    ----------
    title : str
        Examination and model; empty if nothing was computed.
    written : tuple of Path
        Saved files, labels first.
    """

    row: CaseRow
    title: str = ""
    written: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentWork:
    """Settings for segmenting each case of a batch; see `executors.CaseWork`.

    Parameters
    ----------
    opening : OpenOptions
        Options for opening each examination; a task may have its own roles.
    request : SegmentRequest
        Options for segmenting it.
    raw : RawSeriesRequest
        Treatment of raw series.
    schema : str
        Label schema of the saved files.
    file_format : str, optional
        Format of the saved files; if not given, it follows from the suffix.
    maps : frozenset of str
        Any of `"probabilities"` and `"uncertainty"`.
    paths : str
        How the record of a result refers to its scans.
    overwrite, skip_existing : bool
        Whether existing results are replaced, or skipped.
    remembers_cost : bool
        Whether run times are stored for estimates; not if several cases are computed at the same time.
    batch : str
        Identifies results of this batch.
    """

    opening: OpenOptions = field(default_factory=OpenOptions)
    request: SegmentRequest = field(default_factory=SegmentRequest)
    raw: RawSeriesRequest = field(default_factory=RawSeriesRequest)
    schema: str = "MSD"
    file_format: str | None = None
    maps: frozenset[str] = frozenset()
    paths: PathStyle = "auto"
    overwrite: bool = False
    skip_existing: bool = False
    remembers_cost: bool = False
    batch: str = field(default_factory=lambda: uuid.uuid4().hex)

    def absolute(self) -> "SegmentWork":
        """Return a copy with absolute paths, for a process that runs in another folder."""
        folders = {"model": self.request.model, "brain": self.request.brain}
        absolute = {
            name: os.path.abspath(where)
            for name, where in folders.items()
            if isinstance(where, str | Path) and os.path.exists(where)
        }
        return replace(self, request=self.request.with_options(**absolute)) if absolute else self

    def place(self, task: Task) -> Path:
        """Return the path of the scans."""
        return task.case

    def read(self, task: Task) -> Study | PreparedStudy | RawSeries | CaseRow:
        """Open the examination, or return a row at once if there is nothing to do."""
        if task.obstacle:
            raise SaveError(task.obstacle)
        if self._is_from_this_batch(task):
            return replace(row_of_existing(task), status="done", error="")
        if not self.overwrite:
            existing = [*already_there(task.target), *self._existing_maps(task)]
            if existing:
                return self._left_alone(task, existing[0])
        roles = {} if task.roles is None else {"roles": task.roles}
        return open_scans(task.case, self.opening.with_options(**roles), self.raw)

    def compute(self, task: Task, opened: Study | PreparedStudy | RawSeries | CaseRow) -> Job[SegmentedCase]:
        """Segment, save and measure the case; notes that matter before the run are reported as milestones."""
        if isinstance(opened, CaseRow):
            return SegmentedCase(opened)
        try:
            if not isinstance(opened, RawSeries):
                return (yield from self._segmented(task, opened))
            return (yield from self._prepared(task, opened))
        except SaveError:
            if self.skip_existing and already_there(task.target):  # another batch was faster
                return SegmentedCase(row_of_existing(task))
            raise

    def _prepared(self, task: Task, series: RawSeries) -> Job[SegmentedCase]:
        for text in series.notes:
            yield Progress(0, 1, "", f"Note: {text}")
        folder = study_folder(task.target)
        job = prepared_job(series, self.request, folder, overwrite=self.overwrite)
        prepared = yield from part_of(job, 0, 0.6)
        own = replace(self, request=self.request.with_options(brain="auto"))  # the brain has already been extracted
        segmented = yield from part_of(own._segmented(task, prepared, on_reference=True), 0.6, 1)
        return replace(segmented, written=(*segmented.written, folder))

    def _segmented(
        self, task: Task, opened: Study | PreparedStudy, *, on_reference: bool = False
    ) -> Job[SegmentedCase]:
        from napari_brain_tumor.brain.extraction import notes_on_brain
        from napari_brain_tumor.preflight.costs import remember

        prepared = opened if isinstance(opened, PreparedStudy) else None
        study = opened.study if isinstance(opened, PreparedStudy) else opened
        check_inputs_are_kept(study, task.target)
        name, notes = self._notes_before(study)
        for text in notes:
            yield Progress(0, 1, "", f"Note: {text}")
        if study.grid.unit == "voxel":
            yield Progress(0, 1, "", "Note: With --spacing X,Y,Z the volumes are given in millilitres.")
        segmentation, maps = yield from self._job(study)
        if self.remembers_cost:
            remember(segmentation.provenance)
        doubts = tuple(segmentation.provenance.get("doubts", ()))
        for text in (*(each for each in notes_on_brain(segmentation.provenance) if each not in notes), *doubts):
            yield Progress(1, 1, "", f"Note: {text}")
        segmentation = replace(segmentation, provenance={**segmentation.provenance, "batch": self.batch})
        saving = {"schema": self.schema, "format": self.file_format, "overwrite": self.overwrite, "paths": self.paths}
        beside = restored(prepared, segmentation, self.raw.onto, task.target, saving)
        if prepared is not None and on_reference:
            segmentation = prepared.restore(segmentation)
        saved = save_segmentation(segmentation, task.target, **saving)  # type: ignore[arg-type]
        result = saved if isinstance(saved, Path) else task.target  # for a data set, the file within it
        written = saved if isinstance(saved, list) and not task.target.is_dir() else [result]
        if maps is not None:
            written = [*written, *write_maps(maps, self.maps, result, study, overwrite=self.overwrite)]
        written = [*written, *beside]
        volumes = measure_volumes(segmentation)
        row = CaseRow(str(task.case), "done", str(result), name, volumes, notes=(*notes, *doubts))
        return SegmentedCase(row, f"{study.name}, by {name}", tuple(written))

    def _notes_before(self, study: Study) -> tuple[str, tuple[str, ...]]:
        """Return the model that suits the study, and notes to show before it runs."""
        from napari_brain_tumor.brain.extraction import traits_within
        from napari_brain_tumor.models.cards import list_models, why_default
        from napari_brain_tumor.preprocessing.traits import traits_of

        traits = traits_within(traits_of(study), self.request.brain)
        method = catalogue.find_model(self.request.model, traits)
        reason = why_default(list_models(), traits) if self.request.model is None else ""
        missing = method.notes_without(study.roles, traits)
        return method.name, (*study.notes, *filter(None, [reason]), *missing, *method.notes_on(traits))

    def _job(self, study: Study) -> Job[tuple[Segmentation, "RegionProbabilities | None"]]:
        from napari_brain_tumor import workflow  # loads torch, which takes seconds

        model, device, options = self.request.model, _own_device(self.request.device), self.request.options()
        if self.maps:
            return (yield from workflow.segment_with_probabilities_job(study, model, device, **options))
        return (yield from workflow.segment_job(study, model, device, **options)), None

    def _existing_maps(self, task: Task) -> list[Path]:
        return existing_maps(task.target, catalogue.find_model(self.request.model), self.maps) if self.maps else []

    def _left_alone(self, task: Task, existing: Path) -> CaseRow:
        if self.skip_existing and already_there(task.target):
            chosen = task.roles is not None or bool(self.opening.roles or self.opening.series)
            return _row_of_same_scans(task, chosen=chosen)
        return CaseRow(str(task.case), "exists", str(task.target), error=f"{existing} already exists.", seconds=0)

    def _is_from_this_batch(self, task: Task) -> bool:
        """Whether the result was written by a worker of this batch that was lost before it could report."""
        if not already_there(task.target):
            return False
        provenance = read_sidecar(task.target).get("provenance")
        return isinstance(provenance, Mapping) and provenance.get("batch") == self.batch


def _row_of_same_scans(task: Task, *, chosen: bool) -> CaseRow:
    """Return `row_of_existing`; a result made from scans that have since changed is not skipped."""
    changes = changes_since_result(task.target, task.case, chosen=chosen)
    if changes:
        error = (
            f"{task.target} is the result from other scans: {changes}. It was left unchanged; --overwrite replaces it."
        )
        return CaseRow(str(task.case), "outdated", str(task.target), seconds=0, error=error)
    row = row_of_existing(task)
    if changes is None:
        row = replace(
            row, notes=("There is no record of the scans from which the earlier result was made.", *row.notes)
        )
    return row


def row_of_existing(task: Task) -> CaseRow:
    """Return a row with the contents of an existing result, so that the table is complete."""
    row = CaseRow(str(task.case), "skipped", str(task.target), seconds=0)
    try:
        volumes = measure_volumes(open_segmentation(task.target))
    except (BrainTumorError, OSError) as error:
        return replace(row, notes=(f"The earlier result could not be read: {error}",))
    record = read_sidecar(task.target)
    provenance = record.get("provenance")
    recorded = provenance if isinstance(provenance, Mapping) else {}
    model = recorded.get("model")
    name = model.get("name") if isinstance(model, Mapping) else model
    notes = dict.fromkeys((*notes_in(record), *texts_of(recorded.get("notes")), *texts_of(recorded.get("doubts"))))
    return replace(row, volumes=volumes, model=str(name or ""), notes=tuple(notes))


@action
@takes(SegmentRequest, "model", "device")
def segment_many(
    cases: Iterable[AnyPath],
    output: AnyPath,
    model: str | os.PathLike[str] | None = None,
    device: str = "auto",
    *,
    jobs: int = 1,
    client: "Client | None" = None,
    opening: OpenOptions | None = None,
    schema: str = "MSD",
    maps: Collection[str] = (),
    overwrite: bool = False,
    skip_existing: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Unpack[SegmentOptions],
) -> Job[CaseRows]:
    """Segment many cases and save each result on its scan's own grid.

    Parameters
    ----------
    cases : iterable of path-like
        Files or folders of examinations, without duplicates.
    output : path-like
        Folder for the results, `<case>_segmentation.nii.gz`, and the table `segmentation_results.csv`.
    model, device
        As for `segment`. With `jobs`, `"auto"` and `"cuda"` distribute the processes over the machine's GPUs.
    jobs : int
        Number of processes on this machine; 1 uses the current process, 0 as many as cores and memory allow.
    client : distributed.Client, optional
        Client of a dask cluster whose workers have this package installed and see the files under the same paths.
    opening : OpenOptions, optional
        Options for opening each examination, such as `OpenOptions(resample="finest")`.
    schema : str
        Label schema of the saved files.
    maps : collection of str
        Any of `"probabilities"` and `"uncertainty"`, to be saved next to the labels.
    overwrite, skip_existing : bool
        Whether existing results are replaced, or skipped; skipping resumes a batch that was stopped.
    on_progress : callable, optional
        Called with each `Progress`.
    {options}

    Returns
    -------
    CaseRows
        A tuple of one `CaseRow` for each case, in order: status (done, skipped, exists, outdated or failed), volumes,
        notes and error. Its `to_dataframe()` is the table. A case that fails does not stop the others.

    Raises
    ------
    ModelNotFoundError
        If there is no such model.
    ClusterError
        If the workers of the cluster cannot do the work, or both `jobs` and `client` are given.
    SaveError
        If the table cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from napari_brain_tumor import segment_many
    >>> rows = segment_many(Path("cohort").iterdir(), "results", jobs=4, skip_existing=True)  # doctest: +SKIP
    >>> [row.case for row in rows if row.status == "failed"]  # doctest: +SKIP
    []
    """
    catalogue.find_model(model)
    folder = Path(output).absolute()
    tasks = _tasks([Path(case).absolute() for case in cases], folder)
    work = SegmentWork(
        opening=opening or OpenOptions(),
        request=SegmentRequest(model=model, device=device, **options),
        schema=schema,
        maps=frozenset(maps),
        overwrite=overwrite,
        skip_existing=skip_existing,
        remembers_cost=jobs == 1 and client is None,
    )
    rows = BatchRows(len(tasks), CaseTable(folder / "segmentation_results.csv"))
    with open_executor(jobs, client=client) as executor:
        yield from heard(_batch_job(executor, work.absolute(), tasks, rows), on_progress)
    return CaseRows(rows.rows)


segment_many_job = segment_many.job
"""`segment_many` as a job: yields `CaseProgress` and returns the same result. Takes the same parameters."""


def _batch_job(executor: Executor, work: SegmentWork, tasks: Sequence[Task], rows: BatchRows) -> Job[None]:
    try:
        for event in executor.run(work, tasks):
            yield _progress(event, tasks[event.number], rows)
    finally:
        rows.write()


def _progress(event: Event[SegmentedCase], task: Task, rows: BatchRows) -> CaseProgress:
    """Return the progress of the batch after an event, and add its row."""
    name = task.case.name
    if isinstance(event, Finished):
        row = finished_row(event, task)
        rows.add(event.number, row)
        milestone = f"{row.case}: {row.status}" + (f" ({row.error})" if row.error else "")
        return CaseProgress(len(rows.rows), rows.count, name, milestone, event.number, row)
    step = event.progress if isinstance(event, Advanced) else Progress(0, 1)
    message = ": ".join(filter(None, (name, step.message)))
    return CaseProgress(len(rows.rows) + step.fraction, rows.count, message, "", event.number)


def _tasks(cases: Sequence[Path], folder: Path) -> list[Task]:
    once = list(dict.fromkeys(cases))
    return [
        task_of(case, folder / f"{name}_segmentation.nii.gz")
        for case, name in zip(once, distinct_names(once), strict=True)
    ]


def finished_row(event: Finished[SegmentedCase], task: Task) -> CaseRow:
    """Return the row of a finished case with names as given by the user, or with the reason for failure."""
    if event.result is None:
        error = event.error
        known = isinstance(error, BrainTumorError | OSError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        return CaseRow(str(task.case), "failed", error=reason, seconds=event.seconds)
    row = named_as_given(event.result.row, task)
    return row if row.seconds is not None else row.taking(event.seconds)


def named_as_given(row: CaseRow, task: Task) -> CaseRow:
    """Return the row with the paths of case and result as given by the user, which may be relative."""
    output = str(task.target) if row.output == str(task.target.absolute()) else row.output
    return replace(row, case=str(task.case), output=output)


def _own_device(device: str) -> str:
    """Return this pool process's own GPU if there are several, otherwise the device as given."""
    number = os.environ.get(PROCESS_NUMBER)
    if number is None or device not in ("auto", "cuda"):
        return device
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return f"cuda:{int(number) % count}" if count > 1 else device
