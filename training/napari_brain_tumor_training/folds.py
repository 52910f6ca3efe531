"""Folds for cross-validation: which patients each fold validates on, decided once and stored in a table."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_brain_tumor.dataset.patients import patient_key
from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.csv_text import csv_text, read_csv_text
from napari_brain_tumor_training.case_files import CaseFiles, find_cases
from napari_brain_tumor_training.config import TrainConfig

FOLDS_FILE = "folds.csv"
_COLUMNS = ("patient", "stratum", "fold")


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold of a cross-validation.

    Parameters
    ----------
    number : int
        From 1 to `count`.
    of_patient : mapping of str to int
        Number of the fold that validates on each patient, by patient key.
    """

    number: int
    count: int
    of_patient: Mapping[str, int]


def deal(strata: Mapping[str, str], count: int, seed: int, dealt: Mapping[str, int] | None = None) -> dict[str, int]:
    """Assign patients to folds 1 to `count`, stratified so that a stratum's counts differ by at most one patient.

    Parameters
    ----------
    strata : mapping of patient key to str
        Stratum of each patient, such as the grade.
    seed : int
        Determines, with the patient's key, the order in which patients are assigned.
    dealt : mapping of patient key to int, optional
        Existing assignments, which are kept; new patients join the fold with the fewest of their stratum, then of all.
    """
    folds = dict(dealt or {})
    in_stratum = Counter((strata[key], fold) for key, fold in folds.items() if key in strata)
    in_all = Counter(folds.values())
    for key in sorted(set(strata) - set(folds), key=lambda key: (strata[key], _chance(seed, key))):
        stratum = strata[key]
        fold = min(range(1, count + 1), key=lambda f: (in_stratum[stratum, f], in_all[f], f))
        folds[key] = fold
        in_stratum[stratum, fold] += 1
        in_all[fold] += 1
    return folds


def frozen_folds(config: TrainConfig, data_root: Path, folder: Path, count: int) -> dict[str, int]:
    """Return the folds of a cross-validation from the table in its folder, after adding new patients to the table.

    Only patients of the training side are assigned; those of the validation side are not used by any fold.

    Raises
    ------
    TrainingError
        If there are fewer patients than folds, or the table is for another number of folds or cannot be read.
    SaveError
        If the table cannot be written.
    """
    strata = _strata(config, find_cases(config, data_root))
    if len(strata) < count:
        msg = f"{count} folds need as many patients in training; there are {len(strata)}. Ask for fewer folds."
        raise TrainingError(msg)
    path = folder / FOLDS_FILE
    dealt = _read(path, count) if path.is_file() else {}
    folds = deal(strata, count, config.seed, dealt)
    if folds != dealt:
        _write(path, folds, strata)
    return folds


def with_fold(cases: Iterable[CaseFiles], fold: Fold) -> list[CaseFiles]:
    """Return the cases with their sides in a fold; the original validation side becomes "held-out"."""
    return [replace(case, split=_side(case, fold)) for case in cases]


def _side(case: CaseFiles, fold: Fold) -> str:
    if case.split == "val":
        return "held-out"
    # Unassigned patients, such as synthetic ones, are used for training only.
    validates = fold.of_patient.get(patient_key(case.patient)) == fold.number
    return "val" if case.split == "train" and validates else case.split


def _strata(config: TrainConfig, cases: Sequence[CaseFiles]) -> dict[str, str]:
    synthetic = {source.dataset for source in config.sources if source.kind == "synthetic"}
    strata: dict[str, str] = {}
    for case in cases:
        if case.split == "train" and case.dataset not in synthetic:
            strata.setdefault(patient_key(case.patient), f"{case.dataset} {case.stratum or case.grade}".strip())
    return strata


def _chance(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}/{key}".encode()).hexdigest()


def _read(path: Path, count: int) -> dict[str, int]:
    try:
        _, rows = read_csv_text(path.read_text(encoding="utf-8"))
        folds = {row["patient"]: int(row["fold"]) for row in rows}
        if not folds:
            raise ValueError("it has no rows")
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        msg = f"The table of folds {path} cannot be read: {error!r}. It has the columns {', '.join(_COLUMNS)}."
        raise TrainingError(msg) from error
    if set(folds.values()) != set(range(1, count + 1)):
        number = len(set(folds.values()))
        msg = f"{path} is the table of {number} folds, and {count} were asked for. Choose another folder for these."
        raise TrainingError(msg)
    return folds


def _write(path: Path, folds: Mapping[str, int], strata: Mapping[str, str]) -> None:
    rows = ((key, strata.get(key, ""), folds[key]) for key in sorted(folds))
    write_text(path, csv_text(_COLUMNS, (dict(zip(_COLUMNS, row, strict=True)) for row in rows)))
