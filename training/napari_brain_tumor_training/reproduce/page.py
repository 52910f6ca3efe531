"""The page of a reproduction: summary, curves, table and pictures in a single file."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from napari_brain_tumor.evaluation.result import Evaluation
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.sidecar import NOTICE
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.labels import CLASS_NAMES, REGIONS
from napari_brain_tumor.metrics.compare import Summary, definition
from napari_brain_tumor.reports.pictures import Picture, picture_of
from napari_brain_tumor.reports.rendering import rendered
from napari_brain_tumor.requests.dataset_actions import reproduce_lines
from napari_brain_tumor.workflow import versions
from napari_brain_tumor_training.fit import TrainingResult
from napari_brain_tumor_training.reproduce.planning import Plan, Setup
from napari_brain_tumor_training.run_files import Row, draw_curves

PAGE_FILE: Final = "reproduction.html"
_TITLES: Final[Mapping[str, str]] = {
    "dice": "Dice",
    "iou": "IoU",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "hd95_mm": "HD95 (mm)",
}
_DIGITS: Final[Mapping[str, int]] = {"specificity": 4, "hd95_mm": 1}
_PACKAGE: Final = "napari_brain_tumor_training.reproduce"


def write_page(
    path: Path, setup: Setup, plan: Plan, evaluation: Evaluation, results: Mapping[str, TrainingResult]
) -> None:
    """Write the page atomically; raises `SaveError`."""
    experiment, lines = setup.experiment, reproduce_lines(setup.request, setup.folder)
    content = {
        "title": experiment.title,
        "name": experiment.name,
        "created": datetime.now(UTC).isoformat(sep=" ", timespec="minutes").replace("+00:00", " UTC"),
        "notice": NOTICE,
        "published": experiment.published.strip(),
        "differs": experiment.differs,
        "shortened": plan.describe() if plan.is_shortened else "",
        "done": tuple(_facts(setup, plan, evaluation, results)),
        "curves": tuple(_curves(title, result.history) for title, result in results.items()),
        "scores": score_table(evaluation, experiment.metrics),
        "definitions": tuple((_TITLES[name], definition(name)) for name in experiment.metrics),
        "boxes": picture_of(evaluation.boxes(), "Box plots of the scores in the table.", "Each point is a case"),
        "montage": picture_of(
            evaluation.montage(),
            "The best, the median and the worst case: truth beside the mask of each method.",
            "Best, median and worst case by mean Dice: truth beside the mask of each method",
        ),
        "remarks": tuple(_remarks(plan, evaluation)),
        "again": (("In the shell", lines.shell("posix")), ("In Python", lines.python)),
        "versions": tuple(versions().items()),
    }
    write_text(path, rendered("reproduction.html.j2", content, _PACKAGE))


def score_table(evaluation: Evaluation, metrics: tuple[str, ...]) -> Table:
    """Return a table of each metric's mean and interval, for each region and method."""
    rows = []
    several = len({summary.dataset for summary in evaluation.summary}) > 1
    for region in (*REGIONS, *CLASS_NAMES.values()):
        for model in evaluation.models:
            for dataset, values in _by_dataset(evaluation, region, model).items():
                place = [dataset or "all"] if several else []
                cells = [_cell(values.get(metric)) for metric in metrics]
                rows.append((f"{region}: {model}", *place, str(values["dice"].cases), *cells))
    columns = ("Region: method", *(["Data"] if several else []), "Cases", *(_TITLES[name] for name in metrics))
    first = 2 if several else 1
    right = frozenset(columns[first:])
    return Table.of_cells(columns, rows, right=right, title="Validation patients", note=_NOTE)


_NOTE: Final = "Mean over cases, below it the 95 % bootstrap interval over patients."


def _by_dataset(evaluation: Evaluation, region: str, model: str) -> dict[str | None, dict[str, Summary]]:
    values: dict[str | None, dict[str, Summary]] = {}
    for summary in evaluation.summary:
        if (summary.region, summary.model) == (region, model):
            values.setdefault(summary.dataset, {})[summary.metric] = summary
    return values


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return ""
    digits = _DIGITS.get(summary.metric, 3)
    interval = "" if summary.low is None else f"\n{summary.low:.{digits}f} to {summary.high:.{digits}f}"
    return f"{summary.mean:.{digits}f}{interval}"


def _facts(
    setup: Setup, plan: Plan, evaluation: Evaluation, results: Mapping[str, TrainingResult]
) -> Iterator[tuple[str, str]]:
    schedule = plan.schedule
    for data_set in setup.sets:
        yield data_set.data.title, f"{len(data_set.cases)} cases in the format {data_set.format}"
    for title in plan.missing:
        yield title, "not there"
    refused = len(plan.refused)
    yield (
        "Cases",
        f"{schedule.training_cases} for training, {schedule.validation_cases} for validation"
        + (f", of which {refused} could not be used" if refused else ""),
    )
    split = "as in the given table" if setup.request.split else "drawn by patient, always in the same way"
    yield "Split", split
    yield "Training", f"{schedule.epochs} epochs of {schedule.iterations_per_epoch} steps for each network"
    for title, result in results.items():
        seconds = sum(row.get("seconds", 0.0) for row in result.history)
        parameters = f"{result.model.card.parameters:,} parameters".replace(",", " ")
        yield (
            title,
            f"{parameters}, {seconds / 60:.1f} minutes of steps; its best weights by validation Dice are scored",
        )
    if setup.request.budget is not None:
        yield "Budget", f"{setup.request.budget:g} minutes"
    yield "Patients scored", str(len({row.patient_key for row in evaluation.rows}))


def _curves(title: str, history: list[Row]) -> Picture:
    from matplotlib.figure import Figure  # not pyplot, which has global state and opens windows

    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained", facecolor="white")
    draw_curves(figure, history)
    last = ", ".join(f"{name} {value:.3g}" for name, value in history[-1].items()) if history else "no epoch"
    return picture_of(
        figure, f"Loss and Dice of {title} by epoch; at the end {last}.", f"{title}: loss and Dice by epoch"
    )


def _remarks(plan: Plan, evaluation: Evaluation) -> Iterator[str]:
    for title in plan.missing:
        yield f"{title} was not there; everything here is about the other data."
    for name, reason in plan.refused.items():
        yield f"{name} was left out: {reason}"
    for refusal in evaluation.refused:
        yield f"{refusal.what}: {refusal.reason}"
    yield "Pictures and names on this page are those of the data: it may go where they may."
