"""`brain-tumor data`: curated data sets from the shell. Whatever is heavy is imported by the command that needs it."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_brain_tumor.cli.arguments import SchemaOption, Yes, open_case, with_options
from napari_brain_tumor.cli.console import note as tell
from napari_brain_tumor.cli.console import print_table, run_shown, say
from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.io import open_segmentation, open_truth, role_named
from napari_brain_tumor.io.formats import TIFF
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.requests.dataset import AddCaseRequest, ImportRequest, RelabelRequest
from napari_brain_tumor.requests.opening import OpenOptions

if TYPE_CHECKING:
    from napari_brain_tumor.dataset import CaseRecord, CuratedDataset, MadeBy, ReviewState
    from napari_brain_tumor.study import Segmentation

data = typer.Typer(
    name="data",
    help="Curated data sets: cases that you correct and accept, and train on.",
    no_args_is_help=True,
)

Dataset = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of the data set.")]
Case = Annotated[str, typer.Argument(metavar="CASE", help="Id of a case, see `list`.")]
NoteOption = Annotated[str | None, typer.Option(help="Note to keep with the review.")]


@data.command()
def create(
    dataset: Dataset,
    name: Annotated[str | None, typer.Option(help="Name of the data set; by default that of the folder.")] = None,
    description: Annotated[str, typer.Option(help="What the data set holds.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the rule that assigns new patients to a side.")] = 0,
    val: Annotated[float, typer.Option(help="Fraction of the patients in validation.")] = 0.2,
    test: Annotated[float, typer.Option(help="Fraction of the patients in test.")] = 0.0,
    table: Annotated[
        Path | None, typer.Option("--split", help="CSV with the columns patient and split, optionally case and grade.")
    ] = None,
) -> None:
    """Make an empty data set."""
    from napari_brain_tumor.dataset import CuratedDataset

    created = CuratedDataset.create(
        dataset, name, description=description, seed=seed, val_fraction=val, test_fraction=test, split_table=table
    )
    say(f"Made {created.folder}")


@data.command()
@with_options
def add(
    dataset: Dataset,
    scan: Annotated[Path, typer.Argument(metavar="SCAN", help="Folder or file of an examination.")],
    opening: OpenOptions,
    request: AddCaseRequest,
    labels: Annotated[
        Path | None, typer.Option(help="File or folder with its label; by default the one beside the scan.")
    ] = None,
    schema: SchemaOption = None,
) -> None:
    """Add an examination with its label."""
    from napari_brain_tumor.dataset.split import side_named

    opened = _opened(dataset)
    study = open_case(scan, opening)
    tell(*study.notes)
    segmentation = _label(labels, scan, schema, opening.spacing_mm)
    record = opened.add(
        study,
        segmentation,
        patient=request.patient,
        case_id=request.case_id,
        source=request.source,
        grade=request.grade,
        known_slices=request.known_slices,
        made_by=_maker(request),
        state=request.state,
        note=request.note,
        split=None if request.side is None else side_named(request.side),
        not_same_as=request.not_same_as,
    )
    for similar in record.similar:
        tell(f"{similar.case}: {similar.kind}, so both are on the side {record.split}.")
    say(f"Added {record.id}: {', '.join(record.roles)}, patient {record.patient}, {record.state}, {record.split}")


@data.command("list")
def list_cases(
    dataset: Dataset,
    state: Annotated[str | None, typer.Option(help="Only cases in this state.")] = None,
    side: Annotated[str | None, typer.Option(help="Only cases on this side: train, val or test.")] = None,
) -> None:
    """List the cases with their labels, states and sides."""
    from napari_brain_tumor.dataset.split import side_named

    opened = _opened(dataset)
    cases = opened.cases(
        state=None if state is None else _state(state), split=None if side is None else side_named(side)
    )
    columns = ("Case", "Patient", "Grade", "Sequences", "Known", "WT mL", "TC mL", "ET mL", "By", "State", "Side")
    table = Table.of_cells(columns, map(_cells, cases), right=frozenset({"WT mL", "TC mL", "ET mL"}))
    print_table(f"{opened.name}, {len(cases)} of {len(opened)} cases", table)
    for case_id, problem in opened.check_files().items():
        say(f"{case_id}: {problem}")


@data.command()
def show(dataset: Dataset, case: Case) -> None:
    """Show everything that is recorded about a case."""
    opened = _opened(dataset)
    record = opened.case(case)
    facts = ((what, value) for what, value in _facts(opened, record).items() if value)
    print_table(record.id, Table.of_cells(("What", "Value"), facts))


@data.command()
def split(
    dataset: Dataset,
    table: Annotated[Path | None, typer.Option(help="CSV with the sides of new patients.")] = None,
    seed: Annotated[int | None, typer.Option(help="New seed of the rule for new patients.")] = None,
    val: Annotated[float | None, typer.Option(help="New fraction of new patients in validation.")] = None,
    test: Annotated[float | None, typer.Option(help="New fraction of new patients in test.")] = None,
) -> None:
    """Show who is on which side; change the rule for new patients. Nobody who has a side is moved."""
    opened = _opened(dataset)
    if table is not None:
        say(f"{opened.apply_split(table)} new patients from {table.name}")
    if (seed, val, test) != (None, None, None):
        opened.set_policy(seed=seed, val_fraction=val, test_fraction=test)
    policy = opened.index.policy
    rule = f"val {policy.val_fraction:g}, test {policy.test_fraction:g}, seed {policy.seed}"
    print_table(f"{opened.name}: patients by side; new ones by rule: {rule}", _sides_table(opened))
    say(f"Split {opened.index.split_sha256[:12]}")


@data.command()
@with_options
def relabel(
    dataset: Dataset,
    case: Case,
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="File or folder with the new label.")],
    request: RelabelRequest,
    schema: SchemaOption = None,
) -> None:
    """Replace the label of a case."""
    record = _opened(dataset).relabel(
        case,
        open_segmentation(labels, schema),
        known_slices=request.known_slices,
        made_by=_maker(request),
        state=request.state,
        note=request.note or None,
    )
    say(f"Relabelled {record.id}, version {record.label.version}, {record.state}")


@data.command()
def review(
    dataset: Dataset,
    case: Case,
    state: Annotated[str, typer.Argument(metavar="STATE", help="draft, accepted, rejected or needs-second-look.")],
    note: NoteOption = None,
) -> None:
    """Record the decision about the label of a case."""
    record = _opened(dataset).review(case, _state(state), note)
    say(f"{record.id} is {record.state.replace('_', ' ')}")


@data.command()
def remove(
    dataset: Dataset,
    cases: Annotated[list[str], typer.Argument(metavar="CASE", help="Ids of cases.")],
    yes: Yes = False,
) -> None:
    """Remove cases and their files. Their patients' side of the split is kept, should they come back."""
    opened = _opened(dataset)
    for case in cases:
        opened.case(case)
    if not yes:
        typer.confirm(f"Remove {', '.join(cases)} and their files from {opened.name}?", abort=True)
    for case in cases:
        opened.remove(case)
        say(f"Removed {case}")


