"""Dice of a checkpoint on each validation case of a split, computed with the same `segment` that users call."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.labels import Region
from napari_brain_tumor.metrics.overlap import region_dice
from napari_brain_tumor.models.card_parts import Metrics
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Role, Segmentation
from napari_brain_tumor.workflow import segment
from napari_brain_tumor_training.case_files import find_cases
from napari_brain_tumor_training.config import TrainConfig


@dataclass(frozen=True, slots=True)
class CaseDice:
    """Dice of each known region of one validation case.

    `subset` contains the sequences that were requested, `roles` those of them that the case has.
    """

    dataset: str
    name: str
    subset: tuple[Role, ...]
    roles: tuple[Role, ...]
    flips: bool
    dice: dict[Region, float]


def validate(
    config: TrainConfig,
    data_root: Path,
    model: ModelInfo,
    subsets: Sequence[Sequence[Role]],
    *,
    flips: bool = False,
    device: str = "auto",
) -> Job[list[CaseDice]]:
    """Segment every validation case from every subset of sequences, as a job.

    Parameters
    ----------
    config : TrainConfig
        Defines the sources and the split.
    data_root : Path
        Folder that the recipe's paths are relative to.
    model : ModelInfo
        The checkpoint to validate.
    subsets : sequence of sequences of role
        Subsets of sequences to segment each case from. The first one stands for "every sequence that the case has": a
        case that lacks some of them is segmented from the rest. The others are only used for cases that have all of
        their sequences.
    flips : bool
        Average over mirrored inputs.
    device : str
        As in `segment`.
    """
    files = [case for case in find_cases(config, data_root) if case.split == "val"]
    scores = []
    for number, case in enumerate(files):
        yield Progress(number, len(files), case.name)
        opened = case.open()
        study, truth = opened.study, opened.truth
        for number_of_subset, subset in enumerate(map(tuple, subsets)):
            roles = tuple(role for role in subset if role in study.sequences)
            if roles == subset or (number_of_subset == 0 and roles):
                predicted = segment(study.only(roles), model.folder, device, flips=flips, brain=case.brain)
                masks = [where_known(labels, opened.known) for labels in (truth, predicted)]
                scores.append(CaseDice(case.dataset, case.name, subset, roles, flips, region_dice(*masks)))
    yield Progress(len(files), len(files), "")
    return scores


def where_known(labels: Segmentation, known: npt.NDArray[np.bool_] | None) -> Segmentation:
    """Return the labels where the truth is known, and background elsewhere."""
    return labels if known is None else replace(labels, data=labels.data * known)


def summarise(scores: Iterable[CaseDice]) -> list[Metrics]:
    """Return the mean Dice per set, subset of sequences and region."""
    groups: dict[tuple[str, tuple[Role, ...], bool], list[dict[Region, float]]] = {}
    for score in scores:
        groups.setdefault((score.dataset, score.subset, score.flips), []).append(score.dice)
    return [
        Metrics(
            dataset=dataset,
            roles=list(roles),
            cases=len(group),
            mean_dice={region: float(np.mean([d[region] for d in group])) for region in group[0]},
            flips=flips,
        )
        for (dataset, roles, flips), group in groups.items()
    ]
