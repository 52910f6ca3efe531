"""`brain-tumor measure`: volumes of saved segmentations."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from napari_brain_tumor.cli.arguments import parse_spacing

__all__ = ["measure"]


def measure(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="File or folder of a segmentation.")],
    schema: Annotated[
        str | None, typer.Option(help="What its integers mean, if in doubt: MSD, BraTS, LGG-binary ...")
    ] = None,
    spacing: Annotated[
        str | None, typer.Option(metavar="X,Y,Z", help="Millimetres between voxels, where the file does not tell.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the volumes as JSON.")] = False,
) -> None:
    """Measure the volume of every class and region of a segmentation."""
    from napari_brain_tumor.cli.console import print_table, say, volume_table
    from napari_brain_tumor.io import open_segmentation
    from napari_brain_tumor.measure.volumes import measure_volumes

    segmentation = open_segmentation(labels, schema, spacing_mm=parse_spacing(spacing))
    volumes = measure_volumes(segmentation)
    if as_json:
        say(json.dumps([asdict(row) for row in volumes.rows], indent=2))
    else:
        print_table(segmentation.name, volume_table(volumes))
