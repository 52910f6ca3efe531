"""What the commands share: options of requests, and the few texts that are parsed apart."""

import re
from collections.abc import Callable, Mapping, Sequence
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
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.shell import request_from, with_requests

if TYPE_CHECKING:
    from napari_brain_tumor.study import Study

__all__ = ["PathsOption", "open_case", "parse_numbers", "parse_series", "with_options"]

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
        help="How the record of a result names its scans: relative to itself (auto: those that lie near), absolute, "
        "or without folders.",
    ),
]


def open_case(case: Path, opening: OpenOptions) -> "Study":
    """The study of a case; files of roles that do not lie beside it are taken from the current folder."""
    from napari_brain_tumor.io import open_study

    return open_study(case, **opening.beside(case).changed())


def parse_series(texts: Sequence[str] | None) -> dict[str, str] | None:
    """Series by role as `--series` gives them; raises `typer.BadParameter` where they are none."""
    return request_from(OpenOptions, {"series": list(texts or ())}).series


def parse_numbers(text: str | None, option: str) -> list[int] | None:
    """Whole numbers from `40,52-60`, in order and each once; raises `typer.BadParameter` for anything else."""
    if text is None:
        return None
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match is not None else (1, 0)
        if first > last:
            msg = f"{text!r} is not a list of numbers such as 40,52-60."
            raise typer.BadParameter(msg, param_hint=option)
        numbers.update(range(first, last + 1))
    return sorted(numbers)
