"""Find an experiment's data sets in a folder, and assign patients to sides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Final, Literal

import numpy as np

from napari_brain_tumor.dataset.imports import FORMATS, FoundCase, ImportFormat, find_cases
from napari_brain_tumor.dataset.patients import person_key
from napari_brain_tumor.errors import DatasetError, TrainingError
from napari_brain_tumor.io.csv_text import csv_text
from napari_brain_tumor_training.case_files import LEFT_OUT, Split, read_split
from napari_brain_tumor_training.config import DataSource
from napari_brain_tumor_training.reproduce.experiment import Experiment, ExperimentData

_COLUMNS: Final = ("dataset", "case", "patient", "split", "grade")
Side = Literal["train", "val", "left out"]


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set of an experiment on disk; `others` are cases that belong to an earlier data set."""

    data: ExperimentData
    format: ImportFormat
    folder: Path
    cases: tuple[FoundCase, ...]
    others: tuple[FoundCase, ...] = ()

    def source(self, root: Path, brain: Literal["auto", "keep"]) -> DataSource:
        """Return the data set as a source of a recipe, relative to the root folder of all data."""
        return DataSource(
            dataset=self.data.dataset,
            kind="recognised",
            format=self.format,
            path=self.folder.relative_to(root),
            share=1,
            brain=brain,
        )


@dataclass(frozen=True, slots=True)
class SplitCase:
    """A case with its side of the split."""

    dataset: str
    case: str
    patient: str
    split: Side
    grade: str = ""


def find_data(experiment: Experiment, root: Path) -> tuple[DataSet, ...]:
    """Find the data sets of an experiment in a folder or its subfolders.

    Raises
    ------
    TrainingError
        If none of them is found; the message describes how they should look.
    """
    if not root.is_dir():
        raise TrainingError(f"{root} is not a folder. Give the folder that holds {_needed(experiment)}.")
    sets: list[DataSet] = []
    for data in experiment.data:
        labels = {case.label for earlier in sets for case in earlier.cases}
        for kind in data.formats:
            data_set = _data_set(data, kind, root, labels)
            if data_set is not None:
                sets.append(data_set)
                break
    if not sets:
        raise TrainingError(f"{root} holds none of the data of {experiment.name}. It needs {_needed(experiment)}.")
    return tuple(sets)


def sides(experiment: Experiment, sets: Iterable[DataSet], table: Path | None) -> tuple[SplitCase, ...]:
    """Assign every case to a side: from a table, or drawn by patient, always the same way for the same patients.

    Raises
    ------
    TrainingError
        If the table cannot be read, or a side has no patients.
    """
    listed = None if table is None else read_split(table)
    cases: list[SplitCase] = []
    for data_set in sets:
        own = _drawn(experiment, data_set, cases) if listed is None else _listed(data_set, listed)
        grades = data_set.data.grades
        cases += [
            replace(case, split=LEFT_OUT) if grades and case.grade and case.grade not in grades else case
            for case in own
        ]
        cases += [SplitCase(data_set.data.dataset, case.name, case.name, LEFT_OUT) for case in data_set.others]
    for side, words in (("train", "training"), ("val", "validation")):
        if not any(case.split == side for case in cases):
            where = "the table gives" if table is not None else f"{len(cases)} case(s) leave"
            raise TrainingError(
                f"{experiment.name} needs patients for training and others for validation; {where} none for {words}. "
                "Add cases" + (", or name them in the table with that side." if table is not None else ".")
            )
    return tuple(cases)


def chosen(cases: Sequence[SplitCase], training: int, validation: int) -> tuple[SplitCase, ...]:
    """Limit the number of cases on each side, taking them from the data sets in turn; the others are left out."""
    most = {"train": training, "val": validation}
    in_turn = {
        side: {(case.dataset, case.case) for case in _in_turn(case for case in cases if case.split == side)[:count]}
        for side, count in most.items()
    }
    return tuple(
        case if (case.dataset, case.case) in in_turn.get(case.split, ()) else replace(case, split=LEFT_OUT)
        for case in cases
    )


def split_csv(cases: Iterable[SplitCase]) -> str:
    """Return the split as CSV, in the format that recipes read."""
    return csv_text(_COLUMNS, ({name: getattr(case, name) for name in _COLUMNS} for case in cases))


def _in_turn(cases: Iterable[SplitCase]) -> list[SplitCase]:
    by_set: dict[str, list[SplitCase]] = {}
    for case in cases:
        by_set.setdefault(case.dataset, []).append(case)
    return [case for turn in zip_longest(*by_set.values()) for case in turn if case is not None]


def _needed(experiment: Experiment) -> str:
    return "; and, or at least one of them, ".join(f"{data.title} ({data.layout})" for data in experiment.data)


def _data_set(data: ExperimentData, kind: ImportFormat, root: Path, labels: set[Path]) -> DataSet | None:
    """Return the data set in this format without cases whose labels another set contains; None if there is none."""
    if kind == "brats" and (root / "dataset.json").is_file():
        return None
    places = [root]
    if kind == "decathlon":
        places = [folder for folder in (root, *sorted(root.iterdir())) if (folder / "dataset.json").is_file()]
    for folder in places:
        every = find_cases(folder, kind) if FORMATS[kind](folder) else ()
        cases = tuple(case for case in every if case.label not in labels)
        if cases:
            return DataSet(data, kind, folder, cases, tuple(case for case in every if case.label in labels))
    return None


def _drawn(experiment: Experiment, data_set: DataSet, earlier: Iterable[SplitCase]) -> list[SplitCase]:
    """Draw sides at random; patients who are in an earlier data set stay on the side drawn there."""
    fixed = {case.patient: case.split for case in earlier}
    people = {case.name: _person(case.name) for case in data_set.cases}
    patients = sorted(set(people.values()) - set(fixed))
    order = [patients[k] for k in np.random.default_rng(0).permutation(len(patients))]
    training, validation = experiment.patients_of_sides(len(order)) if order else (0, 0)
    by_chance: dict[str, Side] = dict.fromkeys(order[:validation], "val")
    by_chance |= dict.fromkeys(order[validation : validation + training], "train")
    side_of = by_chance | fixed
    rank = {patient: number for number, patient in enumerate(order)}
    cases = sorted(data_set.cases, key=lambda case: rank.get(people[case.name], -1))
    return [
        SplitCase(
            data_set.data.dataset,
            case.name,
            people[case.name],
            side_of.get(people[case.name], LEFT_OUT),
            case.grade or "",
        )
        for case in cases
    ]


def _person(name: str) -> str:
    try:
        return person_key(name)
    except DatasetError:
        return name


def _listed(data_set: DataSet, listed: Split) -> list[SplitCase]:
    """Take sides from a table; cases missing from it are left out."""
    by_name = {case: row for (_, case), row in listed.items()}
    cases = []
    for case in data_set.cases:
        row = listed.get((data_set.folder.name, case.name)) or by_name.get(case.name)
        patient, side, grade = row or (case.name, "", "")
        own: Side = "train" if side == "train" else "val" if side == "val" else LEFT_OUT
        cases.append(SplitCase(data_set.data.dataset, case.name, patient, own, grade or case.grade or ""))
    return cases
