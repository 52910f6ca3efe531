"""The data and device on which models are measured: validation cases and controls."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import torch

from napari_brain_tumor.dataset.patients import patient_key
from napari_brain_tumor.errors import BrainTumorError, DeviceError, LabelSchemaError, TrainingError
from napari_brain_tumor.inference.device import check_bfloat16, resolve_device
from napari_brain_tumor.io import open_study, open_truth
from napari_brain_tumor.io.reading import visible
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor_training.case_files import CaseFiles, cases_of
from napari_brain_tumor_training.config import DataSource
from napari_brain_tumor_training.synthetic import SyntheticSpec, make_healthy
from results.document import Split
from results.twins import healthy_twin

__all__ = ["FULL_SET", "SLICE_SET", "Bench", "lesions_of", "open_bench", "tumour_free_heads", "twins_of"]

FULL_SET: Final = "glioma3d"
SLICE_SET: Final = "lgg_tif"
_SOURCES: Final = (
    DataSource(dataset=FULL_SET, kind="decathlon", path=Path(FULL_SET), share=1),
    DataSource(dataset=SLICE_SET, kind="lgg-tif", path=Path(SLICE_SET), share=1),
)
_SCLEROSIS: Final = "multiple_sclerosis_control"
_NO_ENHANCING: Final = "brats2021_no_enhancing"
_SEEDS: Final = (9001, 9002, 9003)
"""Seeds of the heads without tumour; synthetic training cases have smaller seeds."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The data and device of a measurement.

    Parameters
    ----------
    data : Path
        Folder of both data sets and of the control cases.
    cases : tuple of CaseFiles
        Cases of the validation side, or some of them.
    split : Split
        Split of all data.
    limit : int or None
        Number of cases used from each set; None for all.
    sclerosis, no_enhancing : Path
        Folders of the control cases.
    device : str
        Resolved name of the device for all computations.
    spec : SyntheticSpec
        Specification of the heads without tumour.
    subset_sets : tuple of str
        Sets whose cases are segmented from every subset of their sequences.
    """

    data: Path
    cases: tuple[CaseFiles, ...]
    split: Split
    limit: int | None
    sclerosis: Path
    no_enhancing: Path
    device: str
    spec: SyntheticSpec
    subset_sets: tuple[str, ...] = (FULL_SET, SLICE_SET)

    @property
    def precision(self) -> Literal["auto", "float32"]:
        """Precision for scores: float32 on a CPU, so that other CPUs give the same results."""
        return "float32" if self.device == "cpu" else "auto"

    @property
    def subset_precision(self) -> Literal["auto", "bfloat16"]:
        """Precision for the many runs on subsets of sequences: bfloat16 if the device supports it."""
        try:
            check_bfloat16(torch.device(self.device))
        except DeviceError:
            return "auto"
        return "bfloat16"

    def of(self, dataset: str) -> tuple[CaseFiles, ...]:
        """Return the cases of one set."""
        return tuple(case for case in self.cases if case.dataset == dataset)


def open_bench(
    data: Path,
    split: Path | None = None,
    *,
    limit: int | None = None,
    device: str = "auto",
    spec: SyntheticSpec | None = None,
) -> Bench:
    """Find all data that are measured on, before computing anything.

    Parameters
    ----------
    data : Path
        Folder with `glioma3d`, `lgg_tif` and `cases`.
    split : Path, optional
        Table of the split; `subjects.csv` in the folder if not given.
    limit : int, optional
        Use only this many validation cases of each set, for a trial run.
    device : str
        As in `segment`.
    spec : SyntheticSpec, optional
        Specification of the heads without tumour.

    Raises
    ------
    TrainingError
        If the folder, a set, the split or a control case is missing, or the validation side has no cases.
    DeviceError
        If the device is not available.
    """
    if not data.is_dir():
        msg = f"{data} is not a folder. Give the one that holds {FULL_SET}, {SLICE_SET} and cases."
        raise TrainingError(msg)
    table = data / "subjects.csv" if split is None else split
    listed = cases_of(_SOURCES, data, table)
    selected = [case for source in _SOURCES for case in _first(_validation(listed, source.dataset, table), limit)]
    return Bench(
        data,
        tuple(selected),
        _described(listed, table),
        limit,
        _control(data, _SCLEROSIS),
        _control(data, _NO_ENHANCING),
        str(resolve_device(device)),
        spec or SyntheticSpec(),
    )


def tumour_free_heads(bench: Bench) -> tuple[Study, ...]:
    """Return the synthetic heads without tumour, which are made only once and shared by all models."""
    return _heads(bench.spec)


def twins_of(bench: Bench) -> Job[dict[str, Study | None]]:
    """Return the healthy twins of the gliomas by name, None for tumours in both hemispheres, as a job."""
    twins: dict[str, Study | None] = {}
    cases = bench.of(FULL_SET)
    for number, case in enumerate(cases):
        yield Progress(number, len(cases), f"mirroring {case.name}")
        opened = case.open()
        twins[case.name] = healthy_twin(opened.study, opened.truth)
    return twins


def lesions_of(path: Path, study: Study) -> Segmentation | None:
    """Return the lesion mask of a control case; None if there is none on the case's grid."""
    truth = _lesion_mask(path)
    return truth if truth is not None and truth.grid.same_place(study.grid) else None


def _lesion_mask(path: Path) -> Segmentation | None:
    try:
        return open_truth(path)
    except LabelSchemaError:
        return open_truth(path, "LGG-binary")  # 0 and 1: lesion or not


@lru_cache(maxsize=1)
def _heads(spec: SyntheticSpec) -> tuple[Study, ...]:
    return tuple(make_healthy(seed, spec=spec) for seed in _SEEDS)


def _validation(cases: Iterable[CaseFiles], dataset: str, table: Path) -> list[CaseFiles]:
    validation = [case for case in cases if case.dataset == dataset and case.split == "val"]
    if not validation:
        msg = f"No case of {dataset} is on the side val of {table}. Check its columns dataset and split."
        raise TrainingError(msg)
    return validation


def _first(cases: list[CaseFiles], limit: int | None) -> list[CaseFiles]:
    return cases if limit is None else cases[:limit]


def _control(data: Path, name: str) -> Path:
    """Return the only case in a folder of control cases, after checking that it can be opened."""
    parent = data / "cases" / name
    folders = [path for path in visible(parent) if path.is_dir()] if parent.is_dir() else []
    if not folders:
        msg = f"{parent} holds no case. The controls need one there: a folder with its sequences."
        raise TrainingError(msg)
    try:
        open_study(folders[0])
    except BrainTumorError as error:
        msg = f"The control case {folders[0]} does not open: {error}"
        raise TrainingError(msg) from error
    return folders[0]


def _described(cases: Iterable[CaseFiles], table: Path) -> Split:
    people: dict[str, dict[str, set[str]]] = {}
    for case in cases:
        for group in (case.dataset, ""):
            people.setdefault(group, {}).setdefault(case.split, set()).add(patient_key(case.patient))
    counted = {group: {side: len(names) for side, names in sides.items()} for group, sides in people.items()}
    together = counted.pop("")
    return Split(sha256=hashlib.sha256(table.read_bytes()).hexdigest(), patients=counted, together=together)
