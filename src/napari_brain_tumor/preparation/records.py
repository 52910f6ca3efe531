"""The JSON record of a preparation: what was used, its registration, and everything needed to repeat it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from pydantic import BaseModel, Field

from napari_brain_tumor import __version__
from napari_brain_tumor.dataset.index import GridRecord
from napari_brain_tumor.followup.rigid import RigidTransform
from napari_brain_tumor.io.sidecar import FORMAT, NOTICE, PROGRAM
from napari_brain_tumor.preparation.prepared import SequencePlace
from napari_brain_tumor.preparation.settings import PreparationSettings
from napari_brain_tumor.study import FileLayout, NiftiForms, Role

TASK: Final = "prepare"

Matrix = tuple[tuple[float, float, float, float], ...]


def _rows(matrix: Any) -> Matrix:
    a, b, c, d = (tuple(map(float, row)) for row in np.asarray(matrix))
    return a, b, c, d  # type: ignore[return-value]


class _Record(BaseModel, extra="ignore", frozen=True):
    """Base class; fields added by later versions are ignored."""


class FormsRecord(_Record):
    """The matrices and codes of a NIfTI header."""

    sform: Matrix
    sform_code: int
    qform: Matrix | None = None
    qform_code: int = 0

    @classmethod
    def of(cls, layout: FileLayout) -> Self | None:
        if not isinstance(layout, NiftiForms):
            return None
        qform = None if layout.qform is None else _rows(layout.qform)
        return cls(sform=_rows(layout.sform), sform_code=layout.sform_code, qform=qform, qform_code=layout.qform_code)

    @property
    def layout(self) -> NiftiForms:
        """The layout as an object."""
        qform = None if self.qform is None else np.array(self.qform)
        return NiftiForms(np.array(self.sform), self.sform_code, qform, self.qform_code)


class PlaceRecord(_Record):
    """Grid of a sequence, and its registration to the reference."""

    name: str = ""
    grid: GridRecord
    forms: FormsRecord | None = None
    fixed_to_moving_world_mm: Matrix
    registration: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def of(cls, place: SequencePlace) -> Self:
        return cls(
            name=place.name,
            grid=GridRecord.of(place.grid),
            forms=FormsRecord.of(place.layout),
            fixed_to_moving_world_mm=_rows(place.transform.matrix),
            registration=dict(place.registration),
        )

    def place(self, role: Role) -> SequencePlace:
        """Return the place as an object."""
        layout = None if self.forms is None else self.forms.layout
        transform = RigidTransform(np.array(self.fixed_to_moving_world_mm))
        return SequencePlace(role, self.name, self.grid.grid, layout, transform, self.registration)


class BrainFile(_Record):
    """The brain mask of a prepared study, or the user's mask with which it was prepared."""

    path: Path | None = None
    sha256: str | None = None
    mask_sha256: str | None = None
    weights_sha256: str | None = None


class FileRecord(_Record):
    """A file of a prepared study."""

    path: Path
    sha256: str


class PreparationRecord(_Record):
    """The part of a preparation's record that is needed to repeat it or to map labels back to a series."""

    case: str
    reference: Role
    settings: PreparationSettings
    grid: GridRecord
    places: dict[Role, PlaceRecord]
    brain: BrainFile | None = None
    arrays_sha256: dict[Role, str] = Field(default_factory=dict)
    """Hash of the values of each prepared sequence."""
    files: dict[Role, FileRecord] = Field(default_factory=dict)
    """Files of a saved prepared study."""
    brain_mask: FileRecord | None = None
    from_files: bool = False
    """Whether the saved sequences were segmented rather than the raw series."""


def document_of(record: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the JSON document of a prepared study's folder."""
    head = {"program": PROGRAM, "format": FORMAT, "version": __version__, "notice": NOTICE, "task": TASK}
    return head | {"created": datetime.now(UTC).isoformat(timespec="seconds")} | dict(record) | more
