"""`brain-tumor compare`: how far segmentations of one case agree, and what they say together."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from napari_brain_tumor.cli.arguments import Overwrite, check_free
from napari_brain_tumor.cli.console import note, print_table, run_shown, say
from napari_brain_tumor.cli.known_values import known_schema
from napari_brain_tumor.errors import ComparisonError, GridMismatchError, LabelSchemaError, SaveError
from napari_brain_tumor.io import open_segmentation, save_segmentation
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.requests.compare import CompareRequest
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.shell import Without

if TYPE_CHECKING:
    from napari_brain_tumor.compare import Agreement, Consensus
    from napari_brain_tumor.compare.consensus_methods import ConsensusMethod
    from napari_brain_tumor.compare.slices import Axis
    from napari_brain_tumor.compare.statistics import RaterVolume
    from napari_brain_tumor.labels import Region
    from napari_brain_tumor.study import Segmentation

_MOST_SLICES: Final = 5
_SCORES: Final = {
    "dice": ("Dice", 3),
    "hd95_mm": ("HD95 (mm)", 1),
    "nsd_2mm": ("NSD at 2 mm", 3),
    "assd_mm": ("ASSD (mm)", 2),
    "sensitivity": ("Sensitivity", 3),
    "precision": ("Precision", 3),
    "lesionwise_dice": ("Lesion-wise Dice", 3),
}
"""Printed scores with their decimals; the tables in files hold all."""


def compare(
    labels: Annotated[
        list[Path], typer.Argument(metavar="LABELS...", help="Two or more segmentations of a case: files or folders.")
    ],
    opening: Annotated[OpenOptions, Without("roles", "series", "resample")],
    request: CompareRequest,
    names: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Names of the segmentations; by default of the files.")
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="S[,S,...]",
            help="What the integers mean: one schema for all files, or one for each (- detects it).",
        ),
    ] = None,
    axis: Annotated[
        str, typer.Option(metavar="axial|coronal|sagittal", help="Orientation of the slices in the table of the worst.")
    ] = "axial",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the consensus, such as joined.nii.gz.")
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write maps of their agreement, voxel by voxel, as .nii.gz."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every score as a table.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON instead of tables.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Compare segmentations of one case: scores, kappa, volumes, the slices that differ most, and a consensus."""
    reference, resample, consensus = request.reference, request.resample, request.consensus
    names_of_files = _names(labels, names)
    schemas = _schemas(schema, len(labels))
    _check_consensus(consensus, output)
    cut = _axis(axis)
    _check_targets(labels, [target for target in (output, csv) if target is not None], overwrite=overwrite)
    opened = {
        name: _open(path, kind, opening.spacing_mm)
        for name, path, kind in zip(names_of_files, labels, schemas, strict=True)
    }
    agreement = _compare(opened, reference, resample)
    joined = _join(opened, reference, consensus, resample)
    if as_json:
        say(json.dumps({**agreement.as_dict(), **_consensus_entry(joined)}, indent=2, ensure_ascii=False, default=str))
    else:
        _print(agreement, cut)
        _print_consensus(agreement, joined)
    _write(agreement, joined, output, csv, maps, overwrite=overwrite, quiet=as_json)


# What was asked for -------------------------------------------------------------------------------------------------


def _names(labels: Sequence[Path], names: str | None) -> list[str]:
    listed = [part.strip() for part in names.split(",")] if names is not None else [short_name(path) for path in labels]
    if len(listed) != len(labels):
        msg = f"{len(listed)} names for {len(labels)} segmentations. Give one for each, such as --names unet,anna."
        raise typer.BadParameter(msg, param_hint="--names")
    twice = [name for name, count in Counter(listed).items() if count > 1]
    if twice:
        msg = f"Several segmentations are called {', '.join(twice)}. Give each its own name with --names A,B,..."
        raise ComparisonError(msg)
    return listed


def _schemas(schema: str | None, count: int) -> list[str | None]:
    listed = [None if part.strip() in ("", "-") else part.strip() for part in (schema or "-").split(",")]
    for name in listed:
        known_schema(name)
    if len(listed) not in (1, count):
        msg = f"{len(listed)} schemas for {count} segmentations. Give one for all, or one for each."
        raise typer.BadParameter(msg, param_hint="--schema")
    return listed if len(listed) == count else listed * count


