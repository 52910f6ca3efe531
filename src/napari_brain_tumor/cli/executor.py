"""Where the cases of a command are computed, from its options."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from napari_brain_tumor.cli.console import progress_line
from napari_brain_tumor.requests.computing import ComputeRequest

if TYPE_CHECKING:
    from napari_brain_tumor.executors import Executor


@contextmanager
def chosen_executor(computing: ComputeRequest) -> "Iterator[Executor]":
    """Open the executor that is asked for; raises `typer.BadParameter` for several at once."""
    from napari_brain_tumor.executors import open_executor

    if len(computing.changed()) > 1:
        msg = "Use only one of --jobs, --scheduler and --slurm: each of them decides where the cases are computed."
        raise typer.BadParameter(msg, param_hint="--jobs")
    with open_executor(**computing.changed(), announce=progress_line) as executor:
        yield executor
