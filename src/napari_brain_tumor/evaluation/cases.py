"""Find the cases to score, their reference segmentations and their patients."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Final

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.dataset.split import side_named
from napari_brain_tumor.dataset.transaction import INDEX_FILE
from napari_brain_tumor.errors import LabelSchemaError, UnreadableFileError
from napari_brain_tumor.io.case_folders import case_folders
from napari_brain_tumor.io.case_names import distinct_names
from napari_brain_tumor.io.reading import AnyPath, existing, is_image, slices_in, visible
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.study import Role, Source

_CURATED_CLASSES: Final = "1=edema,2=non-enhancing,3=enhancing,4=resection cavity"
"""Label schema of the label files in curated data sets."""
_RESULT_WORDS: Final = re.compile(
    r"[_-](seg|segm|segmentation|mask|label|labels|pred|prediction|truth|gt|roi)$", re.IGNORECASE
)
"""File name endings that only mark a file as a segmentation, such as `<case>_segmentation.nii.gz`."""


@dataclass(frozen=True, slots=True)
class Case:
    """One examination to be scored against a reference segmentation.

    Parameters
    ----------
    path : Path
        Path accepted by `open_study`.
    name : str
        Name of the file or folder.
    dataset : str
        The folder of cases in which it was found, or the data set in the table of patients; empty for a single case.
    patient : str
        Patient in the table of patients; empty if there is none.
    truth : Path or None
        A segmentation, or a folder with one for each case by name; None if it is stored with the case.
    sources : mapping of role to Source, or None
        The exact files, volumes and series to open, if known; None: what is found at `path`.
    side : str
        Part of the split, if a curated data set states it: train, val or test.
    schema : str or None
        Label schema of the reference segmentation, if a curated data set states it.
    """

    path: Path
    name: str
    dataset: str = ""
    patient: str = ""
    truth: Path | None = None
    sources: Mapping[Role, Source] | None = None
    side: str = ""
    schema: str | None = None

    def absolute(self) -> "Case":
        """Return a copy with absolute paths, for a process that runs in another folder."""
        sources = self.sources
        if sources is not None:
            sources = {role: replace(source, path=source.path.absolute()) for role, source in sources.items()}
        truth = None if self.truth is None else self.truth.absolute()
        return replace(self, path=self.path.absolute(), truth=truth, sources=sources)


def find_cases(
    places: AnyPath | Iterable[AnyPath],
    *,
    truth: AnyPath | None = None,
    split: AnyPath | None = None,
    side: str | None = None,
) -> tuple[Case, ...]:
    """Find the cases in files, case folders, folders of case folders, Medical Decathlon folders and curated data sets.

    Parameters
    ----------
    places : path-like or iterable of path-like
        Each is a case (file or folder), a folder with one folder for each case, a folder with `imagesTr` and
        `labelsTr`, or a curated data set. A curated data set has its own references, patients and split; rejected
        labels are left out.
    truth : path-like, optional
        The reference segmentation of a single case, or a folder with `<case>.nii.gz` or `<case>_seg.nii.gz` for each.
    split : path-like, optional
        CSV with the columns case and patient, and optionally dataset and split. Cases that are not in it are kept
        without a patient, unless `side` selects a part of the split.
    side : str, optional
        Keep only cases with this value in the split column, such as `"val"`; without a table, the split of curated
        data sets is used.

    Returns
    -------
    tuple of Case
        The cases, without duplicates, in the order of the places.

    Raises
    ------
    UnreadableFileError
        If a place contains no case, no case matches `side`, the table lacks a column, or two cases have the same name.
    LabelSchemaError
        If a single file is given as the reference of several cases.
    """
    folders = [places] if isinstance(places, str | PathLike) else places
    by_path: dict[Path, Case] = {}
    for case in (case for place in folders for case in _cases_at(existing(place))):
        by_path.setdefault(case.path.resolve(), case)
    once = _told_apart(tuple(by_path.values()))
    if split is not None:
        once = _with_patients(once, read_patients(existing(split)), side, Path(split).name)
    elif side is not None:
        once = _on_side(once, side)
    _check_names(once)
    return once if truth is None else _with_truth(once, existing(truth))


def match_by_name(folder: Path, name: str) -> Path | None:
    """Find the segmentation of a case in a folder by name, as a file or a folder of masks; None if there is none.

    Raises
    ------
    LabelSchemaError
        If several match.
    """
    fitting = [path for path in visible(folder) if _fits(path, name)]
    exact = [path for path in fitting if short_name(path) == name]
    if len(exact or fitting) > 1:
        names = ", ".join(path.name for path in fitting)
        raise LabelSchemaError(
            f"Several segmentations of {name} lie in {folder}: {names}. Keep only one of them there."
        )
    if fitting:
        return (exact or fitting)[0]
    return folder if [p.patient for p in slices_in(folder) if p.masks] == [name] else None


@dataclass(frozen=True, slots=True)
class _Listed:
    """One row of the table of patients."""

    dataset: str
    patient: str
    side: str


Patients = Mapping[str, Sequence[_Listed]]
"""Rows by case name; there can be several if data sets share a name."""


def read_patients(path: Path) -> Patients:
    """Read a CSV with the columns case and patient, and optionally dataset and split, grouped by case.

    Raises
    ------
    UnreadableFileError
        If it cannot be read or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns, rows = list(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path} cannot be read as a table: {error}. Give a CSV file with the columns case and patient."
        raise UnreadableFileError(msg) from error
    missing = {"case", "patient"} - set(columns)
    if missing:
        msg = f"{path.name} has the columns {', '.join(columns) or 'none'}; it needs case and patient."
        raise UnreadableFileError(msg)
    patients: dict[str, list[_Listed]] = {}
    for row in rows:
        listed = _Listed(row.get("dataset") or "", row["patient"] or "", row.get("split") or "")
        patients.setdefault(row["case"], []).append(listed)
    return patients


