"""The commands and their options. Whatever is heavy is imported by the command that needs it."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_brain_tumor import __version__
from napari_brain_tumor.cli.arguments import Overwrite, PathsOption, SkipExisting, check_choice, with_options
from napari_brain_tumor.cli.brain import brain
from napari_brain_tumor.cli.check import check
from napari_brain_tumor.cli.compare import compare
from napari_brain_tumor.cli.console import (
    debugging,
    prepare_streams,
    print_table,
    say,
    say_error,
    say_written,
    volume_table,
)
from napari_brain_tumor.cli.data import data
from napari_brain_tumor.cli.evaluate import evaluate
from napari_brain_tumor.cli.export import export
from napari_brain_tumor.cli.extensions import add_extensions
from napari_brain_tumor.cli.figure import figure
from napari_brain_tumor.cli.known_values import known_format, known_schema
from napari_brain_tumor.cli.measure import measure
from napari_brain_tumor.cli.models import models_app
from napari_brain_tumor.cli.prepare import prepare
from napari_brain_tumor.cli.refine import refine
from napari_brain_tumor.cli.report import follow_up, report
from napari_brain_tumor.cli.rerun import rerun
from napari_brain_tumor.cli.score import score
from napari_brain_tumor.cli.series import series
from napari_brain_tumor.cli.view import view
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.formats import format_named
from napari_brain_tumor.label_schemas import schema_named
from napari_brain_tumor.leftovers import finish_interrupted
from napari_brain_tumor.requests.computing import ComputeRequest
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.prepare import RawSeriesRequest
from napari_brain_tumor.requests.segment import SegmentRequest

if TYPE_CHECKING:
    from napari_brain_tumor.batch.case_table import CaseRow
    from napari_brain_tumor.batch.segment import SegmentedCase
    from napari_brain_tumor.batch.targets import Task
    from napari_brain_tumor.catalogue import Method

app = typer.Typer(
    name="brain-tumor",
    help="Segment and measure brain tumours in MRI, and train models. Research use only, not for clinical use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Codes: 0 everything was done, 1 something failed or was refused, with a message, 2 wrong usage or a wrong value of
    an option, 130 stopped by Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    prepare_streams()
    token = debugging.set(debug)
    try:
        finish_interrupted()
        app(args=[word for word in words if word != "--debug"], prog_name="brain-tumor")
    except Exception as error:
        if debug:
            raise
        say_error(error)
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:
        raise SystemExit(130) from error
    finally:
        debugging.reset(token)


def _say_version(requested: bool) -> None:
    if requested:
        typer.echo(f"brain-tumor {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Show the version and stop.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks of errors; accepted anywhere in the command.")
    ] = False,
) -> None:
    """Take the options of every command; `main` has read `--debug` already, here it stands for the help."""


@app.command()
@with_options
def segment(
    cases: Annotated[
        list[Path],
        typer.Argument(
            metavar="CASE",
            help="Examinations: folders or files, folders of examinations, or a .txt file that lists them.",
        ),
    ],
    opening: OpenOptions,
    request: SegmentRequest,
    raw: RawSeriesRequest,
    computing: ComputeRequest,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File (.nii.gz, .nii, .nrrd, .mha, .tif, .dcm, .stl, .ply) or folder. "
            "By default <case>_segmentation.nii.gz in the current folder.",
        ),
    ] = None,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            callback=known_format,
            help="Format, if the suffix is ambiguous or for several cases: dicom-seg, rtstruct, stl, ply, bids "
            "(-o is the data set), nrrd ...",
        ),
    ] = None,
    schema: Annotated[
        str,
        typer.Option(callback=known_schema, help="What the integers in the result mean: MSD, BraTS, LGG-binary ..."),
    ] = "MSD",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write the probability of each region, as .nii.gz.")
    ] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also write the model's uncertainty, entropy in bits, as .nii.gz.")
    ] = False,
    paths: PathsOption = "auto",
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Table of all cases: status, model, volumes, seconds, notes, errors. "
            "By default, for several cases, segmentation_results.csv beside the results.",
        ),
    ] = None,
    skip_existing: SkipExisting = False,
    overwrite: Overwrite = False,
) -> None:
    """Segment the tumour of one or several examinations and save it on each scan's own grid.

    A case that fails does not stop the others; the exit code is then 1.
    """
    from napari_brain_tumor.batch.case_table import CaseTable
    from napari_brain_tumor.batch.segment import SegmentWork
    from napari_brain_tumor.catalogue import find_model
    from napari_brain_tumor.cli.batch import run_batch
    from napari_brain_tumor.cli.executor import chosen_executor
    from napari_brain_tumor.cli.outputs import plan_tasks

    check_choice(overwrite=overwrite, skip_existing=skip_existing)
    maps = frozenset(n for n, on in (("probabilities", probabilities), ("uncertainty", uncertainty)) if on)
    method = find_model(request.model)
    _check_fits(method, probabilities=bool(maps or request.thresholds), seeds=bool(request.seeds))
    written = None if file_format is None else format_named(file_format)
    tasks = plan_tasks(cases, output, overwrite=overwrite, skip_existing=skip_existing, file_format=written)
    tasks = [replace(task, roles=opening.beside(task.case).roles) for task in tasks]
    if table is None and len(tasks) > 1:
        table = tasks[0].target.parent / "segmentation_results.csv"
    results = None if table is None else CaseTable(table)
    with chosen_executor(computing) as executor:
        parallel = executor.parallel
        work = SegmentWork(
            opening=opening,
            request=request,
            raw=raw,
            schema=schema_named(schema).name,
            file_format=file_format,
            maps=maps,
            paths=paths,  # type: ignore[arg-type]
            overwrite=overwrite,
            skip_existing=skip_existing,
            remembers_cost=not parallel,
        )
        run_batch(
            executor,
            work.absolute() if parallel else work,
            [task.absolute() for task in tasks] if parallel else tasks,
            [str(task.case) for task in tasks],
            lambda number, result: _show_segmented(tasks[number], result, alone=len(tasks) == 1, parallel=parallel),
            results,
            doing="segmenting",
            past_tense="segmented",
        )


def _check_fits(method: "Method", *, probabilities: bool, seeds: bool) -> None:
    """Raise `typer.BadParameter` for options that mean nothing to the method."""
    if probabilities and method.is_baseline:
        msg = f"{method.name} is a method without weights and predicts no probabilities. Choose a trained model."
        raise typer.BadParameter(msg, param_hint="--model")
    if seeds and not method.takes_seeds:
        msg = f"{method.name} finds the tumour by itself and takes no seeds. Leave them out, or choose region_growing."
        raise typer.BadParameter(msg, param_hint="--seed")


@app.command()
@with_options
def demo(
    request: SegmentRequest,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("demo-output"),
    window: Annotated[bool, typer.Option("--window/--no-window", help="Open napari if there is a display.")] = True,
) -> None:
    """Segment the shipped sample case, print its volumes, save and show the result."""
    from napari_brain_tumor.cli.demo import run_demo

    run_demo(output, request, window=window)


def _show_segmented(task: "Task", result: "SegmentedCase", *, alone: bool, parallel: bool) -> "CaseRow":
    """Print what became of a case; an earlier result in the way of a single one is an error."""
    from napari_brain_tumor.batch.segment import named_as_given

    row = named_as_given(result.row, task)
    if alone and row.status == "skipped":
        say(f"{task.target} already exists and is skipped.")
    if alone and row.status == "outdated":
        raise SaveError(row.error)
    if alone and row.status == "exists":
        msg = f"{row.error} Use --overwrite to replace it, or choose another name with -o."
        raise SaveError(msg)
    if result.title and row.volumes is not None and not parallel:
        print_table(result.title, volume_table(row.volumes))
        say_written(*result.written)
    return row


data.command()(with_options(score))
for command in (compare, evaluate, measure, refine, check, brain, export, prepare, report, figure):
    app.command()(with_options(command))
app.command("follow-up")(with_options(follow_up))
app.command()(rerun)
app.command()(series)
app.command()(with_options(view))
app.add_typer(models_app, name="models")
app.add_typer(data)
add_extensions(app)
