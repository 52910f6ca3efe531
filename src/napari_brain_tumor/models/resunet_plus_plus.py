"""ResUNet++ (Jha et al. 2019, doi:10.1109/ISM46123.2019.00049, arXiv:1911.07067), in 2D and 3D."""

import torch
from torch import nn

from napari_brain_tumor.models.blocks import (
    Dims,
    convolution,
    max_pooling,
    normed_convolution,
    padded_to,
    preactivated_convolution,
    resized,
)

_RATES = (1, 6, 12, 18)
_RATIO = 8


class _SqueezeExcitation(nn.Module):
    """Weighs every channel by a factor computed from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // _RATIO)
        self.gate = nn.Sequential(
            nn.Linear(channels, squeezed, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(squeezed, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(N, C, *sides)`, each channel multiplied by a number between 0 and 1."""
        gate: torch.Tensor = self.gate(x.mean(dim=tuple(range(2, x.ndim))))
        return x * gate.reshape(*gate.shape, *[1] * (x.ndim - 2))


class _ResidualBlock(nn.Module):
    """Two convolutions in parallel with a 1x1 convolution, added, followed by squeeze-and-excitation."""

    def __init__(self, dims: Dims, inputs: int, outputs: int, *, stride: int = 1, stem: bool = False) -> None:
        super().__init__()
        # The first block receives the image itself, without preceding normalisation and ReLU.
        start = [convolution(dims, inputs, outputs, stride=stride)]
        first = start if stem else preactivated_convolution(dims, inputs, outputs, stride=stride)
        self.body = nn.Sequential(*first, *preactivated_convolution(dims, outputs, outputs))
        self.shortcut = normed_convolution(dims, inputs, outputs, size=1, stride=stride, bias=True, activation=False)
        self.excitation = _SqueezeExcitation(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features `(N, outputs, *sides / stride)`."""
        excited: torch.Tensor = self.excitation(self.body(x) + self.shortcut(x))
        return excited


class _Pyramid(nn.Module):
    """ASPP: convolutions with four dilations, each with batch norm but no ReLU, summed, then a 1x1 convolution."""

    def __init__(self, dims: Dims, inputs: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            normed_convolution(dims, inputs, outputs, dilation=rate, bias=True, activation=False) for rate in _RATES
        )
        self.mix = convolution(dims, outputs, outputs, size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features `(N, outputs, *sides)`."""
        first, *others = self.branches
        total: torch.Tensor = first(x)
        for branch in others:
            total = total + branch(x)
        mixed: torch.Tensor = self.mix(total)
        return mixed


class _Attention(nn.Module):
    """Multiplies the features from below by an unbounded map computed from them and from the skip."""

    def __init__(self, dims: Dims, skip: int, below: int) -> None:
        super().__init__()
        self.from_skip = nn.Sequential(*preactivated_convolution(dims, skip, below), max_pooling(dims))
        self.from_below = nn.Sequential(*preactivated_convolution(dims, below, below))
        self.gate = nn.Sequential(*preactivated_convolution(dims, below, below))

    def forward(self, skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return features `(N, below, *sides)`, for a skip with sides twice as long."""
        gated: torch.Tensor = self.gate(self.from_skip(skip) + self.from_below(x)) * x
        return gated


class _DecoderBlock(nn.Module):
    """Attention, upsampling (nearest value), concatenation with the skip, and a residual block."""

    def __init__(self, dims: Dims, skip: int, below: int, outputs: int) -> None:
        super().__init__()
        self.attention = _Attention(dims, skip, below)
        self.block = _ResidualBlock(dims, below + skip, outputs)

    def forward(self, skip: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return features `(N, outputs, *sides of the skip)`."""
        up = resized(self.attention(skip, x), skip.shape[2:], smooth=False)
        joined: torch.Tensor = self.block(torch.cat([up, skip], dim=1))
        return joined


class ResUNetPlusPlus(nn.Module):
    """ResUNet++: a residual U-Net with squeeze-and-excitation, atrous pyramids and attention.

    As in the authors' code: excitation after the sum with ratio 8, four summed dilations 1, 6, 12, 18, attention
    without a sigmoid, upsampling to the nearest value, three strided stages. Differences from the code: the output is
    logits; sides are padded with zeros to a multiple of 8; a 3D version.

    The 281 tensors of the state dict are ordered by stage and, within each, as described: body, shortcut, excitation;
    from the skip, from below, gate. Order and shapes match the authors' state dict.

    Parameters
    ----------
    in_channels : int
        Number of input channels.
    out_channels : int
        Number of output maps (logits).
    dims : {2, 3}
        Number of spatial dimensions of the images.
    width : int
        Features of the first stage: 16 in the paper of 2019, 32 in its sequel (doi:10.1109/JBHI.2021.3049304).
    """

    def __init__(self, in_channels: int, out_channels: int, *, dims: Dims = 2, width: int = 16) -> None:
        super().__init__()
        features = [width * 2**level for level in range(5)]
        self.multiple = 8
        self.encoder = nn.ModuleList([_ResidualBlock(dims, in_channels, width, stem=True)])
        self.encoder.extend(_ResidualBlock(dims, features[i], features[i + 1], stride=2) for i in range(3))
        self.bridge = _Pyramid(dims, features[3], features[4])
        self.decoder = nn.ModuleList(
            _DecoderBlock(dims, features[i], features[i + 2], features[i + 1]) for i in (2, 1, 0)
        )
        self.final = _Pyramid(dims, features[1], features[0])
        self.head = convolution(dims, width, out_channels, size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, out_channels, [Z,] Y, X)` for images `(N, in_channels, [Z,] Y, X)` of any size."""
        x, crop = padded_to(x, self.multiple)
        skips: list[torch.Tensor] = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        skips.pop()
        x = self.bridge(x)
        for block in self.decoder:
            x = block(skips.pop(), x)
        logits: torch.Tensor = self.head(self.final(x))[crop]
        return logits
