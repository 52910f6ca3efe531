"""A residual-encoder U-Net with deep supervision, after nnU-Net, in 3D and 2D.

The encoder and the sizes follow Isensee et al. 2024 (nnU-Net revisited, arXiv:2404.09556); batch norm, which the
winners of BraTS 2020 chose (arXiv:2011.00848), folds into the convolutions at inference.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from napari_brain_tumor.models.blocks import (
    Dims,
    Norm,
    convolution,
    folded,
    normed_convolution,
    padded_to,
    resized,
    unfolded,
    up_convolution,
)


class _Halving(nn.Module):
    """Means of 2x2(x2) voxels, by interpolation: average pooling in 3D has no bfloat16 on the CPU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features `(N, C, *sides / 2)`, odd sides rounded up as by the convolutions beside it."""
        return resized(x, [(side + 1) // 2 for side in x.shape[2:]])


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, added, then rectified; sides are averaged where the stride is 2."""

    def __init__(self, dims: Dims, inputs: int, outputs: int, *, stride: int, norm: Norm) -> None:
        super().__init__()
        bias = norm is None
        self.body = nn.Sequential(
            *normed_convolution(dims, inputs, outputs, stride=stride, norm=norm, bias=bias),
            *normed_convolution(dims, outputs, outputs, norm=norm, bias=bias, activation=False),
        )
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(_Halving())
        if inputs != outputs:
            self.shortcut.extend(normed_convolution(dims, inputs, outputs, 1, norm=norm, bias=bias, activation=False))
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features `(N, outputs, *sides / stride)`."""
        rectified: torch.Tensor = self.activation(self.body(x) + self.shortcut(x))
        return rectified


class ResidualUNet(nn.Module):
    """Residual-encoder U-Net: residual blocks going down, one convolution a level going up, supervised at every level.

    Differences from nnU-Net's: fewer blocks, ReLU instead of leaky ReLU, batch norm by default, side outputs brought
    to the size of the input. A window of 128x128x128 is trained on a card with 12 GB: for each image the default
    keeps 4 GB of activations in float32 for the backward pass, and half of that in bfloat16.

    Parameters
    ----------
    in_channels : int
        Number of input channels.
    out_channels : int
        Number of output maps (logits).
    dims : {2, 3}
        Of the images.
    width : int
        Features of the first level; each level below has twice as many.
    blocks : sequence of int
        Residual blocks of every level, at least two; there are `len(blocks) - 1` halvings.
    widest : int
        No level has more features than this.
    norm : {"batch", "instance", None}
        After every convolution.
    fold : int
        Sides of the cubes (squares) whose voxels become channels before the first convolution, and voxels again after
        the last one: with 2 the network runs on an eighth (a quarter) of the places, and yet sees and tells every
        voxel (sub-pixel convolution, Shi 2016, arXiv:1609.05158).
    detail : int
        Features of two convolutions that correct the logits voxel by voxel from the image and those logits; 0 for none.
        They give back the fine borders that folding costs. Before training they correct nothing.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dims: Dims = 3,
        width: int = 32,
        blocks: Sequence[int] = (1, 2, 2, 2, 2, 2),
        widest: int = 320,
        norm: Norm = "batch",
        fold: int = 1,
        detail: int = 0,
    ) -> None:
        super().__init__()
        bias = norm is None
        features = [min(width * 2**level, widest) for level in range(len(blocks))]
        shallow_to_deep = list(pairwise(features))
        # The deepest level of the decoder is not supervised: at 1/16 of the size or less it sees no lesion's shape.
        sides = features[1 : max(1, len(features) - 2)]
        self.multiple = fold * 2 ** (len(blocks) - 1)
        self.fold = fold
        self.side_weights = _halving_weights(1 + len(sides))
        self.stem = normed_convolution(dims, in_channels * fold**dims, width, norm=norm, bias=bias)
        self.encoder = nn.ModuleList(
            nn.Sequential(
                *(
                    _ResidualBlock(dims, before if i == 0 else after, after, stride=stride if i == 0 else 1, norm=norm)
                    for i in range(count)
                )
            )
            for before, after, stride, count in zip(
                [width, *features[:-1]], features, [1, *[2] * (len(blocks) - 1)], blocks, strict=True
            )
        )
        self.up = nn.ModuleList(up_convolution(dims, deep, shallow) for shallow, deep in reversed(shallow_to_deep))
        self.decoder = nn.ModuleList(
            normed_convolution(dims, 2 * shallow, shallow, norm=norm, bias=bias)
            for shallow, _ in reversed(shallow_to_deep)
        )
        self.head = convolution(dims, width, out_channels * fold**dims, size=1)
        self.sides = nn.ModuleList(convolution(dims, channels, out_channels, size=1) for channels in sides)
        self.detail = _correction(dims, in_channels + out_channels, detail, out_channels, norm) if detail else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `(N, out_channels, [Z,] Y, X)` of images `(N, in_channels, [Z,] Y, X)` of any size."""
        x, crop = padded_to(x, self.multiple)
        return self._logits(x, self._decoded(x)[0])[crop]

    def forward_with_sides(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Logits `(N, out_channels, [Z,] Y, X)` of every supervised level, the finest (final) first."""
        x, crop = padded_to(x, self.multiple)
        finest, *coarser = self._decoded(x)
        side_logits = [resized(side(y), x.shape[2:])[crop] for side, y in zip(self.sides, coarser, strict=False)]
        return [self._logits(x, finest)[crop], *side_logits]

    def _logits(self, x: torch.Tensor, finest: torch.Tensor) -> torch.Tensor:
        logits = unfolded(self.head(finest), self.fold)
        if self.detail is None:
            return logits
        corrected: torch.Tensor = logits + self.detail(torch.cat([logits.to(x.dtype), x], dim=1))
        return corrected

    def _decoded(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Features of every level of the decoder, the finest first."""
        x = self.stem(folded(x, self.fold))
        skips: list[torch.Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        skips.pop()
        features: list[torch.Tensor] = []
        for up, block in zip(self.up, self.decoder, strict=True):
            x = block(torch.cat([skips.pop(), up(x)], dim=1))
            features.append(x)
        return features[::-1]


def _correction(dims: Dims, inputs: int, width: int, outputs: int, norm: Norm) -> nn.Sequential:
    last = convolution(dims, width, outputs, size=1)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    bias = norm is None
    first = normed_convolution(dims, inputs, width, norm=norm, bias=bias)
    return nn.Sequential(first, normed_convolution(dims, width, width, norm=norm, bias=bias), last)


def _halving_weights(count: int) -> tuple[float, ...]:
    """1, 1/2, 1/4, ..., scaled to the sum 1."""
    weights = [0.5**i for i in range(count)]
    return tuple(weight / sum(weights) for weight in weights)
