"""The network that carries an outline to neighbouring slices, computed without torch.

A small 3D U-Net (Cicek et al. 2016, doi:10.1007/978-3-319-46723-8_49) on the block around an outline, for one region at
a time. Its channels are scans, labels, prompts and shapes, as in DeepEdit (Diaz-Pinto et al. 2023, arXiv:2305.10655).
Cubes of 2 x 2 x 2 voxels are first folded into channels, so that a block of 96 voxels a side costs as much as one of
48. The network is trained by `benchmarks/train_outlines.py` and computed here in NumPy, because loading torch would
freeze the window briefly at the first prompt.
"""

from functools import lru_cache
from importlib.resources import files
from itertools import product
from os import PathLike
from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from safetensors import SafetensorError
from safetensors.numpy import load_file

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.interactive.threads import in_threads, shared_out
from napari_brain_tumor.types import Float32Array

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
    "learned from outlined slices",
)
"""Input channels of the network, in order; computed by `Surroundings.channels`."""

FACTS: Final = 14
"""Number of inputs that describe the whole block: region, sequences, spacing, kind of prompt, outlined slices."""

MULTIPLE: Final = 8
"""Every side of the input must be a multiple of this."""

NETWORK_FILE: Final = "outline_network.safetensors"
_LEVELS: Final = 3
_GROUPS: Final = 4
"""Number of groups of the group normalisation."""
_CORNERS: Final = tuple(product(*[(slice(0, None, 2), slice(1, None, 2))] * 3))
"""Slices of the corners of all 2 x 2 x 2 cubes, in the order in which their voxels are folded into channels."""


