"""`brain-tumor export`: a saved result in the format that the next program needs."""

from pathlib import Path
from typing import Annotated

import typer

from napari_brain_tumor.cli.arguments import PathsOption
from napari_brain_tumor.cli.known_values import known_axes, known_format, known_schema
from napari_brain_tumor.labels import REGIONS, Region

__all__ = ["export"]


def export(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="A saved segmentation, of any format.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMAT",
            callback=known_format,
            help="dicom-seg, rtstruct, stl, ply, bids, nifti, nrrd, metaimage, tiff or masks.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File, for bids and masks a folder; of surfaces each region's name is added. "
            "Without it: the name of the result, in the current folder.",
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
            help="What the integers of RESULT mean, if in doubt: MSD, BraTS ...",
        ),
    ] = None,
    schema: Annotated[
        str, typer.Option("--schema", callback=known_schema, help="Which integers are written; LGG-binary joins all.")
    ] = "MSD",
    axes: Annotated[
        str,
        typer.Option("--axes", metavar="RAS|LPS", callback=known_axes, help="Which way x and y of surfaces run."),
    ] = "RAS",
    regions: Annotated[
        list[str] | None,
        typer.Option("--region", metavar="WT|TC|ET", help="Surfaces and contours of this region alone; repeatable."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="For bids: the subject, if the scans' names do not contain it.")
    ] = None,
    session: Annotated[str | None, typer.Option("--session", help="For bids: the session.")] = None,
    paths: PathsOption = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier files.")] = False,
) -> None:
    """Save a segmentation again in another format: for an archive, a planning system, a printer, a data set."""
    from napari_brain_tumor.cli.console import note, say
    from napari_brain_tumor.io import open_segmentation, save_segmentation
    from napari_brain_tumor.io.formats import format_named
    from napari_brain_tumor.io.volume import short_name

    chosen_regions = _regions(regions or [])
    segmentation = open_segmentation(result, labels_schema)
    for text in segmentation.notes:
        note(text)
    suffix = format_named(to).saved[0]
    target = output or (Path(f"{short_name(result)}{suffix}") if suffix else Path())
    saved = save_segmentation(
        segmentation,
        target,
        schema,
        format=to,
        source=source,
        axes="LPS" if axes.upper() == "LPS" else "RAS",
        regions=chosen_regions,
        subject=subject,
        session=session,
        overwrite=overwrite,
        paths=paths,  # type: ignore[arg-type]
    )
    for path in saved if isinstance(saved, list) else [saved]:
        say(f"Wrote {path}")


def _regions(texts: list[str]) -> tuple[Region, ...]:
    known = {region.lower(): region for region in REGIONS}
    wrong = [text for text in texts if text.lower() not in known]
    if wrong:
        msg = f"{wrong[0]!r} is no region. Known are {', '.join(REGIONS)}."
        raise typer.BadParameter(msg, param_hint="--region")
    return tuple(dict.fromkeys(known[text.lower()] for text in texts))
