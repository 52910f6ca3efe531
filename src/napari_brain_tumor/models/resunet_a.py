"""ResUNet-a d6 and d7 (Diakogiannis et al. 2020, doi:10.1016/j.isprsjprs.2020.01.013, arXiv:1904.00592), 2D and 3D."""

from typing import Final, Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models.batch_norm import steady_batch_norm
from napari_brain_tumor.models.blocks import (
    Dims,
    convolution,
    normed_convolution,
    padded_to,
    preactivated_convolution,
    resized,
)

_WIDE, _MIDDLE, _NARROW, _SINGLE = (1, 3, 15, 31), (1, 3, 15), (1, 3, 5), (1,)
_ENCODER: Final = (_WIDE, _WIDE, _MIDDLE, _NARROW, _SINGLE, _SINGLE, _SINGLE)
_DECODER: Final = {
    6: (_NARROW, _MIDDLE, _WIDE, _WIDE, _WIDE),
    7: (_SINGLE, _MIDDLE, _WIDE, _WIDE, _WIDE, _WIDE),
}
"""Dilations of every block, for the encoder starting from the input, for the decoder from the bottom."""
_PYRAMID_AT_THE_BOTTOM: Final = {6: (1, 2, 4, 8), 7: (1, 2, 4)}
_PYRAMID_AT_THE_END: Final = (1, 2, 4, 8)
_MAX_POOL = {2: functional.max_pool2d, 3: functional.max_pool3d}


class TaskLogits(NamedTuple):
    """Logits of all tasks of the multitask network, each of the size of the input."""

    segmentation: torch.Tensor
    """`(N, out_channels, [Z,] Y, X)`."""
    boundary: torch.Tensor
    """`(N, out_channels, [Z,] Y, X)`: the outline of every region."""
    distance: torch.Tensor
    """`(N, out_channels, [Z,] Y, X)`: the distance to the outline within every region, scaled to 0..1."""
    colour: torch.Tensor
    """`(N, 3, [Z,] Y, X)`: the input image in another colour space."""


class _AtrousResidual(nn.Module):
    """ResBlock-a: its input plus, for every dilation, two pre-activated convolutions."""

    def __init__(self, dims: Dims, features: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                *preactivated_convolution(dims, features, features, dilation=dilation, bias=False),
                *preactivated_convolution(dims, features, features, dilation=dilation),
            )
            for dilation in dilations
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features `(N, features, *sides)`."""
        total = x
        for branch in self.branches:
            total = total + branch(x)
        return total


class _PyramidPooling(nn.Module):
    """PSP pooling: maxima over coarse grids, resized to the map and concatenated with it."""

    def __init__(self, dims: Dims, inputs: int, outputs: int, grids: tuple[int, ...]) -> None:
        super().__init__()
        share = outputs // len(grids)
        self.grids = grids
        self.branches = nn.ModuleList(normed_convolution(dims, inputs, share, 1, activation=False) for _ in grids)
        for grid, branch in zip(grids, self.branches, strict=True):
            if grid == 1 and isinstance(branch, nn.Sequential):
                branch[1] = steady_batch_norm(dims, share)
        self.mix = normed_convolution(dims, inputs + share * len(grids), outputs, 1, activation=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features `(N, outputs, *sides)`."""
        pooled = [
            branch(resized(_grid_maxima(x, grid), x.shape[2:], smooth=False))
            for grid, branch in zip(self.grids, self.branches, strict=True)
        ]
        mixed: torch.Tensor = self.mix(torch.cat([x, *pooled], dim=1))
        return mixed


