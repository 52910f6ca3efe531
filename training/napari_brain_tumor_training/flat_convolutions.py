"""Work around a fault of torch's 3D convolutions in bfloat16 on the CPU.

Where the input is two voxels deep, the gradient of a 3x3x3 kernel holds what was in memory before (torch 2.13 with
oneDNN; other depths and 2D are right). The deepest level of a 3D network often is that flat. There the convolution is
computed in float32, which costs nothing to speak of at that size.
"""

from typing import Final

import torch
from torch import nn

_FLAT: Final = 2
"""Depth up to which a volume is too flat."""


class _ExactWhenFlat(nn.Conv3d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features `(N, C, Z, Y, X)`."""
        if x.shape[2] > _FLAT:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def with_exact_flat_convolutions(network: nn.Module) -> nn.Module:
    """The network itself, whose 3D convolutions leave autocast where their input is flat; its state stays the same."""
    for module in network.modules():
        if type(module) is nn.Conv3d:
            module.__class__ = _ExactWhenFlat
    return network
