"""The network that carries an outline to the slices beside it, without torch.

A small 3D U-Net (Cicek et al. 2016, doi:10.1007/978-3-319-46723-8_49) on the block around an outline, which sees scans,
labels, prompts and shapes as channels, in the manner of DeepEdit (Diaz-Pinto et al. 2023,
arXiv:2305.10655), for one region at a time. Cubes of 2 x 2 x 2 voxels are folded into channels first, so
that a block of 96 voxels a side costs what one of 48 does. It is trained by `benchmarks/train_outlines.py` and computed
here in NumPy: loading torch would stop the window for a moment at the first prompt.
"""

from functools import lru_cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from safetensors import SafetensorError
from safetensors.numpy import load_file

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.types import Float32Array

__all__ = [
    "CHANNELS",
    "FACTS",
    "MULTIPLE",
    "NETWORK_FILE",
    "OutlineNetwork",
    "load_outline_network",
    "shipped_outline_network",
]

CHANNELS: Final = (
    *("T1", "T1c", "T2", "FLAIR"),
    "region before",
    "model logit",
    "region around it",
    "region within it",
    "settled inside",
    "settled outside",
    "shape",
    "distance to what is settled",
    "between outlined slices",
    "weight",
    "tissue score",
    "depth in what is drawn",
    "distance to the slice",
)
"""What the network sees of every voxel, in this order; made by `Surroundings.channels`."""

FACTS: Final = 13
"""Numbers that hold for the whole block: region, sequences, spacing, kind of prompt."""

MULTIPLE: Final = 8
"""Every side of the input is a multiple of this."""

NETWORK_FILE: Final = "outline_network.safetensors"
_LEVELS: Final = 3
_GROUPS: Final = 4
"""Of the group norms."""


