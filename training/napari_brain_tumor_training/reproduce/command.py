"""`brain-tumor reproduce`: a published experiment in one command."""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from napari_brain_tumor.progress import Progress
from napari_brain_tumor.requests.reproduce import ReproduceRequest
from napari_brain_tumor.requests.shell import with_requests
from napari_brain_tumor_training.command_progress import command_progress
from napari_brain_tumor_training.reproduce.run import estimate_job, reproduce_job
from napari_brain_tumor_training.stop_signals import run_until_stopped

app = typer.Typer(help="Reproduce a published experiment.", add_completion=False)


@app.command()
@with_requests
def reproduce(
    request: ReproduceRequest,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for networks, scores and the page.")],
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only print what it costs: cases, epochs, minutes.")
    ] = False,
) -> None:
    """Train the networks of a published experiment, score them on other patients, and write one HTML page.

    The same command continues where it was stopped. What it costs is printed before the training begins.
    """
    title = f"reproducing {request.name}"
    with command_progress(title, "What was done is kept: the same command continues.") as (console, report):
        if estimate:
            with tempfile.TemporaryDirectory() as scratch:
                message = run_until_stopped(estimate_job(request, Path(scratch)), report).describe()
        else:
            logging.getLogger("napari_brain_tumor_training").setLevel(logging.WARNING)
            result = run_until_stopped(reproduce_job(request, out), _with_milestones(console, report))
            message = str(result.page)
    typer.echo(message)


def _with_milestones(console: Console, report: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Also print milestones as separate lines, such as the expected total cost."""

    def follow(progress: Progress) -> None:
        if progress.milestone:
            console.print(progress.milestone, highlight=False, markup=False)
        report(progress)

    return follow
