"""Slice networks that also receive the slices adjacent to the one they segment.

Such a network takes `(N, (2 n + 1) C, Y, X)`: for each slice from the n-th below to the n-th above, all C roles in
turn. Beyond the ends of the volume, the images are zero.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import nn

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models.configurations import NEIGHBOURS

__all__ = ["NEIGHBOURS"]

_MOST: Final = 8


def checked_neighbours(arguments: Mapping[str, Any], dims: int) -> int:
    """Return the number of neighbouring slices on each side from the arguments of a network.

    Raises
    ------
    CheckpointError
        If it is not a number from 0 to 8, or the network is one for volumes.
    """
    neighbours = arguments.get(NEIGHBOURS, 0)
    if type(neighbours) is not int or not 0 <= neighbours <= _MOST or (neighbours and dims == 3):
        raise CheckpointError(
            f"{NEIGHBOURS} = {neighbours!r} with dims = {dims}: a network for slices takes 0 to {_MOST}, "
            "one for volumes none."
        )
    return neighbours


def stacked_channels(roles: int, neighbours: int) -> int:
    """Return the number of input channels for a number of roles and of neighbouring slices on each side."""
    return roles * (2 * neighbours + 1)


def with_neighbours(network: nn.Module, neighbours: int) -> nn.Module:
    """Mark a network as using that many neighbouring slices on each side, and return it."""
    # Neither a parameter nor a buffer, but a plain attribute, which is not part of the state dict.
    network.neighbours = neighbours  # type: ignore[assignment]
    return network


def neighbours_of(network: nn.Module) -> int:
    """Return the number of neighbouring slices on each side that a network uses."""
    return int(getattr(network, NEIGHBOURS, 0))


def stacked_slices(slices: torch.Tensor, places: Sequence[int], neighbours: int) -> torch.Tensor:
    """Stack each slice with its neighbours as input channels for a network.

    Parameters
    ----------
    slices : (Z, C, Y, X) tensor
        All slices of a volume.
    places : sequence of int
        Indices of the slices to be segmented.
    neighbours : int
        Number of neighbouring slices on each side.

    Returns
    -------
    (len(places), (2 neighbours + 1) C, Y, X) tensor
    """
    middle = torch.as_tensor(places)
    if not neighbours:
        return slices[middle]
    count, channels, *sides = slices.shape
    stacked = slices.new_zeros((len(middle), 2 * neighbours + 1, channels, *sides))
    for place, offset in enumerate(range(-neighbours, neighbours + 1)):
        beside = middle + offset
        present = (beside >= 0) & (beside < count)
        stacked[present, place] = slices[beside[present]]
    return stacked.flatten(1, 2)
