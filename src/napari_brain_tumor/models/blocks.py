"""Pieces that the networks share: layers by number of dimensions, padding to the sides a network can take."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

__all__ = [
    "Dims",
    "Norm",
    "convolution",
    "double_convolution",
    "max_pooling",
    "normalisation",
    "padded_to",
    "up_convolution",
]

Dims = Literal[2, 3]
Norm = Literal["batch", "instance"] | None

_CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
_UP_CONVOLUTIONS = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_POOLINGS = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_NORMS = {
    ("batch", 2): nn.BatchNorm2d,
    ("batch", 3): nn.BatchNorm3d,
    ("instance", 2): nn.InstanceNorm2d,
    ("instance", 3): nn.InstanceNorm3d,
}


def convolution(dims: Dims, inputs: int, outputs: int, size: int = 3, *, bias: bool = True) -> nn.Module:
    """A convolution of odd size that keeps the shape (zero padding)."""
    return _CONVOLUTIONS[dims](inputs, outputs, size, padding=size // 2, bias=bias)


def up_convolution(dims: Dims, inputs: int, outputs: int) -> nn.Module:
    """A transposed convolution that doubles every side."""
    return _UP_CONVOLUTIONS[dims](inputs, outputs, kernel_size=2, stride=2)


def max_pooling(dims: Dims) -> nn.Module:
    """Max-pooling that halves every side."""
    return _POOLINGS[dims](2)


def normalisation(dims: Dims, channels: int, norm: Norm) -> list[nn.Module]:
    """The normalisation layer in a list, or an empty list where there is none."""
    if norm is None:
        return []
    return [_NORMS[norm, dims](channels, affine=True)]


def double_convolution(dims: Dims, inputs: int, outputs: int, norm: Norm, *, bias: bool) -> nn.Sequential:
    """Twice: 3x3 convolution, normalisation, ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [convolution(dims, channels, outputs, bias=bias), *normalisation(dims, outputs, norm)]
        layers += [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def padded_to(x: torch.Tensor, multiple: int) -> tuple[torch.Tensor, tuple[slice, ...]]:
    """Pad the spatial sides of `(N, C, *sides)` with zeros to a multiple, and the index that crops them again."""
    sides = x.shape[2:]
    missing = [-side % multiple for side in sides]
    before = [m // 2 for m in missing]
    crop = (slice(None), slice(None), *(slice(b, b + side) for b, side in zip(before, sides, strict=True)))
    if not any(missing):
        return x, crop
    padding = [p for b, m in zip(reversed(before), reversed(missing), strict=True) for p in (b, m - b)]
    return functional.pad(x, padding), crop
