"""Everything that can segment: installed models and methods without weights. Does not load torch."""

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
    """What lists and panels need to know about a model or a method without weights.

    - `name` is for use in code, `title` for display.
    - `roles` are the sequences it can use, `regions` those it can predict.
    - `is_baseline` is True for methods without weights, `takes_seeds` for those that accept points within the tumour.
    - `min_lesion_mm3` is the default size below which parts are removed.
    - `obstacle(present)` explains why these sequences are not sufficient.
    - `notes_without(present, traits)` returns notes for the user if these sequences are sufficient.
    - `notes_on(traits)` returns notes if it is not intended for such studies.
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
    """List the installed models, bundled ones first, followed by the methods without weights, which are baselines.

    A folder that is not a valid checkpoint is left out; `find_model` with its path reports the reason.
    """
    return [*cards.list_models(), *BASELINES.values()]


def find_model(name: str | os.PathLike[str] | None = None, traits: Traits | None = None) -> ModelInfo | Baseline:
    """Find a model or method by name, or the checkpoint in a folder; without a name, the default model.

    If the traits of a study are given, it is the first default that suits the study. An installed model takes
    precedence over a method of the same name.

    Raises
    ------
    ModelNotFoundError
        If there is no such model or method.
    CheckpointError
        If the folder is not a valid checkpoint.
    """
    text = None if name is None else os.fspath(name)
    if text in BASELINES and text not in {model.name for model in cards.list_models()}:
        return BASELINES[text]
    return cards.find_model(name, traits, also=tuple(BASELINES))
