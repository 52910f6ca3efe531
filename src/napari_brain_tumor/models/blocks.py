"""Building blocks shared by the networks: layers for 2D and 3D, and padding to side lengths a network accepts."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from napari_brain_tumor.models.configurations import Dims

__all__ = ["Dims"]

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
_LINEAR = {2: "bilinear", 3: "trilinear"}


def context_of(network: nn.Module) -> int | None:
    """Return the margin with which part of a slice gets nearly the same result as in the whole; None if unknown."""
    context = getattr(network, "context", None)
    return context if isinstance(context, int) else None


def convolution(
    dims: Dims, inputs: int, outputs: int, size: int = 3, *, stride: int = 1, dilation: int = 1, bias: bool = True
) -> nn.Module:
    """Return a convolution of odd size with zero padding, which keeps the shape or divides it by the stride."""
    padding = dilation * (size // 2)
    return _CONVOLUTIONS[dims](inputs, outputs, size, stride, padding, dilation, bias=bias)


def up_convolution(dims: Dims, inputs: int, outputs: int, *, bias: bool = True) -> nn.Module:
    """Return a transposed convolution that doubles every side."""
    return _UP_CONVOLUTIONS[dims](inputs, outputs, kernel_size=2, stride=2, bias=bias)


def max_pooling(dims: Dims, *, ceil: bool = False) -> nn.Module:
    """Return max-pooling that halves every side; odd sides are rounded down, or up with `ceil`."""
    return _POOLINGS[dims](2, ceil_mode=ceil)


def normalisation(dims: Dims, channels: int, norm: Norm) -> list[nn.Module]:
    """Return the normalisation layer in a list, which is empty if there is none."""
    if norm is None:
        return []
    return [_NORMS[norm, dims](channels, affine=True)]


def normed_convolution(
    dims: Dims,
    inputs: int,
    outputs: int,
    size: int = 3,
    *,
    norm: Norm = "batch",
    stride: int = 1,
    dilation: int = 1,
    bias: bool = False,
    activation: bool = True,
) -> nn.Sequential:
    """Return convolution, normalisation and optionally ReLU; batch norm can be folded into the convolution."""
    layers = [convolution(dims, inputs, outputs, size, stride=stride, dilation=dilation, bias=bias)]
    layers += normalisation(dims, outputs, norm)
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if activation else []))


def preactivated_convolution(
    dims: Dims, inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1, bias: bool = True
) -> list[nn.Module]:
    """Return batch norm, ReLU, then a 3x3 convolution, in a list."""
    after = convolution(dims, inputs, outputs, stride=stride, dilation=dilation, bias=bias)
    return [*normalisation(dims, inputs, "batch"), nn.ReLU(inplace=True), after]


def double_convolution(
    dims: Dims, inputs: int, outputs: int, norm: Norm, *, bias: bool, middle: int | None = None
) -> nn.Sequential:
    """Return twice: 3x3 convolution, normalisation, ReLU; `middle` features in between (default `outputs`)."""
    first = normed_convolution(dims, inputs, middle or outputs, norm=norm, bias=bias)
    second = normed_convolution(dims, middle or outputs, outputs, norm=norm, bias=bias)
    return nn.Sequential(*first, *second)


def resized(x: torch.Tensor, sides: Sequence[int], *, smooth: bool = True) -> torch.Tensor:
    """Resize `(N, C, *sides)` by linear interpolation (corners not aligned) or to the nearest value."""
    if tuple(x.shape[2:]) == tuple(sides):
        return x
    if smooth:
        return functional.interpolate(x, size=list(sides), mode=_LINEAR[x.ndim - 2], align_corners=False)
    return functional.interpolate(x, size=list(sides), mode="nearest")


def padded_to(x: torch.Tensor, multiple: int) -> tuple[torch.Tensor, tuple[slice, ...]]:
    """Pad the spatial sides of `(N, C, *sides)` with zeros to a multiple; also return the index that undoes it."""
    sides = x.shape[2:]
    missing = [-side % multiple for side in sides]
    before = [m // 2 for m in missing]
    crop = (slice(None), slice(None), *(slice(b, b + side) for b, side in zip(before, sides, strict=True)))
    if not any(missing):
        return x, crop
    padding = [p for b, m in zip(reversed(before), reversed(missing), strict=True) for p in (b, m - b)]
    return functional.pad(x, padding), crop


def folded(x: torch.Tensor, side: int) -> torch.Tensor:
    """Rearrange `(N, C, *sides)` to `(N, side^dims C, *sides / side)`, moving each cube's voxels into channels.

    Parameters
    ----------
    x : tensor
        Tensor whose sides are multiples of `side`.
    side : int
        Side length of the cubes; 1 changes nothing.
    """
    if side == 1:
        return x
    count, channels, *sides = x.shape
    split = x.reshape(count, channels, *(part for length in sides for part in (length // side, side)))
    dims = len(sides)
    within, across = [3 + 2 * axis for axis in range(dims)], [2 + 2 * axis for axis in range(dims)]
    return split.permute(0, *within, 1, *across).reshape(count, -1, *(length // side for length in sides))


def unfolded(x: torch.Tensor, side: int) -> torch.Tensor:
    """Invert `folded`."""
    if side == 1:
        return x
    dims = x.ndim - 2
    count, _, *sides = x.shape
    split = x.reshape(count, *[side] * dims, -1, *sides)
    order = [place for axis in range(dims) for place in (2 + dims + axis, 1 + axis)]
    return split.permute(0, 1 + dims, *order).reshape(count, -1, *(length * side for length in sides))


def through_skips(
    x: torch.Tensor, encoder: nn.ModuleList, pool: nn.Module, up: nn.ModuleList, decoder: nn.ModuleList
) -> torch.Tensor:
    """Return features `(N, C, *sides)` after a U-Net's contracting and expanding path with concatenated skips."""
    skips: list[torch.Tensor] = []
    for block in encoder:
        x = block(pool(x) if skips else x)
        skips.append(x)
    skips.pop()
    for enlarge, block in zip(up, decoder, strict=True):
        x = block(torch.cat([skips.pop(), enlarge(x)], dim=1))
    return x
