"""Cases for training, prepared once and kept in memory."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.brain.extraction import chosen_brain_job
from napari_brain_tumor.brain.network import brain_model
from napari_brain_tumor.errors import BrainTumorError, SaveError, TrainingError
from napari_brain_tumor.geometry import Box
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.labels import REGIONS, region_mask
from napari_brain_tumor.models.cards import find_model
from napari_brain_tumor.preprocessing.pipeline import Prepared, PreprocessingSpec, prepare
from napari_brain_tumor.progress import Job, Progress, run_job
from napari_brain_tumor.study import Role, Segmentation, Study
from napari_brain_tumor.types import Mask
from napari_brain_tumor.workflow import segment_with_probabilities
from napari_brain_tumor_training.case_files import CaseFiles, find_cases, read_split

__all__ = ["CaseFiles", "TrainingCase", "find_cases", "load_cases", "prepare_case", "read_split"]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingCase:
    """A prepared case.

    Attributes
    ----------
    channels : (Z, C, Y, X) float16 array
        Standardised slices; zeros for absent sequences.
    classes : (Z, Y, X) uint8 array
        Truth in the package's classes.
    present : (C,) bool array
        Sequences that the case has.
    known : (3,) bool array
        Which of WT, TC and ET are known in the truth.
    where : (Z, Y, X) bool array, optional
        Voxels where the truth is known; None if everywhere.
    teacher : (Z, 3, Y, X) float16 array, optional
        The teacher's probabilities of WT, TC and ET, for distillation.
    """

    files: CaseFiles
    channels: npt.NDArray[np.float16]
    classes: npt.NDArray[np.uint8]
    present: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    where: npt.NDArray[np.bool_] | None = None
    teacher: npt.NDArray[np.float16] | None = None


def load_cases(
    files: Sequence[CaseFiles],
    roles: Sequence[Role],
    spec: PreprocessingSpec,
    cache: Path,
    teacher: str | None = None,
) -> Job[list[TrainingCase]]:
    """Read and prepare cases, as a job; cases prepared earlier with the same settings come from the cache folder.

    With a teacher, training cases include its probabilities.

    Raises
    ------
    TrainingError
        If a case cannot be read or used; the message names the case and the reason.
    SaveError
        If the cache cannot be written.
    """
    loaded = []
    for number, case in enumerate(files):
        yield Progress(number, len(files), f"reading {case.name}")
        stored = _cached(case, roles, spec, cache)
        if teacher is not None and case.split == "train":
            stored = {**stored, **_taught(case, roles, spec, cache, teacher)}
        loaded.append(_training_case(case, stored))
    yield Progress(len(files), len(files), "")
    return loaded


def prepare_case(case: CaseFiles, roles: Sequence[Role], spec: PreprocessingSpec) -> TrainingCase:
    """Read and prepare one case; raises `TrainingError` as in `load_cases`."""
    return _training_case(case, _prepare(case, roles, spec))


def _cached(
    case: CaseFiles, roles: Sequence[Role], spec: PreprocessingSpec, cache: Path
) -> dict[str, npt.NDArray[Any]]:
    return _kept(
        cache / f"{case.name}-{_key(case, roles, spec)}.npz",
        {"channels", "classes", "present", "known"},
        lambda: _prepare(case, roles, spec),
    )


def _taught(
    case: CaseFiles, roles: Sequence[Role], spec: PreprocessingSpec, cache: Path, teacher: str
) -> dict[str, npt.NDArray[Any]]:
    model = find_model(teacher)
    key = hashlib.sha256(f"{_key(case, roles, spec)} {model.card.weights_sha256}".encode()).hexdigest()[:20]
    return _kept(cache / f"{case.name}-teacher-{key}.npz", {"teacher"}, lambda: _predicted(case, roles, spec, teacher))


def _kept(path: Path, names: set[str], make: Callable[[], dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a cache file, creating it if it is missing or damaged."""
    stored = _read(path) if path.is_file() else None
    if stored is None or not names <= set(stored):
        stored = arrays = make()
        write_atomically(path, lambda part: np.savez(part, allow_pickle=False, **arrays), _check_archive)
    return stored


