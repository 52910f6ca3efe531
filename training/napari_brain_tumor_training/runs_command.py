"""`brain-tumor runs`: list, show, stop and resume training runs, however they were started, and add their models."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from napari_brain_tumor.errors import BrainTumorError, TrainingError
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.progress import run_job
from napari_brain_tumor_training.detached import LOG_FILE, resume_run
from napari_brain_tumor_training.readiness import best_checkpoint
from napari_brain_tumor_training.run_status import Run, attach, list_runs, request_stop

app = typer.Typer(
    help="Training runs: list, show, stop, resume; add their models to the list.",
    add_completion=False,
    no_args_is_help=True,
)

_COLUMNS: Final = ("Run", "State", "Epoch", "Loss", "Best Dice", "Left")

RunFolder = Annotated[Path, typer.Argument(help="Folder of the run.")]


@app.command("list")
def list_command(
    parent: Annotated[Path, typer.Argument(help="Folder that holds the folders of the runs.")] = Path("runs"),
) -> None:
    """The runs in a folder, the newest first."""
    runs = list_runs(parent)
    if not runs:
        typer.echo(f"There are no runs in {parent}.")
        return
    table = Table(_COLUMNS, tuple(map(_cells, runs)), {"Loss": 3, "Best Dice": 3}, right=frozenset({"Epoch", "Left"}))
    Console().print(table)


def _cells(run: Run) -> dict[str, str | float | None]:
    s = run.status
    epoch = f"{s.epoch} of {s.epochs}" if s.epochs else ""
    cells = (run.folder.name, s.state, epoch, s.loss, s.best_dice, _left(s.remaining_seconds))
    return dict(zip(_COLUMNS, cells, strict=True))


@app.command()
def show(folder: RunFolder) -> None:
    """How far a run is, and why it ended if it did."""
    with _told_errors():
        typer.echo(describe(attach(folder)))


@app.command()
def stop(folder: RunFolder) -> None:
    """Stop a run after its present step; its state and best weights are kept."""
    with _told_errors():
        request_stop(folder)
        typer.echo(f"The run in {folder} stops after its present step and keeps its best weights.")


@app.command()
def resume(folder: RunFolder) -> None:
    """Resume a run that was started detached, in a new process."""
    with _told_errors():
        run = resume_run(folder)
        typer.echo(f"Process {run.status.pid} goes on with {folder}; its log is {folder / LOG_FILE}.")


@app.command()
def add(
    folder: RunFolder,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Even if it was hardly trained and never validated.")
    ] = False,
) -> None:
    """Add the best weights of a run to the list of models, in place of what the run added before."""
    from napari_brain_tumor_training.run_process import install_result_job

    with _told_errors():
        attach(folder)
        checkpoint = best_checkpoint(folder)
        if checkpoint is None:
            raise TrainingError(f"The run in {folder} has no weights yet. Resume it until its first epoch is complete.")
        name = run_job(install_result_job(checkpoint, folder, anyway=anyway))
        typer.echo(f"To use it: brain-tumor segment CASE --model {name}")


def describe(run: Run) -> str:
    """Describe a run in words, with a line for each known fact."""
    s = run.status
    where = "this machine" if s.is_of_this_machine else "another machine"
    lines = [f"{s.title or run.folder.name}: {s.state} (process {s.pid} on {where})"]
    if s.message and s.is_alive:
        lines.append(s.message)
    if s.epochs:
        left = _left(s.remaining_seconds)
        lines.append(f"epoch {s.epoch} of {s.epochs}, {s.fraction:.0%} done" + (f", {left} left" if left else ""))
    lines += [
        f"{what} {value:.3f}" for what, value in (("loss", s.loss), ("best Dice", s.best_dice)) if value is not None
    ]
    if s.reason:
        lines.append(s.reason)
    if s.installed:
        lines.append(f"In the model list as {s.installed}.")
    return "\n".join(lines)


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{max(1, round(seconds / 60))} min"


@contextmanager
def _told_errors() -> Iterator[None]:
    try:
        yield
    except BrainTumorError as error:
        Console(stderr=True).print(f"[red]Error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
