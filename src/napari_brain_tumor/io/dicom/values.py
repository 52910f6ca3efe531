"""Read values from a DICOM header; values that cannot be parsed are treated as missing."""

import math
from collections.abc import Sequence
from typing import Any

from napari_brain_tumor.errors import attempted


def value_of(data: Any, keyword: str) -> Any:
    with attempted():
        return data.get(keyword) if data is not None else None
    return None  # a value that cannot be parsed counts as missing


def text_of(data: Any, keyword: str) -> str:
    value = value_of(data, keyword)
    return "" if value is None else " ".join(str(value).replace("\0", " ").split())


def texts_of(data: Any, keyword: str) -> tuple[str, ...]:
    value = value_of(data, keyword)
    several = [value] if isinstance(value, str) else value if isinstance(value, Sequence) else []
    return tuple(str(part).strip().upper() for part in several)


def floats_of(data: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    value = value_of(data, keyword)
    parts = value if not isinstance(value, str) and hasattr(value, "__len__") else [value]
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def float_of(data: Any, *keywords: str) -> float | None:
    for keyword in keywords:
        numbers = floats_of(data, keyword, 1)
        if numbers is not None:
            return numbers[0]
    return None


def positive_of(data: Any, keyword: str) -> float | None:
    number = float_of(data, keyword)
    return number if number is not None and number > 0 else None


def int_of(data: Any, keyword: str) -> int | None:
    number = float_of(data, keyword)
    return None if number is None or number != int(number) else int(number)


def item_of(data: Any, keyword: str) -> Any:
    """Return the first item of a sequence, or None."""
    value = value_of(data, keyword)
    try:
        return value[0] if value else None
    except (TypeError, IndexError, KeyError):
        return None
