"""Cells and tables of Markdown."""

from collections.abc import Iterable, Sequence

from results.statistics import Mean

__all__ = ["Lines", "interval", "number", "table"]

Lines = list[str]

_DASH = "\N{EN DASH}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Lines:
    """Lines of a table; the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(map(_cell, cells))} |" for cells in (head, rule, *rows)]


def _cell(text: str) -> str:
    """The text, which neither ends the cell nor becomes markup: names come from files."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many decimals; a dash where there is none."""
    return _DASH if value is None else f"{value:.{digits}f}"


def interval(mean: Mean | None, digits: int = 3) -> str:
    """A mean, and its interval in brackets where there is one."""
    if mean is None:
        return _DASH
    if mean.low is None or mean.high is None:
        return number(mean.value, digits)
    return f"{mean.value:.{digits}f} ({mean.low:.{digits}f}{_DASH}{mean.high:.{digits}f})"
