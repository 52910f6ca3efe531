"""`brain-tumor rerun`: compute a recorded result again and say whether it came out the same."""

import json
from pathlib import Path
from typing import Annotated

import typer

from napari_brain_tumor.cli.arguments import Overwrite, check_free
from napari_brain_tumor.cli.console import run_shown, say
from napari_brain_tumor.cli.known_values import known_device


def rerun(
    record: Annotated[
        Path,
        typer.Argument(
            metavar="RECORD",
            help="The JSON beside a saved segmentation, the segmentation itself, or the scores.json of an evaluation.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Save the new segmentation here; by default none is written.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to look, by name and hash, for scans that were moved."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The model, if it is not in the list (see `models`).")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="auto|cpu|cuda|mps", callback=known_device, help="Device to use instead of the recorded one."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Compute a result again from its record and compare: the exit code is 0 if it is the same, 1 if not.

    Scans and model are first verified by their SHA-256. Labels that differ by no more than another processor may change
    count as the same, and are reported.
    """
    from napari_brain_tumor.records import rerun_job

    if output is not None:
        check_free(output, overwrite=overwrite)
    replay = run_shown(rerun_job(record, output=output, data=data, model=model, device=device), record.name)
    say(json.dumps(replay.as_json(), indent=2, ensure_ascii=False) if as_json else replay.describe())
    if output is not None and not as_json:
        say(f"Wrote {output}")
    if not replay.same:
        raise typer.Exit(1)
