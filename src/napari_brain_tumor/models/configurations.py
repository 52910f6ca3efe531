"""Named network sizes, and how they differ from the published ones. Does not load torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

NEIGHBOURS: Final = "neighbours"
"""Name of the argument in cards and recipes."""

Dims = Literal[2, 3]


@dataclass(frozen=True, slots=True)
class Configuration:
    """An architecture with the arguments for a published or recommended size.

    Parameters
    ----------
    title : str
        Name displayed to users.
    architecture : str
        A key of `ARCHITECTURES`.
    dims : {2, 3}
        Number of dimensions in the publication; it can also be built with the other.
    arguments : mapping
        Further keyword arguments of the class.
    """

    title: str
    architecture: str
    dims: Dims = 2
    arguments: Mapping[str, Any] = field(default_factory=dict)


CONFIGURATIONS: Final[dict[str, Configuration]] = {
    "unet_2015": Configuration("U-Net 2015, 64 features, batch norm", "unet", 2, {"width": 64}),
    "unet_plain": Configuration("U-Net 2015, 64 features, no norm", "unet", 2, {"width": 64, "norm": None}),
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
"""Configurations by name; `arguments` appear in cards and training recipes and are therefore limited to JSON types."""

_EARLIER_NAMES: Final = {"unet": "unet_2015"}
"""Former names in old recipes; `unet` now means the single bundled model, which is a ninth of that size."""


def current_name(name: str) -> str:
    """Return the current name of a configuration."""
    return _EARLIER_NAMES.get(name, name)


@dataclass(frozen=True, slots=True)
class Origin:
    """Publication of an architecture.

    Parameters
    ----------
    source : str
        The publication.
    differs : str
        Differences of this implementation, as a list in words.
    """

    source: str
    differs: str


_PADDING: Final = "zero padding instead of valid convolutions"
_RESUNET_A: Final = Origin(
    "ResUNet-a, Diakogiannis 2020, arXiv:1904.00592",
    "logits without softmax, a regular grid of maxima instead of a recursive split; strided 3x3 convolutions as in the "
    "authors' code (1x1 in the paper)",
)

ORIGINS: Final[Mapping[str, Origin]] = {
    "unet": Origin(
        "U-Net, Ronneberger 2015, arXiv:1505.04597", f"{_PADDING}, batch norm unless it is switched off, no dropout"
    ),
    "unet3d_cicek": Origin(
        "3D U-Net, Cicek 2016, arXiv:1606.06650",
        f"{_PADDING}; the paper counts 19,069,955 parameters, without the 4,672 of the batch norms that are in ours",
    ),
    "residual_unet": Origin(
        "after nnU-Net's residual encoder, Isensee 2024, arXiv:2404.09556",
        "fewer blocks, ReLU, batch norm, side outputs at the input's size; cubes of voxels folded into channels where "
        "`fold` is above 1: no published size",
    ),
    "u2net": Origin("U2-Net, Qin 2020, arXiv:2005.09007", "logits without sigmoid, any image size"),
    "u2netp": Origin("U2-NetP, Qin 2020, arXiv:2005.09007", "logits without sigmoid, any image size"),
    "resunet_plus_plus": Origin(
        "ResUNet++, Jha 2019, arXiv:1911.07067",
        "as the authors' code, which differs from the paper in places; logits, any image size",
    ),
    "resunet_a": _RESUNET_A,
    "resunet_a_multitask": _RESUNET_A,
}
"""Origins by architecture."""


def origin_of(architecture: str) -> str:
    """Describe in a sentence where an architecture comes from and how ours differs; empty if it is unpublished."""
    origin = ORIGINS.get(architecture)
    return "" if origin is None else f"{origin.source}. Differs in: {origin.differs}."


def size_of(architecture: str, arguments: Mapping[str, Any], dims: int) -> str:
    """Name the size that these arguments stand for, or state that it is a custom one; and the number of slices."""
    plain = {name: value for name, value in arguments.items() if name != NEIGHBOURS}
    slices = f", {2 * arguments[NEIGHBOURS] + 1} slices" if arguments.get(NEIGHBOURS) else ""
    for name, known in CONFIGURATIONS.items():
        if (known.architecture, dict(known.arguments), known.dims) == (architecture, plain, dims):
            return f"size {name}{slices}"
    return f"own size{slices}" if architecture in ORIGINS else ""
