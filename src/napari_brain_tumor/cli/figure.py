"""`brain-tumor figure`: a figure, or a film through the slices, of a result."""

from pathlib import Path
from typing import Annotated

import typer

from napari_brain_tumor.cli.arguments import Overwrite, SchemaOption
from napari_brain_tumor.cli.console import note, run_shown, say
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io import open_segmentation, open_study
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.reporting import FigureRequest


def figure(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder or file of the examination.")],
    segmentation: Annotated[Path, typer.Option(metavar="FILE", help="Its labels: a file or folder.")],
    opening: OpenOptions,
    request: FigureRequest,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A figure: .png, .svg or .pdf. A film: .gif or .mp4.")
    ] = Path("figure.png"),
    schema: SchemaOption = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw three planes through the tumour with outlines, volumes and a scale bar; or a film through its slices."""
    from napari_brain_tumor.reports.figure import FIGURE_SUFFIXES, save_figure
    from napari_brain_tumor.reports.slice_through import FILM_SUFFIXES, save_slice_through_job

    suffix = output.suffix.lower()
    if suffix not in FIGURE_SUFFIXES + FILM_SUFFIXES:
        known = ", ".join(FIGURE_SUFFIXES + FILM_SUFFIXES)
        msg = f"The format of {output.name} is not known. End its name with one of {known}."
        raise SaveError(msg)
    study = open_study(case, **opening.beside(case).changed())
    labels = open_segmentation(segmentation, schema)
    note(*study.notes, *labels.notes)
    if suffix in FIGURE_SUFFIXES:
        target = save_figure(
            study, labels, output, role=request.role, at=request.at, dpi=request.dpi, overwrite=overwrite
        )
    else:
        job = save_slice_through_job(
            study,
            labels,
            output,
            plane=request.plane,
            role=request.role,
            frames_per_second=request.frames_per_second,
            overwrite=overwrite,
        )
        target = run_shown(job, "Film")
    say(f"Wrote {target}")
