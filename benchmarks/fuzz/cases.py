"""What is opened: small valid cases, their damaged copies, and how both are put into a folder."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Literal, Self

CASE = "case"
"""The folder that is opened. Beside it lie files that must be neither read nor changed."""


@dataclass(frozen=True)
class Link:
    """A symbolic link in place of a file."""

    target: str


@dataclass(frozen=True)
class Pipe:
    """A named pipe in place of a file: whoever opens it for reading waits for ever."""


Content = bytes | Link | Pipe
Expectation = Literal["anything", "same or refused", "refused"]
"""What may come of a damaged case. `anything`: no checksum and no length tells that it was changed."""

Editor = Callable[[Random, bytes], bytes]
"""Changes the meaning of a file and keeps its outer form, checksums included."""


@dataclass(frozen=True)
class Seed:
    """A small valid case.

    Parameters
    ----------
    format : str
        The row of the table.
    name : str
    files : mapping of relative path to bytes
    open : callable
        Opens the case in a folder as the product does and returns a digest of all values that came of it.
    editors : mapping of suffix to tuple of Editor
        By the end of a file's name.
    checked : mapping of relative path to ranges of bytes
        Where a checksum covers the values.
    whole : frozenset of str
        Files whose end cannot be cut off without a loss of values.
    series : bool
        The files are the slices of one series, in order: none can be missing, and a copy changes nothing.
    promised : int
        Bytes of the values when they are read.
    """

    format: str
    name: str
    files: Mapping[str, bytes]
    open: Callable[[Path], str]
    editors: Mapping[str, tuple[Editor, ...]] = field(default_factory=dict)
    checked: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    series: bool = False
    promised: int = 10_000

    def covers(self, file: str, start: int, stop: int) -> bool:
        """Whether a checksum covers the bytes from `start` to `stop` of a file."""
        return any(a <= start and stop <= b for a, b in self.checked.get(file, ()))

    def editors_of(self, file: str) -> tuple[Editor, ...]:
        """What can change the meaning of a file."""
        return next((e for suffix, e in self.editors.items() if file.lower().endswith(suffix)), ())


@dataclass(frozen=True)
class Mutant:
    """A damaged copy of a seed, what was done to it, and what may come of it."""

    seed: Seed
    files: Mapping[str, Content]
    words: str = ""
    expected: Expectation = "anything"

    def with_file(self, name: str, content: Content, words: str, expected: Expectation = "anything") -> Self:
        """The same with one file changed or added."""
        return replace(self, files={**self.files, name: content}, words=f"{name}: {words}", expected=expected)

    def without_file(self, name: str, expected: Expectation) -> Self:
        """The same without a file."""
        files = {key: value for key, value in self.files.items() if key != name}
        return replace(self, files=files, words=f"{name}: removed", expected=expected)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(len(content) for content in self.files.values() if isinstance(content, bytes))


OUTSIDE = {"outside.raw": bytes(range(1, 241)) * 64, "outside.json": b'{"outside": true}\n'}
"""Files beside the case. The first one could be taken for voxels."""


def write_case(mutant: Mutant, folder: Path) -> Path:
    """Put a case and the files beside it into a new folder, and return the case's own."""
    case = folder / CASE
    case.mkdir(parents=True)
    for name, content in OUTSIDE.items():
        (folder / name).write_bytes(content)
    for name, content in mutant.files.items():
        place = case / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            place.symlink_to(content.target)
        elif isinstance(content, Pipe):
            os.mkfifo(place)
        else:
            place.write_bytes(content)
    return case


def outside_is_untouched(folder: Path) -> bool:
    """Whether the files beside the case are what they were, and nothing else was put there."""
    entries = {p.name for p in folder.iterdir()} - {CASE}
    return entries == set(OUTSIDE) and all((folder / n).read_bytes() == c for n, c in OUTSIDE.items())
