"""Networks that wrap other networks: calibrated logits, and the mean of several networks' probabilities.

Both follow the interface of every network, from images `(N, C, [Z,] Y, X)` to logits `(N, R, [Z,] Y, X)`, so that
inference engine and export need no special treatment of them.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models.blocks import context_of
from napari_brain_tumor.models.neighbours import neighbours_of, stacked_slices, with_neighbours

_SLICES_AT_ONCE = 8


class Calibrated(nn.Module):
    """A network whose logits are divided by a temperature for each region.

    Labels at a threshold of 0.5 do not change; probabilities become calibrated to the validation cases.

    Parameters
    ----------
    network : nn.Module
        Returns logits `(N, R, [Z,] Y, X)`.
    temperatures : sequence of float
        One for each of the R regions.
    """

    temperatures: torch.Tensor

    def __init__(self, network: nn.Module, temperatures: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.multiple = getattr(network, "multiple", None)
        self.context = context_of(network)
        with_neighbours(self, neighbours_of(network))
        self.register_buffer("temperatures", torch.tensor(temperatures, dtype=torch.float32), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, R, [Z,] Y, X)` for images `(N, C, [Z,] Y, X)`."""
        logits: torch.Tensor = self.network(x)
        return logits / self.temperatures.to(logits.dtype).reshape(-1, *[1] * (logits.ndim - 2))


class SliceBySlice(nn.Module):
    """Makes a slice network a volume network, by applying it to each slice of a volume with its neighbours.

    Parameters
    ----------
    network : nn.Module
        Returns logits `(N, R, Y, X)`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.multiple = getattr(network, "multiple", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, R, Z, Y, X)` for volumes `(N, C, Z, Y, X)`."""
        return torch.stack([self._volume(volume.transpose(0, 1)) for volume in x]).transpose(1, 2)

    def _volume(self, slices: torch.Tensor) -> torch.Tensor:
        """Return logits `(Z, R, Y, X)` for the slices `(Z, C, Y, X)` of a volume."""
        neighbours, depth = neighbours_of(self.network), len(slices)
        starts = range(0, depth, _SLICES_AT_ONCE)
        batches = (
            stacked_slices(slices, range(start, min(start + _SLICES_AT_ONCE, depth)), neighbours) for start in starts
        )
        return torch.cat([self.network(some) for some in batches])


class Ensemble(nn.Module):
    """Several networks as one, which predicts the mean of their probabilities.

    Parameters
    ----------
    members : sequence of nn.Module
        Networks that return logits of the same regions from the same roles.
    shares : sequence of sequence of float, optional
        Weight of each member in the mean of each region, relative to the others; equal if not given.
    cascade : bool
        Whether an engine may run the members after the first only where the first predicts something; if called
        directly, the network always returns the mean of all members.
    """

    log_shares: torch.Tensor

    def __init__(
        self,
        members: Sequence[nn.Module],
        shares: Sequence[Sequence[float]] | None = None,
        *,
        cascade: bool = False,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.cascade = cascade
        multiples = [getattr(member, "multiple", None) for member in members]
        known = [multiple for multiple in multiples if isinstance(multiple, int)]
        self.multiple = math.lcm(*known) if len(known) == len(multiples) else None
        """Sides of the input that no member needs to pad, if all members state theirs."""
        neighbours = {neighbours_of(member) for member in members}
        if len(neighbours) > 1:
            raise CheckpointError(
                f"The members see {sorted(neighbours)} neighbouring slices; those of an ensemble for slices must "
                "see as many."
            )
        with_neighbours(self, neighbours.pop())
        weights = torch.tensor(shares if shares is not None else [[1.0]] * len(members), dtype=torch.float32)
        self.register_buffer("log_shares", (weights / weights.sum(0)).log(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, R, [Z,] Y, X)` of the mean probability, for images `(N, C, [Z,] Y, X)`."""
        # Computed in logarithms to keep precision near 0 and 1 and in half precision: log p - log(1 - p) of the mean p.
        logits = torch.stack([member(x).float() for member in self.members])
        shares = self.log_shares.float().reshape(len(self.members), 1, -1, *[1] * (logits.ndim - 3))
        yes = (functional.logsigmoid(logits) + shares).logsumexp(0)
        return yes - (functional.logsigmoid(-logits) + shares).logsumexp(0)