class OutlineNetwork:
    """Predict the logits of a region in the block around an outline; internally, features are the last axis.

    Parameters
    ----------
    weights : dict of str to array
        Weights as saved by the training script.
    """

    def __init__(self, weights: dict[str, Float32Array]) -> None:
        self._weights = {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}

    def __call__(self, volume: Float32Array, facts: Float32Array) -> Float32Array:
        """Return logits `(D, H, W)` for channels `(C, D, H, W)` and facts `(F,)`; sides are multiples of `MULTIPLE`."""
        d, h, w = (side // 2 for side in volume.shape[1:])
        width = len(self._weights["stem.weight"])
        seen = self._seen(volume)
        shift = self._weights["facts.weight"] @ facts + self._weights["facts.bias"] + self._weights["stem.bias"]
        features = _rectified(seen[:, :width] + shift).reshape(d, h, w, width)
        skips: list[Float32Array] = []
        for level in range(_LEVELS):
            features = self._block(features, f"encoder.{level}")
            if level < _LEVELS - 1:
                skips.append(features)
                features = self._down(features, f"down.{level}")
        for level in range(_LEVELS - 1):
            features = np.concatenate([self._up(features, f"up.{level}"), skips.pop()], axis=-1)
            features = self._block(features, f"decoder.{level}")
        decided = features.reshape(-1, width) @ self._weights["head.weight"][:, :width, 0, 0, 0].T
        cubes = decided + seen[:, width:] + self._weights["head.bias"]
        logits = np.empty(volume.shape[1:], np.float32)
        for corner, values in zip(_CORNERS, cubes.T, strict=True):
            logits[corner] = values.reshape(d, h, w)
        return logits

    def _seen(self, volume: Float32Array) -> Float32Array:
        """Apply the stem and the head to the channels: `(cubes, features)`, slice by slice to save memory."""
        channels, depth, height, width = volume.shape
        stem, head = (self._weights[f"{name}.weight"][..., 0, 0, 0] for name in ("stem", "head"))
        kernel = np.concatenate([stem, head[:, len(stem) :]]).T
        seen = np.empty((depth // 2, height // 2 * (width // 2), kernel.shape[1]), np.float32)

        def fill(part: slice) -> None:
            folded = np.empty((channels, len(_CORNERS), 1, height // 2, width // 2), np.float32)
            for at in range(part.start, part.stop):
                for nth, corner in enumerate(_CORNERS):
                    folded[:, nth] = volume[:, 2 * at : 2 * at + 2][:, *corner]
                np.matmul(folded.reshape(8 * channels, -1).T, kernel, out=seen[at])

        in_threads(fill, shared_out(len(seen)))
        return seen.reshape(-1, kernel.shape[1])

    def _mixed(self, features: Float32Array, name: str) -> Float32Array:
        """Apply a convolution with a kernel of one voxel."""
        weight = self._weights[f"{name}.weight"]
        mixed: Float32Array = features @ weight.reshape(len(weight), -1).T
        if f"{name}.bias" in self._weights:
            mixed += self._weights[f"{name}.bias"]
        return mixed

    def _block(self, features: Float32Array, name: str) -> Float32Array:
        """Apply two convolutions with normalisation, and a shortcut around them."""
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
        """Apply a convolution with a kernel of 3 x 3 x 3 voxels and zero padding.

        Two slices are computed at a time with Winograd's products (Lavin and Gray 2016, doi:10.1109/CVPR.2016.435)
        along the first axis, four instead of six; each is a matrix product over the kernel's other two axes.
        """
        depth, height, width, count = features.shape
        kernel = self._weights[f"{name}.weight"].transpose(2, 3, 4, 1, 0)
        outer, inner = (kernel[0] + kernel[2]) / 2, kernel[1] / 2
        kernels = np.stack([kernel[0], outer + inner, outer - inner, kernel[2]]).reshape(4, 9 * count, -1)
        beyond = np.zeros(features.shape[1:], np.float32)
        slices = [beyond, *features, beyond, beyond]
        convolved = np.empty((depth + depth % 2, height * width, kernels.shape[-1]), np.float32)

        def fill(pairs: slice) -> None:
            mixed = np.zeros((height + 2, width + 2, count), np.float32)
            row, pixel, step = mixed.strides
            windows = as_strided(mixed, (height, width, 3, 3 * count), (row, pixel, row, step))
            columns = np.empty(windows.shape, np.float32)
            products = np.empty((4, height * width, kernels.shape[-1]), np.float32)
            for at in range(2 * pairs.start, 2 * pairs.stop, 2):
                a, b, c, d = slices[at : at + 4]
                for nth, (combine, left, right) in enumerate(
                    ((np.subtract, a, c), (np.add, b, c), (np.subtract, c, b), (np.subtract, b, d))
                ):
                    combine(left, right, out=mixed[1:-1, 1:-1])
                    columns[:] = windows
                    np.matmul(columns.reshape(height * width, -1), kernels[nth], out=products[nth])
                first, both, either, last = products
                np.add(first + both, either, out=convolved[at])
                np.subtract(both - either, last, out=convolved[at + 1])

        in_threads(fill, shared_out(len(convolved) // 2))
        return convolved[:depth].reshape(depth, height, width, -1)

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
    """Read weights written by `benchmarks/train_outlines.py`.

    Raises
    ------
    CheckpointError
        If the file is missing or damaged, or its network takes other channels.
    """
    try:
        weights = load_file(Path(path))
    except (OSError, SafetensorError) as error:
        msg = f"{path} cannot be read as the weights of the outline network: {error}. Reinstall the package."
        raise CheckpointError(msg) from error
    inputs = weights["stem.weight"].shape[1] if "stem.weight" in weights else 0
    if inputs != 8 * len(CHANNELS):
        msg = f"{path} holds a network with {inputs} inputs; expected {8 * len(CHANNELS)}. Reinstall the package."
        raise CheckpointError(msg)
    return OutlineNetwork(weights)


@lru_cache(maxsize=1)
def shipped_outline_network() -> OutlineNetwork:
    """Return the network shipped with the package."""
    return load_outline_network(str(files("napari_brain_tumor.interactive") / NETWORK_FILE))
