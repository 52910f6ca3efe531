"""Slice-by-slice prediction of a volume: which slices are computed, and which parts of them.

Slices a millimetre apart show nearly the same anatomy. Of such thin slices, only every second one is computed in full.
If neither neighbour of a slice between shows anything, that slice is assumed to show nothing either, and is set to
their mean. This is only for networks with a limited field of view: others, for example with means over the slice, give
different results on a part of a slice.

In a cascade, the members after the first compute every second slice, in full, where the first one sees something.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from napari_brain_tumor.models.neighbours import stacked_slices

_MARGIN: Final = 4
_WIDE_MARGIN: Final = 8
"""Pixels kept around the head or brain; this wider margin is for slices that are computed in full."""
_SUSPECT: Final = 0.2
"""Probability of any region from which a neighbouring slice is computed too."""
_GLIMPSE: Final = 0.1
"""Probability of any region from which a slice is passed to the other members of a cascade."""
_REPLACED: Final = 8
"""Margin in pixels around suspicious pixels within which the neighbouring slice is computed, not interpolated."""

Extent = tuple[slice, slice]
"""Rows and columns of part of a slice."""


def slice_blocks(start: int, stop: int, depth: int, length: int) -> list[range]:
    """Return the blocks of `length` slices, aligned to slice 0, that overlap the range from `start` to `stop`."""
    if start >= stop:
        return []
    return [range(first, min(first + length, depth)) for first in range(start // length * length, stop, length)]


def suspect_slices(probabilities: npt.NDArray[np.float16]) -> list[int]:
    """Return the indices of slices of `(R, Z, Y, X)` on which a network sees something."""
    return np.flatnonzero((probabilities >= _GLIMPSE).any(axis=(0, 2, 3))).tolist()


def every_second(places: Sequence[int], depth: int) -> list[int]:
    """Return the even slices needed for some slices: the slices themselves if even, otherwise their neighbours."""
    return sorted({near for z in places for near in (z - z % 2, z + z % 2) if near < depth})


class SliceVolume:
    """The probabilities of a volume, computed slice by slice.

    Parameters
    ----------
    channels : (C, Z, Y, X) float32 array
        Network input, zero outside the head or brain.
    infer : callable
        Function that returns the network's probabilities `(N, R, Y, X)` for N slices.
    neighbours : int
        Number of neighbouring slices on each side that the network also receives.
    context : int, optional
        Field of view in pixels around each pixel; None if every slice must be computed in full.
    """

    def __init__(
        self,
        channels: npt.NDArray[np.float32],
        infer: Callable[[torch.Tensor], torch.Tensor],
        neighbours: int,
        context: int | None,
    ) -> None:
        self._channels = channels
        self._slices = torch.from_numpy(channels).movedim(1, 0)
        self._infer = infer
        self._neighbours = neighbours
        self._context = context
        self._probabilities: npt.NDArray[np.float16] | None = None

    @property
    def probabilities(self) -> npt.NDArray[np.float16]:
        """The probabilities `(R, Z, Y, X)`; 0 where nothing has been computed."""
        assert self._probabilities is not None
        return self._probabilities

    def compute(self, places: Sequence[int]) -> None:
        """Compute the non-empty part of the given slices."""
        extent = self._occupied(places)
        self._store(places, extent, extent)

    def compute_between(self, places: Sequence[int]) -> None:
        """Fill slices between computed ones with their mean, and compute them where a neighbour shows something."""
        assert self._context is not None
        found = np.zeros(self._channels.shape[2:], dtype=bool)
        suspect = []
        for z in places:
            seen = self.interpolate(z)
            if seen.any():
                suspect.append(z)
                found |= seen
        if not suspect:
            return
        whole = self._occupied(suspect)
        replaced = _around(found, _REPLACED, whole)
        self._store(suspect, _around(found, _REPLACED + self._context, whole), replaced)

    def interpolate(self, z: int) -> npt.NDArray[np.bool_]:
        """Fill a slice with the mean of its neighbours; returns pixels `(Y, X)` where one shows something."""
        # The last slice may have only one neighbour.
        beside = self.probabilities[:, z - 1 : z + 2 : 2].astype(np.float32)
        self.probabilities[:, z] = beside.mean(axis=1)
        return np.asarray((beside >= _SUSPECT).any(axis=(0, 1)) & self._filled([z]))

    def _filled(self, places: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Return the pixels `(Y, X)` that are non-zero in any of the given slices."""
        return np.asarray((self._channels[:, list(places)] != 0).any(axis=(0, 1)))

    def _occupied(self, places: Sequence[int]) -> Extent:
        """Return the rows and columns with non-zero pixels in the given slices, plus a margin."""
        filled = self._filled(places)
        margin = _WIDE_MARGIN if self._context is None else _MARGIN
        return _around(filled, margin, (slice(0, filled.shape[0]), slice(0, filled.shape[1])))

    def _store(self, places: Sequence[int], computed: Extent, stored: Extent) -> None:
        stacked = stacked_slices(self._slices[:, :, *computed], places, self._neighbours)
        found = self._infer(stacked).to(torch.float16).cpu().numpy().swapaxes(0, 1)
        if self._probabilities is None:
            self._probabilities = np.zeros((found.shape[0], *self._channels.shape[1:]), dtype=np.float16)
        (top, left), (rows, columns) = (side.start for side in computed), stored
        inner = found[..., rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        self._probabilities[:, places, rows, columns] = inner


def _around(filled: npt.NDArray[np.bool_], margin: int, within: Extent) -> Extent:
    """Return the rows and columns of the true pixels of `(Y, X)` plus a margin, within limits; the middle if none."""
    extents = []
    for axis, most in enumerate(within):
        hits = np.flatnonzero(filled.any(axis=1 - axis))
        middle = (most.start + most.stop) // 2
        low, high = (int(hits[0]), int(hits[-1]) + 1) if hits.size else (middle, middle + 1)
        extents.append(slice(max(most.start, low - margin), min(most.stop, high + margin)))
    return extents[0], extents[1]
