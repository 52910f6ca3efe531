"""Several checkpoints as one model, whose probabilities are the mean of theirs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models.cards import Card, Member, Metrics, ModelInfo
from napari_brain_tumor.models.checkpoint import read_weights, save_checkpoint

__all__ = ["save_ensemble"]

_SHARED = ("dims", "roles", "optional_roles", "regions", "preprocessing", "thresholds")
"""What the cards of the members must agree in: what goes into the networks and what comes out."""


def save_ensemble(
    folder: Path, models: Sequence[ModelInfo], title: str, *, metrics: Sequence[Metrics] = (), notes: Sequence[str] = ()
) -> ModelInfo:
    """Write a checkpoint folder whose model is the mean of the probabilities of several models.

    It is listed, segments, and is exported like any other. Architectures may differ; members of one that is given
    become members themselves.

    Parameters
    ----------
    folder : Path
        Where to; its name is the model's. Replaced if it exists.
    models : sequence of ModelInfo
        Two or more that take the same roles, prepared the same way, and tell the same regions.
    title : str
        For people.
    metrics : sequence of Metrics
        Of the ensemble.
    notes : sequence of str
        Beside those of the members.

    Raises
    ------
    CheckpointError
        If there are fewer than two, they do not fit together, or the weights of one cannot be read.
    """
    if len(models) < 2:
        msg = f"An ensemble needs two models or more; {len(models)} was given. Name the others too."
        raise CheckpointError(msg)
    first, *others = models
    for other in others:
        _check_alike(first, other)
    members = [member for model in models for member in _members(model)]
    weights: dict[str, torch.Tensor] = {}
    for model in models:
        weights |= _renumbered(read_weights(model), model, _highest(weights) + 1)
    licences = dict.fromkeys(model.card.licence for model in models)
    card = first.card.model_copy(
        update={
            "name": folder.name,
            "title": title,
            "architecture": "ensemble",
            "arguments": {},
            "calibration": {},
            "members": members,
            "parameters": sum(model.card.parameters for model in models),
            "training": first.card.training if first.card.training == others[-1].card.training else None,
            "metrics": list(metrics),
            "notes": list(dict.fromkeys([*(note for model in models for note in model.card.notes), *notes])),
            "licence": "; ".join(licences),
            "created": datetime.now(UTC),
        }
    )
    # Members are stored as they were: what is float16 stays so, and nothing that is not loses digits.
    return save_checkpoint(folder, weights, card, half=False)


def _members(model: ModelInfo) -> list[Member]:
    card = model.card
    if card.members:
        return card.members
    kept = {name: getattr(card, name) for name in Member.model_fields if name != "name"}
    return [Member(name=model.name, **kept)]


def _renumbered(tensors: dict[str, torch.Tensor], model: ModelInfo, first: int) -> dict[str, torch.Tensor]:
    """Tensors under the names that `Ensemble` gives them, if its members are numbered from `first`."""
    if not model.card.members:
        return {f"members.{first}.{name}": tensor for name, tensor in tensors.items()}
    renamed = {}
    for name, tensor in tensors.items():
        _, number, rest = name.split(".", 2)
        renamed[f"members.{first + int(number)}.{rest}"] = tensor
    return renamed


def _highest(weights: dict[str, torch.Tensor]) -> int:
    return max((int(name.split(".", 2)[1]) for name in weights), default=-1)


def _check_alike(one: ModelInfo, two: ModelInfo) -> None:
    different = [entry for entry in _SHARED if getattr(one.card, entry) != getattr(two.card, entry)]
    if different:
        told = "; ".join(f"{entry}: {_told(one.card, entry)} and {_told(two.card, entry)}" for entry in different)
        msg = (
            f"{one.name} and {two.name} cannot be members of one ensemble: they differ in {told}. Choose models that "
            "take the same input and tell the same regions."
        )
        raise CheckpointError(msg)


def _told(card: Card, entry: str) -> str:
    value = getattr(card, entry)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
