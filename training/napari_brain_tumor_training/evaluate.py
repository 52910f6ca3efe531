"""Dice of a network on whole prepared volumes, while it trains."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from napari_brain_tumor.evaluation.overlap import dice
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.labels import REGIONS, Region, classes_from_regions, region_mask
from napari_brain_tumor.progress import run_job
from napari_brain_tumor_training.dataset import TrainingCase

__all__ = ["CaseScore", "mean_scores", "score_cases"]


@dataclass(frozen=True, slots=True)
class CaseScore:
    """Dice per known region of one case."""

    dataset: str
    name: str
    dice: dict[Region, float]


def score_cases(network: nn.Module, cases: Sequence[TrainingCase], device: torch.device) -> list[CaseScore]:
    """Dice of every case over its whole volume, at a threshold of 0.5 and without any postprocessing."""
    engine = Engine.prepare(network, 2, device)
    return [_score(engine, case) for case in cases]


def mean_scores(scores: Iterable[CaseScore]) -> dict[str, float]:
    """Mean Dice over the cases of each set and region, under the key `"<dataset> <region>"`."""
    collected: dict[str, list[float]] = {}
    for score in scores:
        for region, value in score.dice.items():
            collected.setdefault(f"{score.dataset} {region}", []).append(value)
    return {key: float(np.mean(values)) for key, values in collected.items()}


def _score(engine: Engine, case: TrainingCase) -> CaseScore:
    channels = case.channels.swapaxes(0, 1).astype(np.float32)
    predicted = classes_from_regions(run_job(engine.probabilities(channels)) >= 0.5)
    known = [region for region, tells in zip(REGIONS, case.known, strict=True) if tells]
    scores = {region: dice(region_mask(case.classes, region), region_mask(predicted, region)) for region in known}
    return CaseScore(case.files.dataset, case.files.name, scores)
