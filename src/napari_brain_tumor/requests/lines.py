"""An action as the Python lines and the shell command that do the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.requests.opening import OpenRequest
from napari_brain_tumor.requests.quoting import Shell, quoted
from napari_brain_tumor.requests.request import Request
from napari_brain_tumor.requests.shell import word_of, words_of

_WIDTH: Final = 100
_PROGRAM: Final = "brain-tumor"

Word = str | PurePath | Request
"""Of a command: as it is, a path, or a request that stands for its options."""


@dataclass(frozen=True, slots=True)
class CommandLines:
    """An action as a user would write it.

    Parameters
    ----------
    python : str
        Lines that run as they are.
    arguments : tuple of str
        Of the command `brain-tumor`; empty where the shell cannot do it, and `notes` says why.
    notes : tuple of str
        What to know before they are used.
    """

    python: str
    arguments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def shell(self, kind: Shell) -> str:
        """The command, quoted for that shell; empty where there is none."""
        return quoted((_PROGRAM, *self.arguments), kind) if self.arguments else ""


def command_lines(python: Sequence[str], words: Sequence[Word]) -> CommandLines:
    """Python lines, and a command whose requests are written as their options.

    Where the shell has no words for a value there is no command, and a note says why.
    """
    text = "\n".join(python)
    try:
        arguments = [
            word
            for word_or_request in words
            for word in (
                words_of(word_or_request) if isinstance(word_or_request, Request) else [word_of(word_or_request)]
            )
        ]
    except RecordError as error:
        return CommandLines(text, (), (f"{error} Use the Python lines.",))
    return CommandLines(text, tuple(arguments))


def open_line(scans: OpenRequest, name: str = "study") -> str:
    """The line that opens an examination."""
    options = scans.changed()
    return f"{name} = {call('open_study', [options.pop('path')], options)}"


class Name(str):
    """An expression, shown as it is."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class PathCall:
    """A path that has to be a `Path` in the lines."""

    path: PurePath


def call(name: str, arguments: Sequence[Any], options: Mapping[str, Any] | None = None) -> str:
    """A call on one line, or on several where it would be long."""
    texts = [*map(_literal, arguments), *(f"{key}={_literal(value)}" for key, value in (options or {}).items())]
    line = f"{name}({', '.join(texts)})"
    if len(line) <= _WIDTH:
        return line
    inner = "".join(f"    {argument},\n" for argument in texts)
    return f"{name}(\n{inner})"


def _literal(value: Any) -> str:
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, PathCall):
        return f"Path({str(value.path)!r})"
    if isinstance(value, PurePath):
        return repr(str(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_literal, value)) + ("," if len(value) == 1 else "") + ")"
    return repr(value)
