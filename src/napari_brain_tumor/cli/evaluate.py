"""`brain-tumor evaluate`: methods scored on cases with a truth, as tables, CSV and pictures."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from napari_brain_tumor.cli.arguments import Overwrite
from napari_brain_tumor.cli.console import print_table, run_shown, say, say_error, say_written
from napari_brain_tumor.cli.known_values import known_model
from napari_brain_tumor.errors import BrainTumorError, LabelSchemaError, SpacingUnknownError
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.requests.compare import EvaluateRequest
from napari_brain_tumor.requests.computing import ComputeRequest
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.requests.shell import Without

if TYPE_CHECKING:
    from napari_brain_tumor.evaluation import Evaluation
    from napari_brain_tumor.metrics.compare import Difference, Summary

_REGIONS: Final = {"WT": "Whole tumour (WT)", "TC": "Tumour core (TC)", "ET": "Enhancing tumour (ET)"}
_HINTS: Final[dict[type[Exception], str]] = {
    LabelSchemaError: "In the shell: --schema NAME for the truth, --predictions-schema NAME for predictions.",
    SpacingUnknownError: "In the shell: --spacing X,Y,Z; it is used only for cases that do not state it.",
}
_MINUS: Final = "\N{MINUS SIGN}"


def evaluate(
    cases: Annotated[
        list[Path],
        typer.Argument(
            metavar="CASES",
            help="Case folders or files with their truth, folders of cases, Medical Decathlon or curated data sets.",
        ),
    ],
    opening: Annotated[OpenOptions, Without("series", "resample")],
    request: Annotated[SegmentRequest, Without("model")],
    cohort: EvaluateRequest,
    computing: ComputeRequest,
    models: Annotated[
        str, typer.Option(metavar="A,B,...", help="Models (see `models`), checkpoint folders, or NAME=FOLDER.")
    ] = "",
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER", help="Segmentations from any tool, with files named after the cases; repeatable."
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for tables and pictures.")] = Path(
        "evaluation"
    ),
    save_predictions: Annotated[
        bool, typer.Option("--save-predictions", help="Keep the segmentations in the output folder.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Compare models on cases whose truth is known: scores, intervals over patients, and pictures.

    If it is stopped, the same command resumes after the finished cases.
    """
    by_model, by_folder = (
        _sources_by_name(models.split(",") if models.strip() else [], "--models"),
        _named_folders(predictions or []),
    )
    if not by_model and not by_folder:
        msg = "Name what to evaluate: --models unet,threshold or --predictions NAME=FOLDER."
        raise typer.BadParameter(msg, param_hint="--models")
    _check_side(cases, cohort.side, cohort.split)
    for model in by_model.values():
        _check_model(model)
    from napari_brain_tumor.cli.executor import chosen_executor
    from napari_brain_tumor.evaluation import PREDICTIONS, UNFINISHED, check_folder, evaluate_job

    check_folder(output, overwrite=overwrite)
    with chosen_executor(computing) as executor:
        job = evaluate_job(
            cases,
            by_model,
            predictions=by_folder,
            truth=cohort.truth,
            split=cohort.split,
            side=cohort.side,
            schema=cohort.schema_name,
            predictions_schema=cohort.predictions_schema,
            roles=opening.roles,
            spacing_mm=opening.spacing_mm,
            save_predictions=output / PREDICTIONS if save_predictions else None,
            unfinished=output / UNFINISHED,
            device=request.device,
            executor=executor,
            **request.options(),
        )
        result = run_shown(job, "evaluating")
    written = result.write(output, overwrite=True)  # what is there was asked about before the work
    shutil.rmtree(output / UNFINISHED, ignore_errors=True)
    _print_result(result)
    say_written(*written)
    _tell_refused(result)


def _check_side(cases: Sequence[Path], side: str | None, split: Path | None) -> None:
    from napari_brain_tumor.evaluation.cases import is_curated

    if side is not None and split is None and not any(map(is_curated, cases)):
        msg = "It selects from a split: give --split CSV too, or a curated data set."
        raise typer.BadParameter(msg, param_hint="--side")


def _check_model(model: str) -> None:
    try:
        known_model(model)
    except typer.BadParameter as error:
        raise typer.BadParameter(error.message, param_hint="--models") from error


def _sources_by_name(words: Iterable[str], option: str) -> dict[str, str]:
    """Name to model or folder from `unet`, `runs/new` or `new=runs/new`; the name is the last part of a path."""
    pairs = [word.strip().partition("=") for word in words]
    by_name = {name if separator else Path(name).name: where or name for name, separator, where in pairs}
    if len(by_name) < len(pairs) or not all(by_name) or not all(by_name.values()):
        msg = "Each needs its own name: a,b or new=FOLDER,old=FOLDER."
        raise typer.BadParameter(msg, param_hint=option)
    return by_name


