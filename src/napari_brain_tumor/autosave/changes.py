"""Differences between two label arrays, in compact form."""

import hashlib
import struct
import zlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.types import LayerLabels

Slices = tuple[slice, ...]

_LEVEL = 1
"""Fastest level of zlib; brush strokes are a few long runs, which compress well at any level."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """New values of some voxels.

    Parameters
    ----------
    start : tuple of int
        First voxel of the bounding box of the changed voxels.
    mask : bool array
        Which voxels of the box are changed, with the shape of the box.
    values : 1-D array
        The new values in C order, or a single value for all.
    """

    start: tuple[int, ...]
    mask: npt.NDArray[np.bool_]
    values: LayerLabels

    @property
    def slices(self) -> Slices:
        """Index of the box in the whole array."""
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.mask.shape, strict=True))

    @property
    def count(self) -> int:
        """Number of voxels."""
        return int(np.count_nonzero(self.mask))

    def apply(self, labels: LayerLabels) -> None:
        """Apply the change to an array."""
        labels[self.slices][self.mask] = self.values if len(self.values) > 1 else self.values[0]


def change_between(before: LayerLabels, after: LayerLabels, box: Slices | None = None) -> Change | None:
    """Return the change from `before` to `after` in its smallest bounding box; None if they are equal.

    Parameters
    ----------
    before, after : arrays of one shape
        Integer arrays.
    box : tuple of slices, optional
        Where to look; the whole array if not given.
    """
    if box is None:
        if _same_bytes(before, after):
            return None
        box = tuple(slice(0, n) for n in before.shape)
    offset = tuple(at.start for at in box)
    trimmed = _trimmed(before[box] != after[box])
    if trimmed is None:
        return None
    start, mask = trimmed
    change = Change(tuple(a + b for a, b in zip(offset, start, strict=True)), mask, np.zeros(1, after.dtype))
    values = after[change.slices][mask]
    return replace(change, values=values[:1] if (values == values[0]).all() else values)


def _same_bytes(first: LayerLabels, second: LayerLabels) -> bool:
    """Compare two arrays, eight bytes at a time if possible, because this is done at every undo."""
    alike = (
        first.dtype == second.dtype and first.flags.c_contiguous and second.flags.c_contiguous and first.nbytes % 8 == 0
    )
    if not alike or first.shape != second.shape:
        return np.array_equal(first, second)
    return np.array_equal(first.reshape(-1).view(np.uint64), second.reshape(-1).view(np.uint64))


def _trimmed(mask: npt.NDArray[np.bool_]) -> tuple[tuple[int, ...], npt.NDArray[np.bool_]] | None:
    """Return the start and content of the bounding box of the true voxels."""
    start = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        hit = np.flatnonzero(mask.any(axis=others))
        if not hit.size:
            return None
        start.append(int(hit[0]))
        mask = mask[(slice(None),) * axis + (slice(hit[0], hit[-1] + 1),)]
    return tuple(start), np.ascontiguousarray(mask)


def digest_of(labels: LayerLabels) -> bytes:
    """Return a 16-byte digest that identifies these labels."""
    return hashlib.blake2b(np.ascontiguousarray(labels).data, digest_size=16).digest()


def pack_change(change: Change) -> bytes:
    """Pack a change as bytes; equal changes give equal bytes."""
    ndim, kind = change.mask.ndim, change.values.dtype.newbyteorder("<")
    head = struct.pack(f"<B6s{2 * ndim}I", ndim, kind.str.encode(), *change.start, *change.mask.shape)
    bits = np.packbits(change.mask).tobytes()
    return zlib.compress(head + bits + change.values.astype(kind, copy=False).tobytes(), _LEVEL)


def unpack_change(packed: bytes) -> Change:
    """Unpack a change; raises `UnreadableFileError` if the bytes are not a packed change."""
    try:
        return _unpacked(zlib.decompress(packed))
    except (zlib.error, struct.error, ValueError, TypeError, IndexError) as error:
        msg = f"A label change cannot be read: {error}. The journal is from another version or damaged."
        raise UnreadableFileError(msg) from error


def _unpacked(content: bytes) -> Change:
    ndim = content[0]
    head = struct.Struct(f"<B6s{2 * ndim}I")
    _, kind, *numbers = head.unpack_from(content)
    shape = tuple(numbers[ndim:])
    size = int(np.prod(shape))
    bits = np.frombuffer(content, np.uint8, count=-(-size // 8), offset=head.size)
    mask = np.unpackbits(bits, count=size).astype(bool).reshape(shape)
    values = np.frombuffer(content, np.dtype(kind.rstrip(b"\0").decode()), offset=head.size + bits.size)
    if values.size not in (1, np.count_nonzero(mask)):
        raise ValueError(f"it has {values.size} values for {np.count_nonzero(mask)} voxels")
    return Change(tuple(numbers[:ndim]), mask, values)
