"""Index of a curated data set: all cases, each patient's side of the split, and the author of each label.

The index is a single JSON file that is read and written as a whole. It is validated on reading, so that an inconsistent
data set is never used.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

import numpy as np
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, field_validator, model_validator

from napari_brain_tumor.dataset.patients import patient_key
from napari_brain_tumor.geometry import Grid, LengthUnit
from napari_brain_tumor.io.inside import outside_reason
from napari_brain_tumor.labels import CLASS_NAMES, REGIONS, Region
from napari_brain_tumor.study import ROLES, Role

Split = Literal["train", "val", "test"]
ReviewState = Literal["draft", "accepted", "rejected", "needs_second_look"]
LabelMaker = Literal["model", "hand", "both", "imported"]
SimilarKind = Literal["same voxels", "looks alike", "same patient"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

STATES: Final[tuple[ReviewState, ...]] = ("draft", "accepted", "rejected", "needs_second_look")
"""Review states: not decided yet, accepted for training, not to be used, to be looked at again."""

_CASE_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,119}$"
"""Dots are not allowed, so that `<id>.v2.nii.gz` cannot be the file of another case."""


def now() -> datetime:
    """Return the current time as stored in records: UTC, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def _inside_the_folder(path: str) -> str:
    reason = outside_reason(path) or ("" if path.count("/") == 1 else "it is not one folder and one file")
    if reason:
        raise ValueError(f"{path!r} must be folder/file inside the data set, but {reason}")
    return path


RelativeFile = Annotated[str, AfterValidator(_inside_the_folder)]


class _Document(BaseModel, extra="forbid", frozen=True):
    """A part of the index; unknown entries are not allowed."""


class GridRecord(_Document):
    """Shape, voxel-to-world matrix and unit of a case; the unit is `"voxel"` if the spacing is unknown."""

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, float, float, float], ...]
    unit: LengthUnit = "mm"

    @classmethod
    def of(cls, grid: Grid) -> Self:
        return cls(shape=grid.shape, affine=tuple(map(tuple, grid.affine.tolist())), unit=grid.unit)

    @property
    def grid(self) -> Grid:
        """The grid itself; raises `DimensionError` if the numbers do not form a valid grid."""
        return Grid(self.shape, np.array(self.affine), self.unit)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _ = self.grid
        return self


class SequenceRecord(_Document):
    """One sequence of a case.

    `sha256` is the hash of the voxels in file order; `values_sha256` that of how often each value occurs, which
    cropping, padding, flips and compression do not change; `fingerprint` is a coarse image (`duplicates.fingerprint`).
    """

    channel: int = Field(ge=0)
    source: str | None = None
    source_channel: int | None = None
    sha256: Sha256
    values_sha256: Sha256
    fingerprint: str


class SliceNumbers(_Document):
    """Numbers of the `<patient>_<k>.tif` files a study came from, for writing masks back under the same names."""

    patient: str
    numbers: tuple[int, ...]


class KnownSlices(_Document):
    """Slices along one axis of the array whose labels are known; in the others they are unknown, not background."""

    axis: Literal[0, 1, 2] = 2
    numbers: tuple[int, ...]


class MadeBy(_Document):
    """Who or what made a label."""

    kind: LabelMaker
    model: str | None = None
    model_sha256: str | None = None
    source: str | None = None
    """The file from which an imported label was read."""


class LabelRecord(_Document):
    """The label of a case: its file, the regions it defines, and who made it.

    `known_slices` is None if every slice is known; `unknown_voxels` counts the voxels that are unknown for any reason.
    `voxels` counts the known voxels of each class.
    """

    file: RelativeFile
    version: int = Field(default=1, ge=1)
    sha256: Sha256
    label_schema: Literal["MSD"] = "MSD"
    known_regions: tuple[Region, ...] = ("WT", "TC", "ET")
    known_slices: KnownSlices | None = None
    unknown_voxels: int = Field(default=0, ge=0)
    voxels: dict[int, int] = Field(default_factory=dict)
    made_by: MadeBy
    made_at: AwareDatetime

    @property
    def is_complete(self) -> bool:
        """Whether every voxel is known."""
        return self.unknown_voxels == 0


class Review(_Document):
    """A reviewer's decision on the label of a case."""

    state: ReviewState = "draft"
    note: str = ""
    reviewed_at: AwareDatetime | None = None


class SimilarCase(_Document):
    """Another case that shows the same examination or belongs to the same patient."""

    case: str
    kind: SimilarKind
    score: float = 1.0
    """Correlation of the fingerprints if the images are similar, otherwise 1."""