def _named_folders(words: Sequence[str]) -> dict[str, str]:
    if not all("=" in word for word in words):
        msg = "Give a name and a folder: --predictions nnunet=results/nnunet."
        raise typer.BadParameter(msg, param_hint="--predictions")
    return _sources_by_name(words, "--predictions")


def _print_result(result: "Evaluation") -> None:
    from napari_brain_tumor.metrics.compare import definition

    for region, title in _REGIONS.items():
        summaries = [summary for summary in result.summary if summary.region == region]
        if summaries:
            print_table(f"{title}: mean (95 % interval over patients), median", _summary_table(summaries))
            say("")
    if result.differences:
        title = f"Against {result.models[0]}, over the cases that both have: mean difference (95 % interval)"
        print_table(title, _difference_table(result.differences))
        say("")
    for metric, title in _titles_of(result.summary).items():
        say(f"{title}: {definition(metric)}")
    say("The CSV also holds every score of the classes, the JSON the definition of each.")


def _titles_of(entries: "Sequence[Summary | Difference]") -> dict[str, str]:
    """Metrics that occur, in their usual order, to their titles."""
    from napari_brain_tumor.metrics.compare import METRICS

    present = {entry.metric for entry in entries}
    return {metric: described.label for metric, described in METRICS.items() if metric in present}


def _summary_table(summaries: Sequence["Summary"]) -> Table:
    rows: dict[tuple[str, str | None], dict[str, Summary]] = {}
    for summary in summaries:
        rows.setdefault((summary.model, summary.dataset), {})[summary.metric] = summary
    metrics = _titles_of(summaries)
    several = len({dataset for _, dataset in rows}) > 1
    columns = ["Model", *(["Data set"] if several else []), "Cases", *metrics.values()]
    cells = []
    for (model, dataset), of_metrics in rows.items():
        place = [dataset or "all"] if several else []
        scores = [_summary_cell(of_metrics.get(metric), of_metrics["dice"].cases) for metric in metrics]
        cells.append((model, *place, _cases_cell(of_metrics["dice"]), *scores))
    return Table.of_cells(columns, cells)


def _cases_cell(summary: "Summary") -> str:
    lines = [str(summary.cases)]
    if summary.patients != summary.cases:
        lines.append(f"of {summary.patients} patient{'s'[: summary.patients != 1]}")
    if summary.empty_truth:
        lines.append(f"{summary.empty_truth} without it")
    return "\n".join(lines)


def _summary_cell(summary: "Summary | None", cases: int) -> str:
    from napari_brain_tumor.metrics.compare import METRICS, SECONDS

    if summary is None:
        return ""
    digits = METRICS[summary.metric].digits
    lines = [f"{summary.mean:.{digits}f}", *_interval(summary, digits)]
    if summary.cases > 1:
        lines.append(f"median {summary.median:.{digits}f}")
    if summary.empty_truth and summary.mean_where_present is not None and summary.metric != SECONDS:
        lines.append(f"where present {summary.mean_where_present:.{digits}f}")
    if summary.cases != cases:
        lines.append(f"{summary.cases} cases")
    return "\n".join(lines)


def _difference_table(differences: Sequence["Difference"]) -> Table:
    rows: dict[tuple[str, str], dict[str, Difference]] = {}
    shown = [difference for difference in differences if difference.region in _REGIONS]
    for difference in shown:  # those of several data sets together come last and stay
        rows.setdefault((difference.model, difference.region), {})[difference.metric] = difference
    metrics = _titles_of(shown)
    cells = []
    for (model, region), of_region in rows.items():
        cases = of_region["dice"].cases
        cells.append((model, region, cases, *(_difference_cell(of_region.get(metric), cases) for metric in metrics)))
    return Table.of_cells(("Model", "Region", "Cases", *metrics.values()), cells)


def _difference_cell(difference: "Difference | None", cases: int) -> str:
    from napari_brain_tumor.metrics.compare import METRICS

    if difference is None:
        return ""
    digits = METRICS[difference.metric].digits
    fewer = f", {difference.cases} cases" if difference.cases != cases else ""
    number = _signed(difference.mean, digits)
    return "\n".join((number, *_interval(difference, digits, signed=True), f"{difference.verdict}{fewer}"))


def _interval(entry: "Summary | Difference", digits: int, *, signed: bool = False) -> list[str]:
    if entry.low is None or entry.high is None:
        return []
    low, high = (_signed(v, digits) if signed else f"{v:.{digits}f}" for v in (entry.low, entry.high))
    return [f"({low} to {high})"]


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", _MINUS)


def _tell_refused(result: "Evaluation") -> None:
    for refusal in result.refused:
        say_error(refusal.error, refusal.what, _HINTS)
    if result.refused:
        names = ", ".join(refusal.what for refusal in result.refused)
        msg = f"Not everything was scored: {names}. The tables hold the rest."
        raise BrainTumorError(msg)