class OutlineNetwork:
    """Logits of a region in the block around an outline; features are the last axis within.

    Parameters
    ----------
    weights : dict of str to array
        As the network of the training saves them.
    """

    def __init__(self, weights: dict[str, Float32Array]) -> None:
        self._weights = {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}

    def __call__(self, volume: Float32Array, facts: Float32Array) -> Float32Array:
        """Logits `(D, H, W)` of channels `(C, D, H, W)` and facts `(F,)`; sides are multiples of `MULTIPLE`."""
        channels, *sides = volume.shape
        d, h, w = (side // 2 for side in sides)
        cubes = volume.reshape(channels, d, 2, h, 2, w, 2).transpose(1, 3, 5, 0, 2, 4, 6)
        folded = np.ascontiguousarray(cubes).reshape(d, h, w, 8 * channels)
        told = self._weights["facts.weight"] @ facts + self._weights["facts.bias"]
        features = _rectified(self._mixed(folded, "stem") + told)
        skips: list[Float32Array] = []
        for level in range(_LEVELS):
            features = self._block(features, f"encoder.{level}")
            if level < _LEVELS - 1:
                skips.append(features)
                features = self._down(features, f"down.{level}")
        for level in range(_LEVELS - 1):
            features = np.concatenate([self._up(features, f"up.{level}"), skips.pop()], axis=-1)
            features = self._block(features, f"decoder.{level}")
        cubes = self._mixed(np.concatenate([features, folded], axis=-1), "head").reshape(d, h, w, 2, 2, 2)
        return np.ascontiguousarray(cubes.transpose(0, 3, 1, 4, 2, 5)).reshape(sides)

    def _mixed(self, features: Float32Array, name: str) -> Float32Array:
        """A convolution with a kernel of one voxel."""
        weight = self._weights[f"{name}.weight"]
        mixed: Float32Array = features @ weight.reshape(len(weight), -1).T
        if f"{name}.bias" in self._weights:
            mixed += self._weights[f"{name}.bias"]
        return mixed

    def _block(self, features: Float32Array, name: str) -> Float32Array:
        """Two convolutions with their norms, and a shortcut around them."""
        inner = _rectified(self._normed(self._convolved(features, f"{name}.first"), f"{name}.first_norm"))
        outer = self._normed(self._convolved(inner, f"{name}.second"), f"{name}.second_norm")
        has_shortcut = f"{name}.shortcut.weight" in self._weights
        outer += self._mixed(features, f"{name}.shortcut") if has_shortcut else features
        return _rectified(outer)

    def _normed(self, features: Float32Array, name: str) -> Float32Array:
        count = features.shape[-1]
        flat = features.reshape(-1, count)
        mean = flat.mean(axis=0, dtype=np.float64).reshape(_GROUPS, -1).mean(axis=1)
        square = (np.einsum("pc,pc->c", flat, flat, dtype=np.float64) / len(flat)).reshape(_GROUPS, -1).mean(axis=1)
        width = np.sqrt(np.maximum(square - mean**2, 0) + 1e-5)
        scale = self._weights[f"{name}.weight"] / np.repeat(width, count // _GROUPS)
        offset = self._weights[f"{name}.bias"] - np.repeat(mean, count // _GROUPS) * scale
        features *= scale.astype(np.float32)
        features += offset.astype(np.float32)
        return features

    def _convolved(self, features: Float32Array, name: str) -> Float32Array:
        """A convolution with a kernel of three voxels a side and zeros around: a matrix product for every slice."""
        depth, height, width, count = features.shape
        weight = self._weights[f"{name}.weight"]
        kernel = np.ascontiguousarray(weight.transpose(2, 3, 4, 1, 0)).reshape(27 * count, -1)
        padded = np.pad(features, [(1, 1), (1, 1), (1, 1), (0, 0)])
        plane, row, pixel, step = padded.strides
        convolved = np.empty((depth, height * width, kernel.shape[1]), np.float32)

        windows = (height, width, 3, 3, 3 * count)
        columns = np.empty(windows, np.float32)
        for at in range(depth):
            columns[:] = as_strided(padded[at], windows, (row, pixel, plane, row, step))
            np.matmul(columns.reshape(height * width, -1), kernel, out=convolved[at])
        return convolved.reshape(depth, height, width, -1)

    def _down(self, features: Float32Array, name: str) -> Float32Array:
        d, h, w, count = features.shape
        cubes = features.reshape(d // 2, 2, h // 2, 2, w // 2, 2, count).transpose(0, 2, 4, 6, 1, 3, 5)
        return self._mixed(cubes.reshape(d // 2, h // 2, w // 2, 8 * count), name)

    def _up(self, features: Float32Array, name: str) -> Float32Array:
        d, h, w, count = features.shape
        weight = self._weights[f"{name}.weight"]
        cubes = (features @ weight.reshape(count, -1)).reshape(d, h, w, -1, 2, 2, 2).transpose(0, 4, 1, 5, 2, 6, 3)
        enlarged: Float32Array = cubes.reshape(2 * d, 2 * h, 2 * w, -1) + self._weights[f"{name}.bias"]
        return enlarged


def _rectified(features: Float32Array) -> Float32Array:
    return np.maximum(features, 0, out=features)


def load_outline_network(path: str | PathLike[str]) -> OutlineNetwork:
    """Read the weights that `benchmarks/train_outlines.py` writes.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or was made for other channels.
    """
    try:
        weights = load_file(Path(path))
    except (OSError, SafetensorError) as error:
        msg = f"{path} cannot be read as the weights of the outline network: {error}. Install the package again."
        raise CheckpointError(msg) from error
    inputs = weights["stem.weight"].shape[1] if "stem.weight" in weights else 0
    if inputs != 8 * len(CHANNELS):
        msg = f"{path} is of a network with {inputs} inputs; expected {8 * len(CHANNELS)}. Install the package again."
        raise CheckpointError(msg)
    return OutlineNetwork(weights)


@lru_cache(maxsize=1)
def shipped_outline_network() -> OutlineNetwork:
    """The one that comes with the package."""
    return load_outline_network(str(files("napari_brain_tumor.interactive") / NETWORK_FILE))
