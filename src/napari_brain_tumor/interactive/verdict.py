"""Whether a voxel follows a prompt: a small network over the evidence, without torch."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.interactive.evidence import FEATURES
from napari_brain_tumor.interactive.outline_network import NETWORK_FILE
from napari_brain_tumor.types import Float32Array

WEIGHTS_FILE: Final = "verdict.safetensors"
"""Of strokes, points and boxes; of outlines, `outline_network.NETWORK_FILE`."""
_FILES: Final = (WEIGHTS_FILE, NETWORK_FILE)
_AT_ONCE: Final = 32_768
"""Voxels decided in one go: their numbers then stay in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """Probability that a voxel follows, from its evidence: three layers, ReLU between them, a sigmoid at the end.

    Parameters
    ----------
    weights, biases : tuple of arrays
        Of every layer: `(inputs, outputs)` and `(outputs,)` float32. The first layer takes the evidence as it is: what
        brings it to mean 0 and deviation 1 is folded into it.
    """

    weights: tuple[Float32Array, ...]
    biases: tuple[Float32Array, ...]

    def __call__(self, numbers: Float32Array) -> Float32Array:
        """Probabilities `(N,)` of evidence `(N, F)`, in the order of `FEATURES`."""
        odds = np.clip(self.logits(numbers), -30, 30)
        return np.asarray(1 / (1 + np.exp(-odds)), np.float32)

    def logits(self, numbers: Float32Array) -> Float32Array:
        """Logarithms of the odds `(N,)` of evidence `(N, F)`."""
        logits = np.empty(len(numbers), np.float32)
        for start in range(0, len(numbers), _AT_ONCE):
            values = numbers[start : start + _AT_ONCE]
            for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
                values = np.maximum(values @ weight + bias, 0)
            logits[start : start + _AT_ONCE] = (values @ self.weights[-1] + self.biases[-1])[:, 0]
        return logits


def load_verdict(path: str | PathLike[str], inputs: int = len(FEATURES)) -> Verdict:
    """Read what `save_verdict` of the training package wrote, for so many numbers a voxel.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or was made for other evidence.
    """
    try:
        tensors: dict[str, Any] = load_file(Path(path))
    except (OSError, SafetensorError) as error:
        msg = f"{path} cannot be read as the weights of the correction: {error}. Reinstall the package."
        raise CheckpointError(msg) from error
    count = len(tensors) // 2
    names = [f"{kind}{at}" for at in range(count) for kind in ("weight", "bias")]
    if sorted(names) != sorted(tensors) or tensors["weight0"].shape[0] != inputs:
        msg = f"{path} holds {sorted(tensors)}; expected layers for {inputs} numbers. Reinstall the package."
        raise CheckpointError(msg)
    return Verdict(
        tuple(tensors[f"weight{at}"] for at in range(count)), tuple(tensors[f"bias{at}"] for at in range(count))
    )


@lru_cache(maxsize=1)
def shipped_sha256() -> str:
    """Hash of all weights that come with the package, to tell by what a correction was made."""
    folder = files("napari_brain_tumor.interactive")
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in _FILES)).hexdigest()


@lru_cache(maxsize=1)
def shipped_verdict() -> Verdict:
    """The one that comes with the package."""
    return load_verdict(str(files("napari_brain_tumor.interactive") / WEIGHTS_FILE))
