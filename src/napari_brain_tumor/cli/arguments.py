"""What people type for roles and spacing, as the functions that open a study want it."""

import math
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_brain_tumor.cli.known_values import known_device, known_grid, known_model, known_style
from napari_brain_tumor.labels import REGIONS, Region

__all__ = [
    "BoxOption",
    "BrainOption",
    "DeviceOption",
    "FlipsOption",
    "HeadName",
    "MinLesionOption",
    "ModelOption",
    "PathsOption",
    "PrecisionName",
    "PrecisionOption",
    "ResampleOption",
    "RoleChoice",
    "RolesOption",
    "SeedsOption",
    "SeriesOption",
    "SpacingOption",
    "ThresholdsOption",
    "parse_box",
    "parse_numbers",
    "parse_roles",
    "parse_seeds",
    "parse_series",
    "parse_settings",
    "parse_spacing",
    "parse_thresholds",
]

RoleChoice = dict[str, int | str] | list[str | None]
"""Role to volume or file; or the roles of the volumes in order, None for one to skip."""


ModelOption = Annotated[
    str | None,
    typer.Option("--model", callback=known_model, help="Name of a model (see `models`) or folder of a checkpoint."),
]


class HeadName(StrEnum):
    """What is done with whole heads."""

    auto = "auto"
    keep = "keep"


class PrecisionName(StrEnum):
    """The precisions of `segment`."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda|mps",
        callback=known_device,
        help="Where to compute; auto takes the quickest.",
    ),
]

PathsOption = Annotated[
    str,
    typer.Option(
        "--paths",
        metavar="auto|relative|absolute|names",
        callback=known_style,
        help="How the record of a result names its scans: relative to itself (auto: those that lie near), absolute, "
        "or without folders.",
    ),
]


BrainOption = Annotated[
    str,
    typer.Option(
        "--brain",
        metavar="auto|keep|MASK",
        help="A whole head: extract its brain first, keep it as it is, or take the brain from this mask file.",
    ),
]

RolesOption = Annotated[
    str | None,
    typer.Option(
        "--roles", help="t1=0,flair=1 (volumes), t1=a.nii,flair=b.nii (files) or FLAIR,T1,T1c,T2 (order; - skips)."
    ),
]

SeriesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--series",
        metavar="ROLE=SERIES",
        help="Of DICOM: T1c=5 or FLAIR='AX FLAIR', the number or description that `brain-tumor series` lists; "
        "repeatable.",
    ),
]

SpacingOption = Annotated[
    str | None, typer.Option("--spacing", metavar="X,Y,Z", help="Millimetres between voxels, where files do not tell.")
]

ResampleOption = Annotated[
    str | None,
    typer.Option(
        "--resample",
        metavar="finest|T1|T1c|T2|FLAIR",
        callback=known_grid,
        help="Bring sequences on different grids onto the finest, or onto that sequence's.",
    ),
]


FlipsOption = Annotated[bool, typer.Option("--flips", help="Average over mirrored inputs: slower, a little better.")]

MinLesionOption = Annotated[
    float | None, typer.Option("--min-lesion-mm3", min=0, help="Remove parts of the tumour smaller than this.")
]

PrecisionOption = Annotated[
    PrecisionName,
    typer.Option(
        "--precision", help="How exactly the network computes; auto is the quickest that agrees with float32."
    ),
]

SeedsOption = Annotated[
    list[str] | None,
    typer.Option("--seed", metavar="X,Y,Z", help="Point in the tumour, world mm, for region_growing; repeatable."),
]

ThresholdsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        metavar="REGION=P",
        help="Probability from which a voxel is WT, TC or ET, such as ET=0.4; repeatable.",
    ),
]

BoxOption = Annotated[
    str | None,
    typer.Option("--box", metavar="X0,X1,Y0,Y1,Z0,Z1", help="Segment within this box alone, world mm."),
]


def parse_settings(
    *,
    flips: bool,
    min_lesion_mm3: float | None,
    precision: str,
    seeds: Sequence[str] | None,
    thresholds: Sequence[str] | None,
    box: str | None,
) -> dict[str, Any]:
    """How a study is segmented, as `segment` takes it beside study, model and device; what is not given is left out.

    Raises
    ------
    typer.BadParameter
        If a seed, threshold or box is none.
    """
    told: dict[str, Any] = {
        "flips": flips,
        "precision": precision if precision != "auto" else None,
        "seeds": parse_seeds(seeds or ()),
        "thresholds": parse_thresholds(thresholds or ()),
        "box": parse_box(box),
    }
    settings = {name: value for name, value in told.items() if value}
    return settings if min_lesion_mm3 is None else settings | {"min_lesion_mm3": min_lesion_mm3}


def parse_roles(text: str | None, case: Path | None = None) -> RoleChoice | None:
    """Roles from `t1=0,flair=1`, `t1=a.nii.gz,flair=b.nii.gz` or, in the order of the volumes, `FLAIR,T1,T1c,T2`.

    In an order, `-` skips a volume. A file is looked for beside the case first, then in the current folder.

    Raises
    ------
    typer.BadParameter
        If the text is none of these.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    named = [part for part in parts if "=" in part]
    if not all(parts) or len(named) not in (0, len(parts)):
        msg = f"{text!r} is neither role=volume pairs like t1=0,flair=1 nor an order like FLAIR,T1,T1c,T2."
        raise typer.BadParameter(msg, param_hint="--roles")
    if not named:
        return [None if part == "-" else part for part in parts]
    pairs = [part.split("=", 1) for part in parts]
    roles = [role.strip() for role, _ in pairs]
    if len(set(map(str.lower, roles))) < len(roles) or not all(role and value.strip() for role, value in pairs):
        msg = f"{text!r} needs one volume or file for each role, and each role once, like t1=0,flair=1."
        raise typer.BadParameter(msg, param_hint="--roles")
    return {role: _volume_or_file(value.strip(), case) for role, (_, value) in zip(roles, pairs, strict=True)}


