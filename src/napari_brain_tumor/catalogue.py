"""Everything that can segment: the installed models, then the methods without weights. Does not load torch."""

import os
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from napari_brain_tumor.classical.registry import BASELINES, Baseline
from napari_brain_tumor.labels import Region
from napari_brain_tumor.models import cards
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.study import Role

__all__ = ["Baseline", "ModelInfo"]


@runtime_checkable
class Method(Protocol):
    """What lists and panels know of a model or a method without weights.

    - `name` is for calls, `title` for people.
    - `roles` are the sequences that it can use, `regions` those that it can tell.
    - `is_baseline` tells methods without weights, `takes_seeds` those that can be given points within the tumour.
    - `min_lesion_mm3` is the size below which parts are removed by default.
    - `obstacle(present)` says why those sequences do not suffice.
    - `notes_without(present, traits)` says what to know where those sequences suffice.
    - `notes_on(traits)` says what to know where a study is not of the kind that it is for.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def roles(self) -> tuple[Role, ...]: ...
    @property
    def regions(self) -> Sequence[Region]: ...
    @property
    def is_baseline(self) -> bool: ...
    @property
    def takes_seeds(self) -> bool: ...
    @property
    def min_lesion_mm3(self) -> float: ...
    def obstacle(self, present: Iterable[Role]) -> str: ...
    def notes_without(self, present: Iterable[Role], traits: Traits | None = None) -> list[str]: ...
    def notes_on(self, traits: Traits) -> list[str]: ...


def list_models() -> list[ModelInfo | Baseline]:
    """Every installed model, the bundled ones first; then the methods without weights, which are baselines.

    A folder that is not a valid checkpoint is left out; `find_model` with its path tells why.
    """
    return [*cards.list_models(), *BASELINES.values()]


def find_model(name: str | os.PathLike[str] | None = None, traits: Traits | None = None) -> ModelInfo | Baseline:
    """The model or method of that name, or the checkpoint in that folder; without a name the default model.

    With the traits of a study it is the first default that suits it.

    An installed model goes before a method of the same name.

    Raises
    ------
    ModelNotFoundError
        If there is none.
    CheckpointError
        If the folder is not a valid checkpoint.
    """
    text = None if name is None else os.fspath(name)
    if text in BASELINES and text not in {model.name for model in cards.list_models()}:
        return BASELINES[text]
    return cards.find_model(name, traits, also=tuple(BASELINES))
