"""Store labels with a document about them in one file, keeping only the bounding box of the labelled voxels."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import SaveError, UnreadableFileError, translated
from napari_brain_tumor.geometry import Box, bounding_box
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.types import LayerLabels

_MOST_VOXELS: Final = 1 << 33
"""Maximum number of label voxels: 8 GB, more than any head scan."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedLabels:
    """Labels, a 3D array of integers, and the text of the accompanying document."""

    labels: LayerLabels
    document: bytes


def write_packed(path: Path, labels: LayerLabels, document: str, *, private: bool = False) -> None:
    """Write labels with a document, completely or not at all; raises `SaveError` on failure.

    Parameters
    ----------
    path : Path
        Target file; replaced if it exists.
    labels : (Z, Y, X) integers
        Only the bounding box of the labelled voxels is stored.
    document : str
        Text of the accompanying document.
    private : bool
        Whether to make the file unreadable for other users of the machine.
    """
    box = bounding_box(labels != 0) or Box((0, 0, 0), (0, 0, 0))
    parts = {
        "values": labels[box.slices],
        "start": np.array(box.start),
        "shape": np.array(labels.shape),
        "document": np.frombuffer(document.encode(), np.uint8),
    }

    def check(written: Path) -> None:
        if not np.array_equal(read_packed(written).labels, labels):
            raise SaveError("reading it back gives other labels")

    def write(temporary: Path) -> None:
        if private:
            temporary.touch(mode=0o600)
        np.savez_compressed(temporary, allow_pickle=False, **parts)

    write_atomically(path, write, check)


def read_document(path: Path) -> bytes | None:
    """Read only the document; None if there is no file.

    Raises
    ------
    UnreadableFileError
        If the file is damaged.
    """
    parts = _parts(path, "document")
    return None if parts is None else parts["document"].tobytes()


def read_packed(path: Path) -> PackedLabels:
    """Read labels and document; raises `UnreadableFileError` if the file is missing or damaged."""
    parts = _parts(path, "values", "start", "shape", "document")
    if parts is None:
        raise UnreadableFileError(f"{path} is not there.")
    values, start, shape = parts["values"], parts["start"], parts["shape"]
    stop = start + values.shape if len(start) == values.ndim else start - 1
    if shape.shape != (3,) or start.shape != (3,) or (start < 0).any() or (stop > shape).any() or (stop < start).any():
        raise _damaged(path, "its labels do not fit into it")
    if int(np.prod(shape, dtype=object)) > _MOST_VOXELS:
        raise _damaged(path, f"it states {'x'.join(map(str, shape))} voxels")
    labels = np.zeros(tuple(shape), dtype=values.dtype)
    labels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = values
    return PackedLabels(labels, parts["document"].tobytes())


def _parts(path: Path, *names: str) -> dict[str, npt.NDArray[Any]] | None:
    if not path.is_file():
        return None
    with translated(partial(_damaged, path)), np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in names}


def _damaged(path: Path, why: str) -> UnreadableFileError:
    return UnreadableFileError(f"{path} is damaged ({why}). Delete it: it is a copy or can be computed again.")
