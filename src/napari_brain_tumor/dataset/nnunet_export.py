"""Export the cases of a data set in nnU-Net v2 format (Isensee 2021, doi:10.1038/s41592-020-01008-z)."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.dataset.files import storable
from napari_brain_tumor.dataset.index import CaseRecord, ReviewState
from napari_brain_tumor.dataset.store import CuratedDataset
from napari_brain_tumor.dataset.truth import Truth
from napari_brain_tumor.errors import BrainTumorError, DatasetError, SaveError
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.scratch import scratch_beside
from napari_brain_tumor.io.volume import named_path
from napari_brain_tumor.io.write_nifti import write_nifti
from napari_brain_tumor.labels import RESECTION_CAVITY
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import ROLES, NiftiForms, Role

SPLITS_FILE: Final = "splits_final.json"
_PREPROCESSED: Final = "nnUNet_preprocessed"
"""nnU-Net's environment variable for that folder, and the folder's usual name beside `nnUNet_raw`."""

_CLASSES: Final[dict[str, int]] = {"background": 0, "edema": 1, "non_enhancing": 2, "enhancing": 3}
_REGIONS: Final[dict[str, int | list[int]]] = {
    "background": 0,
    "whole_tumour": [1, 2, 3],
    "tumour_core": [2, 3],
    "enhancing_tumour": 3,
}


@dataclass(frozen=True, slots=True)
class NnunetTarget:
    """What to export.

    Parameters
    ----------
    number, name : int, str
        The folder will be named `Dataset<number>_<name>`.
    roles : tuple of Role
        Channels; a case that lacks one of them is left out.
    regions : bool
        Whether nnU-Net should be trained on the nested regions instead of the classes.
    states : tuple of ReviewState
        Review states to include; cases in other states are left out.
    whole_tumour_only : bool
        Whether to export only the whole tumour as label; otherwise, cases that define no other region are left out.
    """

    number: int
    name: str
    roles: tuple[Role, ...] = ROLES
    regions: bool = False
    states: tuple[ReviewState, ...] = ("accepted",)
    whole_tumour_only: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 999 or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name) is None:
            msg = f"Found {self.number} and {self.name!r}; nnU-Net takes a number 1 to 999, and letters, digits and _."
            raise DatasetError(msg)
        if not self.roles or len(set(self.roles)) != len(self.roles):
            msg = f"The channels are {list(self.roles)}; expected at least one sequence, each only once."
            raise DatasetError(msg)

    @property
    def folder(self) -> str:
        """Folder name according to nnU-Net's convention."""
        return f"Dataset{self.number:03d}_{self.name}"


@dataclass(frozen=True, slots=True)
class NnunetReport:
    """Where the data set was written, the ids of its cases, the other cases with the reason, and the split file."""

    folder: Path
    cases: tuple[str, ...]
    left_out: Mapping[str, str]
    split: Path


def export_nnunet(
    dataset: CuratedDataset,
    raw: str | PathLike[str],
    target: NnunetTarget,
    preprocessed: str | PathLike[str] | None = None,
) -> Job[NnunetReport]:
    """Write `Dataset<number>_<name>`, completely or not at all, as a job.

    Training and validation cases go to `imagesTr` and `labelsTr`, test cases to `imagesTs` and `labelsTs`. Voxels whose
    label is unknown get nnU-Net's ignore label. `splits_final.json`, in the data set's folder in `nnUNet_preprocessed`,
    where nnU-Net looks for it, contains the data set's own split as its only fold, 0.

    Parameters
    ----------
    dataset : CuratedDataset
        Data set to export; it is not changed.
    raw : path-like
        The folder `nnUNet_raw`.
    target : NnunetTarget
        What to export.
    preprocessed : path-like, optional
        The folder `nnUNet_preprocessed`; by default from the environment variable of that name, else beside `raw`.

    Raises
    ------
    DatasetError
        If no case can be exported, the folder already exists, or a different split is in its place.
    SaveError
        If a file cannot be written; nothing is left behind then.
    """
    place = named_path(raw) / target.folder
    if place.exists():
        raise DatasetError(f"{place} already exists. Remove it, or choose another number or name.")
    split_file = _preprocessed_folder(named_path(raw), preprocessed) / target.folder / SPLITS_FILE
    reasons = {case.id: _reason(case, target) for case in dataset.index.cases}
    cases = [case for case in dataset.index.cases if not reasons[case.id]]
    left_out = {case: reason for case, reason in reasons.items() if reason}
    if not any(case.split != "test" for case in cases):
        raise DatasetError(f"No case of {dataset.name} can be exported for training: {_summary(left_out)}.")
    split_text = _json_text(_splits(cases))
    _refuse_other_split(split_file, split_text)
    # Labels must be defined alike in all cases of an nnU-Net data set, so one partly known case is enough.
    has_unknown = any(not case.label.is_complete for case in cases)
    try:
        with scratch_beside(place) as scratch:
            staging = scratch / place.name
            for number, case in enumerate(cases):
                yield Progress(number, len(cases), case.id)
                _write_case(dataset, case, staging, target)
            write_text(staging / "dataset.json", _json_text(_document(dataset, cases, target, has_unknown)))
            # The split is written first: without it, nnU-Net would train the data set on its own folds.
            write_text(split_file, split_text)
            os.replace(staging, place)
    except OSError as error:
        if isinstance(error, BrainTumorError):
            raise
        msg = f"{place} was not written: {error.strerror or error}. Free some space or choose another place."
        raise SaveError(msg) from error
    yield Progress(len(cases), len(cases))
    return NnunetReport(place, tuple(case.id for case in cases), left_out, split_file)


