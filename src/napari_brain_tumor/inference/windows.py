"""Windows that cover a volume, and the weights for blending the predictions in them."""

from itertools import product

import numpy as np
import numpy.typing as npt


def plan_windows(shape: tuple[int, ...], window: tuple[int, ...], overlap: float = 0.5) -> list[tuple[slice, ...]]:
    """Return the slices of every window: evenly spread, covering the whole shape, the outermost at its borders.

    Parameters
    ----------
    shape, window : tuple of int
        Sides of the volume and of a window; the window must not be larger than the volume.
    overlap : float
        Smallest overlap of neighbouring windows as a fraction of a window's side, at least 0 and less than 1.
    """
    per_axis = []
    for side, length in zip(shape, window, strict=True):
        step = max(1, int(length * (1 - overlap)))
        count = 1 + max(0, -(-(side - length) // step))
        starts = np.rint(np.linspace(0, side - length, count)).astype(int)
        per_axis.append([slice(int(a), int(a) + length) for a in starts])
    return list(product(*per_axis))


def blending_weights(window: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return Gaussian weights of a window, sigma an eighth of each side, at least a thousandth of their maximum.

    The lower limit keeps the sum of weights away from zero at the borders of the volume, which only one window reaches
    (Isensee 2021, doi:10.1038/s41592-020-01008-z, uses the same sigma).
    """
    weights = np.ones(window, dtype=np.float32)
    for axis, length in enumerate(window):
        position = np.arange(length) - (length - 1) / 2
        profile = np.exp(-0.5 * (position / max(length / 8, 1e-3)) ** 2).astype(np.float32)
        weights *= profile.reshape([-1 if a == axis else 1 for a in range(len(window))])
    weights /= weights.max()
    return np.maximum(weights, np.float32(1e-3))
