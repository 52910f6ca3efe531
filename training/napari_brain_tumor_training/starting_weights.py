"""Initial weights of a network: random, or from a checkpoint whose sequences and regions may differ."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from torch import nn

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.models.cards import ModelInfo, find_model
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.models.neighbours import NEIGHBOURS
from napari_brain_tumor.models.registry import build_network
from napari_brain_tumor_training.config import ModelConfig, TrainConfig

_ENCODERS: Final[dict[str, tuple[str, ...]]] = {
    "unet": ("encoder",),
    "unet3d_cicek": ("encoder",),
    "residual_unet": ("stem", "encoder"),
    "u2net": ("encoder",),
    "u2netp": ("encoder",),
    "resunet_plus_plus": ("encoder",),
    "resunet_a": ("body.first", "body.encoder", "body.down"),
    "resunet_a_multitask": ("body.first", "body.encoder", "body.down"),
}
"""Modules of each architecture that form its contracting path."""

_ADDITIONS: Final[dict[str, str]] = {"residual_unet": "detail"}
"""For an architecture, the argument that adds a part that the starting weights may lack."""


def network_for(config: TrainConfig) -> nn.Module:
    """Build the network of a recipe, with random weights or those of `init`; frozen parts require no gradient.

    Raises
    ------
    TrainingError
        If the checkpoint's network differs in kind, or shares no sequence or region with the recipe.
    """
    network = _fresh(config.model, len(config.roles), len(REGIONS))
    if config.model.init is not None:
        _begin_with(network, find_model(config.model.init), config)
    for part in frozen_parts(network, config.model):
        part.requires_grad_(False)
    return network


def frozen_parts(network: nn.Module, model: ModelConfig) -> list[nn.Module]:
    """Return the parts of the network that keep their starting weights: the contracting path, or none."""
    return [network.get_submodule(name) for name in _ENCODERS[model.architecture]] if model.freeze_encoder else []


def _begin_with(network: nn.Module, model: ModelInfo, config: TrainConfig) -> None:
    card, own = model.card, config.model
    kind_of_model = (card.architecture, card.arguments, card.dims)
    kind_of_recipe = (own.architecture, own.arguments, own.dims)
    added = _ADDITIONS.get(own.architecture)
    optional = {added, NEIGHBOURS} - set(card.arguments)
    without = {name: value for name, value in own.arguments.items() if name not in optional}
    if kind_of_model != (own.architecture, without, own.dims):
        raise TrainingError(
            f"{model.name} is {kind_of_model}; the recipe is for {kind_of_recipe}. A run can begin with weights of "
            "its own kind only."
        )
    shared: tuple[tuple[str, Sequence[str], Sequence[str]], ...] = (
        ("role", card.roles, config.roles),
        ("region", card.regions, list(REGIONS)),
    )
    for what, model_names, recipe_names in shared:
        if not set(model_names) & set(recipe_names):
            raise TrainingError(
                f"{model.name} has the {what}s {', '.join(model_names)}, the recipe {', '.join(recipe_names)}: no "
                f"{what} is in "
                "both, so nothing of it would help. Start without init, or from another model."
            )
    model_weights = load_network(model, calibrated=False).state_dict()
    if own.neighbours and NEIGHBOURS not in card.arguments:
        model_weights = _seeing_neighbours(model_weights, own, len(card.roles), len(card.regions))
    sizes = len(card.roles), len(card.regions)
    roles, regions = _matches(card.roles, config.roles), _matches(card.regions, list(REGIONS))
    growth, fresh_ones = _growth(own), {name: tensor.clone() for name, tensor in network.state_dict().items()}
    new_weights = {
        name: _moved(model_weights[name], fresh, growth[name], sizes, (roles, regions))
        if name in model_weights
        else fresh
        for name, fresh in network.state_dict().items()
    }
    # Earlier versions stored running variances beyond the float16 range as infinite; training never repairs these.
    network.load_state_dict(
        {name: torch.where(torch.isfinite(tensor), tensor, fresh_ones[name]) for name, tensor in new_weights.items()}
    )


def _seeing_neighbours(
    weights: Mapping[str, torch.Tensor], model: ModelConfig, roles: int, regions: int
) -> dict[str, torch.Tensor]:
    """Expand weights for single slices to a network with neighbours, whose output is the same at first."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in _fresh(model, roles, regions).state_dict().items()}
    wide = {}
    for name, tensor in weights.items():
        wide[name] = tensor
        if tensor.shape != shapes[name]:
            first = model.neighbours * roles
            wide[name] = tensor.new_zeros(shapes[name])
            wide[name][:, first : first + roles] = tensor
    return wide