def _preprocessed_folder(raw: Path, folder: str | PathLike[str] | None) -> Path:
    path = folder or os.environ.get(_PREPROCESSED)
    return named_path(path) if path else raw.with_name(_PREPROCESSED)


def _refuse_other_split(path: Path, text: str) -> None:
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise DatasetError(
            f"{path} holds another split, which nnU-Net would use for this data set. Remove it if its data set is "
            "gone, or choose another number."
        )


def _reason(case: CaseRecord, target: NnunetTarget) -> str:
    """Return why a case is left out; empty if it is not."""
    missing = [role for role in target.roles if role not in case.roles]
    if case.state not in target.states:
        return f"it is {case.state.replace('_', ' ')}"
    if missing:
        return f"it lacks {', '.join(missing)}"
    if case.label.voxels.get(RESECTION_CAVITY):
        return "it has a resection cavity, for which there is no label"
    needed = ("WT",) if target.whole_tumour_only else ("WT", "TC", "ET")
    untold = [region for region in needed if region not in case.label.known_regions]
    return f"its label does not mark {', '.join(untold)}" if untold else ""


def _summary(left_out: Mapping[str, str]) -> str:
    reasons = sorted(set(left_out.values()))
    return "; ".join(f"{list(left_out.values()).count(reason)} cases: {reason}" for reason in reasons) or "it is empty"


def _write_case(dataset: CuratedDataset, case: CaseRecord, folder: Path, target: NnunetTarget) -> None:
    study, truth = dataset.study(case.id), dataset.truth(case.id)
    side = "Ts" if case.split == "test" else "Tr"
    layout = study.layout if isinstance(study.layout, NiftiForms) else None
    for channel, role in enumerate(target.roles):
        path = folder / f"images{side}" / f"{case.id}_{channel:04d}.nii.gz"
        write_nifti(storable([study.sequences[role]])[0], study.grid, layout, path, compresslevel=1)
    write_nifti(_values(truth, target), study.grid, layout, folder / f"labels{side}" / f"{case.id}.nii.gz")


def _values(truth: Truth, target: NnunetTarget) -> npt.NDArray[np.uint8]:
    """Return the values of the label file; unknown voxels get the ignore label, which follows the last class."""
    classes = truth.segmentation.data
    values = (classes > 0).astype(np.uint8) if target.whole_tumour_only else classes
    return np.where(truth.known, values, np.uint8(_ignore(target)))


def _ignore(target: NnunetTarget) -> int:
    return 2 if target.whole_tumour_only else len(_CLASSES)


def _document(
    dataset: CuratedDataset, cases: Sequence[CaseRecord], target: NnunetTarget, has_unknown: bool
) -> dict[str, Any]:
    labels: dict[str, Any] = dict(_REGIONS if target.regions else _CLASSES)
    if target.whole_tumour_only:
        labels = {"background": 0, "whole_tumour": 1}
    if has_unknown:
        labels["ignore"] = _ignore(target)
    by_regions = target.regions and not target.whole_tumour_only
    return {
        "channel_names": {str(channel): role for channel, role in enumerate(target.roles)},
        "labels": labels,
        **({"regions_class_order": [1, 2, 3]} if by_regions else {}),
        "numTraining": sum(case.split != "test" for case in cases),
        "file_ending": ".nii.gz",
        "name": target.name,
        "description": f"From the curated data set {dataset.name}, split {dataset.index.split_sha256[:12]}",
    }


def _splits(cases: Sequence[CaseRecord]) -> list[dict[str, list[str]]]:
    return [{side: [case.id for case in cases if case.split == side] for side in ("train", "val")}]


def _json_text(content: object) -> str:
    return json.dumps(content, indent=1) + "\n"
