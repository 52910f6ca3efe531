"""A row of the preflight table, and a suggested remedy."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Verdict = Literal["pass", "warn", "fail"]
FixKind = Literal["resample", "roles", "model", "device", "brain"]

_BY_WEIGHT: Final[tuple[Verdict, ...]] = ("pass", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Fix:
    """A suggested remedy.

    Parameters
    ----------
    kind : {"resample", "roles", "model", "device", "brain"}
        What to do or to choose; `"brain"` is to inspect the outline of the brain.
    label : str
        Text for a button.
    value : str
        What to choose: the grid to resample to (as for `open_study`), or the name of a model or device; empty if the
        user has to decide.
    """

    kind: FixKind
    label: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one check.

    Parameters
    ----------
    question : str
        Subject in a word or two.
    verdict : {"pass", "warn", "fail"}
        A row that fails prevents the run, or makes its result meaningless.
    words : str
        The finding and, if there is a problem, what to do.
    """

    question: str
    verdict: Verdict
    words: str
    fix: Fix | None = None


def worst(rows: Iterable[Row]) -> Verdict:
    """Return the most severe verdict among the rows."""
    return max((row.verdict for row in rows), key=_BY_WEIGHT.index, default="pass")
