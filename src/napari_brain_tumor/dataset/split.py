"""Assign patients to a side of the split, once and for all, by a seeded rule or a given table.

A network's score is too high on patients it has seen in training, and biased on patients used for selecting it. A
patient's side is therefore kept even if all cases of the patient are removed, and any change that would move a patient
is refused.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final

from napari_brain_tumor.dataset.index import PatientRecord, Split, SplitPolicy, now
from napari_brain_tumor.dataset.patients import patient_key, person_key
from napari_brain_tumor.errors import DatasetError, SplitError
from napari_brain_tumor.io.volume import named_path

Patients = Mapping[str, PatientRecord]

_SIDES: Final[dict[str, Split]] = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing", "ts"), "test"),
}
_SIDE_NAMES: Final[dict[Split, str]] = {"train": "training", "val": "validation", "test": "test"}
_COLUMNS: Final = ("patient", "split")


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One row of a given split: a patient's side and, if the table has them, a case of the patient and a grade."""

    patient: str
    split: Split
    dataset: str = ""
    case: str = ""
    grade: str | None = None


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A case to be added, with the information that determines its patient's side.

    `twins` maps the ids of other patients' cases that show the same examination to their patients' keys.
    """

    case: str
    key: str
    stratum: str
    grade: str | None = None
    required: Split | None = None
    twins: Mapping[str, str] | None = None


def side_named(text: str) -> Split:
    """Return the side meant by `val`, `validation`, `Train` and the like; raises `SplitError` for other text."""
    side = _SIDES.get(text.strip().lower())
    if side is None:
        raise SplitError(f"{text!r} is not a side of a split. Choose train, val or test.")
    return side


def resolve_key(patients: Patients, name: str) -> str:
    """Return the key of the patient that a name refers to: a patient's name, or a case name from a given split."""
    key = patient_key(name)
    if key in patients:
        return key
    return next((other for other, patient in patients.items() if key in patient.also_known_as), key)


def key_of_newcomer(patients: Patients, name: str) -> str:
    """Return the key of a new case's patient: an existing one with the same name or person, otherwise a new one."""
    key = resolve_key(patients, name)
    if key in patients:
        return key
    person = person_key(name)
    return next((other for other in patients if person_key(other) == person), key)


def assign(patients: Patients, newcomer: Newcomer, policy: SplitPolicy) -> dict[str, PatientRecord]:
    """Return all patients with the new case's patient among them, assigned to a side.

    Raises
    ------
    SplitError
        If the patient is on a different side from the given one, or from a patient with the same images.
    """
    own = patients.get(newcomer.key)
    twins = {case: key for case, key in (newcomer.twins or {}).items() if key != newcomer.key}
    _refuse_contradiction(patients, newcomer, twins)
    twin_keys = sorted(set(twins.values()))
    if own is None:
        side, decided_by = _side_of_new(patients, newcomer, twin_keys, policy)
        own = PatientRecord(
            split=side,
            stratum=newcomer.stratum,
            decided_by=decided_by,
            decided_at=now(),
            grade=newcomer.grade,
        )
    updated = {**patients, newcomer.key: own}
    for key in twin_keys:
        updated[newcomer.key] = _joined(updated[newcomer.key], key)
        updated[key] = _joined(updated[key], newcomer.key)
    return updated


def side_by_rule(patients: Patients, key: str, stratum: str, policy: SplitPolicy) -> Split:
    """Draw the side of a new patient by seed and key, among the sides that are under-represented in its stratum.

    At any time each side of a stratum has its fraction of patients to within one (for two sides), whatever the order;
    the same patients in the same order get the same sides.
    """
    counts = Counter(p.split for p in patients.values() if p.stratum == stratum and p.decided_by != "same person")
    total = counts.total() + 1
    lacking = {side: share * total - counts[side] for side, share in policy.shares.items()}
    open_sides = {side: lack for side, lack in lacking.items() if lack > 1e-9 and policy.shares[side] > 0}
    draw = _uniform(policy.seed, key) * sum(open_sides.values())
    for side, lack in open_sides.items():
        draw -= lack
        if draw < 0:
            return side
    return next(reversed(open_sides))


