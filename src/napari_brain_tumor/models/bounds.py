"""Limits on what a model card may request, whatever its origin; far above those of any published network."""

from collections.abc import Mapping
from typing import Any, Final

LARGEST_CARD_BYTES: Final = 4 * 2**20
LARGEST_WEIGHTS_BYTES: Final = 8 * 2**30
MOST_PARAMETERS: Final = 1_000_000_000
MOST_ROLES: Final = 16

_LARGEST: Final[Mapping[str, int]] = {"width": 512, "widest": 4096, "levels": 8, "depth": 8, "fold": 4, "detail": 256}
"""Maximum values by argument name."""
_LARGEST_OTHER: Final = 4096
_MOST_ENTRIES: Final = 16
"""Maximum number of arguments, and of entries of an argument that is a list, such as the blocks of each level."""
_LARGEST_ENTRY: Final = 64
_LONGEST_TEXT: Final = 40


def arguments_beyond_bounds(arguments: Mapping[str, Any]) -> str:
    """Describe which argument of an architecture exceeds the limits; empty if none does."""
    if len(arguments) > _MOST_ENTRIES:
        return f"{len(arguments)} arguments, of which there are {_MOST_ENTRIES} at most"
    return next(filter(None, (_beyond(name, value) for name, value in arguments.items())), "")


def _beyond(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        if len(value) > _MOST_ENTRIES:
            return f"{name} with {len(value)} entries, of which there are {_MOST_ENTRIES} at most"
        return next(filter(None, (_number_beyond(name, entry, _LARGEST_ENTRY) for entry in value)), "")
    if isinstance(value, str):
        return f"{name} of {len(value)} letters" if len(value) > _LONGEST_TEXT else ""
    return _number_beyond(name, value, _LARGEST.get(name, _LARGEST_OTHER))


def _number_beyond(name: str, value: Any, most: int) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if not isinstance(value, int | float):
        return f"{name} that is a {type(value).__name__}"
    return "" if 0 <= value <= most else f"{name} {value:g}, which lies between 0 and {most}"
