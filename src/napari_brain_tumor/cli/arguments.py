"""What the commands share: options of requests, and how a case is opened."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from napari_brain_tumor.cli.known_values import (
    known_device,
    known_format,
    known_grid,
    known_model,
    known_schema,
    known_style,
)
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io import open_study
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.shell import with_requests

if TYPE_CHECKING:
    from napari_brain_tumor.study import Study

_CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "model": known_model,
    "device": known_device,
    "resample": known_grid,
    "to": known_format,
    "schema": known_schema,
    "schema_name": known_schema,
    "predictions_schema": known_schema,
}
"""Options whose value is a word from a list that their request does not know."""

with_options = partial(with_requests, checks=_CHECKS)
"""Let a command have the options of its requests: of each parameter that is one."""

PathsOption = Annotated[
    str,
    typer.Option(
        "--paths",
        metavar="auto|relative|absolute|names",
        callback=known_style,
        help="How the record of a result refers to its scans: relative to itself (auto: only those nearby), absolute, "
        "or without folders.",
    ),
]

SchemaOption = Annotated[
    str | None,
    typer.Option(callback=known_schema, help="What the integers of the labels mean: MSD, BraTS, LGG-binary ..."),
]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Skip what is already done, to resume a batch.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def check_choice(*, overwrite: bool, skip_existing: bool) -> None:
    """Refuse to be told both what to do with earlier results."""
    if overwrite and skip_existing:
        raise typer.BadParameter("Use only one of --skip-existing and --overwrite.", param_hint="--skip-existing")


def check_free(target: Path, *, overwrite: bool) -> None:
    """Refuse to write over a file before the work is done for it."""
    if target.exists() and not overwrite:
        msg = f"{target} already exists. Use --overwrite to replace it, or choose another name with -o."
        raise SaveError(msg)


def open_case(case: Path, opening: OpenOptions) -> "Study":
    """The study of a case; files of roles that do not lie beside it are taken from the current folder."""
    return open_study(case, **opening.beside(case).changed())
