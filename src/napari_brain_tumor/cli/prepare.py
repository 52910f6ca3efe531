"""`brain-tumor prepare`: from the raw series of examinations to studies on one grid."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_brain_tumor.cli.arguments import Overwrite, SkipExisting, check_choice
from napari_brain_tumor.cli.console import note, print_table, say, say_error
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.requests.computing import ComputeRequest
from napari_brain_tumor.requests.prepare import PrepareOptions

if TYPE_CHECKING:
    from napari_brain_tumor.batch.case_table import CaseRow
    from napari_brain_tumor.batch.prepare import PreparationTask
    from napari_brain_tumor.preparation.pipeline import PreparationReport


def prepare(
    examinations: Annotated[
        list[Path],
        typer.Argument(
            metavar="EXAM",
            help="DICOM study, BIDS subject or session, or folder of files; one or more, folders of them, or a .txt "
            "file that lists them.",
        ),
    ],
    options: PrepareOptions,
    computing: ComputeRequest,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Folder for the prepared study; several examinations get one subfolder each. Without it, only the "
            "tables are printed.",
        ),
    ] = None,
    skip_existing: SkipExisting = False,
    overwrite: Overwrite = False,
) -> None:
    """Choose the best series of each sequence, register them, extract the brain, and save a study on one grid.

    Without -o the table of series is shown, with what each would be used as and why, and nothing is computed.
    """
    from napari_brain_tumor.batch.prepare import PrepareWork, preparation_tasks
    from napari_brain_tumor.cli.batch import run_batch
    from napari_brain_tumor.cli.executor import chosen_executor
    from napari_brain_tumor.cli.outputs import listed_examinations

    check_choice(overwrite=overwrite, skip_existing=skip_existing)
    cases = listed_examinations(examinations)
    if output is None:
        _show_choices(cases, options)
        return
    tasks = preparation_tasks(cases, output)
    with chosen_executor(computing) as executor:
        parallel = executor.parallel
        work = PrepareWork(options, overwrite, skip_existing)
        run_batch(
            executor,
            work.absolute() if parallel else work,
            [task.absolute() for task in tasks] if parallel else tasks,
            [str(task.case) for task in tasks],
            lambda number, report: _show_report(tasks[number], report, parallel=parallel),
            None,
            doing="preparing",
            past_tense="prepared",
        )


def _show_choices(cases: Sequence[Path], options: PrepareOptions) -> None:
    from napari_brain_tumor.preparation import candidates_of, select

    refused = []
    for case in cases:
        try:
            offered = candidates_of(case, options.roles, spacing_mm=options.spacing_mm)
            _show_table(case, select(offered, options.series).rows())
        except BrainTumorError as error:
            if len(cases) == 1:
                raise
            say_error(error, str(case))
            refused.append(str(case))
    if refused:
        msg = f"{len(refused)} of {len(cases)} examinations cannot be prepared this way: {', '.join(refused)}."
        raise BrainTumorError(msg)
    say("Nothing was prepared: give -o FOLDER to do so, and --series ROLE=NUMBER to use another series.")


def _show_report(task: "PreparationTask", report: "PreparationReport | None", *, parallel: bool) -> "CaseRow":
    """Print what was done, unless several are under way at once."""
    from napari_brain_tumor.batch.case_table import CaseRow

    if report is None:
        say(f"{task.folder} already holds a prepared study and is skipped.")
        return CaseRow(str(task.case), "skipped", str(task.folder))
    if not parallel:
        _show_table(task.case, report.table)
        _show_motions(report)
        note(*report.notes)
        say(f"Wrote {task.folder}")
    return CaseRow(str(task.case), "done", str(task.folder), notes=report.notes)


def _show_motions(report: "PreparationReport") -> None:
    numbers = ("Turned", "Moved", "Heads overlap", "Edges agree")
    rows: list[tuple[str, ...]] = [(report.reference, "reference", "", "", "")]
    for role, degrees, distance, overlap, detail in report.motions:
        rows.append((role, f"{degrees:.1f}°", f"{distance:.1f} mm", f"{overlap:.0%}", f"{detail:.2f}"))
    table = Table.of_cells(("Sequence", *numbers), rows, right=frozenset(numbers))
    print_table(f"{report.name}, registered to {report.reference}", table)


def _show_table(case: Path, rows: Sequence[Mapping[str, str]]) -> None:
    columns = {
        "number": "Number",
        "name": "Series",
        "plane": "Plane",
        "size": "Size",
        "agent": "Agent",
        "scanned": "Scanned",
        "role": "Used as",
        "why": "Why",
    }
    shown = {key: title for key, title in columns.items() if any(row[key] for row in rows)}
    table = Table.of_cells(tuple(shown.values()), ([row[key] or "-" for key in shown] for row in rows))
    print_table(f"{case}: {len(rows)} series", table)
