"""`brain-tumor measure`: volumes, lesions and their diameters of saved segmentations."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from napari_brain_tumor.cli.arguments import SchemaOption, open_case
from napari_brain_tumor.cli.console import lesion_table, note, print_table, say, volume_table
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.requests.computing import ComputeRequest
from napari_brain_tumor.requests.measure import MeasureRequest
from napari_brain_tumor.requests.opening import OpenOptions

if TYPE_CHECKING:
    from napari_brain_tumor.measure.examination import Examination
    from napari_brain_tumor.measure.volumes import VolumeTable

T = TypeVar("T")


def measure(
    labels: Annotated[
        list[Path], typer.Argument(metavar="LABELS", help="One or more segmentations: files or folders.")
    ],
    opening: OpenOptions,
    settings: MeasureRequest,
    computing: ComputeRequest,
    schema: SchemaOption = None,
    study: Annotated[
        Path | None,
        typer.Option(
            "--study", metavar="CASE", help="The scans of LABELS, in which the midline is found to name sides."
        ),
    ] = None,
    lesions: Annotated[
        bool, typer.Option("--lesions", help="Also print each lesion, with its diameters according to RANO.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write all measurements as one tidy table.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write all measurements as JSON.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write one row per file: status, volumes, notes, errors."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the volumes as JSON.")] = False,
) -> None:
    """Measure segmentations: volumes of classes and regions, lesions, RANO diameters, rim and midline.

    A file that cannot be measured does not stop the others; the exit code is then 1.

    Research use only, not for clinical use.
    """
    from napari_brain_tumor.batch.case_table import CaseRow, CaseTable
    from napari_brain_tumor.batch.measure import MeasuredCase, MeasureWork
    from napari_brain_tumor.cli.batch import run_batch
    from napari_brain_tumor.cli.executor import chosen_executor

    if study is not None:
        opening = opening.beside(study)
        open_case(study, opening)  # what is wrong with the scans is said once, before the work
    lists_lesions = lesions or study is not None
    whole = lists_lesions or csv is not None or output is not None
    tables: dict[int, tuple[str, VolumeTable]] = {}
    examinations: dict[int, Examination] = {}

    def show(number: int, measured: MeasuredCase) -> CaseRow:
        tables[number] = measured.name, measured.volumes
        if measured.examination is not None:
            examinations[number] = measured.examination
        notes = () if measured.examination is None else measured.examination.notes
        if not as_json:
            _print_volumes(measured.name, measured.volumes, measured.examination if lists_lesions else None)
        return CaseRow(str(labels[number]), "done", volumes=measured.volumes, notes=notes)

    results = None if table is None else CaseTable(table)
    with chosen_executor(computing) as executor, _written(csv, output, examinations, as_json=as_json):
        parallel = executor.parallel
        place = study.absolute() if study is not None and parallel else study
        work = MeasureWork(schema, opening, settings if whole else None, place)
        try:
            run_batch(
                executor,
                work,
                [path.absolute() for path in labels] if parallel else labels,
                [str(path) for path in labels],
                show,
                results,
                doing="measuring",
                past_tense="measured",
                quiet=as_json,
            )
        finally:
            if as_json:
                _print_json(_in_order(tables), several=len(labels) > 1)


def _in_order(by_number: "Mapping[int, T]") -> "list[T]":
    return [value for _, value in sorted(by_number.items())]


@contextmanager
def _written(
    csv: Path | None, output: Path | None, examinations: "Mapping[int, Examination]", *, as_json: bool
) -> Iterator[None]:
    """Write what was measured at the end, also if some files were not."""
    from napari_brain_tumor.measure.tables import examinations_csv, examinations_json

    try:
        yield
    finally:
        for path, text in ((csv, examinations_csv), (output, examinations_json)):
            if path is not None and examinations:
                write_text(path, text(_in_order(examinations)))
                if not as_json:
                    say(f"Wrote {path}")


def _print_json(tables: "list[tuple[str, VolumeTable]]", *, several: bool) -> None:
    from napari_brain_tumor.measure.volumes import REGION_NAMES

    rows: list[dict[str, Any]] = []
    for name, table in tables:
        case = {"case": name} if several else {}
        rows += [case | asdict(row) for row in table.rows]
        for region in table.undetermined:
            unknown = {"kind": "region", "key": region, "name": REGION_NAMES[region], "voxels": None, "ml": None}
            rows.append(case | unknown)
    say(json.dumps(rows, indent=2))


def _print_volumes(name: str, volumes: "VolumeTable", examination: "Examination | None") -> None:
    print_table(name, volume_table(volumes))
    if examination is not None:
        _print_lesions(examination)


def _print_lesions(examination: "Examination") -> None:
    print_table("Lesions", lesion_table(examination))
    if examination.rim is not None:
        say(examination.rim.sentence)
    note(*examination.notes)
