"""Score the trained networks and the methods without weights on the validation cases."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_brain_tumor.errors import BrainTumorError, TrainingError
from napari_brain_tumor.evaluation.case_work import scores_of_case
from napari_brain_tumor.evaluation.cases import Case
from napari_brain_tumor.evaluation.result import Evaluation, Refused
from napari_brain_tumor.evaluation.unfinished import FinishedCase, Unfinished
from napari_brain_tumor.evaluation.views import view_of
from napari_brain_tumor.metrics.compare import CaseScores, differences, summarise
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.progress import Job, Progress, part_of
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.workflow import segment_job, versions
from napari_brain_tumor_training.case_files import CaseFiles
from napari_brain_tumor_training.validate import where_known


@dataclass(frozen=True, slots=True)
class _Scoring:
    """What each case is segmented with: names, each with a checkpoint folder or the name of a method."""

    methods: Mapping[str, str | Path]
    device: str
    store: Unfinished
    refused: list[Refused]

    def case_job(self, files: CaseFiles) -> Job[FinishedCase | None]:
        """Score a case where its truth is known and draw a view of it; None if no method gave a result."""
        key = f"{files.dataset} {files.name}"
        earlier = self.store.load(key)
        if earlier is not None:
            return earlier
        opened = files.open()
        case = Case(files.image, files.name, files.dataset, files.patient)
        truth, rows, results = where_known(opened.truth, opened.known), list[CaseScores](), dict[str, Segmentation]()
        for number, (name, method) in enumerate(self.methods.items()):
            began = time.perf_counter()
            job = segment_job(opened.study, method, self.device, brain=files.brain)
            low, high = number / len(self.methods), (number + 1) / len(self.methods)
            try:
                predicted = yield from part_of(job, low, high, name)
            except BrainTumorError as error:
                self.refused.append(Refused(files.name, name, error))
                continue
            seconds = time.perf_counter() - began
            results[name] = where_known(predicted, opened.known)
            rows += scores_of_case(case, name, truth, results[name], seconds)
        if not rows:
            return None
        finished = FinishedCase(tuple(rows), view_of(opened.study, truth, results), {"case": key})
        if len(results) == len(self.methods):
            self.store.keep(key, finished)
        return finished


def score_job(
    cases: Sequence[CaseFiles],
    networks: Mapping[str, ModelInfo],
    methods: Sequence[str],
    folder: Path,
    *,
    device: str,
    about: Mapping[str, Any],
) -> Job[Evaluation]:
    """Segment every case with every network and method, and compare with the truth where known, as a job.

    Parameters
    ----------
    networks : mapping of str to ModelInfo
        Networks by title; the first one is the reference for comparisons.
    methods : sequence of str
        Names of methods without weights.
    folder : Path
        Folder for finished cases, from which an interrupted scoring continues.
    device : str
        As in `segment`.
    about : mapping
        Recorded in the evaluation's document.

    Raises
    ------
    TrainingError
        If no case could be scored.
    """
    every: dict[str, str | Path] = {title: model.folder for title, model in networks.items()}
    every |= {method: method for method in methods}
    hashes = [model.card.weights_sha256 for model in networks.values()]
    scoring = _Scoring(every, device, Unfinished(folder, json.dumps([hashes, list(every), versions()])), [])
    finished: list[FinishedCase] = []
    for number, files in enumerate(cases):
        yield Progress(number, len(cases), f"scoring {files.name}")
        job = part_of(scoring.case_job(files), number / len(cases), (number + 1) / len(cases), files.name)
        case = yield from job
        if case is not None:
            finished.append(case)
    if not finished:
        reasons = "\n".join(f"{refusal.what}: {refusal.reason}" for refusal in scoring.refused)
        raise TrainingError(f"Nothing could be scored.\n{reasons}")
    rows = tuple(row for case in finished for row in case.rows)
    return Evaluation(
        rows=rows,
        summary=summarise(rows),
        differences=differences(rows, next(iter(every))),
        refused=tuple(scoring.refused),
        models=tuple(every),
        views={case.rows[0].case_key: case.view for case in finished},
        about=about,
    )
