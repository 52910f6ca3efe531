"""Preparing raw series: which are used, what they are registered to, and onto which grids labels go back."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, InstanceOf

from napari_brain_tumor.errors import RoleError
from napari_brain_tumor.io.sequence_words import role_named
from napari_brain_tumor.requests.opening import RolesChoice, SpacingChoice
from napari_brain_tumor.requests.request import Option, Request
from napari_brain_tumor.requests.segment import Device
from napari_brain_tumor.study import Role

RoleName = Annotated[Role, BeforeValidator(lambda name: role_named(name) if isinstance(name, str) else name)]
"""As leniently as files are named: `flair`, `t1ce`."""


class PrepareOptions(Request):
    """What `prepare` can be told beside the path."""

    series: Annotated[
        dict[str, str] | None,
        Option(
            help="Take this series or file instead of the best by the rules: T1c=5, by number or name; FLAIR=- leaves "
            "FLAIR out; repeatable.",
            label="Series",
            metavar="ROLE=SERIES",
            example="T1c=5",
            expected="a role with the number or name of its series, or with - for none, each role once",
            error=RoleError,
            repeats=True,
        ),
    ] = None
    roles: RolesChoice = None
    spacing_mm: SpacingChoice = None
    reference: Annotated[
        Role | None,
        Option(help="Sequence to which the others are registered; by default T1c, else the finest.", label="Reference"),
    ] = None
    grid: Annotated[
        Literal["1mm", "reference"],
        Option(help="Voxels of 1 mm along the patient's axes, or the reference's own grid.", label="Grid"),
    ] = "1mm"
    bias_correction: Annotated[
        bool, Option(help="Remove the slow shading of receiver coils with N4.", label="Correct &shading (N4)")
    ] = False
    brain: Annotated[
        Literal["auto", "keep"] | str | Path | InstanceOf[np.ndarray],
        Option(
            help="Whole heads: extract the brain (auto), keep them, or take the brain from this mask, on the "
            "reference's own grid.",
            label="Brain",
            metavar="auto|keep|MASK",
        ),
    ] = "auto"
    device: Device = "auto"
    seed: Annotated[int, Option(help="Seed of the random samples used for registration.", label="Seed")] = 0


class PrepareRequest(PrepareOptions):
    """Make a study of raw series: `prepare(path, ...)`, `brain-tumor prepare`, the Prepare panel."""

    path: Annotated[
        Path, Option(help="DICOM study, BIDS subject or session, or folder of files.", metavar="EXAM", positional=True)
    ]


class RawSeriesRequest(Request):
    """What `brain-tumor segment` does with raw series."""

    prepare: Annotated[
        Literal["auto", "always", "never"],
        Option(
            help="Register raw series and bring them onto one grid first: if they are not aligned (auto), always, or "
            "never. The prepared study is kept beside the result.",
            label="Prepare",
        ),
    ] = "auto"
    onto: Annotated[
        tuple[RoleName, ...],
        Option(
            help="For a prepared examination: also write the labels on the grid of this series; repeatable.",
            label="Labels onto",
            metavar="T1|T1c|T2|FLAIR",
            example="FLAIR",
            expected="one of T1, T1c, T2, FLAIR",
            error=RoleError,
            repeats=True,
        ),
    ] = ()
