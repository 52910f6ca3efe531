"""Score one case by every method: open it once, segment it, and compare the results with the reference."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from napari_brain_tumor.errors import CancelledError, UnreadableFileError, attempted
from napari_brain_tumor.evaluation.cases import Case, match_by_name
from napari_brain_tumor.evaluation.methods import ComparedMethod, fitting_request
from napari_brain_tumor.evaluation.result import Refused
from napari_brain_tumor.evaluation.unfinished import FinishedCase, Unfinished
from napari_brain_tumor.evaluation.views import view_of
from napari_brain_tumor.io import open_segmentation, open_sources, open_study, open_truth, save_segmentation
from napari_brain_tumor.io.given_roles import Roles
from napari_brain_tumor.io.reading import Spacing
from napari_brain_tumor.io.source_files import describe_sources, labels_files_sha256
from napari_brain_tumor.labels import CLASS_NAMES, REGIONS
from napari_brain_tumor.metrics.compare import CaseScores
from napari_brain_tumor.metrics.one_grid import on_grid
from napari_brain_tumor.metrics.scores import score_segmentations
from napari_brain_tumor.progress import Job, part_of
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.workflow import segment_job

logger = logging.getLogger(__name__)

Opened = TypeVar("Opened", Study, Segmentation, Segmentation | None)


@dataclass(frozen=True, slots=True)
class ScoringSettings:
    """Settings shared by all cases."""

    schema: str | None
    predictions_schema: str | None
    roles: Roles
    spacing_mm: Spacing | None
    save_predictions: Path | None
    request: SegmentRequest
    """Options with which models segment."""

    def recorded(self) -> dict[str, Any]:
        """Return the settings as JSON-serialisable values, with the options of `segment` alongside the others."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "request"}
        brain = self.request.brain if isinstance(self.request.brain, str) else str(self.request.brain)
        return own | self.request.recorded() | {"device": self.request.device, "brain": brain}


@dataclass(frozen=True, slots=True, eq=False)
class ScoredCase:
    """Result of scoring a case: its scores, if any, and the methods that were refused."""

    finished: FinishedCase | None
    refused: Sequence[Refused] = ()


@dataclass(frozen=True, slots=True)
class ScoringWork:
    """Score a case by every method; see `executors.CaseWork`."""

    methods: tuple[ComparedMethod, ...]
    settings: ScoringSettings
    kept: Unfinished | None

    def absolute(self) -> "ScoringWork":
        """Return a copy with absolute paths, for a process that runs in another folder."""
        kept = None if self.kept is None else replace(self.kept, folder=self.kept.folder.absolute())
        place = self.settings.save_predictions
        settings = replace(self.settings, save_predictions=None if place is None else place.absolute())
        return ScoringWork(tuple(method.absolute() for method in self.methods), settings, kept)

    def place(self, case: Case) -> Path:
        """Return the path of the case."""
        return case.path

    def read(self, case: Case) -> FinishedCase | tuple[Study, Segmentation]:
        """Open the case and its reference segmentation, unless the case was already finished."""
        if self.kept is not None and (earlier := self.kept.load(_stamp(case, self.methods))) is not None:
            return earlier
        study = _opened(lambda spacing: _study(case, self.settings, spacing), self.settings)
        return study, on_grid(_truth(case, self.settings), study.grid)

    def compute(self, case: Case, opened: FinishedCase | tuple[Study, Segmentation]) -> Job[ScoredCase]:
        """Run every method and compare it with the reference; a method that is refused does not stop the others."""
        if isinstance(opened, FinishedCase):
            return ScoredCase(opened)
        key = _stamp(case, self.methods)
        scored = yield from _scored_job(case, *opened, self.methods, self.settings)
        if self.kept is not None and scored.finished is not None and not scored.refused:
            self.kept.keep(key, scored.finished)
        return scored


def _stamp(case: Case, methods: Sequence[ComparedMethod]) -> str:
    """Identify the current state of a case: its path, and the time and size of all files that determine its scores."""
    truth = [] if case.truth is None else [case.truth]
    predicted = [path for method in methods if method.folder and (path := _matching(case, method.folder))]
    places = [case.path, *truth, *predicted]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*")))]
    stamps = [(str(file), status.st_mtime_ns, status.st_size) for file in files if (status := file.stat())]
    return json.dumps([str(case.path.resolve()), stamps])


def _scored_job(
    case: Case, study: Study, truth: Segmentation, methods: Sequence[ComparedMethod], settings: ScoringSettings
) -> Job[ScoredCase]:
    rows: list[CaseScores] = []
    results: dict[str, Segmentation] = {}
    refused: list[Refused] = []
    for number, method in enumerate(methods):
        with attempted() as attempt:
            job = _predicted_job(case, study, method, settings)
            predicted, seconds = yield from part_of(
                job, number / len(methods), (number + 1) / len(methods), method.name
            )
            results[method.name] = on_grid(predicted, study.grid)
            rows += scores_of_case(case, method.name, truth, results[method.name], seconds)
        if attempt.error is not None:
            refused.append(refusal_of(case, method, attempt.error))
    if not rows:
        return ScoredCase(None, refused)
    about = _about_case(case, study, truth, results)
    return ScoredCase(FinishedCase(tuple(rows), view_of(study, truth, results), about), refused)


