"""Read JSON that anybody may have written; read and write documents of our own."""

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
"""Our own documents nest ten deep; what nests deeper would end in the stack of whoever looks at it."""


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises
    ------
    UnreadableFileError
        If it is missing or no ordinary file.
    ValueError
        If it is not JSON, nests too deeply or holds numbers of thousands of digits; `UnreadableFileError` is one too.
    """
    return parse_json(read_regular(path, _LARGEST))


def parse_json(text: str | bytes) -> Any:
    """What a text says; every problem with it is a `ValueError`."""
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    _check_depth(content)
    return content


def read_document(path: Path, kind: type[Document]) -> Document | None:
    """A document that only saves work, such as times that were measured; None where it cannot be used."""
    try:
        return kind.model_validate_json(read_regular(path, _LARGEST))
    except (UnreadableFileError, ValidationError):
        return None


def write_document(path: Path, document: BaseModel) -> None:
    """Write a document whole or not at all; raises `SaveError`."""
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
