"""`brain-tumor view`: look at an examination in napari."""

import os
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from napari_brain_tumor.cli.window import WINDOW_MODULE, why_no_window
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.interpreter import module_command, safe_environment
from napari_brain_tumor.requests.opening import ViewRequest
from napari_brain_tumor.requests.shell import Without, words_of


def view(
    request: Annotated[ViewRequest, Without("resample")],
    segmentation: Annotated[
        Path | None, typer.Option("--segmentation", metavar="LABELS", help="File with labels to show on top.")
    ] = None,
) -> None:
    """Open an examination in napari with the Brain Tumor panel, and stay until the window is closed."""
    reason = why_no_window(os.environ)
    if reason is not None:
        msg = f"napari cannot open a window: {reason}."
        raise BrainTumorError(msg)
    options = words_of(request, "path")
    places = [str(path) for path in (request.path, segmentation) if path is not None]
    # What goes wrong is told there.
    code = subprocess.call(module_command(WINDOW_MODULE, *options, "--", *places), env=safe_environment())
    if code != 0:
        raise typer.Exit(1)
