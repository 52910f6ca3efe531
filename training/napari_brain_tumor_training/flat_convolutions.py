"""Work around an error in torch's 3D convolutions in bfloat16 on the CPU.

If the input is two voxels deep, the gradient of a 3x3x3 kernel contains uninitialised memory (torch 2.13 with oneDNN;
other depths and 2D are correct). The deepest level of a 3D network is often that flat. There the convolution is
computed in float32, at a negligible cost for that size.
"""

from typing import Final

import torch
from torch import nn

_FLAT: Final = 2
"""Depth up to which a volume counts as flat."""


class _ExactWhenFlat(nn.Conv3d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features `(N, C, Z, Y, X)`."""
        if x.shape[2] > _FLAT:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def with_exact_flat_convolutions(network: nn.Module) -> nn.Module:
    """Let a network's 3D convolutions leave autocast for flat inputs; modifies and returns it, keeping its state."""
    for module in network.modules():
        if type(module) is nn.Conv3d:
            module.__class__ = _ExactWhenFlat
    return network
