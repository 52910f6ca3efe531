"""Check whether weights fit a network from the header of their file, before allocating memory for either."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models.bounds import LARGEST_WEIGHTS_BYTES

Shapes = Mapping[str, tuple[int, ...]]

_LARGEST_HEAD: Final = 16 * 2**20
_BYTES: Final = 8
"""Size of the largest data type in which a number may be stored."""
_TYPES: Final = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"}


def largest_file(shapes: Shapes) -> int:
    """Return the maximum size in bytes of a file with tensors of those shapes."""
    return min(LARGEST_WEIGHTS_BYTES, _LARGEST_HEAD + _BYTES * sum(map(prod, shapes.values())))


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the shape of every tensor in a safetensors file from its header.

    Raises
    ------
    CheckpointError
        If it is not a safetensors file.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_LARGEST_HEAD, path.stat().st_size - 8):
                raise ValueError(f"its head says to be {length:,} bytes long")
            head = json.loads(file.read(length))
        entries = {name: entry for name, entry in head.items() if name != "__metadata__"}
        return {name: _shape(entry) for name, entry in entries.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        msg = f"The weights {path} cannot be read as safetensors: {error}. Install the model again."
        raise CheckpointError(msg) from error


def _shape(entry: Mapping[str, object]) -> tuple[int, ...]:
    sides = entry["shape"]
    if entry["dtype"] not in _TYPES or not isinstance(sides, list):
        raise ValueError(f"a tensor of type {entry['dtype']}")
    return tuple(int(side) for side in sides)


def check_shapes(name: str, needed: Shapes, stored: Shapes) -> None:
    """Refuse weights that do not match the network.

    Parameters
    ----------
    name : str
        Name of the model, for the message.
    needed : mapping of str to tuple of int
        Shapes of the network's tensors.
    stored : mapping of str to tuple of int
        Shapes of the tensors in the file.

    Raises
    ------
    CheckpointError
        If a tensor is missing, unknown, or of the wrong shape.
    """
    missing, unknown = sorted(set(needed) - set(stored)), sorted(set(stored) - set(needed))
    other = [key for key, shape in needed.items() if key in stored and stored[key] != shape]
    if not (missing or unknown or other):
        return
    if other:
        what = f"{other[0]} is {_sides(stored[other[0]])} in the file and {_sides(needed[other[0]])} by the card"
    else:
        what = f"{missing[0]} is missing" if missing else f"{unknown[0]} is not in the network"
    count = len(missing) + len(unknown) + len(other)
    more = f" and {count - 1} more such differences" if count > 1 else ""
    msg = f"The weights of {name} do not fit the network that its card describes: {what}{more}. Get the model again."
    raise CheckpointError(msg)


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"