@data.command("import")
@with_options
def import_command(dataset: Dataset, request: ImportRequest) -> None:
    """Add all cases of another data set; those already there are skipped, those refused are listed."""
    from napari_brain_tumor.dataset.imports import import_folder

    report = run_shown(import_folder(_opened(dataset), request), "Import")
    for case in report.outcomes:
        if case.outcome == "refused" or case.text:
            tell(f"{case.name}: {case.outcome}: {case.text}" if case.text else f"{case.name}: {case.outcome}")
    counts = [len(report.of(outcome)) for outcome in ("added", "already there", "refused")]
    say("{} added, {} already there, {} refused".format(*counts))
    if counts[2]:
        raise typer.Exit(1)


@data.command()
def check(
    dataset: Dataset,
    cases: Annotated[list[str] | None, typer.Argument(metavar="CASE", help="Ids of cases; by default all.")] = None,
) -> None:
    """Check labels and scans for errors; the exit code is 1 if there is one."""
    from napari_brain_tumor.dataset.checks import check_dataset

    findings = run_shown(check_dataset(_opened(dataset), cases or None), "Check")
    for finding in findings:
        if finding.severity != "ok":
            say(f"{finding.severity}: {finding.case}: {finding.problem}. What to do: {finding.todo}.")
    counts = Counter(finding.severity for finding in findings)
    checked = len({finding.case for finding in findings})
    say(f"{checked} cases: {counts['error']} errors, {counts['warning']} warnings, {counts['ok']} cases without either")
    if counts["error"]:
        raise typer.Exit(1)


@data.command()
def export(
    dataset: Dataset,
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="The folder nnUNet_raw.")],
    number: Annotated[int, typer.Option(help="Number of the data set in nnU-Net, 1 to 999.")],
    name: Annotated[str | None, typer.Option(help="Name of the data set in nnU-Net.")] = None,
    roles: Annotated[str, typer.Option(help="Channels; cases that lack one are left out.")] = "T1,T1c,T2,FLAIR",
    regions: Annotated[bool, typer.Option("--regions", help="Train on nested regions instead of classes.")] = False,
    whole_tumour: Annotated[
        bool,
        typer.Option(
            "--whole-tumour", help="Export only the whole tumour; cases labelled with nothing more are then included."
        ),
    ] = False,
    states: Annotated[list[str] | None, typer.Option("--state", help="Review states; by default accepted.")] = None,
    preprocessed: Annotated[
        Path | None, typer.Option(help="Folder nnUNet_preprocessed; by default from its variable, or beside RAW.")
    ] = None,
) -> None:
    """Write the cases as nnU-Net v2 reads them, with the split as its fold 0."""
    from napari_brain_tumor.dataset import case_id_from
    from napari_brain_tumor.dataset.nnunet_export import NnunetTarget, export_nnunet

    opened = _opened(dataset)
    target = NnunetTarget(
        number,
        name or case_id_from(opened.name),
        roles=tuple(role_named(role) for role in roles.split(",")),
        regions=regions,
        states=tuple(_state(state) for state in states or ["accepted"]),
        whole_tumour_only=whole_tumour,
    )
    report = run_shown(export_nnunet(opened, raw, target, preprocessed), "Export")
    for case, reason in report.left_out.items():
        tell(f"{case} is left out: {reason}")
    say(f"Wrote {len(report.cases)} cases to {report.folder}, {len(report.left_out)} left out")
    say(f"Wrote the split to {report.split}: nnU-Net reads it there. Train fold 0, which is this split:")
    say(f"  nnUNetv2_plan_and_preprocess -d {number} && nnUNetv2_train {number} 3d_fullres 0")


