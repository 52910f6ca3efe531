"""`brain-tumor train`: train a network from a recipe."""

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.progress import run_job
from napari_brain_tumor_training.config import read_config
from napari_brain_tumor_training.fit import fit

app = typer.Typer(help="Train a network from a recipe.", add_completion=False)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file that describes the run (see training/recipes).")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's paths are relative to.")] = Path(),
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for state, history and checkpoint.")] = Path("runs"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the state in the folder.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's number.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after the epoch that exceeds it.")] = None,
) -> None:
    """Train the network of a recipe; can be stopped with Ctrl-C and resumed."""
    console = Console(stderr=True)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=console)], force=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    try:
        config = read_config(recipe)
        with ProgressBar(*columns, console=console) as bar:
            task = bar.add_task(config.name, total=1.0)
            job = fit(config, data, out, device=device, resume=resume, epochs=epochs, max_minutes=max_minutes)
            result = run_job(job, lambda p: bar.update(task, completed=p.fraction, description=p.message))
    except BrainTumorError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("Stopped. The last whole epoch is kept: --resume goes on from it.")
        raise typer.Exit(130) from None
    typer.echo(f"{result.model.folder}")


if __name__ == "__main__":
    app()
