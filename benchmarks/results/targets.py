"""The targets of the shipped models, and the measured values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from napari_brain_tumor.labels import Region
from results.bench import FULL_SET, SLICE_SET
from results.document import ModelResults, Results, Scores
from results.statistics import Group

__all__ = ["Target", "targets_of"]

_DEFAULT: Final[dict[Region, float]] = {"WT": 0.90, "TC": 0.82, "ET": 0.72}
_NAMED: Final[dict[Region, float]] = {"WT": 0.87, "TC": 0.77, "ET": 0.66}
_DEFAULT_SLICES: Final[dict[Region, float]] = {"WT": 0.84}
_NAMED_SLICES: Final[dict[Region, float]] = {"WT": 0.81}
_WORST: Final = {FULL_SET: 0.65, SLICE_SET: 0.55}
"""Dice of the whole tumour that the default model should reach in every patient."""
_FALSE_ML: Final = 1.0
_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """A target of a model, the measured value, and whether it reaches the target."""

    what: str
    model: str
    goal: str
    measured: float
    met: bool
    digits: int = 3


def targets_of(results: Results) -> list[Target]:
    """Return all targets whose numbers were measured, first those of the default model."""
    models = [model for model in results.models.values() if model.trained]
    default = [model for model in models if model.default_for]
    targets: list[Target] = []
    for model in default:
        targets += _dice_targets(model, FULL_SET, _DEFAULT) if FULL_SET in model.default_for else ()
        targets += _dice_targets(model, SLICE_SET, _DEFAULT_SLICES) if SLICE_SET in model.default_for else ()
        targets += [*_worst_targets(model), *_false_targets(model), *_time_targets(model)]
    for model in models:
        if model not in default:
            targets += _dice_targets(model, FULL_SET, _NAMED)
            targets += _dice_targets(model, SLICE_SET, _NAMED_SLICES) if model.dims == 2 else ()
    return targets


def _groups(block: Scores | None, dataset: str) -> list[Group]:
    return [group for group in Group.of_scores(block) if group.dataset == dataset]


def _dice_targets(model: ModelResults, dataset: str, goals: dict[Region, float]) -> Iterator[Target]:
    for group in _groups(model.scores, dataset):
        means = group.means("dice")
        for region, goal in goals.items():
            if region in means:
                value = means[region]
                yield Target(f"{region}, {dataset}", f"`{model.name}`", f"{goal:.2f}", value, value >= goal)


def _worst_targets(model: ModelResults) -> Iterator[Target]:
    for dataset, goal in _WORST.items():
        for group in _groups(model.scores, dataset) if dataset in model.default_for else ():
            value = min(case.scores["WT"].dice for case in group.cases)
            yield Target(f"WT of the worst case, {dataset}", f"`{model.name}`", f"{goal:.2f}", value, value >= goal)


def _false_targets(model: ModelResults) -> Iterator[Target]:
    if model.controls is None:
        return
    for what, volumes in (("synthetic brain", model.controls.synthetic), ("healthy twin", model.controls.twins)):
        worst = max((volume.ml for volume in volumes), default=None)
        if worst is not None:
            name = f"`{model.name}`"
            yield Target(f"mL in the worst {what}", name, f"under {_FALSE_ML:g}", worst, worst < _FALSE_ML, 2)


def _time_targets(model: ModelResults) -> Iterator[Target]:
    if model.cost is not None and model.cost.flipped is not None:
        seconds, name = model.cost.flipped.seconds, f"`{model.name}` with flips"
        yield Target("seconds of a 240x240x155 case", name, f"up to {_SECONDS:g}", seconds, seconds <= _SECONDS, 1)