def _axis(name: str) -> "Axis":
    from napari_brain_tumor.compare.slices import AXES

    axis: Axis | None = next((candidate for candidate in AXES if candidate == name), None)
    if axis is None:
        msg = f"There are no {name!r} slices. Ask for one of: {', '.join(AXES)}."
        raise typer.BadParameter(msg, param_hint="--axis")
    return axis


def _check_consensus(method: str | None, output: Path | None) -> None:
    if (method is None) != (output is None):
        msg = "A consensus needs an output file, and -o needs --consensus: --consensus staple -o joined.nii.gz."
        raise typer.BadParameter(msg, param_hint="--consensus")


def _check_targets(labels: Sequence[Path], targets: Sequence[Path], *, overwrite: bool) -> None:
    inputs = {path.resolve() for path in labels}
    for target in targets:
        if target.resolve() in inputs:
            msg = f"{target} is one of the segmentations that are compared and is never overwritten. Choose another."
            raise SaveError(msg)
        check_free(target, overwrite=overwrite)


def _open(path: Path, schema: str | None, spacing_mm: tuple[float, float, float] | None) -> "Segmentation":
    try:
        return open_segmentation(path, schema, spacing_mm=spacing_mm)
    except LabelSchemaError as error:
        msg = f"{error}\nIn the shell: --schema NAME for all files, or --schema NAME,NAME,... for each."
        raise LabelSchemaError(msg) from error


def _compare(opened: Mapping[str, "Segmentation"], reference: str | None, resample: bool) -> "Agreement":
    from napari_brain_tumor.compare import compare_segmentations_job

    try:
        return run_shown(compare_segmentations_job(opened, reference, resample=resample), "comparing")
    except GridMismatchError as error:  # its usual hint in the shell is about scans
        msg = str(error).replace("resample=True", "--resample")
        raise ComparisonError(msg) from error


def _join(
    opened: Mapping[str, "Segmentation"], reference: str | None, method: str | None, resample: bool
) -> "Consensus | None":
    from napari_brain_tumor.compare.consensus_methods import METHODS, consensus_job

    known_method: ConsensusMethod | None = next((candidate for candidate in METHODS if candidate == method), None)
    if known_method is None:
        return None
    raters = {name: candidate for name, candidate in opened.items() if name != reference}
    if len(raters) < 2:
        msg = (
            f"The reference {reference} is not part of the consensus, which leaves only {', '.join(raters)}. Two or "
            "more "
            "are needed: add another segmentation, or leave out --reference."
        )
        raise ComparisonError(msg)
    return run_shown(consensus_job(raters, known_method, resample=resample), "joining")


# What was found -----------------------------------------------------------------------------------------------------


def _print(agreement: "Agreement", axis: "Axis") -> None:
    from napari_brain_tumor.measure.volumes import REGION_NAMES

    note(*agreement.notes)
    for regional in agreement.regions:
        name = REGION_NAMES[regional.region]
        title = f"{name[0].upper()}{name[1:]} ({regional.region})"
        print_table(f"{title}: {_against(agreement)}", _score_table(agreement, regional.region))
        print_table(_agreement_line(agreement, regional.region), _volume_table(agreement, regional.region))
        slices = agreement.slices(regional.region, axis)
        if slices:
            print_table(
                f"{len(slices)} {axis} slices differ; the worst:", _slice_table(agreement, regional.region, axis)
            )
        say("")
    if agreement.reference is None:
        say(
            "Sensitivity, precision and lesion-wise Dice take the first of a pair as the truth. "
            "Name the truth with --reference."
        )


def _against(agreement: "Agreement") -> str:
    return "each pair" if agreement.reference is None else f"against {agreement.reference}"


def _score_table(agreement: "Agreement", region: "Region") -> Table:
    pairs = agreement.scores_of(region)
    metrics = [key for key in _SCORES if any(getattr(pair.scores, key) is not None for pair in pairs)]
    who = {"Segmentation": "second"} if agreement.reference is not None else {"First": "first", "Second": "second"}
    rows = tuple(
        {title: getattr(pair, key) for title, key in who.items()}
        | {_SCORES[key][0]: getattr(pair.scores, key) for key in metrics}
        for pair in pairs
    )
    digits = {_SCORES[key][0]: _SCORES[key][1] for key in metrics}
    return Table((*who, *digits), rows, digits)


