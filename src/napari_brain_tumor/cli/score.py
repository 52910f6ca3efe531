"""`brain-tumor data score`: what a model thinks of the cases of a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_brain_tumor.cli.console import print_table, run_shown
from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.requests.segment import ScoreRequest

if TYPE_CHECKING:
    from napari_brain_tumor.dataset import CaseRecord
    from napari_brain_tumor.dataset.stored_scores import StoredScore


def score(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of the data set.")],
    request: ScoreRequest,
    cases: Annotated[list[str] | None, typer.Argument(metavar="[CASE]...", help="Case ids; by default all.")] = None,
) -> None:
    """Segment the cases with a model: its Dice and its uncertainty for each, the most uncertain first.

    The scores are kept in the data set's folder, where the Curate panel shows them.
    """
    from napari_brain_tumor.case_scoring import score_dataset_job
    from napari_brain_tumor.dataset import CuratedDataset
    from napari_brain_tumor.dataset.stored_scores import read_score
    from napari_brain_tumor.models.cards import find_model

    opened, info = CuratedDataset(dataset), find_model(request.model)
    selected = [opened.case(name) for name in cases] if cases else list(opened.cases())
    job = score_dataset_job(dataset, [case.id for case in selected], info.folder, request.device, request.precision)
    problems = run_shown(job, "Scoring")
    scored = [(case, read_score(opened.folder, case, info.card.weights_sha256)) for case in selected]
    judged = [(case, score) for case, score in scored if score is not None and case.id not in problems]
    numbers = ("WT", "TC", "ET", "Unsure")
    rows = [_cells(case, score) for case, score in sorted(judged, key=lambda pair: -pair[1].uncertainty)]
    table = Table.of_cells(("Case", "State", "Side", *numbers), rows, right=frozenset(numbers))
    title = f"Dice of {info.name} on {len(judged)} of {len(selected)} cases, and its entropy at the border"
    print_table(title, table)
    if problems:
        raise DatasetError("\n".join(f"{case_id}: {problem}" for case_id, problem in problems.items()))


def _cells(case: "CaseRecord", score: "StoredScore") -> list[str]:
    scores = [f"{score.dice[region]:.3f}" if region in score.dice else "" for region in ("WT", "TC", "ET")]
    return [case.id, case.state, case.split, *scores, f"{score.uncertainty:.2f}"]
