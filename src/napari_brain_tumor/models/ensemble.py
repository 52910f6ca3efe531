"""Combine several checkpoints into one model, which predicts the mean of their probabilities."""

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
"""Entries that the members' cards must agree on: they define the networks' inputs and outputs."""


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

    It is listed, used and exported like any other model. Architectures may differ; if a given model is itself an
    ensemble, its members become members of the new one. Combined with volume networks, slice networks are applied slice
    by slice.

    Parameters
    ----------
    folder : Path
        Target folder, whose name is the model's. Replaced if it exists.
    models : sequence of ModelInfo
        Two or more models with the same roles, preprocessing and regions.
    title : str
        Name displayed to users.
    shares : sequence of dict of str to float, optional
        For each model, its weight in the mean of a region relative to the others; 1 if not given.
    by_reference : bool
        Whether to store only a reference to the weights of bundled models; for ensembles that are bundled themselves.
    cascade : bool
        Whether, for slices up to 1.25 mm apart, the models after the first are run only on every second of the slices
        in which the first predicts something: nearly the same labels in a fraction of the time. Slice models only.
    metrics : sequence of Metrics
        Results of the ensemble.
    notes : sequence of str
        Notes in addition to those of the members.

    Raises
    ------
    CheckpointError
        If there are fewer than two models, they are incompatible, no member has a weight for some region, the weights
        of one cannot be read, or a cascade contains a volume network.
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
            # Calibrations and rules fitted to one model's probabilities do not apply to the mean of several.
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
    # Members are stored unchanged: float16 stays float16, and other types lose no precision.
    return save_checkpoint(folder, weights, card, half=False)


def _members(model: ModelInfo, dims: int, share: Mapping[Region, float], by_reference: bool) -> list[Member]:
    """Return the member entries for a model (or for its own members) in an ensemble with these dimensions."""
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
    """Return the tensors to store, under the names used in `Ensemble` if the model's members begin at index `first`."""
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
    """Return a card's entry, without slice spacing if dimensions differ, as it is irrelevant to slice networks."""
    value = getattr(model.card, entry)
    if entry == "preprocessing" and model.card.dims != other.card.dims:
        return value.model_copy(update={"slice_spacing_mm": None})
    return value


def _described(card: Card, entry: str) -> str:
    value = getattr(card, entry)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