class CaseRecord(_Document):
    """An examination with its label, as stored in the index."""

    id: str = Field(pattern=_CASE_ID)
    patient: str
    source: str = ""
    """The data set or folder that the case came from."""
    grade: str | None = None
    image: RelativeFile
    grid: GridRecord
    sequences: dict[Role, SequenceRecord] = Field(min_length=1)
    slices: SliceNumbers | None = None
    notes: tuple[str, ...] = ()
    """Notes made while reading the files."""
    label: LabelRecord
    review: Review = Review()
    split: Split
    similar: tuple[SimilarCase, ...] = ()
    added_at: AwareDatetime

    @property
    def patient_key(self) -> str:
        """The patient's key, which is the same for every spelling of the name."""
        return patient_key(self.patient)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The sequences that are present, in the order of the image's channels."""
        return tuple(role for role in ROLES if role in self.sequences)

    @property
    def state(self) -> ReviewState:
        return self.review.state

    def region_voxels(self, region: Region) -> int | None:
        """Return the number of known voxels of a region, or None if the label does not define it."""
        if region not in self.label.known_regions:
            return None
        return sum(self.label.voxels.get(value, 0) for value in REGIONS[region])

    def region_ml(self, region: Region) -> float | None:
        """Return the volume of a region's known voxels in mL, or None if the region or the voxel size is unknown."""
        voxels = self.region_voxels(region)
        grid = self.grid.grid
        return None if voxels is None or grid.unit != "mm" else voxels * grid.voxel_volume_mm3 / 1000

    @model_validator(mode="after")
    def _check(self) -> Self:
        channels = [self.sequences[role].channel for role in self.roles]
        if channels != list(range(len(channels))):
            raise ValueError(
                f"case {self.id}: the channels of {', '.join(self.roles)} are {channels}, not 0 to {len(channels) - 1}"
            )
        known = self.label.known_slices
        if known is not None and not all(0 <= k < self.grid.shape[known.axis] for k in known.numbers):
            raise ValueError(
                f"case {self.id}: it has {self.grid.shape[known.axis]} slices, the labelled slices are given as "
                f"{known.numbers}"
            )
        return self


class SplitPolicy(_Document):
    """How new patients are assigned to a side: the seed, and the fractions of validation and test."""

    seed: int = 0
    val_fraction: float = Field(default=0.2, ge=0, lt=1)
    test_fraction: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.val_fraction + self.test_fraction >= 1:
            msg = f"validation {self.val_fraction:g} and test {self.test_fraction:g} leave nothing to train on"
            raise ValueError(msg)
        return self

    @property
    def shares(self) -> dict[Split, float]:
        """The fraction of each side."""
        train = 1 - self.val_fraction - self.test_fraction
        return {"train": train, "val": self.val_fraction, "test": self.test_fraction}


class PatientRecord(_Document):
    """A patient's side of the split. It never changes, and is kept when the patient's last case is removed."""

    split: Split
    stratum: str = ""
    decided_by: Literal["rule", "given", "same person"] = "rule"
    decided_at: AwareDatetime
    grade: str | None = None
    same_person: tuple[str, ...] = ()
    """Keys of other patients with the same images, i.e. the same person under different names."""
    also_known_as: tuple[str, ...] = ()
    """Keys of case names that a given split table assigned to this patient."""


class DatasetIndex(_Document):
    """A whole curated data set except for its voxels.

    Raises
    ------
    pydantic.ValidationError
        If ids or files are not unique, a person is on different sides, or a case is not on its patient's side.
    """

    format: Literal[1] = 1
    name: str
    description: str = ""
    classes: dict[int, str] = Field(default_factory=lambda: dict(CLASS_NAMES))
    created_at: AwareDatetime
    revision: int = Field(default=0, ge=0)
    """Increases with every change."""
    policy: SplitPolicy = SplitPolicy()
    patients: dict[str, PatientRecord] = Field(default_factory=dict)
    cases: tuple[CaseRecord, ...] = ()

    @field_validator("patients")
    @classmethod
    def _check_patients(cls, patients: dict[str, PatientRecord]) -> dict[str, PatientRecord]:
        for key, patient in patients.items():
            for other in patient.same_person:
                if other not in patients or patients[other].split != patient.split:
                    msg = (
                        f"{key} ({patient.split}) and {other} are the same person, but on different sides of the split"
                    )
                    raise ValueError(msg)
        return patients

    @model_validator(mode="after")
    def _check(self) -> Self:
        # Ids are used as file names, and some file systems do not distinguish upper and lower case.
        _refuse_repeats("the id", (case.id.lower() for case in self.cases))
        _refuse_repeats("the file", (file.lower() for case in self.cases for file in (case.image, case.label.file)))
        for case in self.cases:
            patient = self.patients.get(case.patient_key)
            side = None if patient is None else patient.split
            if side != case.split:
                raise ValueError(f"case {case.id} is on the side {case.split}, its patient {case.patient} on {side}")
        return self

    @property
    def files(self) -> frozenset[str]:
        """Relative paths of all images and labels."""
        return frozenset(file for case in self.cases for file in (case.image, case.label.file))

    @property
    def split_sha256(self) -> str:
        """Hash of all patients and their sides; equal for two data sets with the same split."""
        sides = sorted((key, patient.split) for key, patient in self.patients.items())
        return hashlib.sha256(json.dumps(sides).encode()).hexdigest()

    def to_json(self) -> str:
        """Return the text of the index file."""
        return self.model_dump_json(indent=1) + "\n"


def _refuse_repeats(what: str, values: Iterable[str]) -> None:
    repeated = sorted(value for value, count in Counter(values).items() if count > 1)
    if repeated:
        raise ValueError(f"{what} {repeated[0]} occurs more than once")


def case_id_from(name: str) -> str:
    """Return a valid id for a case of that name, with characters not allowed in file names replaced by dashes."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:120] or "case"
