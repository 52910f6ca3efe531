"""Messages between a worker process and its parent: pickles over a pipe, with large arrays sent without copying."""

import pickle
import struct
from typing import IO, Any, Final

PREAMBLE: Final = b"\x00napari-brain-tumor worker 1\n"
"""First bytes sent by the child; anything printed before them by other code is skipped."""


_CHUNK: Final = 1 << 20
"""Bytes transferred at once; small, so that no call holds the GIL for long and the window stays responsive."""


def write_message(stream: IO[bytes], message: object) -> None:
    """Write a pickle followed by its arrays as separate buffers, so that nothing large is copied."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    _write_all(stream, memoryview(struct.pack(f"<Q{len(parts)}Q", len(parts), *(part.nbytes for part in parts))))
    for part in parts:
        _write_all(stream, part)


def _write_all(stream: IO[bytes], data: memoryview) -> None:
    start = 0
    while start < data.nbytes:
        start += stream.write(data[start : start + _CHUNK]) or 0


def read_message(stream: IO[bytes]) -> Any:
    (count,) = struct.unpack("<Q", _read_exactly(stream, 8))
    sizes = struct.unpack(f"<{count}Q", _read_exactly(stream, 8 * count))
    head, *buffers = (_read_exactly(stream, size) for size in sizes)
    return pickle.loads(head, buffers=buffers)


def _read_exactly(stream: IO[bytes], size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    start = 0
    while start < size:
        count = stream.readinto(view[start : start + _CHUNK])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        start += count
    return data
