"""Find the cases of the data sets on disk, with their patients and their sides of the split."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.dataset import CuratedDataset, imports
from napari_brain_tumor.dataset.imports.found_case import FoundCase, marked_slices
from napari_brain_tumor.dataset.index import CaseRecord, PatientRecord
from napari_brain_tumor.dataset.patients import patient_key
from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.io import open_segmentation, open_study
from napari_brain_tumor.io.inside import path_inside
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor_training.config import DataSource, TrainConfig

LEFT_OUT: Final = "left out"
"""Value of `split` for cases that are not used at all."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenedCase:
    """An opened case: scans, truth, and the voxels `(X, Y, Z)` where the truth is known, or None for all of them."""

    study: Study
    truth: Segmentation
    known: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """A case on disk with its side of the split; all that training needs to know about a kind of data set.

    Parameters
    ----------
    dataset, name, patient : str
        `name` is unique within the data set.
    split : str
        "train" or "val"; cases on any other side are ignored.
    image, truth : Path
        Files or folders; if they change, the case is prepared again.
    grade : str
        "" if unknown.
    stratum : str
        Patient group by which the data set is stratified; "" if there are none.
    known_slices : tuple of int, optional
        Labelled slices along the third axis of the truth's file; the others are unknown, not background.
    brain : {"auto", "keep"}
        Whether the brain of a whole head is extracted before training, or the head is kept.
    reader : callable, optional
        Opens the case if `open_study` and `open_segmentation` of the two paths do not suffice.
    """

    dataset: str
    name: str
    patient: str
    split: str
    image: Path
    truth: Path
    grade: str = ""
    stratum: str = ""
    known_slices: tuple[int, ...] | None = None
    reader: Callable[[], OpenedCase] | None = None
    brain: Literal["auto", "keep"] = "auto"

    def open(self) -> OpenedCase:
        """Open the case; raises `TrainingError` if the truth is not on the scan's grid."""
        case = self.reader() if self.reader else OpenedCase(open_study(self.image), open_segmentation(self.truth))
        if not case.truth.grid.same_place(case.study.grid):
            raise TrainingError(
                f"{self.name}: the truth lies on {case.truth.grid.describe()}, the scan on "
                f"{case.study.grid.describe()}. Label the scan on its own grid, or leave the case out of the split."
            )
        if self.known_slices is None:
            return case
        return OpenedCase(case.study, case.truth, self._labelled_slices(case))

    def _labelled_slices(self, case: OpenedCase) -> npt.NDArray[np.bool_]:
        depth = case.truth.data.shape[2]
        beyond = [z for z in self.known_slices or () if not 0 <= z < depth]
        if beyond:
            msg = f"{self.name}: the slices {beyond} are said to be labelled; the scan has slices 0 to {depth - 1}."
            raise TrainingError(msg)
        known = np.zeros(case.truth.data.shape, dtype=np.bool_)
        known[:, :, list(self.known_slices or ())] = True
        return known if case.known is None else known & case.known


Split = dict[tuple[str, str], tuple[str, str, str]]


def read_split(path: Path) -> Split:
    """Read patient, side and grade ("" without that column) for every (dataset, case) from a CSV file.

    Raises
    ------
    TrainingError
        If the file cannot be read, a column is missing, or a patient is on both sides.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(
            f"The split {path} cannot be read: {error}. Give the recipe's `split` relative to the data folder (--data)."
        ) from error
    needed = {"dataset", "case", "patient", "split"}
    if not rows or not needed <= set(rows[0]):
        msg = f"The split {path} needs the columns {', '.join(sorted(needed))}; it has {list(rows[0]) if rows else []}."
        raise TrainingError(msg)
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row["patient"], set()).add(row["split"])
    _refuse_torn(sides, str(path))
    return {(row["dataset"], row["case"]): (row["patient"], row["split"], row.get("grade", "")) for row in rows}


def find_cases(config: TrainConfig, data_root: Path) -> list[CaseFiles]:
    """Return all cases of all sources, with their sides of the split.

    Raises
    ------
    TrainingError
        If a case is missing from the split, a patient is on both sides, or there is no training case.
    """
    split = None if config.split is None else data_root / config.split
    cases = cases_of(config.sources, data_root, split)
    if not any(case.split == "train" for case in cases):
        msg = f"No training case was found under {data_root}. Check the sources and the split of the recipe."
        raise TrainingError(msg)
    return cases


def cases_of(sources: Sequence[DataSource], data_root: Path, split: Path | None) -> list[CaseFiles]:
    """Return all cases of these sources, with their sides from the split file.

    Raises
    ------
    TrainingError
        If a source does not exist, a case is missing from the split, or a patient is on both sides.
    """
    listed = read_split(split) if split is not None else {}
    cases = [case for source in sources for case in _LISTINGS[source.kind](source, data_root, listed)]
    sides: dict[str, set[str]] = {}
    for case in cases:
        sides.setdefault(patient_key(case.patient), set()).add(case.split)
    _refuse_torn(sides, "the sources of this recipe")
    return cases


def split_hash(config: TrainConfig, data_root: Path, cases: Sequence[CaseFiles]) -> str:
    """Return the SHA-256 of the split file or, if the data sets define their own splits, of each case's side."""
    if config.split is not None:
        return hashlib.sha256((data_root / config.split).read_bytes()).hexdigest()
    return sides_hash(cases)


