"""The targets of the shipped models beside what was measured."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from napari_brain_tumor.labels import Region
from results.bench import FULL_SET, SLICE_SET
from results.document import ModelResults, Results, Scores
from results.statistics import Group

__all__ = ["Target", "best_of", "targets_of"]

_BEST: Final[dict[Region, float]] = {"WT": 0.90, "TC": 0.82, "ET": 0.78}
_DEFAULT: Final[dict[Region, float]] = {"WT": 0.88, "TC": 0.78, "ET": 0.75}
_SLICES: Final = 0.82
_FALSE_ML: Final = 1.0
_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """What was wanted of which model, what was measured, and whether that is enough."""

    what: str
    model: str
    goal: str
    measured: float
    met: bool
    digits: int = 3


def best_of(models: Iterable[ModelResults], dataset: str) -> tuple[str, Group] | None:
    """The trained model, without or with flips, with the highest mean Dice over the regions of a set; None without."""
    groups = [(name, group) for model in models if model.trained for name, group in _groups(model, dataset)]
    return max(groups, key=lambda pair: _overall(pair[1]), default=None)


def targets_of(results: Results) -> list[Target]:
    """Every target whose numbers were measured."""
    models = list(results.models.values())
    targets = [*_dice_targets("best", best_of(models, FULL_SET), _BEST)]
    targets += _slice_targets("best", best_of(models, SLICE_SET))
    for model in models:
        if FULL_SET in model.default_for:
            targets += _dice_targets("default", next(_groups(model, FULL_SET), None), _DEFAULT)
            targets += [*_false_targets(model), *_time_targets(model)]
        if SLICE_SET in model.default_for:
            targets += _slice_targets("default", next(_groups(model, SLICE_SET), None))
    return targets


def _groups(model: ModelResults, dataset: str) -> Iterator[tuple[str, Group]]:
    for block, name in ((model.scores, f"`{model.name}`"), (model.flipped, f"`{model.name}` with flips")):
        yield from ((name, group) for group in _of_set(block, dataset))


def _of_set(block: Scores | None, dataset: str) -> list[Group]:
    return [group for group in Group.of_scores(block) if group.dataset == dataset]


def _overall(group: Group) -> float:
    means = group.means("dice")
    return sum(means.values()) / len(means) if means else 0.0


def _dice_targets(rank: str, best: tuple[str, Group] | None, goals: dict[Region, float]) -> Iterator[Target]:
    if best is None:
        return
    name, group = best
    means = group.means("dice")
    for region in goals:
        if region in means:
            value = means[region]
            yield Target(
                f"{region}, {rank} model, {FULL_SET}", name, f"{goals[region]:.2f}", value, value >= goals[region]
            )


def _slice_targets(rank: str, best: tuple[str, Group] | None) -> Iterator[Target]:
    value = None if best is None else best[1].means("dice").get("WT")
    if best is not None and value is not None:
        yield Target(f"WT, {rank} model, {SLICE_SET}", best[0], f"{_SLICES:.2f}", value, value >= _SLICES)


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
