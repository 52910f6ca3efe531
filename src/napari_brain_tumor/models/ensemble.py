"""Several checkpoints as one model, whose probabilities are the mean of theirs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.labels import Region
from napari_brain_tumor.models.card_parts import Member, Metrics
from napari_brain_tumor.models.cards import Card, ModelInfo
from napari_brain_tumor.models.checkpoint import read_weights, save_checkpoint

_KEPT = ("architecture", "arguments", "calibration", "training", "metrics", "weights_sha256")
_SHARED = ("roles", "optional_roles", "regions", "preprocessing", "thresholds")
"""What the cards of the members must agree in: what goes into the networks and what comes out."""


def save_ensemble(
    folder: Path,
    models: Sequence[ModelInfo],
    title: str,
    *,
    shares: Sequence[Mapping[Region, float]] | None = None,
    by_reference: bool = False,
    cascade: bool = False,
    metrics: Sequence[Metrics] = (),
    notes: Sequence[str] = (),
) -> ModelInfo:
    """Write a checkpoint folder whose model is the mean of the probabilities of several models.

    It is listed, segments, and is exported like any other. Architectures may differ; members of one that is given
    become members themselves. Beside networks for volumes, those for slices see the slices of the volume.

    Parameters
    ----------
    folder : Path
        Where to; its name is the model's. Replaced if it exists.
    models : sequence of ModelInfo
        Two or more that take the same roles, prepared the same way, and predict the same regions.
    title : str
        For people.
    shares : sequence of dict of str to float, optional
        For each model its part in the mean of a region, relative to the others'; 1 where none is given.
    by_reference : bool
        Store no weights of members that ship with the package, only where they are: for an ensemble that ships itself.
    cascade : bool
        Of slices up to 1.25 mm apart, compute the models after the first only on those where the first sees something,
        and every second of these: nearly the same labels in a fraction of the time. For models of slices only.
    metrics : sequence of Metrics
        Of the ensemble.
    notes : sequence of str
        Beside those of the members.

    Raises
    ------
    CheckpointError
        If there are fewer than two, they do not fit together, no member has a share of some region, the weights of one
        cannot be read, or a cascade has a network for volumes.
    """
    if len(models) < 2:
        raise CheckpointError(f"An ensemble needs two models or more; {len(models)} was given. Name the others too.")
    dims = max(model.card.dims for model in models)
    first = next(model for model in models if model.card.dims == dims)
    for other in models:
        _check_alike(first, other)
    if cascade and dims != 2:
        msg = "A cascade is made of networks for slices; one of these is for volumes. Leave cascade out."
        raise CheckpointError(msg)
    shares_by_model = shares or [{} for _ in models]
    by_model = [
        _members(model, dims, share, by_reference) for model, share in zip(models, shares_by_model, strict=True)
    ]
    members = [member for some in by_model for member in some]
    _check_shares(first, members)
    weights: dict[str, torch.Tensor] = {}
    for place, model in enumerate(models):
        weights |= _renumbered(model, by_model[place], sum(map(len, by_model[:place])))
    limits = [model.card.thickest_slices_mm for model in models if model.card.thickest_slices_mm is not None]
    card = first.card.model_copy(
        update={
            "name": folder.name,
            "title": title,
            "architecture": "ensemble",
            "arguments": {},
            # What was found with the probabilities of one model does not hold for the mean of several.
            "calibration": {},
            "precisions": {},
            "min_sure_enhancing": 0.0,
            "min_sure_tumor": 0.0,
            "members": members,
            "cascade": cascade,
            "parameters": sum(model.card.parameters for model in models),
            "training": first.card.training if all(m.card.training == first.card.training for m in models) else None,
            "thickest_slices_mm": min(limits, default=None),
            "brain_only": any(model.card.brain_only for model in models),
            "min_extent_mm": max(model.card.min_extent_mm for model in models),
            "metrics": list(metrics),
            "notes": list(dict.fromkeys([*(note for model in models for note in model.card.notes), *notes])),
            "licence": "; ".join(dict.fromkeys(model.card.licence for model in models)),
            "created": datetime.now(UTC),
        }
    )
    # Members are stored as they were: what is float16 stays so, and nothing that is not loses digits.
    return save_checkpoint(folder, weights, card, half=False)


def _members(model: ModelInfo, dims: int, share: Mapping[Region, float], by_reference: bool) -> list[Member]:
    """What an ensemble of such dims says of a model, or of the members of an ensemble."""
    card = model.card
    members = card.members or [_member(model, shipped=model.name if by_reference and model.bundled else "")]
    sliced = 2 if card.dims < dims else None
    parts = [
        {region: member.shares.get(region, 1.0) * share.get(region, 1.0) for region in card.regions}
        for member in members
    ]
    return [
        member.model_copy(update={"dims": member.dims or sliced, "shares": {} if set(part.values()) == {1.0} else part})
        for member, part in zip(members, parts, strict=True)
    ]


def _member(model: ModelInfo, *, shipped: str) -> Member:
    entries = {name: getattr(model.card, name) for name in _KEPT}
    return Member(name=model.name, shipped=shipped, **entries)


def _renumbered(model: ModelInfo, members: Sequence[Member], first: int) -> dict[str, torch.Tensor]:
    """The tensors to store, under the names that `Ensemble` gives them if the model's members begin with `first`."""
    tensors = {} if all(member.shipped for member in members) else read_weights(model)
    renamed = {}
    for name, tensor in tensors.items():
        number, rest = (int(name.split(".", 2)[1]), name.split(".", 2)[2]) if model.card.members else (0, name)
        inner = "network." if members[number].dims == 2 and model.card.dims == 2 else ""
        if not members[number].shipped:
            renamed[f"members.{first + number}.{inner}{rest}"] = tensor
    return renamed


def _check_shares(model: ModelInfo, members: Sequence[Member]) -> None:
    for region in model.regions:
        shares = [member.shares.get(region, 1.0) for member in members]
        if min(shares) < 0 or sum(shares) <= 0:
            raise CheckpointError(
                f"The shares of {region} are {', '.join(f'{share:g}' for share in shares)}. Give none below 0, and one "
                "member at least a share of each region."
            )


def _check_alike(first: ModelInfo, second: ModelInfo) -> None:
    different = [entry for entry in _SHARED if _compared(first, second, entry) != _compared(second, first, entry)]
    if different:
        differences = "; ".join(
            f"{entry}: {_described(first.card, entry)} and {_described(second.card, entry)}" for entry in different
        )
        raise CheckpointError(
            f"{first.name} and {second.name} cannot be members of one ensemble: they differ in {differences}. "
            "Choose models that "
            "take the same input and predict the same regions."
        )


def _compared(model: ModelInfo, other: ModelInfo, entry: str) -> Any:
    """What the card says, but for the distance between slices, of which a network for slices knows nothing."""
    value = getattr(model.card, entry)
    if entry == "preprocessing" and model.card.dims != other.card.dims:
        return value.model_copy(update={"slice_spacing_mm": None})
    return value


def _described(card: Card, entry: str) -> str:
    value = getattr(card, entry)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
