"""Side outputs: what a network says on the way to its final map, for deep supervision.

One contract for every network. `network(x)` gives the final logits `(N, out_channels, [Z,] Y, X)`, in training as in
evaluation. A network with side outputs also has `forward_with_sides(x)`: a list of logits, the final ones first, all of
the size of the input, so that one target serves them all; and `side_weights`, the weight of the loss of each. What
`forward` does not need for the final map it does not compute, and exporting a network exports `forward` alone.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import nn


@runtime_checkable
class HasSides(Protocol):
    """A network with side outputs."""

    side_weights: tuple[float, ...]
    """Of the loss of each output, in the order of `forward_with_sides`."""

    def forward_with_sides(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Logits `(N, out_channels, [Z,] Y, X)` of the input's size; the final ones first."""
        ...


def supervised_outputs(network: nn.Module, x: torch.Tensor) -> list[tuple[float, torch.Tensor]]:
    """Every output to be trained, with the weight of its loss: `sum(w * loss(y, target) for w, y in ...)`.

    Parameters
    ----------
    network : nn.Module
        With or without side outputs.
    x : (N, C, [Z,] Y, X) tensor

    Returns
    -------
    list of (float, (N, out_channels, [Z,] Y, X) tensor)
        The final logits first; they alone, with weight 1, for a network without side outputs.
    """
    if isinstance(network, HasSides):
        return list(zip(network.side_weights, network.forward_with_sides(x), strict=True))
    return [(1.0, network(x))]
