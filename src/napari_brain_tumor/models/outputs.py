"""Side outputs: predictions from intermediate layers of a network, for deep supervision.

All networks share one interface. `network(x)` returns the final logits `(N, out_channels, [Z,] Y, X)`, in training and
in evaluation. A network with side outputs also has `forward_with_sides(x)`, which returns a list of logits, the final
ones first, all of the size of the input so that they share one target; and `side_weights`, the weight of each loss.
`forward` computes only what the final map needs, and exporting a network exports only `forward`.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import nn


@runtime_checkable
class HasSides(Protocol):
    """A network with side outputs."""

    side_weights: tuple[float, ...]
    """Weight of the loss of each output, in the order of `forward_with_sides`."""

    def forward_with_sides(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return logits `(N, out_channels, [Z,] Y, X)` of the input's size; the final ones first."""
        ...


def supervised_outputs(network: nn.Module, x: torch.Tensor) -> list[tuple[float, torch.Tensor]]:
    """Return every output to train with the weight of its loss: `sum(w * loss(y, target) for w, y in ...)`.

    Parameters
    ----------
    network : nn.Module
        Network with or without side outputs.
    x : (N, C, [Z,] Y, X) tensor

    Returns
    -------
    list of (float, (N, out_channels, [Z,] Y, X) tensor)
        The final logits first; for a network without side outputs, only these, with weight 1.
    """
    if isinstance(network, HasSides):
        return list(zip(network.side_weights, network.forward_with_sides(x), strict=True))
    return [(1.0, network(x))]
