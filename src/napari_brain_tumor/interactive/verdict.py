"""Decide whether a voxel follows a prompt, with a small network on the evidence that does not need torch."""

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
"""Weights for strokes, points and boxes; those for outlines are in `outline_network.NETWORK_FILE`."""
_FILES: Final = (WEIGHTS_FILE, NETWORK_FILE)
_AT_ONCE: Final = 32_768
"""Number of voxels computed in one go, so that the arrays fit into the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """A network that predicts whether a voxel follows: three layers with ReLU in between and a final sigmoid.

    Parameters
    ----------
    weights, biases : tuple of arrays
        Arrays of each layer: `(inputs, outputs)` and `(outputs,)` float32. The first layer includes the
        standardisation of the evidence to mean 0 and standard deviation 1.
    """

    weights: tuple[Float32Array, ...]
    biases: tuple[Float32Array, ...]

    def __call__(self, numbers: Float32Array) -> Float32Array:
        """Return probabilities `(N,)` for evidence `(N, F)` in the order of `FEATURES`."""
        odds = np.clip(self.logits(numbers), -30, 30)
        return np.asarray(1 / (1 + np.exp(-odds)), np.float32)

    def logits(self, numbers: Float32Array) -> Float32Array:
        """Return logits `(N,)` for evidence `(N, F)`."""
        logits = np.empty(len(numbers), np.float32)
        for start in range(0, len(numbers), _AT_ONCE):
            values = numbers[start : start + _AT_ONCE]
            for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
                values = np.maximum(values @ weight + bias, 0)
            logits[start : start + _AT_ONCE] = (values @ self.weights[-1] + self.biases[-1])[:, 0]
        return logits


def load_verdict(path: str | PathLike[str], inputs: int = len(FEATURES)) -> Verdict:
    """Read weights that `save_verdict` of the benchmarks wrote, for `inputs` numbers per voxel.

    Raises
    ------
    CheckpointError
        If the file is missing or damaged, or its network takes other inputs.
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
    """Return the hash of all weights shipped with the package, recorded with every correction."""
    folder = files("napari_brain_tumor.interactive")
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in _FILES)).hexdigest()


@lru_cache(maxsize=1)
def shipped_verdict() -> Verdict:
    """Return the network shipped with the package."""
    return load_verdict(str(files("napari_brain_tumor.interactive") / WEIGHTS_FILE))
