"""`brain-tumor compare`: how far segmentations of one case agree, and what they say together."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from napari_brain_tumor.cli.arguments import SpacingOption, parse_spacing
from napari_brain_tumor.cli.console import new_table, note, print_table, run_shown, say
from napari_brain_tumor.cli.known_values import known_schema
from napari_brain_tumor.errors import ComparisonError, GridMismatchError, LabelSchemaError, SaveError

if TYPE_CHECKING:
    from rich.table import Table

    from napari_brain_tumor.compare import Agreement, Consensus, PairScores
    from napari_brain_tumor.compare.consensus_methods import ConsensusMethod
    from napari_brain_tumor.compare.slices import Axis
    from napari_brain_tumor.labels import Region
    from napari_brain_tumor.study import Segmentation

__all__ = ["compare"]

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
        list[Path], typer.Argument(metavar="LABELS...", help="Files or folders of two or more segmentations of a case.")
    ],
    names: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="What to call them; their file names if not given.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="NAME", help="The one that counts as the truth; without it all pairs count.")
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(metavar="S[,S,...]", help="What the integers mean: one for all files, or one each (- as told)."),
    ] = None,
    spacing: SpacingOption = None,
    resample: Annotated[
        bool, typer.Option("--resample", help="Bring those on other grids onto the first's, to the nearest label.")
    ] = False,
    axis: Annotated[
        str, typer.Option(metavar="axial|coronal|sagittal", help="Which slices the table of the worst is about.")
    ] = "axial",
    consensus: Annotated[
        str | None,
        typer.Option(metavar="majority|staple", help="Join all but the reference into one segmentation; needs -o."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the consensus, such as joined.nii.gz.")
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write where they agree and differ, voxel by voxel, as .nii.gz."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every score as a table.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON instead of tables.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")] = False,
) -> None:
    """Compare segmentations of one case: scores, kappa, volumes, the slices that differ most, and a consensus."""
    called = _names(labels, names)
    schemas = _schemas(schema, len(labels))
    _check_consensus(consensus, output)
    cut = _axis(axis)
    _check_targets(labels, [one for one in (output, csv) if one is not None], overwrite=overwrite)
    steps = parse_spacing(spacing)
    opened = {name: _open(path, kind, steps) for name, path, kind in zip(called, labels, schemas, strict=True)}
    found = _compare(opened, reference, resample)
    joined = _join(opened, reference, consensus, resample)
    if as_json:
        say(json.dumps({**found.as_dict(), **_told(joined)}, indent=2, ensure_ascii=False, default=str))
    else:
        _print(found, cut)
        _print_consensus(found, joined)
    _write(found, joined, output, csv, maps, overwrite=overwrite, quiet=as_json)


# What was asked for -------------------------------------------------------------------------------------------------


def _names(labels: Sequence[Path], names: str | None) -> list[str]:
    from napari_brain_tumor.io.volume import short_name

    called = [part.strip() for part in names.split(",")] if names is not None else [short_name(one) for one in labels]
    if len(called) != len(labels):
        msg = f"{len(called)} names for {len(labels)} segmentations. Give one for each, such as --names unet,anna."
        raise typer.BadParameter(msg, param_hint="--names")
    twice = [name for name, count in Counter(called).items() if count > 1]
    if twice:
        msg = f"Several segmentations are called {', '.join(twice)}. Give each a name of its own with --names A,B,..."
        raise ComparisonError(msg)
    return called


def _schemas(schema: str | None, count: int) -> list[str | None]:
    told = [None if part.strip() in ("", "-") else part.strip() for part in (schema or "-").split(",")]
    for one in told:
        known_schema(one)
    if len(told) not in (1, count):
        msg = f"{len(told)} schemas for {count} segmentations. Give one for all, or one for each."
        raise typer.BadParameter(msg, param_hint="--schema")
    return told if len(told) == count else told * count


def _axis(name: str) -> "Axis":
    from napari_brain_tumor.compare.slices import AXES

    chosen: Axis | None = next((one for one in AXES if one == name), None)
    if chosen is None:
        msg = f"There are no {name!r} slices. Ask for one of: {', '.join(AXES)}."
        raise typer.BadParameter(msg, param_hint="--axis")
    return chosen


def _check_consensus(method: str | None, output: Path | None) -> None:
    from napari_brain_tumor.compare.consensus_methods import METHODS

    if method is not None and method not in METHODS:
        msg = f"There is no consensus {method!r}. Ask for one of: {', '.join(METHODS)}."
        raise typer.BadParameter(msg, param_hint="--consensus")
    if (method is None) != (output is None):
        msg = "A consensus needs a file, and a file a consensus: --consensus staple -o joined.nii.gz."
        raise typer.BadParameter(msg, param_hint="--consensus")


def _check_targets(labels: Sequence[Path], targets: Sequence[Path], *, overwrite: bool) -> None:
    taken = {one.resolve() for one in labels}
    for target in targets:
        if target.resolve() in taken:
            msg = f"{target} is one of the segmentations that are compared and is never overwritten. Choose another."
            raise SaveError(msg)
        if target.exists() and not overwrite:
            msg = f"{target} exists already. Give --overwrite to replace it, or another name."
            raise SaveError(msg)


def _open(path: Path, schema: str | None, spacing_mm: tuple[float, float, float] | None) -> "Segmentation":
    from napari_brain_tumor.io import open_segmentation

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

    chosen: ConsensusMethod | None = next((one for one in METHODS if one == method), None)
    if chosen is None:
        return None
    raters = {name: one for name, one in opened.items() if name != reference}
    if len(raters) < 2:
        msg = (
            f"The reference {reference} takes no part in the consensus, which leaves {', '.join(raters)}. Two or more "
            "are needed: add another segmentation, or leave out --reference."
        )
        raise ComparisonError(msg)
    return run_shown(consensus_job(raters, chosen, resample=resample), "joining")


# What was found -----------------------------------------------------------------------------------------------------


def _print(found: "Agreement", axis: "Axis") -> None:
    from napari_brain_tumor.measure.volumes import REGION_NAMES

    for text in found.notes:
        note(text)
    for one in found.regions:
        name = REGION_NAMES[one.region]
        title = f"{name[0].upper()}{name[1:]} ({one.region})"
        print_table(f"{title}: {_against(found)}", _score_table(found, one.region))
        print_table(_agreement_line(found, one.region), _volume_table(found, one.region))
        slices = found.slices(one.region, axis)
        if slices:
            print_table(f"{len(slices)} {axis} slices differ; the worst:", _slice_table(found, one.region, axis))
        say("")
    if found.reference is None:
        say("Sensitivity, precision and lesion-wise Dice take the first of a pair for the truth. Name it: --reference.")


def _against(found: "Agreement") -> str:
    return "each pair" if found.reference is None else f"against {found.reference}"


def _score_table(found: "Agreement", region: "Region") -> "Table":
    from rich.markup import escape

    rows = found.scores_of(region)
    shown = [key for key in _SCORES if any(getattr(row.scores, key) is not None for row in rows)]
    titles = [_SCORES[key][0] for key in shown]
    who = ["Segmentation"] if found.reference is not None else ["First", "Second"]
    table = new_table(*who, *titles, right=tuple(titles))
    for row in rows:
        told = [row.second] if found.reference is not None else [row.first, row.second]
        table.add_row(*map(escape, told), *(_score_cell(row, key) for key in shown))
    return table


def _score_cell(row: "PairScores", key: str) -> str:
    value = getattr(row.scores, key)
    return "" if value is None else f"{value:.{_SCORES[key][1]}f}"


def _agreement_line(found: "Agreement", region: "Region") -> str:
    one = found[region]
    kappa = "not defined" if one.kappa is None else f"{one.kappa:.3f}"
    return f"All {len(found.names)}: mean Dice of pairs {one.mean_dice:.3f}, Fleiss' kappa {kappa}; volumes:"


def _volume_table(found: "Agreement", region: "Region") -> "Table":
    from rich.markup import escape

    base = "the mean" if found.reference is None else found.reference
    in_ml = found.raters.grid.unit == "mm"
    size = "mL" if in_ml else "Voxels"
    table = new_table(
        "Segmentation", size, f"Against {escape(base)}", "%", right=(size, f"Against {escape(base)}", "%")
    )
    for row in found.volumes:
        if row.region == region:
            told = f"{row.ml:.2f}" if row.ml is not None else str(row.voxels)
            off = f"{row.difference_ml:+.2f}" if row.difference_ml is not None else f"{row.difference_voxels:+.0f}"
            percent = "" if row.difference_percent is None else f"{row.difference_percent:+.1f}"
            table.add_row(escape(row.name), told, off, percent)
    return table


def _slice_table(found: "Agreement", region: "Region", axis: "Axis") -> "Table":
    rows = found.slices(region, axis)[:_MOST_SLICES]
    in_mm = found.raters.grid.unit == "mm"
    columns = ["Slice", "Differing voxels", *(["mm²"] if in_mm else []), "Dice"]
    table = new_table(*columns, right=tuple(columns))
    for row in rows:
        area = [] if row.area_mm2 is None else [f"{row.area_mm2:.0f}"]
        table.add_row(str(row.index), str(row.differing), *area, f"{row.dice:.3f}")
    return table


def _print_consensus(found: "Agreement", joined: "Consensus | None") -> None:
    if joined is None:
        return
    from rich.markup import escape

    from napari_brain_tumor.compare.consensus_methods import METHODS

    for text in joined.notes:
        if text not in found.notes:
            note(text)
    table = new_table("Segmentation", "Region", "Sensitivity", "Specificity", right=("Sensitivity", "Specificity"))
    for one in joined.qualities:
        numbers = ["" if value is None else f"{value:.3f}" for value in (one.sensitivity, one.specificity)]
        table.add_row(escape(one.name), one.region, *numbers)
    print_table(f"Consensus by {joined.method}, and how well each finds it", table)
    say(METHODS[joined.method])
    if found.reference is not None:
        dice = _against_reference(found, joined)
        say(f"Dice of the consensus against {found.reference}: {', '.join(f'{r} {d:.3f}' for r, d in dice.items())}")


def _against_reference(found: "Agreement", joined: "Consensus") -> dict["Region", float]:
    from napari_brain_tumor.metrics.one_grid import resampled_onto
    from napari_brain_tumor.metrics.overlap import region_dice

    truth = found.raters.segmentations[str(found.reference)]
    return region_dice(truth, resampled_onto(joined.segmentation, truth.grid))


def _told(joined: "Consensus | None") -> dict[str, object]:
    return {} if joined is None else {"consensus": dict(joined.segmentation.provenance)}


# Files --------------------------------------------------------------------------------------------------------------


def _write(
    found: "Agreement",
    joined: "Consensus | None",
    output: Path | None,
    csv: Path | None,
    maps: Path | None,
    *,
    overwrite: bool,
    quiet: bool,
) -> None:
    from napari_brain_tumor.compare.files import map_files, write_maps
    from napari_brain_tumor.io import save_segmentation

    if maps is not None:
        _check_targets([], map_files(found, maps), overwrite=overwrite)
    written: list[Path] = []
    if joined is not None and output is not None:
        save_segmentation(joined.segmentation, output)
        written.append(output)
    if csv is not None:
        found.to_csv(csv)
        written.append(csv)
    if maps is not None:
        written += write_maps(found, maps)
    for path in written if not quiet else ():
        say(f"Wrote {path}")