def read_split_table(path: Path) -> tuple[SplitRow, ...]:
    """Read a CSV file with the columns `patient` and `split`, and optionally `dataset`, `case` and `grade`.

    Raises
    ------
    SplitError
        If it cannot be read, a column or a value is missing, or a patient is on two sides.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            raw = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"The split {path} cannot be read: {error}. Give a CSV file with the columns patient and split."
        raise SplitError(msg) from error
    if not raw or not set(_COLUMNS) <= set(raw[0]):
        columns = ", ".join(map(str, raw[0])) if raw else "no row"
        raise SplitError(
            f"The split {path.name} has {columns}; it needs the columns patient and split, and may have case and grade."
        )
    rows = tuple(_row(entry, f"row {number} of {path.name}") for number, entry in enumerate(raw, start=2))
    _refuse_torn(rows, path.name)
    return rows


def given_rows(table: str | PathLike[str] | Sequence[SplitRow] | None) -> Sequence[SplitRow]:
    """Return the rows of a given split, or of the table at that path; raises the errors of `read_split_table`."""
    if table is None:
        return ()
    return read_split_table(named_path(table)) if isinstance(table, str | PathLike) else table


def checked_policy(seed: int, val_fraction: float, test_fraction: float) -> SplitPolicy:
    """Return the policy with these fractions; raises `DatasetError` if they leave nothing for training."""
    if min(val_fraction, test_fraction) < 0 or val_fraction + test_fraction >= 1:
        raise DatasetError(
            f"The shares of validation and test are {val_fraction:g} and {test_fraction:g}; each must lie between 0 "
            "and 1, and together they must leave something to train on, for example 0.2 and 0."
        )
    return SplitPolicy(seed=seed, val_fraction=val_fraction, test_fraction=test_fraction)


def with_table(patients: Patients, rows: Sequence[SplitRow]) -> dict[str, PatientRecord]:
    """Return all patients and those of a given split; case names in it are stored as aliases of the patient.

    Raises
    ------
    SplitError
        If a patient is already on a different side.
    """
    updated = dict(patients)
    claims = Counter(key for key, _ in {(patient_key(r.case), patient_key(r.patient)) for r in rows if r.case})
    for row in rows:
        key = resolve_key(updated, row.patient)
        aliases = {patient_key(row.case)} - {key} if row.case and claims[patient_key(row.case)] == 1 else set()
        for name in (key, *sorted(aliases & set(updated))):
            _refuse_move(updated, name, row.split, "the given split puts it")
        updated[key] = _with_row(updated.get(key), row, aliases)
        for name in sorted(aliases & set(updated)):
            updated[key], updated[name] = _joined(updated[key], name), _joined(updated[name], key)
    return updated


def _with_row(patient: PatientRecord | None, row: SplitRow, aliases: Iterable[str]) -> PatientRecord:
    if patient is None:
        grade = f"grade {row.grade}" if row.grade else "unknown"
        patient = PatientRecord(split=row.split, stratum=grade, decided_by="given", decided_at=now(), grade=row.grade)
    names = dict.fromkeys((*patient.also_known_as, *aliases))
    return patient.model_copy(update={"also_known_as": tuple(names), "grade": patient.grade or row.grade})


def _side_of_new(
    patients: Patients, newcomer: Newcomer, twin_keys: Sequence[str], policy: SplitPolicy
) -> tuple[Split, str]:
    if twin_keys:
        return patients[twin_keys[0]].split, "same person"
    if newcomer.required is not None:
        return newcomer.required, "given"
    return side_by_rule(patients, newcomer.key, newcomer.stratum, policy), "rule"


def _refuse_contradiction(patients: Patients, newcomer: Newcomer, twins: Mapping[str, str]) -> None:
    if newcomer.required is not None:
        _refuse_move(patients, newcomer.key, newcomer.required, f"case {newcomer.case} would put it")
    own = patients.get(newcomer.key)
    side = newcomer.required if own is None else own.split
    for case, key in twins.items():
        other = patients[key].split
        side = other if side is None else side
        if other != side:
            raise SplitError(
                f"{newcomer.case} shows the same examination as {case} of {key}, who is in {_SIDE_NAMES[other]}, but "
                f"it would go to {_SIDE_NAMES[side]}. One examination on two sides makes every score too optimistic: "
                f"give it the patient {key}; or, if they are different people, add it with not_same_as=[{case!r}]."
            )


def _refuse_move(patients: Patients, key: str, side: Split, who: str) -> None:
    patient = patients.get(key)
    if patient is not None and patient.split != side:
        raise SplitError(
            f"{key} is in {_SIDE_NAMES[patient.split]} since {patient.decided_at:%Y-%m-%d}, and {who} in "
            f"{_SIDE_NAMES[side]}. A patient's side is frozen, also after its cases were removed: models were trained "
            "and scored with it. Leave the side out, or begin a new data set for a new split."
        )


def _joined(patient: PatientRecord, other: str) -> PatientRecord:
    return patient.model_copy(update={"same_person": tuple(dict.fromkeys((*patient.same_person, other)))})


def _uniform(seed: int, key: str) -> float:
    """Return a number in [0, 1) that depends only on seed and key."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56


def _row(entry: Mapping[str, str | None], where: str) -> SplitRow:
    patient, side = ((entry.get(column) or "").strip() for column in _COLUMNS)
    split = _SIDES.get(side.lower())
    if not patient or split is None:
        msg = f"In {where} the patient is {patient!r} and the split {side!r}; expected a name, and train, val or test."
        raise SplitError(msg)
    dataset, case, grade = ((entry.get(column) or "").strip() for column in ("dataset", "case", "grade"))
    return SplitRow(patient, split, dataset, case, grade or None)


def _refuse_torn(rows: Sequence[SplitRow], name: str) -> None:
    sides: dict[str, set[Split]] = {}
    for row in rows:
        sides.setdefault(patient_key(row.patient), set()).add(row.split)
    torn = sorted(key for key, sides_of_patient in sides.items() if len(sides_of_patient) > 1)
    if torn:
        raise SplitError(f"In {name} these patients are on two sides: {', '.join(torn[:8])}. Put each on one side.")
