"""A curated data set on disk: cases with their labels, reviews and fixed split, changed only as complete steps."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.dataset.duplicates import describe_sequences, find_similar
from napari_brain_tumor.dataset.files import image_file, image_layout, image_writer, label_writer
from napari_brain_tumor.dataset.index import (
    CaseRecord,
    DatasetIndex,
    GridRecord,
    KnownSlices,
    MadeBy,
    ReviewState,
    Split,
    SplitPolicy,
    now,
)
from napari_brain_tumor.dataset.records import (
    case_of,
    free_id,
    label_record,
    new_review,
    slice_numbers,
    spelling,
    without_mention,
)
from napari_brain_tumor.dataset.split import (
    Newcomer,
    SplitRow,
    assign,
    checked_policy,
    given_rows,
    key_of_newcomer,
    side_named,
    with_table,
)
from napari_brain_tumor.dataset.stored_cases import AnyPath, StoredCases
from napari_brain_tumor.dataset.transaction import (
    FOLDERS,
    INDEX_FILE,
    LOCK_FILE,
    commit,
    locked,
    read_index,
    write_first,
)
from napari_brain_tumor.dataset.truth import check_same_grid, stratum, truth_of
from napari_brain_tumor.errors import DatasetError, LabelChangedError
from napari_brain_tumor.io.volume import named_path
from napari_brain_tumor.study import Segmentation, Study

Known = npt.NDArray[np.bool_]

DEFAULT_TIMEOUT_S: Final = 60.0
"""How long a change waits for another process to finish its own."""


class CuratedDataset(StoredCases):
    """Cases with their reference labels, the labels' authors and reviews, and the side of the split.

    The folder has the layout of the Medical Decathlon: `imagesTr`, `labelsTr` and `dataset.json`; everything that this
    format cannot express is in `index.json`. Reading needs no lock and always sees a complete data set. Every change is
    made completely or not at all, even if the process is killed, and by one process at a time.

    Parameters
    ----------
    folder : path-like
        Folder of an existing data set; use `create` to make a new one.
    timeout_s : float
        How long a change waits while another process is writing.

    Raises
    ------
    DatasetError
        If there is no data set, or its index is inconsistent.

    Examples
    --------
    >>> dataset = CuratedDataset.create("gliomas")  # doctest: +SKIP
    >>> dataset.add(study, segmentation, patient="TCGA-02-0034", grade="HGG", state="accepted")  # doctest: +SKIP
    >>> [case.id for case in dataset.cases(state="accepted", split="train")]  # doctest: +SKIP
    """

    def __init__(self, folder: AnyPath, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        super().__init__(folder)
        self._timeout_s = timeout_s

    @classmethod
    def open(cls, folder: AnyPath) -> Self:
        """Open the data set in a folder; the same as `CuratedDataset(folder)`."""
        return cls(folder)

    @classmethod
    def create(
        cls,
        folder: AnyPath,
        name: str | None = None,
        *,
        description: str = "",
        seed: int = 0,
        val_fraction: float = 0.2,
        test_fraction: float = 0.0,
        split_table: AnyPath | Sequence[SplitRow] | None = None,
    ) -> Self:
        """Create an empty data set.

        Parameters
        ----------
        folder : path-like
            New or empty folder.
        name : str, optional
            Name of the data set; by default the folder's name.
        description : str
            Description for readers of `dataset.json`.
        seed : int
            Seed of the rule that assigns new patients to a side.
        val_fraction, test_fraction : float
            Fractions of the patients of each stratum for validation and for test; the rest is for training.
        split_table : path-like or sequence of SplitRow, optional
            A given split: a CSV file with the columns `patient` and `split`, optionally `case` and `grade`.

        Raises
        ------
        DatasetError
            If the folder is not empty, or the fractions leave nothing for training.
        SplitError
            If the given split cannot be used.
        """
        place = named_path(folder)
        rows = given_rows(split_table)
        policy = checked_policy(seed, val_fraction, test_fraction)
        index = DatasetIndex(
            name=name or place.name,
            description=description,
            created_at=now(),
            policy=policy,
            patients=with_table({}, rows),
        )
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatasetError(
                f"{place} cannot be created: {error.strerror or error}. Choose another place."
            ) from error
        _refuse_content(place)
        with locked(place, DEFAULT_TIMEOUT_S):
            _refuse_content(place)
            write_first(place, index)
        return cls(place)

    def add(
        self,
        study: Study,
        segmentation: Segmentation,
        *,
        patient: str | None = None,
        case_id: str | None = None,
        source: str = "",
        grade: str | None = None,
        known: Known | None = None,
        known_slices: Sequence[int] | KnownSlices | None = None,
        made_by: MadeBy | None = None,
        state: ReviewState = "draft",
        note: str = "",
        split: Split | None = None,
        not_same_as: Collection[str] = (),
    ) -> CaseRecord:
        """Add an examination with its label.

        Parameters
        ----------
        study : Study
            Its sequences are copied into the data set with unchanged values and grid.
        segmentation : Segmentation
            Labels in the package's classes on the study's grid; `known_regions` says which regions they define.
        patient : str, optional
            Name of the patient in any spelling; by default the study's name.
        case_id : str, optional
            Letters, digits, `_` and `-`; by default made from the study's name.
        source : str
            The data set that the case came from.
        grade : str, optional
            Tumour grade, such as `"HGG"` or `"2"`; the split is balanced by it.
        known : (X, Y, Z) bool array, optional
            Voxels whose label is known; by default all.
        known_slices : sequence of int or KnownSlices, optional
            Slices whose label is known, along the third axis unless specified otherwise.
        made_by : MadeBy, optional
            Who made the label; by default taken from the segmentation's provenance.
        state : {"draft", "accepted", "rejected", "needs_second_look"}
            State of the review.
        note : str
            Note of the review.
        split : {"train", "val", "test"}, optional
            Side for a new patient, instead of the one given by the rule.
        not_same_as : collection of str
            Ids of cases that look the same but show different people.

        Returns
        -------
        CaseRecord
            Its `similar` lists the cases that show the same examination or patient; all are on the same side.

        Raises
        ------
        GridMismatchError, LabelSchemaError, DimensionError
            If the label does not match the study.
        DatasetError
            If the id is taken or invalid.
        SplitError
            If a patient or an examination would be on two sides.
        DatasetBusyError
            If another process is writing for too long.
        SaveError
            If the files cannot be written; the data set is then unchanged.
        """
        truth = truth_of(segmentation, known, known_slices)
        check_same_grid(study.name, segmentation, study.grid)
        side = None if split is None else side_named(split)
        sequences = describe_sequences(study)
        with self._change() as index:
            new_id = free_id(index, case_id, study.name)
            key = key_of_newcomer(index.patients, patient or study.name)
            known_patient = index.patients.get(key)
            grade = grade or (known_patient.grade if known_patient is not None else None)
            similar = tuple(s for s in find_similar(sequences, key, index.cases) if s.case not in not_same_as)
            label = label_record(new_id, 1, truth, made_by)
            twins = {s.case: case_of(index, s.case).patient_key for s in similar if s.kind != "same patient"}
            newcomer = Newcomer(new_id, key, stratum(grade, label), grade, side, twins)
            patients = assign(index.patients, newcomer, index.policy)
            record = CaseRecord(
                id=new_id,
                patient=spelling(patient or study.name, key),
                source=source,
                grade=grade,
                image=image_file(new_id),
                grid=GridRecord.of(study.grid),
                sequences=sequences,
                slices=slice_numbers(study),
                notes=study.notes,
                label=label,
                review=new_review(state, note),
                split=patients[key].split,
                similar=similar,
                added_at=now(),
            )
            after = index.model_copy(update={"cases": (*index.cases, record), "patients": patients})
            files = {record.image: image_writer(study), label.file: label_writer(truth, study.layout)}
            commit(self._folder, index, after, files)
        return record

    def relabel(
        self,
        case_id: str,
        segmentation: Segmentation,
        *,
        known: Known | None = None,
        known_slices: Sequence[int] | KnownSlices | None = None,
        made_by: MadeBy | None = None,
        state: ReviewState = "draft",
        note: str | None = None,
        based_on: str | None = None,
    ) -> CaseRecord:
        """Replace the label of a case. The review of the old label does not carry over to the new one.

        Parameters
        ----------
        case_id : str
            Id of the case.
        segmentation, known, known_slices, made_by, state
            As for `add`.
        note : str, optional
            Note of the review; by default the old note is kept.
        based_on : str, optional
            `label.sha256` of the label that was edited; refused if that label has been replaced meanwhile.

        Raises
        ------
        CaseNotFoundError
            If there is no case with that id.
        LabelChangedError
            If the current label is not the one that was edited.
        GridMismatchError, LabelSchemaError, DimensionError, DatasetError, SaveError
            As for `add`.
        """
        truth = truth_of(segmentation, known, known_slices)
        with self._change() as index:
            case = case_of(index, case_id)
            check_same_grid(case.id, segmentation, case.grid.grid)
            if based_on is not None and based_on != case.label.sha256:
                raise LabelChangedError(
                    f"The label of {case.id} was replaced since it was opened (version {case.label.version}, "
                    f"{case.label.made_at:%Y-%m-%d %H:%M} UTC). Nothing was changed: save yours to a file, open the "
                    "case again and compare."
                )
            label = label_record(case.id, case.label.version + 1, truth, made_by)
            review = new_review(state, case.review.note if note is None else note)
            record = case.model_copy(update={"label": label, "review": review})
            layout = image_layout(self._folder, case)
            self._replace(index, record, {label.file: label_writer(truth, layout)})
        return record

    def review(self, case_id: str, state: ReviewState, note: str | None = None) -> CaseRecord:
        """Record the decision on a case's label; the old note is kept if none is given.

        Raises
        ------
        CaseNotFoundError
            If there is no case with that id.
        DatasetError
            If there is no such state.
        """
        with self._change() as index:
            case = case_of(index, case_id)
            text = case.review.note if note is None else note
            record = case.model_copy(update={"review": new_review(state, text, decided=True)})
            self._replace(index, record, {})
        return record

    def remove(self, case_id: str) -> None:
        """Remove a case and its files. Its patient keeps the side of the split in case of a later return.

        Raises
        ------
        CaseNotFoundError
            If there is no case with that id.
        """
        with self._change() as index:
            removed = case_of(index, case_id)
            remaining = tuple(without_mention(case, removed.id) for case in index.cases if case.id != removed.id)
            commit(self._folder, index, index.model_copy(update={"cases": remaining}), {})

    def apply_split(self, table: AnyPath | Sequence[SplitRow]) -> int:
        """Adopt a given split for future patients; returns how many of its patients are new.

        Raises
        ------
        SplitError
            If it would move a patient to a different side.
        """
        rows = given_rows(table)
        with self._change() as index:
            patients = with_table(index.patients, rows)
            commit(self._folder, index, index.model_copy(update={"patients": patients}), {})
        return len(set(patients) - set(index.patients))

    def set_policy(
        self, *, seed: int | None = None, val_fraction: float | None = None, test_fraction: float | None = None
    ) -> SplitPolicy:
        """Change the policy for future patients. Patients already on a side are not moved.

        Raises
        ------
        DatasetError
            If the fractions leave nothing for training.
        """
        with self._change() as index:
            old = index.policy
            policy = checked_policy(
                old.seed if seed is None else seed,
                old.val_fraction if val_fraction is None else val_fraction,
                old.test_fraction if test_fraction is None else test_fraction,
            )
            commit(self._folder, index, index.model_copy(update={"policy": policy}), {})
        return policy

    @contextmanager
    def _change(self) -> Iterator[DatasetIndex]:
        """Yield the index as it is on disk, locked against changes by other processes."""
        with locked(self._folder, self._timeout_s):
            yield read_index(self._folder)

    def _replace(self, index: DatasetIndex, record: CaseRecord, files: Mapping[str, Callable[[Path], None]]) -> None:
        cases = tuple(record if case.id == record.id else case for case in index.cases)
        commit(self._folder, index, index.model_copy(update={"cases": cases}), files)


def _refuse_content(folder: Path) -> None:
    """Raise if a folder contains anything but what an unfinished `create` left."""
    if (folder / INDEX_FILE).exists():
        raise DatasetError(f"{folder} is a curated data set already. Open it, or choose another folder.")
    own = {*FOLDERS, LOCK_FILE, "dataset.json"}
    there = [p for p in folder.iterdir() if p.name not in own and not re.match(r"^\.[0-9a-f]{12}\.", p.name)]
    there += [p for name in FOLDERS if (folder / name).is_dir() for p in (folder / name).iterdir()]
    if there:
        msg = (
            f"{folder} is not empty, it holds {there[0].name}. A data set needs an empty folder of its own: choose one."
        )
        raise DatasetError(msg)
