"""U2-Net and U2-NetP (Qin et al. 2020, doi:10.1016/j.patcog.2020.107404, arXiv:2005.09007), in 2D and 3D."""

from typing import NamedTuple

import torch
from torch import nn

from napari_brain_tumor.models.blocks import Dims, convolution, max_pooling, normed_convolution, resized


class _Stage(NamedTuple):
    """One residual U-block: its height, its inner and output features (for width 64), and whether it is dilated."""

    height: int
    middle: int
    outputs: int
    dilated: bool = False


_FLAT, _FLAT_SMALL = _Stage(4, 256, 512, dilated=True), _Stage(4, 16, 64, dilated=True)
_FULL = (
    (_Stage(7, 32, 64), _Stage(6, 32, 128), _Stage(5, 64, 256), _Stage(4, 128, 512), _FLAT, _FLAT),
    (_FLAT, _Stage(4, 128, 256), _Stage(5, 64, 128), _Stage(6, 32, 64), _Stage(7, 16, 64)),
)
_SMALL = (
    (_Stage(7, 16, 64), _Stage(6, 16, 64), _Stage(5, 16, 64), _Stage(4, 16, 64), _FLAT_SMALL, _FLAT_SMALL),
    (_FLAT_SMALL, _Stage(4, 16, 64), _Stage(5, 16, 64), _Stage(6, 16, 64), _Stage(7, 16, 64)),
)
"""Encoder and decoder stages, each starting from the input."""


class _ResidualU(nn.Module):
    """RSU block: a small U-Net whose output is added to the convolution of its input.

    A pooling block halves the sides between its convolutions (rounding up); a dilated one (RSU-4F) increases the
    dilation instead.
    """

    def __init__(self, dims: Dims, stage: _Stage, inputs: int, middle: int, outputs: int) -> None:
        super().__init__()
        dilations = [2**i if stage.dilated else 1 for i in range(stage.height - 1)]
        deepest = 2 ** (stage.height - 1) if stage.dilated else 2
        before = [outputs, *[middle] * (stage.height - 2)]
        after = [*[middle] * (stage.height - 2), outputs]
        self.pool = nn.Identity() if stage.dilated else max_pooling(dims, ceil=True)
        self.entry = normed_convolution(dims, inputs, outputs, bias=True)
        self.encoder = nn.ModuleList(
            normed_convolution(dims, features, middle, dilation=dilation, bias=True)
            for features, dilation in zip(before, dilations, strict=True)
        )
        self.bottom = normed_convolution(dims, middle, middle, dilation=deepest, bias=True)
        self.decoder = nn.ModuleList(
            normed_convolution(dims, 2 * middle, features, dilation=dilation, bias=True)
            for features, dilation in zip(after, reversed(dilations), strict=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features `(N, outputs, *sides)` for `(N, inputs, *sides)`, for any sides."""
        entry: torch.Tensor = self.entry(x)
        x = entry
        skips: list[torch.Tensor] = []
        for block in self.encoder:
            x = block(self.pool(x) if skips else x)
            skips.append(x)
        x = self.bottom(x)
        for block in self.decoder:
            skip = skips.pop()
            x = block(torch.cat([resized(x, skip.shape[2:]), skip], dim=1))
        return x + entry


class U2Net(nn.Module):
    """U2-Net: a U of U-shaped blocks, with six side outputs and their fusion.

    Differences from the paper and its code: the outputs are logits, without sigmoid; outputs are not rescaled to their
    own minimum and maximum, so an empty image stays empty; a 3D version (trilinear instead of bilinear). Sides are
    halved rounding up and upsampled to the size of the skip, so any size is accepted without padding; training requires
    sides of at least 33, so that the lowest map has more than one pixel for its batch norm.

    The 798 tensors of the state dict have the order and shapes of the authors' `state_dict()`; only the names differ.

    Parameters
    ----------
    in_channels : int
        Number of input channels.
    out_channels : int
        Number of output maps (logits).
    dims : {2, 3}
        Number of spatial dimensions of the images.
    width : int
        Features of the first stage; 64 in the paper. All others scale in proportion.
    """

    stages = _FULL

    def __init__(self, in_channels: int, out_channels: int, *, dims: Dims = 2, width: int = 64) -> None:
        super().__init__()
        encoder, decoder = self.stages
        down = [_scaled(stage.outputs, width) for stage in encoder]
        up = [_scaled(stage.outputs, width) for stage in decoder]
        below = [down[-1], *up[:-1]]
        joined = [deep + skip for deep, skip in zip(below, down[-2::-1], strict=True)]
        self.side_weights = (1.0,) * 7
        # Such sides are divisible by five halvings. Others work as well, but when exported with variable sides, maps
        # would be resized by factors that are not known in advance.
        self.multiple = 32
        self.pool = max_pooling(dims, ceil=True)
        self.encoder = _blocks(dims, encoder, [in_channels, *down[:-1]], width)
        self.decoder = _blocks(dims, decoder, joined, width)
        features = [*reversed(up), down[-1]]
        self.sides = nn.ModuleList(convolution(dims, inputs, out_channels) for inputs in features)
        self.fusion = convolution(dims, len(features) * out_channels, out_channels, size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, out_channels, [Z,] Y, X)` for images `(N, in_channels, [Z,] Y, X)` of any size."""
        return self.forward_with_sides(x)[0]

    def forward_with_sides(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return seven logits `(N, out_channels, [Z,] Y, X)`: the fusion, then the sides from finest to coarsest."""
        sides = x.shape[2:]
        skips: list[torch.Tensor] = []
        for block in self.encoder:
            x = block(self.pool(x) if skips else x)
            skips.append(x)
        maps = [skips.pop()]
        for block in self.decoder:
            skip = skips.pop()
            maps.append(block(torch.cat([resized(maps[-1], skip.shape[2:]), skip], dim=1)))
        side_logits = [resized(side(x), sides) for side, x in zip(self.sides, reversed(maps), strict=True)]
        return [self.fusion(torch.cat(side_logits, dim=1)), *side_logits]


class U2NetP(U2Net):
    """U2-NetP: the small U2-Net, with 64 output and 16 inner features in every stage; otherwise like `U2Net`."""

    stages = _SMALL


def _blocks(dims: Dims, stages: tuple[_Stage, ...], inputs: list[int], width: int) -> nn.ModuleList:
    return nn.ModuleList(
        _ResidualU(dims, stage, before, _scaled(stage.middle, width), _scaled(stage.outputs, width))
        for stage, before in zip(stages, inputs, strict=True)
    )


def _scaled(features: int, width: int) -> int:
    return max(1, features * width // 64)