def sides_hash(cases: Sequence[CaseFiles]) -> str:
    """Return the SHA-256 of each case's side."""
    lines = sorted(f"{case.dataset},{case.name},{case.patient},{case.split}" for case in cases)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _refuse_torn(sides: dict[str, set[str]], where: str) -> None:
    torn = sorted(patient for patient, sides_of_patient in sides.items() if len(sides_of_patient - {LEFT_OUT}) > 1)
    if torn:
        msg = f"In {where} these patients are in training and in validation: {', '.join(torn)}. Put each on one side."
        raise TrainingError(msg)


def _decathlon(source: DataSource, root: Path, split: Split) -> Iterable[CaseFiles]:
    folder = root / source.path
    index = folder / "dataset.json"
    if not index.is_file():
        raise TrainingError(f"{folder} has no dataset.json, so it is not a Medical Decathlon folder.")
    for entry in json.loads(index.read_text(encoding="utf-8"))["training"]:
        image, truth = (
            path_inside(folder, str(entry[key]).removeprefix("./"), named_by=str(index), links=True)
            for key in ("image", "label")
        )
        name = image.name.removesuffix(".gz").removesuffix(".nii")
        yield _split_case(source, name, image, truth, split)


def _lgg_tif(source: DataSource, root: Path, split: Split) -> Iterable[CaseFiles]:
    folder = root / source.path
    if not folder.is_dir():
        msg = f"{folder} is not a folder. A source of kind lgg-tif is a folder with one folder per patient."
        raise TrainingError(msg)
    for patient in sorted(path for path in folder.iterdir() if path.is_dir()):
        yield _split_case(source, patient.name, patient, patient, split)


def _folders(source: DataSource, root: Path, split: Split) -> Iterable[CaseFiles]:
    """Yield cases with a folder each, which contains sequences by name and the truth as `<case>_seg.nii.gz`."""
    folder = root / source.path
    if not folder.is_dir():
        raise TrainingError(f"{folder} is not a folder. A source of kind folders is a folder with one folder per case.")
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        yield _split_case(source, case.name, case, case / f"{case.name}_seg.nii.gz", split)


def _recognised(source: DataSource, root: Path, split: Split) -> Iterable[CaseFiles]:
    """Yield the cases of a data set in any format that can be imported, read in place."""
    for case in imports.find_cases(root / source.path, source.format):
        files = _split_case(source, case.name, case.scan, case.label, split)
        yield replace(files, grade=files.grade or case.grade or "", reader=partial(_read_recognised, case))


def _read_recognised(case: FoundCase) -> OpenedCase:
    if case.problem:
        raise TrainingError(case.problem)
    study, truth = open_study(case.scan, case.roles), open_segmentation(case.label, case.schema)
    if case.known == "all":
        return OpenedCase(study, truth)
    slices = marked_slices(truth)
    known = np.zeros(truth.data.shape, dtype=np.bool_)
    np.moveaxis(known, slices.axis, 0)[list(slices.numbers)] = True
    return OpenedCase(study, truth, known)


def _split_case(source: DataSource, name: str, image: Path, truth: Path, split: Split) -> CaseFiles:
    if (source.dataset, name) not in split:
        raise TrainingError(f"Case {name} of {source.dataset} is not in the split. Add it to the file.")
    patient, side, grade = split[source.dataset, name]
    return CaseFiles(source.dataset, name, patient, side, image, truth, grade, brain=source.brain)


def _curated(source: DataSource, root: Path, split: Split) -> Iterable[CaseFiles]:
    """Yield the cases with the source's review states, on the sides that the data set itself defines."""
    dataset = CuratedDataset(root / source.path)
    patients = dataset.index.patients
    for case in dataset.cases(state=source.states, split=("train", "val")):
        yield CaseFiles(
            source.dataset,
            case.id,
            _person(patients, case),
            case.split,
            dataset.image_path(case.id),
            dataset.label_path(case.id),
            case.grade or "",
            patients[case.patient_key].stratum,
            reader=partial(_read_curated, dataset, case.id),
            brain=source.brain,
        )


def _person(patients: Mapping[str, PatientRecord], case: CaseRecord) -> str:
    """Return the patient's name; for a person listed under several names, the same one for all of them."""
    names, waiting = {case.patient_key}, [case.patient_key]
    while waiting:
        new = set(patients[waiting.pop()].same_person) - names
        names |= new
        waiting += new
    return min(names) if len(names) > 1 else case.patient


def _read_curated(dataset: CuratedDataset, case_id: str) -> OpenedCase:
    truth = dataset.truth(case_id)
    return OpenedCase(dataset.study(case_id), truth.segmentation, None if truth.is_complete else truth.known)


def _synthetic(source: DataSource, root: Path, split: Split) -> Iterable[CaseFiles]:
    """Yield the synthetic cases made so far; they are used for training only."""
    for folder in sorted((root / source.path).glob("synthetic_*")):
        name = folder.name
        truth = folder / f"{name}_seg.nii.gz"
        if truth.is_file():
            yield CaseFiles(source.dataset, name, name, "train", folder, truth)


_LISTINGS: dict[str, Callable[[DataSource, Path, Split], Iterable[CaseFiles]]] = {
    "decathlon": _decathlon,
    "lgg-tif": _lgg_tif,
    "folders": _folders,
    "recognised": _recognised,
    "curated": _curated,
    "synthetic": _synthetic,
}
