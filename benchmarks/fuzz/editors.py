"""Change what a file says and keep its form: headers, tags, elements, members, with checksums that are right again."""

import gzip
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import nibabel as nib
import numpy as np
import values

_NIFTI_FIELDS = {348: nib.nifti1.header_dtype, 540: nib.nifti2.header_dtype}
_LENGTHS = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8, "f": 4, "d": 8}


def nifti_field(random: Random, content: bytes) -> bytes:
    """One field of a NIfTI header."""
    packed = content.startswith(b"\x1f\x8b")
    data = bytearray(gzip.decompress(content) if packed else content)
    size = 540 if data[:4] in (struct.pack("<i", 540), struct.pack(">i", 540)) else 348
    order = "<" if data[:4] == struct.pack("<i", size) else ">"
    fields = _NIFTI_FIELDS[size].newbyteorder(order).fields
    assert fields is not None
    for _ in range(random.choice((1, 1, 2, 3))):
        kind, at = fields[random.choice(list(fields))][:2]
        base, shape = kind.subdtype or (kind, (1,))
        place = at + base.itemsize * random.randrange(int(np.prod(shape)))
        data[place : place + base.itemsize] = _packed(random, base)
    return gzip.compress(bytes(data), 1, mtime=0) if packed else bytes(data)


def nifti_extension(random: Random, content: bytes) -> bytes:
    """A header extension, of any size, between the header and the voxels."""
    packed = content.startswith(b"\x1f\x8b")
    data = gzip.decompress(content) if packed else content
    size = 540 if data[:4] == struct.pack("<i", 540) else 348
    code = random.choice((0, 2, 4, 6, 32, 44, -1))
    told = random.choice((16, 32, 0, -16, 7, 2**30, 2**31 - 1))
    body = json.dumps({"program": "napari-brain-tumor", "schema": values.text(random)[:200]}).encode()[:200]
    extension = struct.pack("<ii", told, code) + body + bytes(-len(body) % 16)
    data = data[:size] + b"\x01\x00\x00\x00" + extension + data[size + 4 :]
    return gzip.compress(data, 1, mtime=0) if packed else data


def _packed(random: Random, kind: np.dtype[Any]) -> bytes:
    if kind.kind == "S":
        return values.text(random).encode("utf-8", "replace")[: kind.itemsize].ljust(kind.itemsize, b"\0")
    value = values.number(random)
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            return np.array(float(value)).astype(kind).tobytes()
    limits = np.iinfo(kind)
    whole = 0 if value != value else int(min(max(value, limits.min), limits.max))
    return np.array(whole).astype(kind).tobytes()


def header_line(random: Random, content: bytes) -> bytes:
    """One line of a text header (NRRD, MetaImage); what follows the header stays."""
    end = _header_end(content)
    lines = content[:end].split(b"\n")
    at = random.randrange(max(1, len(lines) - 1))
    key, separator, value = _parted(lines[at])
    action = random.random()
    if action < 0.55:
        lines[at] = key + separator + values.text(random).encode("utf-8", "replace")
    elif action < 0.7:
        words = value.split(b" ")
        words[random.randrange(len(words))] = values.text(random).encode("utf-8", "replace")
        lines[at] = key + separator + b" ".join(words)
    elif action < 0.8:
        del lines[at]
    elif action < 0.9:
        lines.insert(at, lines[random.randrange(len(lines))])
    else:
        lines.insert(at, values.text(random).encode("utf-8", "replace") + b": " + values.text(random).encode())
    return b"\n".join(lines) + content[end:]


def _header_end(content: bytes) -> int:
    if content.startswith(b"NRRD"):
        return content.find(b"\n\n") if b"\n\n" in content else len(content)
    at = content.find(b"ElementDataFile")
    stop = content.find(b"\n", at)
    return stop + 1 if at >= 0 and stop >= 0 else len(content)


def _parted(line: bytes) -> tuple[bytes, bytes, bytes]:
    for separator in (b" = ", b":=", b": "):
        if separator in line:
            return line.partition(separator)
    return line, b"", b""


def tiff_tag(random: Random, content: bytes) -> bytes:
    """Type, count or value of one tag of a little-endian TIFF."""
    data = bytearray(content)
    entries = list(_tiff_entries(content))
    if not entries:
        return content
    at = random.choice(entries)
    place, size = random.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 4), (8, 2)))
    data[at + place : at + place + size] = _packed(random, np.dtype(f"<u{size}"))
    return bytes(data)


def _tiff_entries(content: bytes) -> Iterator[int]:
    directory = int.from_bytes(content[4:8], "little")
    for _ in range(100):
        if not 0 < directory < len(content) - 2:
            return
        count = int.from_bytes(content[directory : directory + 2], "little")
        yield from (directory + 2 + 12 * k for k in range(count))
        directory = int.from_bytes(content[directory + 2 + 12 * count :][:4], "little")


def dicom_element(random: Random, content: bytes) -> bytes:
    """Value, length or presence of one element of an explicit little-endian DICOM file."""
    elements = list(_dicom_elements(content))
    start, value, end = random.choice(elements)
    action = random.random()
    if action < 0.15:
        return content[:start] + content[end:]
    if action < 0.25:
        return content[:end] + content[start:end] + content[end:]
    if action < 0.35:
        told = _packed(random, np.dtype(f"<u{value - start - 4 if value - start == 8 else 4}"))[-4:]
        return content[: value - len(told)] + told + content[value:]
    head, long = content[start : start + 8], value - start == 12
    body = _dicom_value(random, content[start + 4 : start + 6], content[value:end])
    length = struct.pack("<I", len(body)) if long else struct.pack("<H", min(len(body), 65534))
    return content[:start] + head[:6] + (b"\0\0" + length if long else length) + body + content[end:]


