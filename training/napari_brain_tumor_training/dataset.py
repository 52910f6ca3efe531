"""Cases ready for training: read, prepared once, kept in memory, drawn as windows of slices."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.geometry import Box
from napari_brain_tumor.io import open_segmentation, open_study
from napari_brain_tumor.labels import REGIONS, region_mask
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec, prepare
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Role
from napari_brain_tumor_training.config import DataSource, TrainConfig

__all__ = ["Batch", "CaseFiles", "SliceSampler", "TrainingCase", "find_cases", "load_cases", "read_split"]


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """A case on disk and the side of the split it belongs to."""

    dataset: str
    name: str
    patient: str
    split: str
    image: Path
    truth: Path
    grade: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingCase:
    """A prepared case.

    Attributes
    ----------
    channels : (Z, C, Y, X) float16 array
        Standardised slices; zeros where a role is absent.
    classes : (Z, Y, X) uint8 array
        Truth in our classes.
    present : (C,) bool array
        Roles that the case has.
    known : (3,) bool array
        Of WT, TC, ET: regions that the truth tells.
    """

    files: CaseFiles
    channels: npt.NDArray[np.float16]
    classes: npt.NDArray[np.uint8]
    present: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples drawn for one step: images `(N, C, Y, X)`, targets `(N, 3, Y, X)`, present `(N, C)`, known `(N, 3)`."""

    images: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    present: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]


def read_split(path: Path) -> dict[tuple[str, str], tuple[str, str, str]]:
    """Patient, side of the split and grade ("" without that column) for every (dataset, case) of a CSV file.

    Raises
    ------
    TrainingError
        If a column is missing, or one patient stands on both sides.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    needed = {"dataset", "case", "patient", "split"}
    if not rows or not needed <= set(rows[0]):
        msg = f"The split {path} needs the columns {', '.join(sorted(needed))}; it has {list(rows[0]) if rows else []}."
        raise TrainingError(msg)
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row["patient"], set()).add(row["split"])
    torn = sorted(patient for patient, found in sides.items() if len(found) > 1)
    if torn:
        msg = f"In {path} these patients are in training and in validation: {', '.join(torn)}. Put each on one side."
        raise TrainingError(msg)
    return {(row["dataset"], row["case"]): (row["patient"], row["split"], row.get("grade", "")) for row in rows}


def find_cases(config: TrainConfig, data_root: Path) -> list[CaseFiles]:
    """Every case of every source, with its side of the split; a case that the split lacks is an error."""
    split = read_split(data_root / config.split)
    cases = []
    for source in config.sources:
        for name, image, truth in _LISTINGS[source.kind](data_root / source.path):
            if (source.dataset, name) not in split:
                msg = f"Case {name} of {source.dataset} is not in the split {config.split}. Add it to the file."
                raise TrainingError(msg)
            patient, side, grade = split[source.dataset, name]
            cases.append(CaseFiles(source.dataset, name, patient, side, image, truth, grade))
    if not any(case.split == "train" for case in cases):
        msg = f"No training case was found under {data_root}. Check the sources and the split of the recipe."
        raise TrainingError(msg)
    return cases


def load_cases(
    files: Sequence[CaseFiles], roles: Sequence[Role], spec: PreprocessingSpec, cache: Path
) -> Job[list[TrainingCase]]:
    """Read and prepare cases: a job. What was prepared once with the same settings is taken from the cache folder."""
    cache.mkdir(parents=True, exist_ok=True)
    loaded = []
    for number, case in enumerate(files):
        yield Progress(number, len(files), f"reading {case.name}")
        loaded.append(_cached(case, roles, spec, cache))
    yield Progress(len(files), len(files), "")
    return loaded


class SliceSampler:
    """Draws windows of slices: a source by its share, a case of it evenly or by grade, a slice with or without tumour.

    Parameters
    ----------
    cases : sequence of TrainingCase
        Of the training side.
    sources : sequence of DataSource
        For their shares and those of the grades.
    patch : (int, int)
        Height and width of the windows.
    foreground_share : float
        Share of windows drawn around tumour.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        sources: Sequence[DataSource],
        patch: tuple[int, int],
        foreground_share: float,
    ) -> None:
        self._groups = [[case for case in cases if case.files.dataset == source.dataset] for source in sources]
        shares = np.array([source.share if group else 0 for source, group in zip(sources, self._groups, strict=True)])
        self._shares = shares / shares.sum()
        self._chances = [
            _chances(group, source.grade_shares) for source, group in zip(sources, self._groups, strict=True)
        ]
        self._tumour_slices = {id(case): np.flatnonzero(case.classes.any(axis=(1, 2))) for case in cases}
        self._patch = patch
        self._foreground_share = foreground_share

    def draw(self, size: int, random: np.random.Generator) -> Batch:
        """A batch of that size."""
        samples = [self._sample(random) for _ in range(size)]
        images, targets, present, known = (np.stack(parts) for parts in zip(*samples, strict=True))
        return Batch(images, targets, present, known)

    def _sample(self, random: np.random.Generator) -> tuple[npt.NDArray[Any], ...]:
        source = random.choice(len(self._groups), p=self._shares)
        group, chances = self._groups[source], self._chances[source]
        case = group[random.integers(len(group)) if chances is None else random.choice(len(group), p=chances)]
        tumour = self._tumour_slices[id(case)]
        around_tumour = len(tumour) > 0 and random.random() < self._foreground_share
        z = int(random.choice(tumour)) if around_tumour else int(random.integers(case.classes.shape[0]))
        classes = case.classes[z]
        start = self._window(classes, around_tumour, random)
        image = _cut(case.channels[z], start, self._patch).astype(np.float32)
        labels = _cut(classes, start, self._patch)
        targets = np.stack([region_mask(labels, region) for region in REGIONS]).astype(np.float32)
        return image, targets, case.present, case.known

    def _window(self, classes: npt.NDArray[np.uint8], around_tumour: bool, random: np.random.Generator) -> list[int]:
        """First row and column of a window, which may reach beyond a slice that is smaller than the window."""
        if around_tumour:
            pixels = np.argwhere(classes)
            point = pixels[random.integers(len(pixels))]
        start = []
        for axis, (side, length) in enumerate(zip(classes.shape, self._patch, strict=True)):
            low, high = min(0, side - length), max(0, side - length)
            if around_tumour:
                low, high = max(low, int(point[axis]) - length + 1), min(high, int(point[axis]))
            start.append(int(random.integers(low, max(low, high) + 1)))
        return start


