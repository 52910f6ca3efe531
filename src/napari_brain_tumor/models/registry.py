"""The table of architectures: from a card's words to a network."""

from typing import Any, Final

from torch import nn

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models.unet import UNet

__all__ = ["ARCHITECTURES", "build_network"]

ARCHITECTURES: Final[dict[str, type[nn.Module]]] = {
    "unet": UNet,
}
"""Every class takes `in_channels`, `out_channels` and the keyword `dims`, and returns logits of the input's size."""


def build_network(
    architecture: str, in_channels: int, out_channels: int, dims: int, arguments: dict[str, Any]
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
    arguments : dict
        Further keywords of the class, such as `width`.

    Raises
    ------
    CheckpointError
        For an unknown architecture or arguments that it does not take.
    """
    if architecture not in ARCHITECTURES:
        msg = f"No architecture is called {architecture!r}. Known are: {', '.join(ARCHITECTURES)}."
        raise CheckpointError(msg)
    try:
        return ARCHITECTURES[architecture](in_channels, out_channels, dims=dims, **arguments)
    except TypeError as error:
        msg = f"{architecture} does not take the arguments {arguments}: {error}."
        raise CheckpointError(msg) from error