def parse_series(texts: Sequence[str] | None) -> dict[str, str] | None:
    """Series by role from `T1c=5` or `FLAIR=AX FLAIR`, one text each; raises `typer.BadParameter` for anything else."""
    picks: dict[str, str] = {}
    for text in texts or ():
        role, _, value = (part.strip() for part in text.partition("="))
        if not role or not value or role in picks:
            msg = f"{text!r} picks no series. Give each role once, with a number or description: --series T1c=5."
            raise typer.BadParameter(msg, param_hint="--series")
        picks[role] = value
    return picks or None


def parse_spacing(text: str | None) -> tuple[float, float, float] | None:
    """Millimetres between voxels along x, y and z from `1,1,5`; raises `typer.BadParameter` for anything else."""
    if text is None:
        return None
    try:
        x, y, z = (float(part) for part in re.split(r"[,x]", text.strip()))
    except ValueError:
        x = y = z = 0.0
    if not (0 < x < 1000 and 0 < y < 1000 and 0 < z < 1000):
        msg = f"{text!r} is not three millimetres above zero. Give x,y,z, for example --spacing 1,1,5."
        raise typer.BadParameter(msg, param_hint="--spacing")
    return x, y, z


def parse_numbers(text: str | None, option: str) -> list[int] | None:
    """Whole numbers from `40,52-60`, in order and each once; raises `typer.BadParameter` for anything else."""
    if text is None:
        return None
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match is not None else (1, 0)
        if first > last:
            msg = f"{text!r} is not a list of numbers such as 40,52-60."
            raise typer.BadParameter(msg, param_hint=option)
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def parse_seeds(texts: Sequence[str]) -> tuple[tuple[float, float, float], ...]:
    """World coordinates from `12.5,-30,41`, one text a seed; raises `typer.BadParameter` for anything else."""
    return tuple(_seed(text) for text in texts)


def _seed(text: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        x = y = z = math.nan
    if not all(map(math.isfinite, (x, y, z))):
        msg = f"{text!r} is not three numbers. Give world coordinates x,y,z, for example --seed 12.5,-30,41."
        raise typer.BadParameter(msg, param_hint="--seed")
    return x, y, z


def parse_box(text: str | None) -> tuple[float, ...] | None:
    """World coordinates from `-20,30,-10,40,0,50`: x, y and z from and to; raises `typer.BadParameter` otherwise."""
    if text is None:
        return None
    try:
        ends = tuple(float(part) for part in text.split(","))
    except ValueError:
        ends = ()
    if len(ends) != 6 or not all(map(math.isfinite, ends)):
        msg = f"{text!r} is not six numbers. Give world coordinates x0,x1,y0,y1,z0,z1: --box=-20,30,-10,40,0,50."
        raise typer.BadParameter(msg, param_hint="--box")
    return ends


def parse_thresholds(texts: Sequence[str]) -> dict[Region, float]:
    """Thresholds by region from `WT=0.4`, one text a region; raises `typer.BadParameter` for anything else."""
    found: dict[Region, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        region = next((one for one in REGIONS if one == name.strip().upper()), None)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if region is None or region in found or not 0 < number < 1:
            msg = f"{text!r} is no threshold. Give each region once, a number between 0 and 1: --threshold WT=0.4."
            raise typer.BadParameter(msg, param_hint="--threshold")
        found[region] = number
    return found


def _volume_or_file(value: str, case: Path | None) -> int | str:
    if value.isdecimal():
        return int(value)
    beside = (case if case is not None and case.is_dir() else (case or Path()).parent) / value
    here = Path(value)
    return str(here.resolve()) if here.exists() and not beside.exists() else value
