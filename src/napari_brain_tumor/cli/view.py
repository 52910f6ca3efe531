"""`brain-tumor view`: look at an examination in napari."""

import os
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from napari_brain_tumor.cli.arguments import SeriesOption, parse_roles, parse_series, parse_spacing
from napari_brain_tumor.cli.known_values import known_schema
from napari_brain_tumor.cli.window import WINDOW_MODULE, why_no_window
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.interpreter import module_command, safe_environment

__all__ = ["view"]


def view(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder or file of an examination, or of labels.")],
    segmentation: Annotated[
        Path | None, typer.Option("--segmentation", metavar="LABELS", help="File with labels to show above it.")
    ] = None,
    roles: Annotated[
        str | None, typer.Option(help="As of `segment`; a file that does not tell its roles opens without them too.")
    ] = None,
    picks: SeriesOption = None,
    spacing: Annotated[
        str | None, typer.Option(metavar="X,Y,Z", help="Millimetres between voxels, where the files do not tell.")
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            callback=known_schema, help="What the integers of the labels mean, if in doubt: MSD, BraTS, LGG-binary ..."
        ),
    ] = None,
) -> None:
    """Open an examination in napari with the Segment panel, and stay until the window is closed."""
    parse_roles(roles)
    parse_series(picks)
    parse_spacing(spacing)
    reason = why_no_window(os.environ)
    if reason is not None:
        msg = f"napari cannot open a window: {reason}."
        raise BrainTumorError(msg)
    given = {"--roles": roles, "--spacing": spacing, "--schema": schema}
    options = [f"{name}={value}" for name, value in given.items() if value is not None]
    options += [f"--series={text}" for text in picks or ()]
    places = [str(path) for path in (case, segmentation) if path is not None]
    # What goes wrong is told there.
    code = subprocess.call(module_command(WINDOW_MODULE, *options, "--", *places), env=safe_environment())
    if code != 0:
        raise typer.Exit(1)
