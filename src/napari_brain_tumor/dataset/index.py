"""What a curated data set is, as documents: every case, every patient's side of the split, and who made which label.

The index is one JSON file that is read and written as a whole. Whatever it says is checked when it is read, so that
nobody works with a data set that contradicts itself.
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
"""Of a review: not decided yet, good to train on, not to be used, to be looked at again."""

_CASE_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,119}$"
"""No dot, so that `<id>.v2.nii.gz` cannot be the file of another case."""


def now() -> datetime:
    """The time as records keep it: UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def _inside_the_folder(path: str) -> str:
    reason = outside_reason(path) or ("" if path.count("/") == 1 else "it is not one folder and one file")
    if reason:
        raise ValueError(f"{path!r} must be folder/file inside the data set, but {reason}")
    return path


RelativeFile = Annotated[str, AfterValidator(_inside_the_folder)]


class _Document(BaseModel, extra="forbid", frozen=True):
    """A part of the index; it knows no entries but its own."""


class GridRecord(_Document):
    """Shape, voxel-to-world matrix and unit of a case; `"voxel"` where nobody told the spacing."""

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, float, float, float], ...]
    unit: LengthUnit = "mm"

    @classmethod
    def of(cls, grid: Grid) -> Self:
        return cls(shape=grid.shape, affine=tuple(map(tuple, grid.affine.tolist())), unit=grid.unit)

    @property
    def grid(self) -> Grid:
        """The grid itself; raises `DimensionError` where the numbers make none."""
        return Grid(self.shape, np.array(self.affine), self.unit)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _ = self.grid
        return self


class SequenceRecord(_Document):
    """One sequence of a case.

    `sha256` is of the voxels in file order, `values_sha256` of how often each value occurs, which cropping, padding,
    flips and compression leave as it is; `fingerprint` is a coarse picture (`duplicates.fingerprint`).
    """

    channel: int = Field(ge=0)
    source: str | None = None
    source_channel: int | None = None
    sha256: Sha256
    values_sha256: Sha256
    fingerprint: str


class SliceNumbers(_Document):
    """The `<patient>_<k>.tif` files that a study came from, for writing masks back under the same names."""

    patient: str
    numbers: tuple[int, ...]


class KnownSlices(_Document):
    """The slices, along one axis of the array, whose labels are known; the others are unknown, not background."""

    axis: Literal[0, 1, 2] = 2
    numbers: tuple[int, ...]


class MadeBy(_Document):
    """Who or what made a label."""

    kind: LabelMaker
    model: str | None = None
    model_sha256: str | None = None
    source: str | None = None
    """The file an imported label was read from."""


class LabelRecord(_Document):
    """The label of a case: which file, what it tells and who made it.

    `known_slices` is None where every slice is known; `unknown_voxels` counts the voxels that are not, for whatever
    reason. `voxels` counts each class among the known ones.
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
    """What a person decided about the label of a case."""

    state: ReviewState = "draft"
    note: str = ""
    reviewed_at: AwareDatetime | None = None


class SimilarCase(_Document):
    """Another case that shows the same examination or belongs to the same patient."""

    case: str
    kind: SimilarKind
    score: float = 1.0
    """Correlation of the fingerprints where the pictures look alike, else 1."""


class CaseRecord(_Document):
    """One examination with its label, as the index keeps it."""

    id: str = Field(pattern=_CASE_ID)
    patient: str
    source: str = ""
    """The data set or folder it came from."""
    grade: str | None = None
    image: RelativeFile
    grid: GridRecord
    sequences: dict[Role, SequenceRecord] = Field(min_length=1)
    slices: SliceNumbers | None = None
    notes: tuple[str, ...] = ()
    """What the reader noticed about the files."""
    label: LabelRecord
    review: Review = Review()
    split: Split
    similar: tuple[SimilarCase, ...] = ()
    added_at: AwareDatetime

    @property
    def patient_key(self) -> str:
        """The key of the patient, the same for every spelling of the name."""
        return patient_key(self.patient)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The sequences that are present, in the order of the image's channels."""
        return tuple(role for role in ROLES if role in self.sequences)

    @property
    def state(self) -> ReviewState:
        return self.review.state

    def region_voxels(self, region: Region) -> int | None:
        """Known voxels of a region, or None where the label does not tell it."""
        if region not in self.label.known_regions:
            return None
        return sum(self.label.voxels.get(value, 0) for value in REGIONS[region])

    def region_ml(self, region: Region) -> float | None:
        """Millilitres of a region's known voxels, or None where the label or the voxel size does not tell."""
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
    """How new patients are put on a side: the seed, and the shares of validation and test."""

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
        """The share of each side."""
        train = 1 - self.val_fraction - self.test_fraction
        return {"train": train, "val": self.val_fraction, "test": self.test_fraction}


class PatientRecord(_Document):
    """One patient's side of the split. It is written once, and stays when the patient's last case is removed."""

    split: Split
    stratum: str = ""
    decided_by: Literal["rule", "given", "same person"] = "rule"
    decided_at: AwareDatetime
    grade: str | None = None
    same_person: tuple[str, ...] = ()
    """Keys of other patients whose pictures are the same: they are one person under two names."""
    also_known_as: tuple[str, ...] = ()
    """Keys of names of cases that a given split said to be this patient's."""


class DatasetIndex(_Document):
    """A whole curated data set but for its voxels.

    Raises
    ------
    pydantic.ValidationError
        If ids or files are not unique, a patient stands on both sides, or a case is not on its patient's side.
    """

    format: Literal[1] = 1
    name: str
    description: str = ""
    classes: dict[int, str] = Field(default_factory=lambda: dict(CLASS_NAMES))
    created_at: AwareDatetime
    revision: int = Field(default=0, ge=0)
    """Grows with every change."""
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
        # Ids are file names, and not every file system tells upper from lower case.
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
        """Relative paths of every image and label."""
        return frozenset(file for case in self.cases for file in (case.image, case.label.file))

    @property
    def split_sha256(self) -> str:
        """Of all patients and their sides: the same for two data sets that are split alike."""
        sides = sorted((key, patient.split) for key, patient in self.patients.items())
        return hashlib.sha256(json.dumps(sides).encode()).hexdigest()

    def to_json(self) -> str:
        """The text of the index file."""
        return self.model_dump_json(indent=1) + "\n"


def _refuse_repeats(what: str, values: Iterable[str]) -> None:
    repeated = sorted(value for value, count in Counter(values).items() if count > 1)
    if repeated:
        raise ValueError(f"{what} {repeated[0]} occurs more than once")


def case_id_from(name: str) -> str:
    """A valid id for a case of that name: what cannot be in a file name becomes a dash."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:120] or "case"
