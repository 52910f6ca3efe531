"""Dice of a network on whole prepared volumes, during training."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.labels import REGIONS, Region, classes_from_regions, region_mask
from napari_brain_tumor.metrics.overlap import dice
from napari_brain_tumor.models.card_parts import Metrics
from napari_brain_tumor.progress import Job, Progress, run_job
from napari_brain_tumor.study import Role
from napari_brain_tumor_training.dataset import TrainingCase

Observer = Callable[[TrainingCase, npt.NDArray[np.uint8]], None]
"""Called with every case and its predicted classes `(Z, Y, X)`."""


@dataclass(frozen=True, slots=True)
class CaseScore:
    """Dice of each known region of one case."""

    dataset: str
    name: str
    dice: dict[Region, float]


def score_cases(
    network: nn.Module,
    dims: int,
    cases: Sequence[TrainingCase],
    device: torch.device,
    observe: Observer = lambda case, predicted: None,
) -> Job[list[CaseScore]]:
    """Return each case's Dice where its truth is known, at a threshold of 0.5 and without postprocessing, as a job.

    Parameters
    ----------
    network : nn.Module
        Predicts the logits of WT, TC and ET.
    dims : {2, 3}
        Number of spatial dimensions of its input.
    observe : callable
        Called with every case and its predicted classes.
    """
    engine = Engine.prepare(network, dims, device)
    scores = []
    for number, case in enumerate(cases):
        yield Progress(number, len(cases), f"validating {case.files.name}")
        channels = case.channels.swapaxes(0, 1).astype(np.float32)
        predicted = classes_from_regions(run_job(engine.probabilities(channels)) >= 0.5)
        observe(case, predicted)
        scores.append(_score(case, predicted))
    return scores


def mean_scores(scores: Iterable[CaseScore]) -> dict[str, float]:
    """Return the mean Dice over the cases of each set and region, with keys `"<dataset> <region>"`."""
    collected: dict[str, list[float]] = {}
    for score in scores:
        for region, value in score.dice.items():
            collected.setdefault(f"{score.dataset} {region}", []).append(value)
    return {key: float(np.mean(values)) for key, values in collected.items()}


def as_metrics(row: dict[str, float], cases: Sequence[TrainingCase], roles: Sequence[Role]) -> list[Metrics]:
    """Convert a row of the history to validation metrics as recorded in a card."""
    metrics = []
    for dataset in dict.fromkeys(case.files.dataset for case in cases):
        mean_dice = {region: row[f"{dataset} {region}"] for region in REGIONS if f"{dataset} {region}" in row}
        count = sum(case.files.dataset == dataset for case in cases)
        if mean_dice:
            metrics.append(Metrics(dataset=dataset, roles=list(roles), cases=count, mean_dice=mean_dice))
    return metrics


def _score(case: TrainingCase, predicted: npt.NDArray[np.uint8]) -> CaseScore:
    truth = case.classes
    if case.where is not None:
        truth, predicted = truth[case.where], predicted[case.where]
    known = [region for region, tells in zip(REGIONS, case.known, strict=True) if tells]
    scores = {region: dice(region_mask(truth, region), region_mask(predicted, region)) for region in known}
    return CaseScore(case.files.dataset, case.files.name, scores)