def _agreement_line(agreement: "Agreement", region: "Region") -> str:
    regional = agreement[region]
    kappa = "not defined" if regional.kappa is None else f"{regional.kappa:.3f}"
    return f"All {len(agreement.names)}: mean Dice of pairs {regional.mean_dice:.3f}, Fleiss' kappa {kappa}; volumes:"


def _volume_table(agreement: "Agreement", region: "Region") -> Table:
    base = "the mean" if agreement.reference is None else agreement.reference
    sizes = ("mL" if agreement.raters.grid.unit == "mm" else "Voxels", f"Against {base}", "%")
    rows = [row for row in agreement.volumes if row.region == region]
    return Table.of_cells(("Segmentation", *sizes), map(_volume_cells, rows), right=frozenset(sizes))


def _volume_cells(row: "RaterVolume") -> tuple[str, ...]:
    volume = f"{row.ml:.2f}" if row.ml is not None else str(row.voxels)
    off = f"{row.difference_ml:+.2f}" if row.difference_ml is not None else f"{row.difference_voxels:+.0f}"
    percent = "" if row.difference_percent is None else f"{row.difference_percent:+.1f}"
    return row.name, volume, off, percent


def _slice_table(agreement: "Agreement", region: "Region", axis: "Axis") -> Table:
    rows = agreement.slices(region, axis)[:_MOST_SLICES]
    in_mm = agreement.raters.grid.unit == "mm"
    digits = {"Slice": 0, "Differing voxels": 0, **({"mm²": 0} if in_mm else {}), "Dice": 3}
    cells = (
        {"Slice": row.index, "Differing voxels": row.differing, "mm²": row.area_mm2, "Dice": row.dice} for row in rows
    )
    return Table(tuple(digits), tuple(cells), digits)


def _print_consensus(agreement: "Agreement", joined: "Consensus | None") -> None:
    if joined is None:
        return
    from napari_brain_tumor.compare.consensus_methods import METHODS

    for text in joined.notes:
        if text not in agreement.notes:
            note(text)
    fields = {"Segmentation": "name", "Region": "region", "Sensitivity": "sensitivity", "Specificity": "specificity"}
    rows = tuple({title: getattr(quality, key) for title, key in fields.items()} for quality in joined.qualities)
    table = Table(tuple(fields), rows, {"Sensitivity": 3, "Specificity": 3})
    print_table(f"Consensus by {joined.method}, and the agreement of each with it", table)
    say(METHODS[joined.method])
    if agreement.reference is not None:
        dice = _against_reference(agreement, joined)
        say(
            f"Dice of the consensus against {agreement.reference}: {', '.join(f'{r} {d:.3f}' for r, d in dice.items())}"
        )


def _against_reference(agreement: "Agreement", joined: "Consensus") -> dict["Region", float]:
    from napari_brain_tumor.metrics.one_grid import resampled_onto
    from napari_brain_tumor.metrics.overlap import region_dice

    truth = agreement.raters.segmentations[str(agreement.reference)]
    return region_dice(truth, resampled_onto(joined.segmentation, truth.grid))


def _consensus_entry(joined: "Consensus | None") -> dict[str, object]:
    return {} if joined is None else {"consensus": dict(joined.segmentation.provenance)}


# Files --------------------------------------------------------------------------------------------------------------


def _write(
    agreement: "Agreement",
    joined: "Consensus | None",
    output: Path | None,
    csv: Path | None,
    maps: Path | None,
    *,
    overwrite: bool,
    quiet: bool,
) -> None:
    from napari_brain_tumor.compare.files import map_files, write_maps

    if maps is not None:
        _check_targets([], map_files(agreement, maps), overwrite=overwrite)
    written: list[Path] = []
    if joined is not None and output is not None:
        save_segmentation(joined.segmentation, output, overwrite=True)
        written.append(output)
    if csv is not None:
        agreement.to_csv(csv)
        written.append(csv)
    if maps is not None:
        written += write_maps(agreement, maps)
    for path in written if not quiet else ():
        say(f"Wrote {path}")
