"""Cells and tables in Markdown."""

from collections.abc import Iterable, Sequence

from results.statistics import Mean

__all__ = ["Lines", "interval", "number", "table"]

Lines = list[str]

_DASH = "\N{EN DASH}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Lines:
    """Return the lines of a table, with the first column left-aligned and the others right-aligned."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(map(_cell, cells))} |" for cells in (head, rule, *rows)]


def _cell(text: str) -> str:
    """Escape text that would end the cell or count as markup, because names come from files."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def number(value: float | None, digits: int = 3) -> str:
    """Format a number with this many decimals; a dash if there is none."""
    return _DASH if value is None else f"{value:.{digits}f}"


def interval(mean: Mean | None, digits: int = 3) -> str:
    """Format a mean, with its interval in brackets if there is one."""
    if mean is None:
        return _DASH
    if mean.low is None or mean.high is None:
        return number(mean.value, digits)
    return f"{mean.value:.{digits}f} ({mean.low:.{digits}f}{_DASH}{mean.high:.{digits}f})"
