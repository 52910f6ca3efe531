"""The table of architectures: from a card's words to a network; and the configurations that have a name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import nn

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models.blocks import Dims
from napari_brain_tumor.models.neighbours import NEIGHBOURS, checked_neighbours, stacked_channels, with_neighbours
from napari_brain_tumor.models.residual_unet import ResidualUNet
from napari_brain_tumor.models.resunet_a import ResUNetA, ResUNetAMultitask
from napari_brain_tumor.models.resunet_plus_plus import ResUNetPlusPlus
from napari_brain_tumor.models.u2net import U2Net, U2NetP
from napari_brain_tumor.models.unet import UNet
from napari_brain_tumor.models.unet3d_cicek import CicekUNet

__all__ = [
    "ARCHITECTURES",
    "CONFIGURATIONS",
    "Configuration",
    "build_configuration",
    "build_network",
    "count_parameters",
    "count_statistics",
]

ARCHITECTURES: Final[dict[str, type[nn.Module]]] = {
    "unet": UNet,
    "unet3d_cicek": CicekUNet,
    "residual_unet": ResidualUNet,
    "u2net": U2Net,
    "u2netp": U2NetP,
    "resunet_plus_plus": ResUNetPlusPlus,
    "resunet_a": ResUNetA,
    "resunet_a_multitask": ResUNetAMultitask,
}
"""Every class takes `in_channels`, `out_channels` and the keyword `dims`, and returns logits of the input's size."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """An architecture with the arguments of a published or recommended size.

    Parameters
    ----------
    title : str
        For people.
    architecture : str
        A key of `ARCHITECTURES`.
    dims : {2, 3}
        That it was published with; it can be built with the other too.
    arguments : mapping
        Further keywords of the class.
    """

    title: str
    architecture: str
    dims: Dims = 2
    arguments: Mapping[str, Any] = field(default_factory=dict)


CONFIGURATIONS: Final[dict[str, Configuration]] = {
    "unet": Configuration("U-Net 2015, 64 features, batch norm", "unet", 2, {"width": 64}),
    "unet_plain": Configuration("U-Net 2015, 64 features, as published", "unet", 2, {"width": 64, "norm": None}),
    "unet_brain": Configuration("U-Net of Buda 2019, 32 features, batch norm", "unet", 2, {"width": 32}),
    "unet3d_cicek": Configuration("3D U-Net 2016, 32 features", "unet3d_cicek", 3, {"width": 32}),
    "residual_unet": Configuration("Residual-encoder U-Net, 32 features", "residual_unet", 3, {"width": 32}),
    "residual_unet_light": Configuration("Residual-encoder U-Net, 16 features", "residual_unet", 3, {"width": 16}),
    "residual_unet_deep": Configuration(
        "Residual-encoder U-Net with the blocks of nnU-Net's ResEnc-M",
        "residual_unet",
        3,
        {"width": 32, "blocks": [1, 3, 4, 6, 6, 6]},
    ),
    "u2net": Configuration("U2-Net", "u2net"),
    "u2netp": Configuration("U2-NetP (small)", "u2netp"),
    "resunet_plus_plus": Configuration("ResUNet++ 2019, 16 features", "resunet_plus_plus", 2, {"width": 16}),
    "resunet_plus_plus_32": Configuration("ResUNet++ 2021, 32 features", "resunet_plus_plus", 2, {"width": 32}),
    "resunet_a_d6": Configuration("ResUNet-a d6, segmentation alone", "resunet_a", 2, {"depth": 6}),
    "resunet_a_d7": Configuration("ResUNet-a d7, segmentation alone", "resunet_a", 2, {"depth": 7}),
    "resunet_a_d6_multitask": Configuration("ResUNet-a d6, all heads", "resunet_a_multitask", 2, {"depth": 6}),
    "resunet_a_d7_multitask": Configuration("ResUNet-a d7, all heads", "resunet_a_multitask", 2, {"depth": 7}),
    "resunet_a_d6_light": Configuration(
        "ResUNet-a d6, all heads, 16 features", "resunet_a_multitask", 2, {"depth": 6, "width": 16}
    ),
}
"""By name; `arguments` are what a card or a training recipe says, so they hold JSON's types only."""


def build_network(
    architecture: str, in_channels: int, out_channels: int, dims: int, arguments: Mapping[str, Any]
) -> nn.Module:
    """A network with fresh weights.

    Parameters
    ----------
    architecture : str
        A key of `ARCHITECTURES`.
    in_channels, out_channels : int
        Numbers of roles and regions.
    dims : {2, 3}
        Of the images.
    arguments : mapping
        Further keywords of the class, such as `width`; and of any network for slices `neighbours`, the number of slices
        on each side that it sees beside the one it segments (`models.neighbours`).

    Raises
    ------
    CheckpointError
        For an unknown architecture or arguments that it does not take.
    """
    if architecture not in ARCHITECTURES:
        msg = f"No architecture is called {architecture!r}. Known are: {', '.join(ARCHITECTURES)}."
        raise CheckpointError(msg)
    keywords = {name: value for name, value in arguments.items() if name != NEIGHBOURS}
    neighbours = checked_neighbours(arguments, dims)
    try:
        network = ARCHITECTURES[architecture](
            stacked_channels(in_channels, neighbours), out_channels, dims=dims, **keywords
        )
    except TypeError as error:
        msg = f"{architecture} does not take the arguments {dict(arguments)}: {error}."
        raise CheckpointError(msg) from error
    return with_neighbours(network, neighbours)


def build_configuration(name: str, in_channels: int, out_channels: int, dims: Dims | None = None) -> nn.Module:
    """A configuration with fresh weights, by default with the dimensions that it was published with.

    Raises
    ------
    CheckpointError
        If no configuration has that name.
    """
    if name not in CONFIGURATIONS:
        msg = f"No configuration is called {name!r}. Known are: {', '.join(CONFIGURATIONS)}."
        raise CheckpointError(msg)
    configuration = CONFIGURATIONS[name]
    return build_network(
        configuration.architecture, in_channels, out_channels, dims or configuration.dims, configuration.arguments
    )


def count_parameters(name: str, in_channels: int, out_channels: int, dims: Dims | None = None) -> int:
    """Number of trainable parameters of a configuration, without making room for its weights.

    Examples
    --------
    >>> count_parameters("u2netp", 3, 1)
    1131181
    """
    return sum(parameter.numel() for parameter in _weightless(name, in_channels, out_channels, dims).parameters())


def count_statistics(name: str, in_channels: int, out_channels: int, dims: Dims | None = None) -> int:
    """Number of running means and variances of a configuration's batch norms, which are kept but not trained.

    Examples
    --------
    >>> count_statistics("u2netp", 3, 1)
    5696
    """
    buffers = _weightless(name, in_channels, out_channels, dims).buffers()
    return sum(buffer.numel() for buffer in buffers if buffer.is_floating_point())


def _weightless(name: str, in_channels: int, out_channels: int, dims: Dims | None) -> nn.Module:
    with torch.device("meta"):
        return build_configuration(name, in_channels, out_channels, dims)
