"""What differs between two arrays of labels, as few bytes."""

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
"""zlib's quickest: strokes are a few long runs, which any level packs well."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """New values of some voxels.

    Parameters
    ----------
    start : tuple of int
        First voxel of the box that holds all of them.
    mask : bool array
        Which voxels of the box they are; it has the box's shape.
    values : 1-D array
        Their values in C order, or one value for all.
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
        """Make the change in an array."""
        labels[self.slices][self.mask] = self.values if len(self.values) > 1 else self.values[0]


def change_between(before: LayerLabels, after: LayerLabels, box: Slices | None = None) -> Change | None:
    """What must change in `before` to make it `after`, in the smallest box; None where they are alike.

    Parameters
    ----------
    before, after : arrays of one shape
        Integers.
    box : tuple of slices, optional
        Where to look; everywhere if not given.
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
    """Whether two arrays are alike, eight bytes at a time where that is possible: it is done at every undo."""
    alike = (
        first.dtype == second.dtype and first.flags.c_contiguous and second.flags.c_contiguous and first.nbytes % 8 == 0
    )
    if not alike or first.shape != second.shape:
        return np.array_equal(first, second)
    return np.array_equal(first.reshape(-1).view(np.uint64), second.reshape(-1).view(np.uint64))


def _trimmed(mask: npt.NDArray[np.bool_]) -> tuple[tuple[int, ...], npt.NDArray[np.bool_]] | None:
    """Start and content of the smallest box around the true voxels."""
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
    """Sixteen bytes that tell these labels from others."""
    return hashlib.blake2b(np.ascontiguousarray(labels).data, digest_size=16).digest()


def pack_change(change: Change) -> bytes:
    """A change as bytes; equal changes give equal bytes."""
    ndim, kind = change.mask.ndim, change.values.dtype.newbyteorder("<")
    head = struct.pack(f"<B6s{2 * ndim}I", ndim, kind.str.encode(), *change.start, *change.mask.shape)
    bits = np.packbits(change.mask).tobytes()
    return zlib.compress(head + bits + change.values.astype(kind, copy=False).tobytes(), _LEVEL)


def unpack_change(packed: bytes) -> Change:
    """The change that was packed; raises `UnreadableFileError` where the bytes are not one."""
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