def _fresh(model: ModelConfig, roles: int, regions: int) -> nn.Module:
    return build_network(model.architecture, roles, regions, model.dims, model.arguments)


def _matches(model_names: Sequence[str], recipe_names: Sequence[str]) -> list[int | None]:
    """Return for each of the recipe's names its index among the model's names; None if the model lacks it."""
    return [model_names.index(name) if name in model_names else None for name in recipe_names]


def _growth(model: ModelConfig) -> dict[str, list[tuple[int, int]]]:
    """Return by how much each axis of each tensor grows with one more sequence, and with one more region."""
    with torch.device("meta"):
        shapes = [
            {name: t.shape for name, t in _fresh(model, *sizes).state_dict().items()}
            for sizes in ((4, 4), (5, 4), (4, 5))
        ]
    return {
        name: [
            (wide - side, tall - side) for side, wide, tall in zip(shape, *(s[name] for s in shapes[1:]), strict=True)
        ]
        for name, shape in shapes[0].items()
    }


def _moved(
    source: torch.Tensor,
    fresh: torch.Tensor,
    growth: Sequence[tuple[int, int]],
    sizes: tuple[int, int],
    matches: tuple[Sequence[int | None], Sequence[int | None]],
) -> torch.Tensor:
    """Return `fresh` with the source's values in the places of the sequences and regions that both have.

    A sequence that the source lacks gets weight 0, so that its images have no effect at first; a region that it lacks
    keeps its fresh weights.
    """
    result = fresh.clone()
    own_channels, other_channels = [], []
    for axis, by_kind in enumerate(growth):
        kind = 0 if by_kind[0] else 1
        if all(by_kind):
            pairs = _maps_then_images(sizes, matches)
        else:
            pairs = _pairs(source.shape[axis], by_kind[kind], sizes[kind], matches[kind])
        if by_kind[0]:
            missing = [own for own, other in pairs if other is None]
            result.index_fill_(axis, torch.tensor(missing, dtype=torch.long), 0)
        own_channels.append([own for own, other in pairs if other is not None])
        other_channels.append([other for _, other in pairs if other is not None])
    result[_grid(own_channels)] = source[_grid(other_channels)]
    return result


def _pairs(side: int, blocks: int, size: int, matches: Sequence[int | None]) -> list[tuple[int, int | None]]:
    """Pair our indices along an axis with theirs: other features first, then blocks of one map per role or region."""
    before = side - blocks * size
    pairs: list[tuple[int, int | None]] = [(place, place) for place in range(before)]
    for block in range(blocks):
        for own, other in enumerate(matches):
            channel = None if other is None else before + block * size + other
            pairs.append((before + block * len(matches) + own, channel))
    return pairs


def _maps_then_images(
    sizes: tuple[int, int], matches: tuple[Sequence[int | None], Sequence[int | None]]
) -> list[tuple[int, int | None]]:
    """Pair indices along an axis that has one entry per region, followed by one per sequence."""
    roles, regions = matches
    maps: list[tuple[int, int | None]] = list(enumerate(regions))
    images = [(len(regions) + own, None if other is None else sizes[1] + other) for own, other in enumerate(roles)]
    return maps + images


def _grid(places: Sequence[Sequence[int]]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(index) for index in np.ix_(*(np.array(p, dtype=np.intp) for p in places)))
