"""Terminal output of a command: a progress bar, the package's errors as messages, signals as exit codes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.progress import Progress
from napari_brain_tumor_training.process_group import rank_of_process
from napari_brain_tumor_training.stop_signals import StoppedError


@contextmanager
def command_progress(
    title: str, reassurance: str = "What was saved is kept: --resume continues from there."
) -> Iterator[tuple[Console, Callable[[Progress], None]]]:
    """Show a progress bar on standard error; report the package's errors as messages, signals as codes 130 and 143."""
    # If several processes train together, only the first one reports progress.
    console = Console(stderr=True, quiet=rank_of_process() > 0)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    try:
        with ProgressBar(*columns, console=console) as bar:
            task = bar.add_task(title, total=1.0)
            yield console, lambda p: bar.update(task, completed=p.fraction, description=p.message or title)
    except BrainTumorError as error:
        console.print(f"[red]Error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except StoppedError as stopped:
        console.print(f"Stopped. {reassurance}")
        raise typer.Exit(stopped.exit_code) from None
    except KeyboardInterrupt:
        console.print(f"Stopped at once. {reassurance}")
        raise typer.Exit(130) from None
