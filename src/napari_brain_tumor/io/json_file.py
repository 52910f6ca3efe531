"""Read JSON from untrusted sources; read and write the package's own documents."""

import json
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.regular_file import read_regular

Document = TypeVar("Document", bound=BaseModel)

_LARGEST: Final = 1 << 28
_DEEPEST: Final = 100
"""The package's own documents nest ten levels deep; much deeper nesting could overflow the stack of later code."""


def read_json(path: Path) -> Any:
    """Return the contents of a JSON file.

    Raises
    ------
    UnreadableFileError
        If it is missing or not a regular file.
    ValueError
        If it is not JSON, nests too deeply or contains numbers with thousands of digits. `UnreadableFileError` is a
        subclass.
    """
    return parse_json(read_regular(path, _LARGEST))


def parse_json(text: str | bytes) -> Any:
    """Parse JSON text; any problem with it raises a `ValueError`."""
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    _check_depth(content)
    return content


def read_document(path: Path, kind: type[Document]) -> Document | None:
    """Read a document that merely caches results, such as measured times; None if it cannot be used."""
    try:
        return kind.model_validate_json(read_regular(path, _LARGEST))
    except (UnreadableFileError, ValidationError):
        return None


def write_document(path: Path, document: BaseModel) -> None:
    """Write a document completely or not at all; raises `SaveError`."""
    write_text(path, document.model_dump_json(indent=1) + "\n")


def _check_depth(content: Any) -> None:
    level = [content]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
        if not level:
            return
    raise ValueError("it nests too deeply")


def _inside(outer: Any) -> Any:
    if isinstance(outer, dict):
        return outer.values()
    return outer if isinstance(outer, list) else ()
