"""Voxel-wise uncertainty of a network."""

from typing import Any

import numpy as np
import numpy.typing as npt

_LEAST = np.float32(1e-6)


def binary_entropy(probability: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Entropy in bits of the binary decision at each voxel: from 0 (certain) to 1 at a probability of 0.5.

    `H(p) = -p log2(p) - (1 - p) log2(1 - p)` (Shannon 1948, doi:10.1002/j.1538-7305.1948.tb01338.x). Brain-tumour
    challenges evaluate uncertainty separately for each region (Mehta 2022, doi:10.59275/j.melba.2022-354b).

    Parameters
    ----------
    probability : array
        Probabilities from 0 to 1.
    """
    p = np.clip(probability, _LEAST, 1 - _LEAST, dtype=np.float32)
    bits: npt.NDArray[np.float32] = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    return bits
