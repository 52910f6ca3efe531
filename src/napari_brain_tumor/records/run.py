"""Recompute any recorded result."""

from os import PathLike
from pathlib import Path

from napari_brain_tumor.errors import RecordError, SaveError
from napari_brain_tumor.io import save_segmentation
from napari_brain_tumor.io.volume import named_path
from napari_brain_tumor.progress import Job, action
from napari_brain_tumor.records.evaluation import replay_evaluation_job
from napari_brain_tumor.records.places import Places
from napari_brain_tumor.records.preparation import replay_preparation_job
from napari_brain_tumor.records.records import PreparedRecord, SidecarRecord, read_record
from napari_brain_tumor.records.report import Replay
from napari_brain_tumor.records.segmentation import replay_segmentation_job

AnyPath = str | PathLike[str]


@action
def rerun(
    path: AnyPath,
    *,
    output: AnyPath | None = None,
    data: AnyPath | None = None,
    model: AnyPath | None = None,
    device: str | None = None,
) -> Job[Replay]:
    """Compute a result again from its record and report whether it is reproduced.

    The scans are verified by SHA-256, and so are the model's weights; the model may have been renamed.

    Parameters
    ----------
    path : path-like
        The JSON file next to a saved segmentation, or the segmentation itself; the `scores.json` of an evaluation; or
        the folder of a prepared study.
    output : path-like, optional
        Where to save the new segmentation, with the label numbers of the recorded one. If not given, nothing is saved.
    data : path-like, optional
        Folder in which to search, by name and by hash, for scans that have moved.
    model : path-like, optional
        Folder of the model, if it is not in the list of models.
    device : str, optional
        Device to use instead of the recorded one.

    Returns
    -------
    Replay
        `same` is True if the result was reproduced, `describe()` explains it in words, and `segmentation` is the new
        result.

    Raises
    ------
    RecordError
        If the record is incomplete, or a scan, a reference segmentation or the model has changed.
    UnreadableFileError
        If there is no such file.
    SaveError
        If the new segmentation cannot be saved, or would replace the recorded one.

    Examples
    --------
    >>> from napari_brain_tumor import rerun
    >>> found = rerun("case_segmentation.json")  # doctest: +SKIP
    >>> found.same, found.verdict  # doctest: +SKIP
    (True, 'identical')
    """
    record = read_record(path)
    places = Places(record.path.parent, None if data is None else named_path(data))
    if isinstance(record, PreparedRecord):
        _refuse_for_others("a preparation", output, model)
        return (yield from replay_preparation_job(record, places, device=device))
    if not isinstance(record, SidecarRecord):
        _refuse_for_others("an evaluation", output, model)
        return (yield from replay_evaluation_job(record, places, device=device))
    target = None if output is None else _checked_output(record, named_path(output))
    found = yield from replay_segmentation_job(record, places, model=model, device=device)
    if target is not None and found.segmentation is not None:
        save_segmentation(found.segmentation, target, record.label_schema, overwrite=True)
    return found


rerun_job = rerun.job
"""`rerun` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


def _checked_output(record: SidecarRecord, target: Path) -> Path:
    """Return the target; raises `SaveError` if the new result would overwrite the recorded one."""
    if target.resolve() in (record.result.resolve(), record.path.resolve()):
        raise SaveError(f"{target} is the recorded result and is not replaced. Choose another name for the new one.")
    return target


def _refuse_for_others(what: str, output: AnyPath | None, model: AnyPath | None) -> None:
    given = [name for name, value in (("output", output), ("model", model)) if value is not None]
    if given:
        raise RecordError(
            f"{' and '.join(given)} is for a recorded segmentation; this is the record of {what}. Leave it out: "
            "models are found by the hashes of their weights."
        )