def _opened(folder: Path) -> "CuratedDataset":
    from napari_brain_tumor.dataset import CuratedDataset

    return CuratedDataset(folder)


def _label(
    labels: Path | None, scan: Path, schema: str | None, spacing_mm: tuple[float, float, float] | None
) -> "Segmentation":
    if labels is not None:
        return open_segmentation(labels, schema, spacing_mm=_spacing_of(labels, spacing_mm))
    label = open_truth(scan, schema, spacing_mm=spacing_mm)
    if label is None:
        msg = f"No label was found beside {scan}. Name it with --labels FILE, or segment the scan first."
        raise DatasetError(msg)
    return label


def _spacing_of(labels: Path, spacing_mm: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
    """The spacing is for files that do not state it, such as TIFF slices."""
    return spacing_mm if labels.is_dir() or TIFF.fits(labels) else None


def _state(text: str) -> "ReviewState":
    from napari_brain_tumor.dataset import STATES

    key = text.strip().lower().replace("-", "_").replace(" ", "_")
    for state in STATES:
        if state == key:
            return state
    known = ", ".join(state.replace("_", "-") for state in STATES)
    msg = f"{text!r} is not a review state. Choose one of {known}."
    raise typer.BadParameter(msg)


def _maker(request: RelabelRequest) -> "MadeBy | None":
    """Who made the label, where the options say so; a model that is named made it, alone if not said otherwise."""
    from napari_brain_tumor.dataset import MadeBy

    if request.made_by is None and request.model is None:
        return None
    return MadeBy(kind=request.made_by or "model", model=request.model)


def _cells(case: "CaseRecord") -> list[str]:
    volumes = (case.region_ml(region) for region in ("WT", "TC", "ET"))
    return [
        case.id,
        case.patient,
        case.grade or "",
        " ".join(case.roles),
        _known_text(case),
        *("" if ml is None else f"{ml:.1f}" for ml in volumes),
        case.label.made_by.kind,
        case.state.replace("_", " "),
        case.split,
    ]


def _known_text(case: "CaseRecord") -> str:
    label = case.label
    regions = " ".join(label.known_regions) or "nothing"
    if label.known_slices is not None:
        count = len(label.known_slices.numbers)
        return f"{regions} in {count} slice{'s'[: count != 1]}"
    return regions if label.is_complete else f"{regions} in part"


def _facts(dataset: "CuratedDataset", case: "CaseRecord") -> dict[str, str]:
    label, review = case.label, case.review
    by = " ".join(filter(None, (label.made_by.kind, label.made_by.model, label.made_by.source)))
    return {
        "Patient": case.patient,
        "Grade": case.grade or "",
        "Side": case.split,
        "From": case.source,
        "Added": f"{case.added_at:%Y-%m-%d %H:%M} UTC",
        "Sequences": ", ".join(case.roles),
        "Grid": case.grid.grid.describe(),
        "Image": str(dataset.folder / case.image),
        "Label": f"{dataset.folder / label.file} (version {label.version}, {label.made_at:%Y-%m-%d %H:%M} UTC)",
        "Made by": by,
        "Known": _known_text(case),
        "Voxels": ", ".join(f"class {value}: {count}" for value, count in sorted(label.voxels.items())) or "none",
        "State": case.state.replace("_", " ")
        + (f" since {review.reviewed_at:%Y-%m-%d %H:%M} UTC" if review.reviewed_at else ""),
        "Note": review.note,
        "Similar": "\n".join(f"{s.case}: {s.kind} ({s.score:.3f})" for s in case.similar),
        "From the files": "\n".join(case.notes),
    }


def _sides_table(dataset: "CuratedDataset") -> "Table":
    index = dataset.index
    sides = ("train", "val", "test")
    counts = Counter((patient.stratum or "unknown", patient.split) for patient in index.patients.values())
    cases = Counter(case.split for case in index.cases)
    strata = sorted({stratum for stratum, _ in counts})
    rows = [(stratum, *(counts[stratum, side] for side in sides)) for stratum in strata]  # type: ignore[index]
    rows.append(("cases", *(cases[side] for side in sides)))  # type: ignore[index]
    return Table.of_cells(("Patients", *sides), rows, right=frozenset(sides))
