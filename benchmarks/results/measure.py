"""Measure the blocks of one model, each as a job."""

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from napari_brain_tumor.io import open_study
from napari_brain_tumor.labels import REGIONS, Region, region_mask
from napari_brain_tumor.measure.volumes import measure_volumes
from napari_brain_tumor.metrics.overlap import region_dice
from napari_brain_tumor.metrics.scores import score_masks
from napari_brain_tumor.postprocessing.components import count_parts
from napari_brain_tumor.progress import Job, Progress, part_of
from napari_brain_tumor.requests.segment import PrecisionName
from napari_brain_tumor.study import ROLES, Segmentation, Study
from napari_brain_tumor.workflow import segment_job
from napari_brain_tumor_training.case_files import CaseFiles, OpenedCase
from napari_brain_tumor_training.report import role_subsets
from results.bench import Bench, lesions_of, tumour_free_heads, twins_of
from results.calibration import calibration_job
from results.cost import measure_cost
from results.document import (
    Block,
    BlockName,
    CalibrationBlock,
    Controls,
    Cost,
    FalseVolume,
    LesionControl,
    Machine,
    Score,
    ScoredCase,
    Scores,
    SubsetCase,
    Subsets,
)
from results.subject import Subject

__all__ = ["block_job", "this_machine"]

_FEATURES: Final = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile", "asimd", "bf16", "sve")
"""CPU features that affect the speed of a network."""

Told = Mapping[str, Any]


def block_job(name: BlockName, subject: Subject, bench: Bench) -> Job[Block]:
    """Measure one block, as a job; raises the errors of `segment`."""
    began = time.monotonic()
    kind, measure = _MEASURES[name]
    values = yield from measure(subject, bench)
    about = {
        "key": subject.key(name, bench),
        "created": datetime.now(UTC).replace(microsecond=0),
        "minutes": round((time.monotonic() - began) / 60, 2),
    }
    return kind.model_validate({**about, **values})


def this_machine(device: str) -> Machine:
    """Describe the CPU with its relevant features, the threads, and the device."""
    about = _processor()
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return Machine(
        processor=about.get("model name", platform.processor() or platform.machine()),
        features=[feature for feature in _FEATURES if feature in about.get("flags", "").split()],
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        device=name,
        torch=torch.__version__,
        python=platform.python_version(),
    )


