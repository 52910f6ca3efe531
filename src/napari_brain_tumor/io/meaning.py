"""Meaning of the integers in a saved label file, as stored beside and inside the file.

Inside a NIfTI file it is stored as a header extension (a comment, code 6), in NRRD and MetaImage as a custom field, in
TIFF as an entry of the description; in each case as the same small JSON under the key `napari-brain-tumor`. It contains
the hash of the labels, so that it is ignored if another program changed the labels but kept the text.
"""

import gzip
import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tifffile

from napari_brain_tumor.errors import LabelSchemaError, SaveError
from napari_brain_tumor.io.formats import NIFTI, TIFF
from napari_brain_tumor.label_schemas import LabelSchema, schema_named
from napari_brain_tumor.labels import REGIONS, Region, labels_sha256
from napari_brain_tumor.study import Segmentation

KEY: Final = "napari-brain-tumor"

_COMMENT_CODE: Final = 6
_HEAD_BYTES: Final = 65_536
"""More than the length of the text at the start of files written by this package."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Label schema of a label file, and the regions that its labels define.

    Parameters
    ----------
    values : dict of int to str
        Meaning of each integer in the file.
    known_regions : tuple of {"WT", "TC", "ET"}
    labels_sha256 : str or None
        Hash of the integers in the file; the first versions did not write it.
    notes : tuple of str
        Notes on assumptions made about the scans or the labels.
    """

    schema: LabelSchema
    values: Mapping[int, str]
    known_regions: tuple[Region, ...]
    labels_sha256: str | None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, segmentation: Segmentation, schema: LabelSchema) -> "Meaning":
        """Return the meaning of a segmentation that is saved in a schema."""
        # A schema with a single class merges the others.
        joined = len(schema.known_regions) == 1
        names = schema.class_names if joined else segmentation.class_names
        values = {schema.from_class[c]: names[c] for c in names if c in schema.from_class}
        known = schema.known_regions if joined else segmentation.known_regions
        sha256 = labels_sha256(schema.encode(segmentation.data))
        return cls(schema, dict(sorted(values.items())), tuple(known), sha256, segmentation.notes)

    @classmethod
    def read(cls, document: Any) -> "Meaning | None":
        """Parse a document; None if it is not a meaning, or from a version whose schemas are unknown here."""
        if not isinstance(document, Mapping):
            return None
        name, known, sha256 = (document.get(key) for key in ("schema", "known_regions", "labels_sha256"))
        try:
            schema = schema_named(name) if isinstance(name, str) else None
        except LabelSchemaError:
            return None
        if schema is None or not (sha256 is None or isinstance(sha256, str)):
            return None
        listed = known if isinstance(known, list) else list(schema.known_regions)
        regions = tuple(r for r in REGIONS if r in listed and r in schema.known_regions)
        values = document.get("values")
        read = _integers(values if isinstance(values, Mapping) else {})
        return cls(schema, read, regions, sha256, texts_of(document.get("notes")))

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object that is written."""
        return {
            "schema": self.schema.name,
            "values": {str(value): name for value, name in self.values.items()},
            "known_regions": list(self.known_regions),
            "labels_sha256": self.labels_sha256,
            "notes": list(self.notes),
        }

    @property
    def text(self) -> str:
        """The JSON stored inside the file, in ASCII."""
        return json.dumps({KEY: {"format": 1, **self.document}})

    def is_of(self, values: npt.NDArray[np.uint8]) -> bool:
        """Whether it was written for these integers; assumed to be so if no hash was written."""
        return self.labels_sha256 is None or self.labels_sha256 == labels_sha256(values)


def texts_of(notes: Any) -> tuple[str, ...]:
    """Return the strings in a list from a document."""
    return tuple(note for note in notes if isinstance(note, str)) if isinstance(notes, list) else ()


def _integers(values: Mapping[Any, Any]) -> dict[int, str]:
    return {int(value): str(name) for value, name in values.items() if str(value).isdecimal() and len(str(value)) < 4}


def nifti_extension(text: str) -> bytes:
    """Return a NIfTI header extension that contains a text, preceded by the flag that announces extensions."""
    content = text.encode("ascii")
    size = 8 + len(content)
    padding = -size % 16
    return b"\x01\0\0\0" + struct.pack("<2i", size + padding, _COMMENT_CODE) + content + bytes(padding)


def meaning_inside(place: Path) -> Meaning | None:
    """Read the meaning stored in a label file, or consistently in every mask of a folder; None if there is none.

    Parameters
    ----------
    place : Path
        A file in any format that labels are saved in, or a folder of masks. Unreadable files raise nothing here; the
        error is raised when the labels are opened.
    """
    if place.is_dir():
        masks = [path for path in sorted(place.glob("*_mask.tif")) if not path.name.startswith(".")]
        return _common([Meaning.read(_entry(_text_inside(path))) for path in masks])
    return Meaning.read(_entry(_text_inside(place)))


def require_meaning(path: Path, meaning: Meaning) -> None:
    """Raise `SaveError` if a written file does not contain this meaning of its labels."""
    read = meaning_inside(path)
    if read is None or read.document != meaning.document:
        raise SaveError("it did not read back as it was written, the meaning of its labels differs")


def _common(meanings: Sequence[Meaning | None]) -> Meaning | None:
    """Return the meaning shared by all masks; if they differ, one with an empty hash, which matches no labels."""
    first = next((meaning for meaning in meanings if meaning is not None), None)
    if first is None or all(meaning is not None and meaning.document == first.document for meaning in meanings):
        return first
    return replace(first, labels_sha256="")


def _entry(text: str | None) -> Any:
    try:
        document = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return document.get(KEY) if isinstance(document, dict) else None


def _text_inside(path: Path) -> str | None:
    try:
        if NIFTI.fits(path):
            return _text_in_nifti(path)
        if TIFF.fits(path):
            return _text_in_tif(path)
        return _text_in_lines(path)
    except (OSError, EOFError, ValueError, zlib.error, struct.error, tifffile.TiffFileError):
        return None


def _text_in_nifti(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(b"\x1f\x8b"):
        with gzip.open(path) as packed:
            head = packed.read(_HEAD_BYTES)
    return next((text for text in _extensions(head) if f'"{KEY}"' in text), None)


def _extensions(head: bytes) -> Iterator[str]:
    """Yield the comments among the extensions after a NIfTI header."""
    order = "<" if head[:4] in (struct.pack("<i", 348), struct.pack("<i", 540)) else ">"
    at = struct.unpack(f"{order}i", head[:4])[0]
    if at not in (348, 540) or head[at : at + 1] != b"\x01":
        return
    stop = struct.unpack(f"{order}f", head[108:112])[0] if at == 348 else struct.unpack(f"{order}q", head[168:176])[0]
    at += 4
    while at + 8 <= min(stop, len(head)):
        size, code = struct.unpack(f"{order}2i", head[at : at + 8])
        if size < 16 or at + size > len(head):
            return
        if code == _COMMENT_CODE:
            yield head[at + 8 : at + size].rstrip(b"\0").decode("utf-8", errors="replace")
        at += size


def _text_in_tif(path: Path) -> str | None:
    with tifffile.TiffFile(path) as file:
        text = str(getattr(file.pages[0], "description", ""))
        return text if f'"{KEY}"' in text else None


def _text_in_lines(path: Path) -> str | None:
    """Return the field of a NRRD (`key:=text`) or MetaImage (`key = text`) header."""
    with path.open("rb") as file:
        lines = file.read(_HEAD_BYTES).split(b"\n")
    for line in lines:
        if not line.strip() or line.startswith(b"ElementDataFile"):
            return None  # end of the header
        name, separator, text = line.partition(b"{")
        if separator and name.rstrip(b" :=").decode("latin-1") == KEY:
            return (separator + text).decode("utf-8", errors="replace").strip()
    return None
