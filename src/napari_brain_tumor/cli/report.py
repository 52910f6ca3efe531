"""`brain-tumor report` and `brain-tumor follow-up`: a page about an examination, and about a patient's visits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_brain_tumor.cli.arguments import Overwrite, SchemaOption, check_free
from napari_brain_tumor.cli.console import note, print_table, run_shown, say, say_written
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.reporting import FollowUpRequest, ReportRequest

if TYPE_CHECKING:
    from napari_brain_tumor.followup.document import VisitEntry
    from napari_brain_tumor.followup.followup import FollowUp
    from napari_brain_tumor.followup.visits import Visit


def report(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder or file of the examination.")],
    segmentation: Annotated[Path, typer.Option(metavar="FILE", help="Its labels: a file or folder.")],
    opening: OpenOptions,
    request: ReportRequest,
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path("report.html"),
    visit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CASE,LABELS[,DATE]", help="Another examination of the patient, the earliest first; repeatable."
        ),
    ] = None,
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Date of this examination.")] = None,
    schema: SchemaOption = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a self-contained HTML report: pictures, volumes, lesions, diameters, how it was made, notes."""
    from napari_brain_tumor.followup.document import open_visit
    from napari_brain_tumor.followup.followup import follow_up_job
    from napari_brain_tumor.reports import report_job

    check_free(output, overwrite=overwrite)
    entry = _entry(str(case), str(segmentation), date, request.name, schema, opening.beside(case))
    others = [open_visit(_entry_of(text, schema, opening.spacing_mm)) for text in visit or ()]
    this = open_visit(entry)
    assert this.study is not None
    follow_up_result = run_shown(follow_up_job([*others, this]), "Comparing") if others else None
    job = report_job(
        this.study, this.segmentation, output, name=request.name, found=follow_up_result, with_paths=request.with_paths
    )
    say(f"Wrote {run_shown(job, 'Report')}")
    if follow_up_result is not None:
        _print_follow_up(follow_up_result)


def follow_up(
    visits: Annotated[Path, typer.Argument(metavar="VISITS", help="JSON document of the patient's visits.")],
    request: FollowUpRequest,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("follow-up"),
    overwrite: Overwrite = False,
) -> None:
    """Compare a patient's visits: volumes and RANO products over time, lesions, response; table, curves, report."""
    from napari_brain_tumor.followup.document import open_visits
    from napari_brain_tumor.followup.followup import follow_up_job
    from napari_brain_tumor.followup.plot import save_plot
    from napari_brain_tumor.followup.tables import save_csv, save_json
    from napari_brain_tumor.reports import report_job

    targets = [output / name_of_file for name_of_file in ("visits.csv", "visits.json", "visits.svg", "report.html")]
    for target in targets:
        check_free(target, overwrite=overwrite)
    result = run_shown(follow_up_job(open_visits(visits), seed=request.seed), "Comparing")
    table, document, plot, page = targets
    save_csv(result, table)
    save_json(result, document)
    save_plot(result, plot)
    last: Visit = result.visits[-1].visit
    assert last.study is not None
    job = report_job(
        last.study, last.segmentation, page, name=request.name, found=result, with_paths=request.with_paths
    )
    run_shown(job, "Report")
    _print_follow_up(result)
    say_written(*targets)


def _entry(
    case: str,
    labels: str,
    date: str | None,
    name: str | None,
    schema: str | None,
    opening: OpenOptions,
) -> "VisitEntry":
    from napari_brain_tumor.followup.document import VisitEntry
    from napari_brain_tumor.followup.visits import parse_date

    return VisitEntry(
        case=case,
        segmentation=labels,
        date=None if date is None else parse_date(date),
        name=name or "",
        label_schema=schema,
        **opening.changed(),
    )


def _entry_of(text: str, schema: str | None, spacing: tuple[float, float, float] | None) -> "VisitEntry":
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (2, 3) or not all(parts):
        msg = f"{text!r} is not a visit. Give its scans, its labels and optionally its date: CASE,LABELS,2025-01-31."
        raise typer.BadParameter(msg, param_hint="--visit")
    opening = OpenOptions(spacing_mm=spacing)
    return _entry(parts[0], parts[1], parts[2] if len(parts) == 3 else None, None, schema, opening)


def _print_follow_up(result: "FollowUp") -> None:
    from napari_brain_tumor.reports.tables import response_table, series_table

    note(*result.notes)
    for table in (series_table(result), response_table(result)):
        print_table(table.title, table)