class _Combine(nn.Module):
    """Reduces and upsamples (nearest value) features from below, and mixes them with those of the encoder."""

    def __init__(self, dims: Dims, features: int) -> None:
        super().__init__()
        half = features // 2
        self.fewer = normed_convolution(dims, 2 * features, half, 1)
        self.mix = normed_convolution(dims, half + features, features, 1, activation=False)

    def forward(self, below: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        """Return features `(N, features, *sides of the encoder's)`."""
        up = self.fewer(resized(below, beside.shape[2:], smooth=False))
        mixed: torch.Tensor = self.mix(torch.cat([up, beside], dim=1))
        return mixed


class _Body(nn.Module):
    """ResUNet-a without its heads."""

    def __init__(self, in_channels: int, *, dims: Dims, width: int, depth: int, down_size: Literal[1, 3]) -> None:
        super().__init__()
        if depth not in _DECODER:
            msg = f"ResUNet-a was given depth={depth}; it is published with 6 (d6) and 7 (d7). Give one of these."
            raise CheckpointError(msg)
        features = [width * 2**level for level in range(depth)]
        self.multiple = 2 ** (depth - 1)
        self.first = normed_convolution(dims, in_channels, width, 1)
        self.encoder = nn.ModuleList(
            _AtrousResidual(dims, channels, dilations)
            for channels, dilations in zip(features, _ENCODER[:depth], strict=True)
        )
        self.down = nn.ModuleList(
            convolution(dims, channels, 2 * channels, down_size, stride=2, bias=False) for channels in features[:-1]
        )
        self.bridge = _PyramidPooling(dims, features[-1], features[-1], _PYRAMID_AT_THE_BOTTOM[depth])
        self.combine = nn.ModuleList(_Combine(dims, channels) for channels in features[-2::-1])
        self.decoder = nn.ModuleList(
            _AtrousResidual(dims, channels, dilations)
            for channels, dilations in zip(features[-2::-1], _DECODER[depth], strict=True)
        )
        self.pyramid = _PyramidPooling(dims, 2 * width, width, _PYRAMID_AT_THE_END)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features before `(N, 2 * width, *sides)` and after `(N, width, *sides)` the last pyramid pooling.

        The sides of the input must be multiples of `multiple`.
        """
        first = self.first(x)
        x = self.encoder[0](first)
        skips = [x]
        for down, block in zip(self.down, list(self.encoder)[1:], strict=True):
            x = block(down(x))
            skips.append(x)
        skips.pop()
        x = functional.relu(self.bridge(x))
        for combine, block in zip(self.combine, self.decoder, strict=True):
            x = block(combine(x, skips.pop()))
        joined = torch.cat([first, x], dim=1)
        return joined, functional.relu(self.pyramid(joined))


class ResUNetA(nn.Module):
    """ResUNet-a with only the segmentation head: atrous residual blocks and pyramid pooling.

    As in the authors' code: down-sampling by a 3x3 convolution (1x1 in the paper), dilations 1, 3, 5 at 256 features,
    ReLU after each pyramid pooling. Differences from the code: logits, without softmax; maxima over a regular grid
    instead of a recursive split, so that sides are padded with zeros to multiples of 32 (d6) or 64 (d7) rather than
    256; the batch norm after global pooling works with one image at a time (see `batch_norm`); a 3D version. Training
    requires sides of more than 32 (d6) or 64 (d7).

    Parameters
    ----------
    in_channels : int
        Number of input channels.
    out_channels : int
        Number of output maps (logits).
    dims : {2, 3}
        Number of spatial dimensions of the images.
    width : int
        Features of the first level; 32 in the paper. Each level below has twice as many.
    depth : {6, 7}
        Number of levels: d6 or d7.
    down_size : {3, 1}
        Size of the convolutions that halve the sides: 3 as in the code, 1 as in the paper.
    head : {"convolutions", "plain"}
        Two 3x3 convolutions before the final 1x1, as in the multitask network, or only the 1x1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dims: Dims = 2,
        width: int = 32,
        depth: int = 6,
        down_size: Literal[1, 3] = 3,
        head: Literal["convolutions", "plain"] = "convolutions",
    ) -> None:
        super().__init__()
        self.body = _Body(in_channels, dims=dims, width=width, depth=depth, down_size=down_size)
        self.head = _head(dims, width, width, out_channels, convolutions=2 if head == "convolutions" else 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, out_channels, [Z,] Y, X)` for images `(N, in_channels, [Z,] Y, X)` of any size."""
        x, crop = padded_to(x, self.body.multiple)
        logits: torch.Tensor = self.head(self.body(x)[1])[crop]
        return logits


class ResUNetAMultitask(nn.Module):
    """ResUNet-a with all heads: distance feeds into boundary, both feed into the segmentation; plus colour.

    Difference from the authors' code, besides those of `ResUNetA`: heads pass on the sigmoid of their logits even if
    there are several classes, because tumour regions are nested.

    Parameters
    ----------
    in_channels, out_channels, dims, width, depth, down_size
        As for `ResUNetA`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dims: Dims = 2,
        width: int = 32,
        depth: int = 6,
        down_size: Literal[1, 3] = 3,
    ) -> None:
        super().__init__()
        self.body = _Body(in_channels, dims=dims, width=width, depth=depth, down_size=down_size)
        self.distance = _head(dims, 2 * width, width, out_channels, convolutions=2)
        self.boundary = _head(dims, width + out_channels, width, out_channels, convolutions=1)
        self.segmentation = _head(dims, width + 2 * out_channels, width, out_channels, convolutions=2)
        self.colour = convolution(dims, 2 * width, 3, size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return segmentation logits `(N, out_channels, [Z,] Y, X)` for images `(N, in_channels, [Z,] Y, X)`."""
        x, crop = padded_to(x, self.body.multiple)
        return self._chain(*self.body(x))[0][crop]

    def forward_with_tasks(self, x: torch.Tensor) -> TaskLogits:
        """Return logits of every task, each of the size of the images `(N, in_channels, [Z,] Y, X)`."""
        x, crop = padded_to(x, self.body.multiple)
        joined, pooled = self.body(x)
        segmentation, boundary, distance = self._chain(joined, pooled)
        return TaskLogits(segmentation[crop], boundary[crop], distance[crop], self.colour(joined)[crop])

    def _chain(self, joined: torch.Tensor, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits of segmentation, boundary and distance, from features before and after the pyramid pooling."""
        distance = self.distance(joined)
        near = torch.sigmoid(distance)
        boundary = self.boundary(torch.cat([pooled, near], dim=1))
        segmentation = self.segmentation(torch.cat([pooled, torch.sigmoid(boundary), near], dim=1))
        return segmentation, boundary, distance


def _head(dims: Dims, inputs: int, width: int, outputs: int, *, convolutions: int) -> nn.Sequential:
    before = [inputs, *[width] * (convolutions - 1)][:convolutions]
    layers = [normed_convolution(dims, channels, width) for channels in before]
    return nn.Sequential(*layers, convolution(dims, width if convolutions else inputs, outputs, size=1))


def _grid_maxima(x: torch.Tensor, cells: int) -> torch.Tensor:
    """Return maxima `(N, C, cells, ...)` over a regular grid, whose cells overlap if they do not divide the sides.

    Uses only operations that every exporter supports, unlike adaptive pooling.
    """
    sides = x.shape[2:]
    if not any(side % cells for side in sides):
        return _MAX_POOL[x.ndim - 2](x, [side // cells for side in sides])
    for axis, side in enumerate(sides, start=2):
        edges = [(cell * side // cells, -(-(cell + 1) * side // cells)) for cell in range(cells)]
        x = torch.cat([x.narrow(axis, low, high - low).amax(axis, keepdim=True) for low, high in edges], dim=axis)
    return x
