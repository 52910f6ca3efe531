"""What follows an outline on the slices beside it, by the network that comes with the package."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.geometry import Box, bounding_box
from napari_brain_tumor.interactive.outline_network import MULTIPLE, OutlineNetwork
from napari_brain_tumor.interactive.section import Surroundings
from napari_brain_tumor.labels import Region
from napari_brain_tumor.types import Float32Array, Mask

__all__ = ["NETWORK_FILE", "follow", "load_network", "shipped_network"]

NETWORK_FILE: Final = "outline_network.safetensors"
_MARGIN: Final = 8
"""Voxels around what may change that the network sees too."""
_PIXEL_MM: Final = 1.0
"""Of the scans that the network was trained on: finer ones are averaged to about this."""


def load_network(path: str | PathLike[str]) -> OutlineNetwork:
    """Read the weights that `benchmarks/train_outlines.py` writes.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or of another network.
    """
    try:
        tensors = load_file(Path(path))
        network = OutlineNetwork(tensors["stem.weight"].shape[0])
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        msg = f"{path} cannot be read as the weights of the outline network: {error}. Install the package again."
        raise CheckpointError(msg) from error
    return network.eval()


@lru_cache(maxsize=1)
def shipped_network() -> OutlineNetwork:
    """The network that comes with the package."""
    return load_network(str(files("napari_brain_tumor.interactive") / NETWORK_FILE))


def follow(around: Surroundings, masks: Mapping[Region, Mask], could: Mask) -> Float32Array:
    """Logits `(N, U, V)` of the region of a section; 0 where nothing may change.

    Parameters
    ----------
    around : Surroundings
    masks : mapping of region to (X, Y, Z) bool array
        All regions before.
    could : (N, U, V) bool array
        Where something may change, the section's axis first.
    """
    logits = np.zeros(could.shape, np.float32)
    where = could.copy()
    where[around.section.index] |= around.section.inside
    box = bounding_box(where) or Box((0, 0, 0), (1, 1, 1))
    at = box.grown((_MARGIN, _MARGIN, _MARGIN), could.shape).slices
    channels = np.ascontiguousarray(around.channels(masks)[(slice(None), *at)])
    logits[at] = _predicted(torch.from_numpy(channels), torch.from_numpy(around.facts), around.spacing)
    return logits


@torch.inference_mode()
def _predicted(channels: Tensor, facts: Tensor, spacing: Sequence[float]) -> Float32Array:
    sides = channels.shape[1:]
    finer = tuple(max(1, round(_PIXEL_MM / side)) for side in spacing)
    pooled = channels[None] if max(finer) == 1 else functional.avg_pool3d(channels[None], finer, ceil_mode=True)
    used = pooled.shape[2:]
    missing = [-side % MULTIPLE for side in used]
    filled = functional.pad(pooled, (0, missing[2], 0, missing[1], 0, missing[0]))
    logits = shipped_network()(filled, facts[None])[:, None, : used[0], : used[1], : used[2]]
    if max(finer) > 1:
        logits = functional.interpolate(logits, size=tuple(sides), mode="trilinear", align_corners=False)
    return logits[0, 0].numpy()