def _processor() -> dict[str, str]:
    """Return the entries of the first CPU, if the system provides them (Linux)."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


# Scores -------------------------------------------------------------------------------------------------------------


def _scores(subject: Subject, bench: Bench, *, flips: bool = False) -> Job[Told]:
    cases = []
    for number, case, opened in _able(subject, bench):
        job = _scored(subject, bench, case, opened, flips=flips)
        cases.append((yield from part_of(job, *_part(number, bench), case.name)))
    return {"machine": this_machine(bench.device), "cases": cases}


def _flipped(subject: Subject, bench: Bench) -> Job[Told]:
    return (yield from _scores(subject, bench, flips=True))


def _scored(subject: Subject, bench: Bench, case: CaseFiles, opened: OpenedCase, *, flips: bool) -> Job[ScoredCase]:
    predicted = yield from segment_job(
        opened.study, subject.place, bench.device, flips=flips, precision=bench.precision
    )
    seconds = predicted.provenance["seconds"]
    return ScoredCase(
        dataset=case.dataset,
        case=case.name,
        patient=case.patient,
        grade=case.grade,
        roles=list(opened.study.roles),
        seconds=round(sum(seconds.values()) - seconds.get("load", 0.0), 3),
        scores=_region_scores(opened.truth, predicted),
    )


def _region_scores(truth: Segmentation, predicted: Segmentation) -> dict[Region, Score]:
    """Score the regions known in both; `score_segmentations` would score classes as well, in twice the time."""
    grid = truth.grid
    spacing, volume = (grid.spacing_mm, grid.voxel_volume_mm3) if grid.unit == "mm" else (None, None)
    by_region: dict[Region, Score] = {}
    for region in REGIONS:
        if region in truth.known_regions and region in predicted.known_regions:
            masks = region_mask(truth.data, region), region_mask(predicted.data, region)
            s = score_masks(*masks, spacing, volume)
            by_region[region] = Score(dice=s.dice, hd95_mm=s.hd95_mm, lesionwise_dice=s.lesionwise_dice)
    return by_region


def _able(subject: Subject, bench: Bench) -> Iterator[tuple[int, CaseFiles, OpenedCase]]:
    """Yield the cases that the model supports with their numbers, opening each only when needed."""
    for number, case in enumerate(bench.cases):
        opened = case.open()
        if not subject.method.obstacle(opened.study.roles):
            yield number, case, opened


def _part(number: int, bench: Bench) -> tuple[float, float]:
    return number / len(bench.cases), (number + 1) / len(bench.cases)


# Subsets ------------------------------------------------------------------------------------------------------------


def _subsets(subject: Subject, bench: Bench) -> Job[Told]:
    cases: list[SubsetCase] = []
    for number, case, opened in _able(subject, bench):
        if case.dataset not in bench.subset_sets:
            continue
        cases += yield from part_of(_from_subsets(subject, bench, case, opened), *_part(number, bench), case.name)
    return {"cases": cases, "precision": bench.subset_precision}


def _from_subsets(subject: Subject, bench: Bench, case: CaseFiles, opened: OpenedCase) -> Job[list[SubsetCase]]:
    """Segment a case from every proper subset of its sequences, removing the others before any preparation."""
    usable = [role for role in ROLES if role in opened.study.roles and role in subject.method.roles]
    subsets = [subset for subset in role_subsets(usable)[1:] if not subject.method.obstacle(subset)]
    cases = []
    for number, subset in enumerate(subsets):
        yield Progress(number, len(subsets), "+".join(subset))
        study = opened.study.only(subset)
        predicted = yield from _within(study, subject, bench, number, len(subsets), bench.subset_precision)
        dice = region_dice(opened.truth, predicted)
        cases.append(
            SubsetCase(dataset=case.dataset, case=case.name, patient=case.patient, roles=list(subset), dice=dice)
        )
    return cases


def _within(
    study: Study, subject: Subject, bench: Bench, number: int, count: int, precision: PrecisionName | None = None
) -> Job[Segmentation]:
    job = segment_job(study, subject.place, bench.device, precision=precision or bench.precision)
    return (yield from part_of(job, number / count, (number + 1) / count, "+".join(study.roles)))


# Controls -----------------------------------------------------------------------------------------------------------


def _controls(subject: Subject, bench: Bench) -> Job[Told]:
    yield Progress(0, 1, "making heads without tumour")
    heads = tumour_free_heads(bench)
    twins = yield from part_of(twins_of(bench), 0.1, 0.2)
    whole = [twin for twin in twins.values() if twin is not None]
    synthetic = yield from part_of(_false_volumes(heads, subject, bench), 0.2, 0.4)
    mirrored = yield from part_of(_false_volumes(whole, subject, bench), 0.4, 0.8)
    return {
        "synthetic": synthetic,
        "twins": mirrored,
        "no_twin": [name for name, twin in twins.items() if twin is None],
        "sclerosis": (yield from part_of(_lesion_control(bench.sclerosis, subject, bench), 0.8, 0.9)),
        "no_enhancing": (yield from part_of(_lesion_control(bench.no_enhancing, subject, bench), 0.9, 1.0)),
    }


def _false_volumes(studies: Sequence[Study], subject: Subject, bench: Bench) -> Job[list[FalseVolume]]:
    volumes = []
    for number, study in enumerate(studies):
        predicted = yield from _within(study, subject, bench, number, len(studies))
        volumes.append(FalseVolume(case=study.name, ml=_ml(predicted.data > 0, study)))
    return volumes


def _lesion_control(path: Path, subject: Subject, bench: Bench) -> Job[LesionControl]:
    study = open_study(path)
    predicted = yield from segment_job(study, subject.place, bench.device, precision=bench.precision)
    lesions = lesions_of(path, study)
    volumes = measure_volumes(predicted)
    positive = predicted.data > 0
    return LesionControl(
        case=study.name,
        ml={row.name: round(row.ml or 0.0, 3) for row in volumes.rows if row.kind == "class" or row.key == "WT"},
        parts=count_parts(predicted.data),
        lesions_ml=None if lesions is None else _ml(lesions.data > 0, study),
        on_lesions_ml=None if lesions is None else _ml(positive & (lesions.data > 0), study),
    )


def _ml(mask: npt.NDArray[np.bool_], study: Study) -> float:
    return round(float(np.count_nonzero(mask)) * study.grid.voxel_volume_mm3 / 1000, 3)


# Calibration and cost -----------------------------------------------------------------------------------------------


def _calibration(subject: Subject, bench: Bench) -> Job[Told]:
    assert not subject.method.is_baseline, "methods without weights have no probabilities"
    return {"regions": (yield from calibration_job(subject, bench))}


def _cost(subject: Subject, bench: Bench) -> Job[Told]:
    yield Progress(0, 1, f"one case in a fresh process, {bench.no_enhancing.name}")
    return measure_cost(subject.place, bench.no_enhancing, bench.device) | {"machine": this_machine(bench.device)}


_MEASURES: Final[dict[BlockName, tuple[type[Block], Callable[[Subject, Bench], Job[Told]]]]] = {
    "calibration": (CalibrationBlock, _calibration),
    "scores": (Scores, _scores),
    "flipped": (Scores, _flipped),
    "subsets": (Subsets, _subsets),
    "controls": (Controls, _controls),
    "cost": (Cost, _cost),
}
