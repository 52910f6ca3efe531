"""A residual-encoder U-Net with deep supervision, based on nnU-Net, in 3D and 2D.

Encoder and sizes follow Isensee et al. 2024 (nnU-Net revisited, arXiv:2404.09556); batch norm, used by the winners of
BraTS 2020 (arXiv:2011.00848), can be folded into the convolutions at inference.
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
    """Averages 2x2(x2) voxels by interpolation, since 3D average pooling does not support bfloat16 on the CPU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features `(N, C, *sides / 2)`, with odd sides rounded up like in the parallel convolutions."""
        return resized(x, [(side + 1) // 2 for side in x.shape[2:]])


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to a shortcut, then ReLU; with stride 2, the shortcut averages voxels."""

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
        """Return features `(N, outputs, *sides / stride)`."""
        rectified: torch.Tensor = self.activation(self.body(x) + self.shortcut(x))
        return rectified


class ResidualUNet(nn.Module):
    """Residual-encoder U-Net: residual blocks in the encoder, one convolution per decoder level, deep supervision.

    Differences from nnU-Net: fewer blocks, ReLU instead of leaky ReLU, batch norm by default, side outputs resized to
    the input. A window of 128x128x128 can be trained on a GPU with 12 GB: per image, the default stores 4 GB of
    activations in float32 for the backward pass, and half of that in bfloat16.

    Parameters
    ----------
    in_channels : int
        Number of input channels.
    out_channels : int
        Number of output maps (logits).
    dims : {2, 3}
        Number of spatial dimensions of the images.
    width : int
        Features of the first level; each level below has twice as many.
    blocks : sequence of int
        Residual blocks of every level, at least two levels; there are `len(blocks) - 1` halvings.
    widest : int
        Maximum number of features of any level.
    norm : {"batch", "instance", None}
        Normalisation after every convolution.
    fold : int
        Side length of the cubes (squares) whose voxels are moved into channels before the first convolution, and back
        after the last. With 2, the network computes on an eighth (a quarter) of the positions, but still receives and
        predicts every voxel (sub-pixel convolution, Shi 2016, arXiv:1609.05158).
    detail : int
        Features of two convolutions that correct the logits voxel by voxel from the image and those logits; 0 for none.
        They restore the fine borders lost by folding. Before training, they correct nothing.
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
        # The deepest decoder level is not supervised: at 1/16 of the size or less, it cannot resolve a lesion's shape.
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
        """Return logits `(N, out_channels, [Z,] Y, X)` for images `(N, in_channels, [Z,] Y, X)` of any size."""
        x, crop = padded_to(x, self.multiple)
        return self._logits(x, self._decoded(x)[0])[crop]

    def forward_with_sides(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return logits `(N, out_channels, [Z,] Y, X)` of every supervised level, the finest (final) first."""
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
        """Return features of every level of the decoder, the finest first."""
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
    """Return 1, 1/2, 1/4, ..., scaled to a sum of 1."""
    weights = [0.5**i for i in range(count)]
    return tuple(weight / sum(weights) for weight in weights)