def is_curated(place: Path) -> bool:
    """Whether a folder is a curated data set, which has its own split."""
    return (place / INDEX_FILE).is_file() and (place / "imagesTr").is_dir()


def _on_side(cases: Sequence[Case], side: str) -> tuple[Case, ...]:
    if not any(case.side for case in cases):
        raise UnreadableFileError(
            f"side={side!r} selects from a split, and these cases have none. Give a table, split=FILE, or a "
            "curated data set."
        )
    wanted_side = side_named(side)
    selected = tuple(case for case in cases if case.side == wanted_side)
    if not selected:
        counts = Counter(case.side for case in cases)
        there = ", ".join(f"{count} in {name or 'none'}" for name, count in counts.items())
        msg = f"None of the {len(cases)} cases is on the side {wanted_side!r}: {there}. Choose another side."
        raise UnreadableFileError(msg)
    return selected


def _curated_cases(place: Path) -> list[Case]:
    dataset = CuratedDataset(place)
    return [
        Case(
            dataset.folder / case.image,
            case.id,
            dataset.name,
            case.patient_key,
            dataset.folder / case.label.file,
            _channels(dataset.folder / case.image, case.roles),
            case.split,
            "1=whole tumour" if case.label.known_regions == ("WT",) else _CURATED_CLASSES,
        )
        for case in dataset.cases()
        if case.state != "rejected"
    ]


def _channels(image: Path, roles: Sequence[Role]) -> dict[Role, Source]:
    return {role: Source(image, number if len(roles) > 1 else None) for number, role in enumerate(roles)}


def _cases_at(place: Path) -> list[Case]:
    if is_curated(place) and (cases := _curated_cases(place)):
        return cases
    if place.is_file():
        dataset = place.parent.parent.name if place.parent.name == "imagesTr" else ""
        return [Case(place, short_name(place), dataset)]
    cases = [Case(found.path, found.name, found.dataset) for found in case_folders(place)]
    if not cases:
        raise UnreadableFileError(
            f"{place} holds no case. Give case folders or files, a folder of case folders, or one with imagesTr and "
            "labelsTr."
        )
    return cases


def _with_patients(cases: Sequence[Case], patients: Patients, side: str | None, table: str) -> tuple[Case, ...]:
    listed = [(case, _row(case, patients.get(case.name, ()), table)) for case in cases]
    if side is not None:
        sides = sorted({row.side for rows in patients.values() for row in rows if row.side})
        listed = [(case, row) for case, row in listed if row is not None and row.side == side]
        if not listed:
            raise UnreadableFileError(
                f"None of the {len(cases)} cases is on the side {side!r} of {table}, whose column split has "
                f"{', '.join(sides) or 'nothing'}. Check the names of the cases and of the side."
            )
    return tuple(
        case if row is None else replace(case, dataset=row.dataset or case.dataset, patient=row.patient)
        for case, row in listed
    )


def _row(case: Case, rows: Sequence[_Listed], table: str) -> _Listed | None:
    fitting = [row for row in rows if row.dataset == case.dataset] or list(rows)
    if len({row.patient for row in fitting}) > 1 or len({row.side for row in fitting}) > 1:
        raise UnreadableFileError(
            f"{table} has {len(fitting)} rows for {case.name} that differ. Keep one, or name its dataset as its folder."
        )
    return fitting[0] if fitting else None


def _told_apart(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """Prefix cases of the same name in a data set with the parent folder that differs, as in their results."""
    counts = Counter((case.dataset, case.name) for case in cases)
    several = [case for case in cases if counts[case.dataset, case.name] > 1]
    names = dict(zip((case.path for case in several), distinct_names([c.path for c in several]), strict=True))
    return tuple(replace(case, name=names.get(case.path, case.name)) for case in cases)


def _check_names(cases: Sequence[Case]) -> None:
    for (dataset, name), count in Counter((case.dataset, case.name) for case in cases).items():
        if count > 1:
            places = ", ".join(str(case.path) for case in cases if (case.dataset, case.name) == (dataset, name))
            raise UnreadableFileError(f"{count} cases are called {name}: {places}. Give their folders different names.")


def _with_truth(cases: Sequence[Case], truth: Path) -> tuple[Case, ...]:
    if truth.is_file() and len(cases) > 1:
        msg = f"{truth.name} is one segmentation for {len(cases)} cases. Give the folder that holds one for each."
        raise LabelSchemaError(msg)
    # The matching file in a folder is looked up when the case is processed: a missing one does not stop the others.
    return tuple(replace(case, truth=truth) for case in cases)


def _fits(path: Path, name: str) -> bool:
    stem = short_name(path)
    if stem != name and _RESULT_WORDS.sub("", stem) != name:
        return False
    return path.is_dir() or is_image(path)
