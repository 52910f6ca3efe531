"""Dice of a checkpoint on the validation side of a split, case by case, through the same `segment` that users call."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_brain_tumor.evaluation.overlap import region_dice
from napari_brain_tumor.io import open_segmentation, open_study
from napari_brain_tumor.labels import Region
from napari_brain_tumor.models.cards import Metrics, ModelInfo
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Role
from napari_brain_tumor.workflow import segment
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.dataset import find_cases

__all__ = ["CaseDice", "summarise", "validate"]


@dataclass(frozen=True, slots=True)
class CaseDice:
    """Dice per known region of one validation case, segmented from some of its sequences."""

    dataset: str
    name: str
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
    """Segment every validation case from every subset of roles: a job.

    Parameters
    ----------
    config : TrainConfig
        For the sources and the split.
    data_root : Path
        Folder that the recipe's paths are relative to.
    model : ModelInfo
        The checkpoint.
    subsets : sequence of sequences of role
        What each case is segmented from; a case that lacks one of the roles is segmented from those it has, once.
    flips : bool
        Average over mirrored inputs.
    device : str
        As for `segment`.
    """
    files = [case for case in find_cases(config, data_root) if case.split == "val"]
    scores = []
    for number, case in enumerate(files):
        yield Progress(number, len(files), case.name)
        study, truth = open_study(case.image), open_segmentation(case.truth)
        for roles in _present(subsets, study.roles):
            predicted = segment(study.only(roles), model.folder, device, flips=flips)
            scores.append(CaseDice(case.dataset, case.name, roles, flips, region_dice(truth, predicted)))
    yield Progress(len(files), len(files), "")
    return scores


def summarise(scores: Iterable[CaseDice], subsets: Sequence[Sequence[Role]]) -> list[Metrics]:
    """Mean Dice per set, subset of roles and region.

    The first subset stands for "every role that the case has", so that cases with fewer sequences count in it.
    """
    groups: dict[tuple[str, tuple[Role, ...], bool], list[dict[Region, float]]] = {}
    full = tuple(subsets[0])
    for score in scores:
        asked = full if score.roles not in {tuple(s) for s in subsets} else score.roles
        groups.setdefault((score.dataset, asked, score.flips), []).append(score.dice)
    return [
        Metrics(
            dataset=dataset,
            roles=list(roles),
            cases=len(found),
            mean_dice={region: float(np.mean([d[region] for d in found])) for region in found[0]},
            flips=flips,
        )
        for (dataset, roles, flips), found in groups.items()
    ]


def _present(subsets: Sequence[Sequence[Role]], roles: Sequence[Role]) -> list[tuple[Role, ...]]:
    """The subsets as far as a case has them: those it has whole, and for the first one all that it has."""
    whole = [tuple(subset) for subset in subsets if set(subset) <= set(roles)]
    available = tuple(role for role in subsets[0] if role in roles)
    return list(dict.fromkeys([available, *whole])) if available else whole
