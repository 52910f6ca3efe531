"""Report of a finished run: Dice of the best weights by set, region and subset of sequences, and calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.models.card_parts import Calibration, Metrics
from napari_brain_tumor.progress import Job, part_of
from napari_brain_tumor.study import Role
from napari_brain_tumor_training.dataset import TrainingCase
from napari_brain_tumor_training.evaluate import as_metrics, mean_scores, score_cases


def role_subsets(roles: Sequence[Role]) -> list[tuple[Role, ...]]:
    """Return all non-empty subsets of the sequences, from the full set to single sequences."""
    return [subset for count in range(len(roles), 0, -1) for subset in combinations(roles, count)]


def score_subsets(
    network: nn.Module, dims: int, roles: Sequence[Role], cases: Sequence[TrainingCase], device: torch.device
) -> Job[list[Metrics]]:
    """Return the mean Dice per set and region for each subset of the sequences, as a job.

    Cases are standardised and cropped to the head with all their sequences; only then are sequences removed.

    Parameters
    ----------
    network : nn.Module
        Predicts the logits of WT, TC and ET.
    dims : {2, 3}
        Number of spatial dimensions of its input.
    roles : sequence of role
        Sequences in the order of the network's channels. The first entry of the result is for "every sequence that the
        case has". Each further subset of `role_subsets` is scored only on cases that have all of its sequences.
    """
    subsets = role_subsets(roles)
    metrics = []
    for number, subset in enumerate(subsets):
        keep = np.array([role in subset for role in roles])
        able = [case for case in cases if number == 0 or case.present[keep].all()]
        if able:
            reduced = [replace(case, channels=case.channels * keep[:, None, None]) for case in able]
            scoring = score_cases(network, dims, reduced, device)
            low, high = number / len(subsets), (number + 1) / len(subsets)
            scores = yield from part_of(scoring, low, high, f"from {'+'.join(subset)}")
            metrics += as_metrics(mean_scores(scores), able, subset)
    return metrics


def write_report(path: Path, title: str, metrics: Sequence[Metrics], calibration: Mapping[Region, Calibration]) -> None:
    """Write the tables as Markdown; the card contains the same numbers. Raises `SaveError`."""
    lines = [f"# {title}", "", *_scores_table(metrics)]
    if calibration:
        lines += ["", *_calibration_table(calibration)]
    write_text(path, "\n".join(lines) + "\n")


def _scores_table(metrics: Sequence[Metrics]) -> list[str]:
    regions = list(REGIONS)
    lines = [
        "Mean Dice over whole validation volumes (an empty region found empty counts 1), at a threshold of 0.5 and",
        "without any postprocessing, from the roles named.",
        "",
        f"| set | roles | cases | {' | '.join(regions)} |",
        f"|---|---|---|{'---|' * len(regions)}",
    ]
    for m in metrics:
        values = [f"{m.mean_dice[region]:.3f}" if region in m.mean_dice else "" for region in regions]
        lines.append(f"| {m.dataset} | {'+'.join(m.roles)} | {m.cases} | {' | '.join(values)} |")
    return lines


def _calibration_table(calibration: Mapping[Region, Calibration]) -> list[str]:
    lines = [
        "Expected calibration error (15 bins) over the head, before and after dividing logits by the temperature that",
        "was fitted on the same cases; `reliability.png` shows the bins.",
        "",
        "| region | temperature | error before | error after | voxels |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {region} | {c.temperature:.3f} | {c.error_before:.4f} | {c.error_after:.4f} | {c.voxels:,} |"
        for region, c in calibration.items()
    ]