def _dicom_value(random: Random, kind: bytes, before: bytes) -> bytes:
    numeric = {b"US": "<u2", b"UL": "<u4", b"FD": "<f8", b"FL": "<f4", b"SS": "<i2"}
    if kind in numeric:
        return _packed(random, np.dtype(numeric[kind]))
    if kind in (b"OB", b"OW", b"SQ"):
        return before[: random.randrange(len(before) + 1) // 2 * 2]
    parts = before.split(b"\\")
    parts[random.randrange(len(parts))] = values.text(random).encode("utf-8", "replace")
    body = b"\\".join(parts) if random.random() < 0.6 else values.text(random).encode("utf-8", "replace")
    return (body + b" " * (len(body) % 2))[:65534]


def _dicom_elements(content: bytes) -> Iterator[tuple[int, int, int]]:
    at = 132
    while at + 8 <= len(content):
        if content[at + 4 : at + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF", b"UC"):
            value, length = at + 12, int.from_bytes(content[at + 8 : at + 12], "little")
        else:
            value, length = at + 8, int.from_bytes(content[at + 6 : at + 8], "little")
        end = len(content) if length == 0xFFFFFFFF else min(len(content), value + length)
        yield at, value, end
        at = end


def json_node(random: Random, content: bytes) -> bytes:
    """One value of a JSON document replaced, removed or doubled; or the whole nested deeply."""
    document = json.loads(content)
    if random.random() < 0.04:
        depth = random.choice((200, 2_000, 100_000))
        opening, closing = random.choice((("[", "]"), ('{"a":', "}")))
        return (opening * depth + "1" + closing * depth).encode()
    places = list(_places(document))
    holder, key = random.choice(places)
    action = random.random()
    if action < 0.7 or not isinstance(holder, dict):
        holder[key] = values.json_value(random)
    elif action < 0.85:
        del holder[key]
    else:
        holder[values.text(random)[:60]] = holder[key]
    return json.dumps(document, ensure_ascii=random.random() < 0.5).encode("utf-8", "replace")


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    keys: Any = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from _places(node[key])


def toml_line(random: Random, content: bytes) -> bytes:
    """One line of a TOML document."""
    lines = content.decode().split("\n")
    at = random.choice([i for i, line in enumerate(lines) if "=" in line or line.startswith("[")])
    key, separator, _ = lines[at].partition(" = ")
    action = random.random()
    if action < 0.6 and separator:
        value: Any = values.json_value(random)
        lines[at] = f"{key} = {value if isinstance(value, float) else json.dumps(value)}"
    elif action < 0.7:
        depth = random.choice((100, 1_000, 100_000))
        lines[at] = f"{key} = {'[' * depth}{']' * depth}"
    elif action < 0.85:
        del lines[at]
    else:
        lines.insert(at, random.choice((lines[at], "[[sources]]", "[model]", values.text(random), '"" = 1')))
    return "\n".join(lines).encode("utf-8", "replace")


def zip_members(random: Random, content: bytes) -> bytes:
    """Members of a zip dropped, doubled, renamed, swapped or added, with right checksums."""
    members = _members(content)
    name = random.choice(list(members))
    action = random.randrange(5)
    if action == 0:
        del members[name]
    elif action == 1:
        renamed = random.choice(("../x", "/tmp/x", "C:\\x", name.upper(), name + "/", "", "x" * 300))
        members = {renamed if key == name else key: value for key, value in members.items()}
    elif action == 2:
        members[random.choice(("extra.txt", "../outside.json", ".data/version", "sub/" + name))] = b"3\n"
    elif action == 3:
        other = random.choice(list(members))
        members[name], members[other] = members[other], members[name]
    else:
        members[name] = members[name][: random.randrange(len(members[name]) + 1)]
    return _zipped(members)


def zip_bomb(random: Random, content: bytes) -> bytes:
    """A member that unpacks to far more than its file has, named as one that belongs there."""
    members = _members(content)
    name = random.choice(list(members))
    members[name] = bytes(random.choice((2**20, 2**26, 2**28)))
    return _zipped(members, zipfile.ZIP_DEFLATED)


def package_card(random: Random, content: bytes) -> bytes:
    """The card of a model's package, with the hashes that then are right."""
    members = _members(content)
    if random.random() < 0.35:
        card = json.loads(members["card.json"])
        key = random.choice(("width", "levels", "widest", "convolutions", "in_channels", "dropout"))
        card["arguments"][key] = random.choice((-1, 0, 1, 64, 4096, 100_000, 500, 2**40, 0.5, "x", None, [1, 2]))
        members["card.json"] = json.dumps(card).encode()
    else:
        members["card.json"] = json_node(random, members["card.json"])
    files = [name for name in members if name != "SHA256SUMS"]
    lines = [f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n" for name in files]
    return _zipped({**members, "SHA256SUMS": "".join(lines).encode()})


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def _zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name or "empty"), content, compression)
    return buffer.getvalue()


def gzip_bomb(random: Random, content: bytes) -> bytes:
    """A gzip stream that goes on with zeros long after the values."""
    zeros = zlib.compressobj(9, zlib.DEFLATED, 31)
    more = random.choice((2**24, 2**27, 2**28))
    return zeros.compress(gzip.decompress(content) + bytes(more)) + zeros.flush()


def named(name: str, editor: Callable[[Random, bytes], bytes]) -> Callable[[Random, bytes], bytes]:
    """The same editor under another name, for the words of a mutation."""
    editor.__name__ = name
    return editor
