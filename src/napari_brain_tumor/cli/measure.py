"""`brain-tumor measure`: volumes, lesions and their diameters of saved segmentations."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_brain_tumor.cli.arguments import (
    ResampleOption,
    RolesOption,
    SeriesOption,
    SpacingOption,
    parse_roles,
    parse_series,
    parse_spacing,
)

if TYPE_CHECKING:
    from napari_brain_tumor.measure.examination import Examination
    from napari_brain_tumor.measure.settings import MeasureSettings
    from napari_brain_tumor.measure.volumes import VolumeTable
    from napari_brain_tumor.study import Segmentation, Study

__all__ = ["measure"]


def measure(
    labels: Annotated[
        list[Path], typer.Argument(metavar="LABELS", help="Files or folders of segmentations, one or several.")
    ],
    schema: Annotated[
        str | None, typer.Option(help="What their integers mean, if in doubt: MSD, BraTS, LGG-binary ...")
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option("--study", metavar="CASE", help="The scans of LABELS: the midline is found in them, for sides."),
    ] = None,
    roles: RolesOption = None,
    picks: SeriesOption = None,
    spacing: SpacingOption = None,
    resample: ResampleOption = None,
    lesions: Annotated[
        bool, typer.Option("--lesions", help="Print each lesion too, with its diameters after RANO.")
    ] = False,
    plane: Annotated[
        str,
        typer.Option(
            metavar="acquisition|axial|coronal|sagittal",
            help="In which diameters are measured: of thick slices, or so.",
        ),
    ] = "acquisition",
    fill_cavities: Annotated[
        bool, typer.Option("--fill-cavities", help="Let diameters run across cysts and necrosis.")
    ] = False,
    least_mm3: Annotated[
        float, typer.Option("--least-mm3", min=0, help="Parts of less than this are no lesions.")
    ] = 50.0,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write one tidy table of everything measured.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write everything measured as JSON.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the volumes as JSON.")] = False,
) -> None:
    """Measure segmentations: volumes of classes and regions, lesions, diameters after RANO, rim and midline.

    Research use only, not for clinical use.
    """
    from napari_brain_tumor.cli.console import say
    from napari_brain_tumor.io import open_study
    from napari_brain_tumor.measure.settings import MeasureSettings
    from napari_brain_tumor.measure.tables import examinations_csv, examinations_json, write_table
    from napari_brain_tumor.measure.volumes import measure_volumes

    settings = MeasureSettings(least_mm3=least_mm3, plane=plane, fill_cavities=fill_cavities)  # type: ignore[arg-type]
    spacing_mm = parse_spacing(spacing)
    told, picked = parse_roles(roles, study), parse_series(picks)
    scans = None
    if study is not None:
        scans = open_study(study, told, series=picked, spacing_mm=spacing_mm, resample=resample)
    each = lesions or scans is not None
    if each or csv is not None or output is not None:
        found = [_examined(one, scans, settings) for one in _opened(labels, schema, spacing_mm)]
        tables = [(one.name, one.volumes) for one in found]
    else:
        found, tables = [], [(one.name, measure_volumes(one)) for one in _opened(labels, schema, spacing_mm)]
    _print_volumes(tables, as_json=as_json, examinations=found if each else [])
    for path, text in ((csv, examinations_csv), (output, examinations_json)):
        if path is not None:
            write_table(path, text(found))
            if not as_json:
                say(f"Wrote {path}")


def _opened(
    paths: list[Path], schema: str | None, spacing_mm: tuple[float, float, float] | None
) -> Iterator["Segmentation"]:
    from napari_brain_tumor.io import open_segmentation

    for path in paths:
        yield open_segmentation(path, schema, spacing_mm=spacing_mm)


def _examined(segmentation: "Segmentation", study: "Study | None", settings: "MeasureSettings") -> "Examination":
    from napari_brain_tumor.cli.console import run_shown
    from napari_brain_tumor.measure.examination import measure_study_job

    return run_shown(measure_study_job(segmentation, study, settings), f"measuring {segmentation.name}")


def _print_volumes(
    tables: "list[tuple[str, VolumeTable]]", *, as_json: bool, examinations: list["Examination"]
) -> None:
    from napari_brain_tumor.cli.console import print_table, say, volume_table

    if as_json:
        named = [{} if len(tables) == 1 else {"case": name} for name, _ in tables]
        rows = [case | asdict(row) for case, (_, table) in zip(named, tables, strict=True) for row in table.rows]
        say(json.dumps(rows, indent=2))
        return
    for (name, table), examination in zip_longest(tables, examinations):
        print_table(name, volume_table(table))
        if examination is not None:
            _print_lesions(examination)


def _print_lesions(examination: "Examination") -> None:
    from napari_brain_tumor.cli.console import lesion_table, note, print_table, say

    print_table("Lesions", lesion_table(examination))
    if examination.rim is not None:
        say(examination.rim.sentence)
    for text in examination.notes:
        note(text)
