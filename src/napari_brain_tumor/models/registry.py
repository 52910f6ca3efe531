"""Registry of architectures: build networks from cards and from named configurations."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import nn

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models.blocks import Dims
from napari_brain_tumor.models.configurations import CONFIGURATIONS, Configuration, current_name
from napari_brain_tumor.models.neighbours import NEIGHBOURS, checked_neighbours, stacked_channels, with_neighbours
from napari_brain_tumor.models.residual_unet import ResidualUNet
from napari_brain_tumor.models.resunet_a import ResUNetA, ResUNetAMultitask
from napari_brain_tumor.models.resunet_plus_plus import ResUNetPlusPlus
from napari_brain_tumor.models.u2net import U2Net, U2NetP
from napari_brain_tumor.models.unet import UNet
from napari_brain_tumor.models.unet3d_cicek import CicekUNet

__all__ = ["CONFIGURATIONS", "Configuration"]

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


def build_network(
    architecture: str, in_channels: int, out_channels: int, dims: int, arguments: Mapping[str, Any]
) -> nn.Module:
    """Build a network with fresh weights.

    Parameters
    ----------
    architecture : str
        A key of `ARCHITECTURES`.
    in_channels, out_channels : int
        Numbers of roles and regions.
    dims : {2, 3}
        Number of spatial dimensions of the images.
    arguments : mapping
        Further keyword arguments of the class, such as `width`; and, for any slice network, `neighbours`, the number
        of adjacent slices on each side used as additional input (`models.neighbours`).

    Raises
    ------
    CheckpointError
        If the architecture is unknown or does not accept the arguments.
    """
    if architecture not in ARCHITECTURES:
        raise CheckpointError(f"No architecture is called {architecture!r}. Choose one of: {', '.join(ARCHITECTURES)}.")
    keywords = {name: value for name, value in arguments.items() if name != NEIGHBOURS}
    neighbours = checked_neighbours(arguments, dims)
    try:
        network = ARCHITECTURES[architecture](
            stacked_channels(in_channels, neighbours), out_channels, dims=dims, **keywords
        )
    except (TypeError, ValueError, RuntimeError, ArithmeticError, IndexError) as error:
        raise CheckpointError(f"{architecture} does not take the arguments {dict(arguments)}: {error}.") from error
    return with_neighbours(network, neighbours)


def build_configuration(name: str, in_channels: int, out_channels: int, dims: Dims | None = None) -> nn.Module:
    """Build a configuration with fresh weights, by default with its published number of dimensions.

    Raises
    ------
    CheckpointError
        If no configuration has that name.
    """
    configuration = CONFIGURATIONS.get(current_name(name))
    if configuration is None:
        raise CheckpointError(f"No configuration is called {name!r}. Choose one of: {', '.join(CONFIGURATIONS)}.")
    return build_network(
        configuration.architecture, in_channels, out_channels, dims or configuration.dims, configuration.arguments
    )


def count_parameters(name: str, in_channels: int, out_channels: int, dims: Dims | None = None) -> int:
    """Return the number of trainable parameters of a configuration, without allocating its weights.

    Examples
    --------
    >>> count_parameters("u2netp", 3, 1)
    1131181
    """
    return sum(parameter.numel() for parameter in _weightless(name, in_channels, out_channels, dims).parameters())


def count_statistics(name: str, in_channels: int, out_channels: int, dims: Dims | None = None) -> int:
    """Return the number of running means and variances in a configuration's batch norms, which are not trained.

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