def _training_case(case: CaseFiles, stored: Mapping[str, npt.NDArray[Any]]) -> TrainingCase:
    return TrainingCase(
        case,
        stored["channels"],
        stored["classes"],
        stored["present"],
        stored["known"],
        stored.get("where"),
        stored.get("teacher"),
    )


def _key(case: CaseFiles, roles: Sequence[Role], spec: PreprocessingSpec) -> str:
    """Return a short hash of everything that a prepared case depends on."""
    try:
        stamp = [case.image.stat().st_mtime_ns, case.truth.stat().st_mtime_ns]
    except OSError as error:
        msg = f"Case {case.name} of {case.dataset} cannot be read: {error}. Restore it or take it out of the split."
        raise TrainingError(msg) from error
    parts = [str(case.image), str(case.truth), stamp, roles, spec.model_dump(), case.known_slices]
    if case.brain == "auto":
        parts.append(brain_model().card.weights_sha256)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def _read(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """Return the arrays of a cache file; None if it is damaged, so that the case is prepared again."""
    try:
        # Opened here because np.load leaves the file of a damaged archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _check_archive(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        msg = f"{path} was not written as a whole."
        raise SaveError(msg)


def _brain_of(case: CaseFiles) -> tuple[Study, Segmentation, Mask | None]:
    """Return a case after brain extraction, its truth, and where the truth is known."""
    opened = case.open()
    return run_job(chosen_brain_job(opened.study, case.brain)).study, opened.truth, opened.known


@contextmanager
def _naming(case: CaseFiles) -> Iterator[None]:
    """Prefix errors raised within the context with the name of the case."""
    try:
        yield
    except BrainTumorError as error:
        msg = f"Case {case.name} of {case.dataset} cannot be trained on: {error}"
        raise TrainingError(msg) from error


def _predicted(
    case: CaseFiles, roles: Sequence[Role], spec: PreprocessingSpec, teacher: str
) -> dict[str, npt.NDArray[Any]]:
    """Return a teacher's probabilities in the box of the prepared case; the truth for regions it does not predict."""
    with _naming(case):
        study, truth, _ = _brain_of(case)
        prepared = prepare(study, roles, spec)
        classes = prepared.work.labels_to_work(truth.data)
        at = _box_with_truth(classes, prepared).slices
        _, maps = segment_with_probabilities(study, teacher)
    volumes = [
        prepared.work.to_work(maps[region].astype(np.float32))
        if region in maps.regions
        else region_mask(classes, region)
        for region in REGIONS
    ]
    return {"teacher": np.stack([volume[at] for volume in volumes], axis=1).astype(np.float16)}


def _box_with_truth(classes: npt.NDArray[Any], prepared: Prepared) -> Box:
    """Return the box of the head, or the whole volume if labelled voxels lie outside it, so that no truth is lost."""
    lost = int(classes.astype(bool).sum()) - int(classes[prepared.box.slices].astype(bool).sum())
    return Box.whole(classes.shape) if lost else prepared.box


def _prepare(case: CaseFiles, roles: Sequence[Role], spec: PreprocessingSpec) -> dict[str, npt.NDArray[Any]]:
    with _naming(case):
        study, truth, known = _brain_of(case)
        prepared = prepare(study, roles, spec)
        classes = prepared.work.labels_to_work(truth.data)
    box = _box_with_truth(classes, prepared)
    if box != prepared.box:
        channels = np.zeros((len(roles), *classes.shape), dtype=np.float32)
        channels[(slice(None), *prepared.box.slices)] = prepared.channels
    else:
        channels = prepared.channels
    arrays: dict[str, npt.NDArray[Any]] = {
        "channels": np.ascontiguousarray(channels.swapaxes(0, 1)).astype(np.float16),
        "classes": np.ascontiguousarray(classes[box.slices]).astype(np.uint8),
        "present": np.array([role in study.sequences for role in roles]),
        "known": np.array([region in truth.known_regions for region in REGIONS]),
    }
    if known is not None:
        where = prepared.work.labels_to_work(known.astype(np.uint8))
        arrays["where"] = np.ascontiguousarray(where[box.slices]).astype(np.bool_)
    return arrays
