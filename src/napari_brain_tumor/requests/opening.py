"""Opening an examination: which files, which sequence is which, and on what grid."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from napari_brain_tumor.errors import RoleError
from napari_brain_tumor.requests.request import Option, Request

Text = Annotated[str, Field(min_length=1)]
VolumeNumber = Annotated[int, Field(ge=0)]
Millimetres = Annotated[float, Field(gt=0, lt=1000, allow_inf_nan=False)]


def _also_by_x(value: Any) -> Any:
    """`1x1x5`, as people also write three sizes."""
    is_one = isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], str)
    return tuple(value[0].split("x")) if is_one else value


Spacing = Annotated[tuple[Millimetres, Millimetres, Millimetres], BeforeValidator(_also_by_x)]


RolesChoice = Annotated[
    dict[str, VolumeNumber | str] | tuple[Text | None, ...] | None,
    Option(
        help="Which file or volume is which sequence: t1=0,flair=1 (volumes), t1=a.nii,flair=b.nii (files) or "
        "FLAIR,T1,T1c,T2 (order; - skips).",
        label="Sequences",
        expected="role=volume pairs like t1=0,flair=1, each role once, nor an order like FLAIR,T1,T1c,T2",
        error=RoleError,
    ),
]
SpacingChoice = Annotated[
    Spacing | None,
    Option(
        help="Voxel size in millimetres, where files do not state it.",
        label="Voxel size",
        unit="mm",
        flag="--spacing",
        metavar="X,Y,Z",
        example="1,1,5",
        expected="three millimetres above zero, x,y,z",
    ),
]


class OpenOptions(Request):
    """What `open_study` can be told beside the path."""

    roles: RolesChoice = None
    series: Annotated[
        dict[str, str] | None,
        Option(
            help="For DICOM: T1c=5 or FLAIR='AX FLAIR', the number or description that `brain-tumor series` lists; "
            "repeatable.",
            label="Series",
            metavar="ROLE=SERIES",
            example="T1c=5",
            expected="a role with the number or description of its series, each role once",
            error=RoleError,
            repeats=True,
        ),
    ] = None
    spacing_mm: SpacingChoice = None
    resample: Annotated[
        str | None,
        Option(
            help="Resample sequences on different grids onto the finest, or onto that of the named sequence.",
            label="Common grid",
            metavar="finest|T1|T1c|T2|FLAIR",
            error=RoleError,
        ),
    ] = None

    def beside(self, case: Path) -> "OpenOptions":
        """The same with files of roles that lie in the current folder, and not beside the case, by their full paths."""
        if not isinstance(self.roles, dict):
            return self
        folder = case if case.is_dir() else case.parent
        return self.with_options(roles={role: _placed(value, folder) for role, value in self.roles.items()})


def _placed(value: int | str, folder: Path) -> int | str:
    if isinstance(value, int) or (folder / value).exists() or not Path(value).exists():
        return value
    return str(Path(value).resolve())


class OpenRequest(OpenOptions):
    """Open an examination: `open_study`."""

    path: Annotated[Path, Option(help="Folder or file of an examination.", metavar="CASE", positional=True)]


class ViewRequest(OpenRequest):
    """Look at an examination, or at labels: the Open panel, `brain-tumor view`."""

    schema_name: Annotated[
        str | None,
        Option(
            help="What the integers of labels mean, if ambiguous: MSD, BraTS, LGG-binary ...",
            label="File labels",
            flag="--schema",
        ),
    ] = None
