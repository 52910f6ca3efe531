"""U-Net (Ronneberger, Fischer, Brox 2015, arXiv:1505.04597), in 2D and 3D, with or without normalisation."""

from itertools import pairwise
from typing import Final

import torch
from torch import nn

from napari_brain_tumor.models.blocks import (
    Dims,
    Norm,
    convolution,
    double_convolution,
    max_pooling,
    padded_to,
    through_skips,
    up_convolution,
)

_CONTEXT: Final = 16
"""Margin in pixels with which part of a slice gets nearly the same result as in the whole slice."""


class UNet(nn.Module):
    """U-Net: a contracting path, an expanding path, and a skip connection at every level.

    Differences from the paper: zero padding instead of valid convolutions, so that the output has the size of the
    input; optional normalisation after every convolution; no dropout; PyTorch's default variant of He initialisation.
    `width=64, norm=None` has the paper's layers and parameters; `width=32` with batch norm is the brain variant of Buda
    2019 (doi:10.1016/j.compbiomed.2019.05.002).

    The 118 tensors of the brain variant's state dict are those of its authors' code in a different order: theirs go
    level by level, `encoder1..4`, `bottleneck`, `upconv4`, `decoder4`, ..., `upconv1`, `decoder1`, `conv`; here all
    blocks of the encoder come first (`encoder.0..4`), then `up.0..3` for `upconv4..1`, `decoder.0..3` for
    `decoder4..1`, and `head`. Within a block the order is the same: convolution, norm, convolution, norm.

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
    levels : int
        Number of resolutions; there are `levels - 1` poolings.
    widest : int, optional
        Maximum number of features of any level.
    norm : {"batch", "instance", None}
        Normalisation after every 3x3 convolution.
    bias : bool, optional
        Whether the 3x3 convolutions have a bias; by default only if there is no normalisation.

    Examples
    --------
    >>> import torch
    >>> UNet(4, 3, width=8)(torch.zeros(1, 4, 50, 70)).shape
    torch.Size([1, 3, 50, 70])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dims: Dims = 2,
        width: int = 64,
        levels: int = 5,
        widest: int | None = None,
        norm: Norm = "batch",
        bias: bool | None = None,
    ) -> None:
        super().__init__()
        bias = norm is None if bias is None else bias
        features = [min(width * 2**level, widest or width * 2**level) for level in range(levels)]
        self.multiple = 2 ** (levels - 1)
        # Instance norm computes its statistics from the whole image.
        self.context = None if norm == "instance" else _CONTEXT
        self.pool = max_pooling(dims)
        self.encoder = nn.ModuleList(
            double_convolution(dims, inputs, outputs, norm, bias=bias)
            for inputs, outputs in zip([in_channels, *features[:-1]], features, strict=True)
        )
        shallow_to_deep = list(pairwise(features))
        self.up = nn.ModuleList(up_convolution(dims, deep, shallow) for shallow, deep in reversed(shallow_to_deep))
        self.decoder = nn.ModuleList(
            double_convolution(dims, 2 * shallow, shallow, norm, bias=bias) for shallow, _ in reversed(shallow_to_deep)
        )
        self.head = convolution(dims, features[0], out_channels, size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, out_channels, [Z,] Y, X)` for images `(N, in_channels, [Z,] Y, X)` of any size."""
        x, crop = padded_to(x, self.multiple)
        x = through_skips(x, self.encoder, self.pool, self.up, self.decoder)
        logits: torch.Tensor = self.head(x)[crop]
        return logits
