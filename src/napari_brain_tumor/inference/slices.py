"""A volume that a network sees slice by slice: what is computed of each, and where.

Slices a millimetre apart show nearly the same. Of such only every second is computed as a whole; where neither
neighbour shows anything, the one between them shows nothing either, and gets their mean. This is for networks that
look at limited surroundings: others, with means over the slice, see less of it in a part.

Of a cascade, the members after the first are computed where that one sees something: whole slices, every second.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from napari_brain_tumor.models.neighbours import stacked_slices

_MARGIN: Final = 4
_WIDE_MARGIN: Final = 8
"""Pixels that are kept around the head or brain; the wider one where every slice is computed as a whole."""
_SUSPECT: Final = 0.2
"""Probability of any region from which a slice beside is computed too."""
_GLIMPSE: Final = 0.1
"""Probability of any region from which a slice is shown to the other members of a cascade."""
_REPLACED: Final = 8
"""Pixels around suspect ones that are computed in the slice beside, instead of interpolated."""

Extent = tuple[slice, slice]
"""Rows and columns."""


def slice_blocks(start: int, stop: int, depth: int, length: int) -> list[range]:
    """Blocks of so many slices that reach into `start` up to `stop`, counted from slice 0."""
    if start >= stop:
        return []
    return [range(first, min(first + length, depth)) for first in range(start // length * length, stop, length)]


def suspect_slices(probabilities: npt.NDArray[np.float16]) -> list[int]:
    """Slices of `(R, Z, Y, X)` on which a network sees something."""
    return np.flatnonzero((probabilities >= _GLIMPSE).any(axis=(0, 2, 3))).tolist()


def every_second(places: Sequence[int], depth: int) -> list[int]:
    """Even slices from which some slices get what they need: themselves, or those beside them."""
    return sorted({near for z in places for near in (z - z % 2, z + z % 2) if near < depth})


class SliceVolume:
    """The probabilities of a volume, filled slice by slice.

    Parameters
    ----------
    channels : (C, Z, Y, X) float32 array
        Zero outside the head or brain.
    infer : callable
        Probabilities `(N, R, Y, X)` of what a network sees of N slices.
    neighbours : int
        Slices on each side that the network sees as well.
    context : int, optional
        Pixels of surroundings that the network needs; None where every slice is computed as a whole.
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
        """`(R, Z, Y, X)`; 0 where nothing was computed yet."""
        assert self._probabilities is not None
        return self._probabilities

    def compute(self, places: Sequence[int]) -> None:
        """The part of some slices that holds anything."""
        extent = self._occupied(places)
        self._store(places, extent, extent)

    def compute_between(self, places: Sequence[int]) -> None:
        """Slices between computed ones: their mean, replaced by the network's own where one of them shows something."""
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
        """Fill a slice with the mean of those beside it; its pixels `(Y, X)` where one of them shows something."""
        # The last slice may have but one beside it.
        beside = self.probabilities[:, z - 1 : z + 2 : 2].astype(np.float32)
        self.probabilities[:, z] = beside.mean(axis=1)
        return np.asarray((beside >= _SUSPECT).any(axis=(0, 1)) & self._filled([z]))

    def _filled(self, places: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Pixels `(Y, X)` at which one of some slices holds anything."""
        return np.asarray((self._channels[:, list(places)] != 0).any(axis=(0, 1)))

    def _occupied(self, places: Sequence[int]) -> Extent:
        """Rows and columns of some slices that hold anything, with a margin."""
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
    """Rows and columns that hold a true pixel of `(Y, X)`, with a margin that stays within others; a middle if none."""
    extents = []
    for axis, most in enumerate(within):
        hits = np.flatnonzero(filled.any(axis=1 - axis))
        middle = (most.start + most.stop) // 2
        low, high = (int(hits[0]), int(hits[-1]) + 1) if hits.size else (middle, middle + 1)
        extents.append(slice(max(most.start, low - margin), min(most.stop, high + margin)))
    return extents[0], extents[1]