def _predicted_job(
    case: Case, study: Study, method: ComparedMethod, settings: ScoringSettings
) -> Job[tuple[Segmentation, float | None]]:
    """Return the method's segmentation and its run time in seconds, excluding the time to load the model."""
    if method.folder is not None:
        return _prediction_of(case, method.folder, settings.predictions_schema, settings), None
    started = time.monotonic()
    request = fitting_request(method, settings.request)
    segmentation = yield from segment_job(study, method.model, request.device, **request.options())
    seconds = time.monotonic() - started - segmentation.provenance.get("seconds", {}).get("load", 0.0)
    if settings.save_predictions is not None:
        folder = settings.save_predictions / method.name / (case.dataset or "")
        target = folder / f"{case.name}_segmentation.nii.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        save_segmentation(segmentation, target, overwrite=True)
    return segmentation, seconds


def _study(case: Case, settings: ScoringSettings, spacing_mm: Spacing | None) -> Study:
    if case.sources is not None:
        return open_sources(case.sources, case.name, spacing_mm=spacing_mm)
    return open_study(case.path, settings.roles, spacing_mm=spacing_mm)


def _truth(case: Case, settings: ScoringSettings) -> Segmentation:
    if case.truth is not None:
        return _prediction_of(case, case.truth, settings.schema or case.schema, settings)
    truth = _opened(lambda spacing: open_truth(case.path, settings.schema, spacing_mm=spacing), settings)
    if truth is None:
        raise UnreadableFileError(
            f"No truth was found for {case.name}. Put its segmentation beside its scans (<case>_seg.nii.gz), "
            "or name the file or folder that holds it: truth=, in the shell --truth."
        )
    return truth


def _prediction_of(case: Case, place: Path, schema: str | None, settings: ScoringSettings) -> Segmentation:
    """Open a method's segmentation of a case: the file itself, or the one in a folder that matches the case's name."""
    path = _matching(case, place)
    if path is None:
        expected = f"{case.name}.nii.gz or {case.name}_seg.nii.gz"
        raise UnreadableFileError(f"{place} holds no segmentation of {case.name}. It should be called {expected}.")
    return _opened(lambda spacing: open_segmentation(path, schema, spacing_mm=spacing), settings)


def _matching(case: Case, place: Path) -> Path | None:
    """Return the file itself, or the one in a folder, or in its data set's subfolder, that matches the case's name."""
    if place.is_file():
        return place
    own = place / case.dataset
    return (match_by_name(own, case.name) if own.is_dir() else None) or match_by_name(place, case.name)


def _opened(open_with: Callable[[Spacing | None], Opened], settings: ScoringSettings) -> Opened:
    """Open something, applying the given voxel size only if the files do not state one."""
    opened = open_with(None)
    if settings.spacing_mm is None or opened is None or opened.grid.unit == "mm":
        return opened
    return open_with(settings.spacing_mm)


def scores_of_case(
    case: Case, method: str, truth: Segmentation, predicted: Segmentation, seconds: float | None
) -> list[CaseScores]:
    """Score a method for every region and class that the reference segmentation of a case defines."""
    return [
        CaseScores(
            case=case.name,
            model=method,
            region=key,
            scores=scores,
            truth_voxels=_voxels(truth, key),
            predicted_voxels=_voxels(predicted, key),
            seconds=seconds,
            patient=case.patient,
            dataset=case.dataset,
        )
        for key, scores in score_segmentations(truth, predicted).items()
    ]


def _voxels(segmentation: Segmentation, target: str) -> int:
    """Count the voxels of a region, or of the class with that name."""
    labels = next((classes for region, classes in REGIONS.items() if region == target), None)
    labels = labels or tuple(value for value, name in CLASS_NAMES.items() if name == target)
    return int(np.count_nonzero(np.isin(segmentation.data, labels)))


def refusal_of(case: Case, method: ComparedMethod | None, error: Exception | None) -> Refused:
    assert error is not None
    if isinstance(error, CancelledError):
        raise error
    logger.debug("%s was refused.", case.name, exc_info=error)
    return Refused(case.name, None if method is None else method.name, error)


def _about_case(case: Case, study: Study, truth: Segmentation, results: Mapping[str, Segmentation]) -> dict[str, Any]:
    return {
        "dataset": case.dataset,
        "case": case.name,
        "patient": case.patient,
        "path": str(case.path),
        "inputs": describe_sources(study.sources),
        "truth": _with_hash(truth.provenance),
        "known_regions": list(truth.known_regions),
        "roles": list(study.roles),
        "unit": study.grid.unit,
        "methods": {name: _about_result(result) for name, result in results.items()},
    }


def _about_result(segmentation: Segmentation) -> dict[str, Any]:
    """Return the parts of a prediction's provenance that are worth keeping."""
    recorded = ("model", "device", "settings", "seconds", "path", "schema")
    return _with_hash({key: segmentation.provenance[key] for key in recorded if key in segmentation.provenance})


def _with_hash(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Add the hash of the file or masks that the labels were read from, if they were read from files."""
    return {**facts, "sha256": labels_files_sha256(Path(facts["path"]))} if "path" in facts else dict(facts)
