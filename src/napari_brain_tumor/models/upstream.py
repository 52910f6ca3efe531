"""Mapping between tensor names in the authors' original code and in this package."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import torch

from napari_brain_tumor.models.u2net import U2Net

Modules = tuple[tuple[str, str], ...]


def _as_it_is(_: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor


@dataclass(frozen=True, slots=True)
class Upstream:
    """A network as implemented by its authors.

    Parameters
    ----------
    title : str
        Name displayed to users, with the address of the code.
    architecture : str
        This package's architecture, a key of `ARCHITECTURES`.
    modules : tuple of (str, str)
        Pairs of their module and ours, in the order of their state dict; the rest of each name is the same in both.
    first : str
        Their tensor of shape `(width, in_channels, ...)`.
    last : str
        Their tensor of shape `(out_channels, ...)`.
    adapted : callable
        Converts one of their tensors, given with its name, to our layout.
    """

    title: str
    architecture: str
    modules: Modules
    first: str
    last: str
    adapted: Callable[[str, torch.Tensor], torch.Tensor] = _as_it_is


def tensor_names(upstream: Upstream, own: Iterable[str]) -> dict[str, str]:
    """Return a mapping of their tensor names to ours, in the order of their state dict.

    Parameters
    ----------
    upstream : Upstream
    own : iterable of str
        Names in the state dict of our network.
    """
    names = list(own)
    return {
        their_module + name.removeprefix(our_module): name
        for their_module, our_module in upstream.modules
        for name in names
        if name.startswith(our_module + ".")
    }


def _u2net() -> Iterator[tuple[str, str]]:
    encoder, decoder = U2Net.stages
    for i, stage in enumerate(encoder):
        yield from _residual_u(f"stage{i + 1}", f"encoder.{i}", stage.height)
    for i, stage in enumerate(decoder):
        yield from _residual_u(f"stage{len(decoder) - i}d", f"decoder.{i}", stage.height)
    for i in range(len(encoder)):
        yield f"side{i + 1}", f"sides.{i}"
    yield "outconv", "fusion"


def _residual_u(foreign: str, own: str, height: int) -> Iterator[tuple[str, str]]:
    down = [(f"rebnconv{i + 1}", f"encoder.{i}") for i in range(height - 1)]
    up = [(f"rebnconv{height - 1 - i}d", f"decoder.{i}") for i in range(height - 1)]
    for their_block, our_block in [("rebnconvin", "entry"), *down, (f"rebnconv{height}", "bottom"), *up]:
        yield f"{foreign}.{their_block}.conv_s1", f"{own}.{our_block}.0"
        yield f"{foreign}.{their_block}.bn_s1", f"{own}.{our_block}.1"


def _resunet_plus_plus() -> Iterator[tuple[str, str]]:
    for i in range(4):
        yield from _residual(f"c{i + 1}", f"encoder.{i}")
    yield from _pyramid("b1", "bridge")
    for i in range(3):
        for foreign, own in (("g_conv", "from_skip"), ("x_conv", "from_below"), ("gc_conv", "gate")):
            yield f"d{i + 1}.a1.{foreign}", f"decoder.{i}.attention.{own}"
        yield from _residual(f"d{i + 1}.r1", f"decoder.{i}.block")
    yield from _pyramid("aspp", "final")
    yield "output", "head"


def _residual(foreign: str, own: str) -> Iterator[tuple[str, str]]:
    yield f"{foreign}.c1", f"{own}.body"
    yield f"{foreign}.c2", f"{own}.shortcut"
    yield f"{foreign}.attn.net", f"{own}.excitation.gate"


def _pyramid(foreign: str, own: str) -> Iterator[tuple[str, str]]:
    for i in range(4):
        yield f"{foreign}.c{i + 1}", f"{own}.branches.{i}"
    yield f"{foreign}.c5", f"{own}.mix"


def _unet_brain() -> Iterator[tuple[str, str]]:
    for i in range(4):
        yield from _double(f"encoder{i + 1}.enc{i + 1}", f"encoder.{i}")
    yield from _double("bottleneck.bottleneck", "encoder.4")
    for i in range(4):
        yield f"upconv{4 - i}", f"up.{i}"
        yield from _double(f"decoder{4 - i}.dec{4 - i}", f"decoder.{i}")
    yield "conv", "head"


def _double(foreign: str, own: str) -> Iterator[tuple[str, str]]:
    for their_layer, our_layer in (("conv1", 0), ("norm1", 1), ("conv2", 3), ("norm2", 4)):
        yield foreign + their_layer, f"{own}.{our_layer}"


def _skip_first(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Swap the decoder's inputs: their code has features from below before those of the skip, ours the skip first."""
    if name.startswith("decoder") and name.endswith("conv1.weight"):
        below, skip = tensor.chunk(2, dim=1)
        return torch.cat([skip, below], dim=1)
    return tensor


_U2NET: Final[Modules] = tuple(_u2net())

UPSTREAM: Final[dict[str, Upstream]] = {
    "u2net": Upstream(
        "U2-Net (xuebinqin/U-2-Net)", "u2net", _U2NET, "stage1.rebnconvin.conv_s1.weight", "side1.weight"
    ),
    "u2netp": Upstream(
        "U2-NetP (xuebinqin/U-2-Net)", "u2netp", _U2NET, "stage1.rebnconvin.conv_s1.weight", "side1.weight"
    ),
    "resunet_plus_plus": Upstream(
        "ResUNet++ in PyTorch (DebeshJha/ResUNetPlusPlus)",
        "resunet_plus_plus",
        tuple(_resunet_plus_plus()),
        "c1.c1.0.weight",
        "output.weight",
    ),
    "unet_brain": Upstream(
        "the brain U-Net (mateuszbuda/brain-segmentation-pytorch)",
        "unet",
        tuple(_unet_brain()),
        "encoder1.enc1conv1.weight",
        "conv.weight",
        _skip_first,
    ),
}
"""Networks by the name that a user gives."""
