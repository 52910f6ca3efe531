"""A row of the pre-flight table, and what would help."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Verdict = Literal["pass", "warn", "fail"]
FixKind = Literal["resample", "roles", "model", "device", "brain"]

_BY_WEIGHT: Final[tuple[Verdict, ...]] = ("pass", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Fix:
    """What would help.

    Parameters
    ----------
    kind : {"resample", "roles", "model", "device", "brain"}
        What is to be done, or chosen anew; `"brain"` is to look at the brain's outline.
    label : str
        For a button.
    value : str
        What to choose: onto which grid (as for `open_study`), the name of a model or of a device; empty where the user
        has to know.
    """

    kind: FixKind
    label: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """The answer to one question.

    Parameters
    ----------
    question : str
        In a word or two.
    verdict : {"pass", "warn", "fail"}
        A row that fails stops the run, or makes its result meaningless.
    words : str
        What was found, and where it is not well what to do.
    """

    question: str
    verdict: Verdict
    words: str
    fix: Fix | None = None


def worst(rows: Iterable[Row]) -> Verdict:
    """The gravest verdict among the rows."""
    return max((row.verdict for row in rows), key=_BY_WEIGHT.index, default="pass")
