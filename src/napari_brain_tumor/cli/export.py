"""`brain-tumor export`: a saved result in the format that the next program needs."""

from pathlib import Path
from typing import Annotated

import typer

from napari_brain_tumor.cli.arguments import Overwrite, PathsOption
from napari_brain_tumor.cli.console import note, say_written
from napari_brain_tumor.cli.known_values import known_schema
from napari_brain_tumor.io import open_segmentation, save_segmentation
from napari_brain_tumor.io.formats import format_named
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.requests.export import ExportRequest


def export(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="A saved segmentation, in any format.")],
    request: ExportRequest,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File, or a folder for bids and masks; surfaces get each region's name appended. By default the name "
            "of the result, in the current folder.",
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source", help="For DICOM: folder of the series that the labels lie on, if their record does not name it."
        ),
    ] = None,
    labels_schema: Annotated[
        str | None,
        typer.Option(
            "--labels-schema",
            callback=known_schema,
            help="What the integers of RESULT mean, if ambiguous: MSD, BraTS ...",
        ),
    ] = None,
    paths: PathsOption = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Save a segmentation again in another format: for an archive, a planning system, a printer, a data set."""
    segmentation = open_segmentation(result, labels_schema)
    note(*segmentation.notes)
    suffix = format_named(request.to).saved[0]
    target = output or (Path(f"{short_name(result)}{suffix}") if suffix else Path())
    saved = save_segmentation(
        segmentation,
        target,
        source=source,
        overwrite=overwrite,
        paths=paths,  # type: ignore[arg-type]
        **request.saving(),
    )
    say_written(*(saved if isinstance(saved, list) else [saved]))