def _chances(group: Sequence[TrainingCase], shares: dict[str, float]) -> npt.NDArray[np.float64] | None:
    """How likely each case is drawn where grades have shares; None for all alike."""
    if not shares or not group:
        return None
    grades = Counter(case.files.grade for case in group)
    if set(grades) != set(shares) or min(shares.values()) <= 0:
        found = ", ".join(f"{grade or 'no grade'} ({number})" for grade, number in sorted(grades.items()))
        msg = (
            f"{group[0].files.dataset} has cases of {found}; grade_shares names {', '.join(sorted(shares))}. "
            "Give every grade of the training cases a share above zero, and no other."
        )
        raise TrainingError(msg)
    weights = [shares[case.files.grade] / grades[case.files.grade] for case in group]
    return np.array([weight / sum(weights) for weight in weights])


def _cut(array: npt.NDArray[Any], start: Sequence[int], size: Sequence[int]) -> npt.NDArray[Any]:
    """A window of the last two axes, zeros where it reaches beyond the array."""
    result = np.zeros((*array.shape[:-2], *size), dtype=array.dtype)
    source: list[slice] = []
    target: list[slice] = []
    for first, length, side in zip(start, size, array.shape[-2:], strict=True):
        low, high = max(0, first), min(side, first + length)
        source.append(slice(low, high))
        target.append(slice(low - first, high - first))
    result[..., target[0], target[1]] = array[..., source[0], source[1]]
    return result


def _decathlon(folder: Path) -> Iterable[tuple[str, Path, Path]]:
    index = folder / "dataset.json"
    if not index.is_file():
        msg = f"{folder} has no dataset.json, so it is not a Medical Decathlon folder."
        raise TrainingError(msg)
    for entry in json.loads(index.read_text(encoding="utf-8"))["training"]:
        image = folder / entry["image"]
        yield image.name.removesuffix(".gz").removesuffix(".nii"), image, folder / entry["label"]


def _lgg_tif(folder: Path) -> Iterable[tuple[str, Path, Path]]:
    for patient in sorted(path for path in folder.iterdir() if path.is_dir()):
        yield patient.name, patient, patient


_LISTINGS: dict[str, Callable[[Path], Iterable[tuple[str, Path, Path]]]] = {
    "decathlon": _decathlon,
    "lgg-tif": _lgg_tif,
}


def _cached(case: CaseFiles, roles: Sequence[Role], spec: PreprocessingSpec, cache: Path) -> TrainingCase:
    stamp = [case.image.stat().st_mtime_ns, case.truth.stat().st_mtime_ns]
    key = hashlib.sha256(json.dumps([str(case.image), stamp, roles, spec.model_dump()]).encode()).hexdigest()[:20]
    path = cache / f"{case.name}-{key}.npz"
    if not path.is_file():
        arrays = _prepare(case, roles, spec)
        partial = path.with_suffix(".part.npz")
        np.savez(partial, allow_pickle=False, **arrays)
        partial.replace(path)
    with np.load(path, allow_pickle=False) as stored:
        return TrainingCase(case, stored["channels"], stored["classes"], stored["present"], stored["known"])


def _prepare(case: CaseFiles, roles: Sequence[Role], spec: PreprocessingSpec) -> dict[str, npt.NDArray[Any]]:
    study = open_study(case.image)
    truth = open_segmentation(case.truth)
    if not truth.grid.same_place(study.grid):
        msg = f"{case.name}: the truth lies on {truth.grid.describe()}, the scan on {study.grid.describe()}."
        raise TrainingError(msg)
    prepared = prepare(study, roles, spec)
    classes = prepared.work.labels_to_work(truth.data)
    box = prepared.box
    lost = int(classes.astype(bool).sum()) - int(classes[box.slices].astype(bool).sum())
    if lost:
        # The box of the head left out labelled voxels: take the whole slices instead, nothing of the truth is lost.
        box = Box.whole(classes.shape)
        channels = np.zeros((len(roles), *classes.shape), dtype=np.float32)
        channels[(slice(None), *prepared.box.slices)] = prepared.channels
    else:
        channels = prepared.channels
    return {
        "channels": np.ascontiguousarray(channels.swapaxes(0, 1)).astype(np.float16),
        "classes": np.ascontiguousarray(classes[box.slices]).astype(np.uint8),
        "present": np.array([role in study.sequences for role in roles]),
        "known": np.array([region in truth.known_regions for region in REGIONS]),
    }
