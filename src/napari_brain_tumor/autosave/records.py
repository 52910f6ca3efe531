"""Consecutive records in a file; an incomplete record at its end, left by a crash, is detected and ignored."""

import struct
import zlib
from typing import Final

CHANGE: Final = b"C"
"""A packed change of the labels."""
AUTOMATIC: Final = b"A"
"""The packed change from the labels at this point to the last automatic ones; empty if they are equal."""
SAVED: Final = b"S"
"""The digest of the labels that were saved."""
DOCUMENT: Final = b"D"
"""The document about the labels, which replaces the previous one."""

_HEAD: Final = struct.Struct("<cII")
"""Kind, length and checksum of the payload."""


def frame(kind: bytes, payload: bytes) -> bytes:
    """Format a record for the file."""
    return _HEAD.pack(kind, len(payload), _checksum(kind, payload)) + payload


def read_records(content: bytes) -> tuple[list[tuple[bytes, bytes]], bool]:
    """Return the kind and payload of each record, and whether all of the content was read.

    Reading ends at the first incomplete or damaged record, because nothing after it can be trusted.
    """
    records: list[tuple[bytes, bytes]] = []
    at = 0
    while at + _HEAD.size <= len(content):
        kind, length, checksum = _HEAD.unpack_from(content, at)
        payload = content[at + _HEAD.size : at + _HEAD.size + length]
        if len(payload) < length or _checksum(kind, payload) != checksum:
            break
        records.append((kind, payload))
        at += _HEAD.size + length
    return records, at == len(content)


def _checksum(kind: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(kind))
