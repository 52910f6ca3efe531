"""Compare the scores of two evaluations, row by row."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from napari_brain_tumor.metrics.compare import CaseScores
from napari_brain_tumor.records.agreement import Verdict

DICE_TOLERANCE: Final = 0.005
"""Change in Dice that is tolerated between processors: about the effect of half a percent of a region's voxels."""

Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class ScoreDifferences:
    """Differences between two tables of scores.

    Parameters
    ----------
    rows : int
        Number of compared rows, each for one case, method and region.
    missing, new : tuple of str
        Rows that are in only one of the tables.
    differing : int
        Number of rows in which any score differs; run times are not compared.
    largest_dice : float
        Largest change in Dice.
    where : str
        The row with the largest change in Dice.
    """

    rows: int
    missing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    differing: int = 0
    largest_dice: float = 0.0
    where: str = ""

    @property
    def verdict(self) -> Verdict:
        """Whether the scores are identical, equal within precision, or different."""
        if self.missing or self.new:
            return "different"
        if not self.differing:
            return "identical"
        return "within precision" if self.largest_dice <= DICE_TOLERANCE else "different"

    def lines(self) -> list[str]:
        """Describe the differences in words."""
        lines = [f"{self.differing} of {self.rows} lines differ (case, method and region)."]
        if self.differing:
            where = f", {self.where}" if self.where else ""
            lines.append(f"Largest change of a Dice: {self.largest_dice:.4f}{where}; {DICE_TOLERANCE:g} is tolerated.")
        for what, names in (("No longer there", self.missing), ("Not there before", self.new)):
            if names:
                lines.append(f"{what}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}.")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Return the differences as a JSON-serialisable dictionary."""
        return asdict(self) | {"tolerated_dice": DICE_TOLERANCE}


def compare_scores(recorded: Iterable[CaseScores], recomputed: Iterable[CaseScores]) -> ScoreDifferences:
    """Compare scores of the same cases, methods and regions."""
    before, after = _by_key(recorded), _by_key(recomputed)
    shared = [key for key in before if key in after]
    changes = {key: abs(_dice(before[key]) - _dice(after[key])) for key in shared}
    largest = max(shared, key=lambda key: changes[key], default=None)
    return ScoreDifferences(
        rows=len(shared),
        missing=tuple(_words(key) for key in before if key not in after),
        new=tuple(_words(key) for key in after if key not in before),
        differing=sum(before[key].scores != after[key].scores for key in shared),
        largest_dice=changes[largest] if largest is not None else 0.0,
        where=_words(largest) if largest is not None and changes[largest] else "",
    )


def _by_key(rows: Iterable[CaseScores]) -> Mapping[Key, CaseScores]:
    return {(row.dataset, row.case, row.model, row.region): row for row in rows}


def _dice(row: CaseScores) -> float:
    return float(row.scores.dice)


def _words(key: Key) -> str:
    dataset, case, model, region = key
    return f"{region} of {f'{dataset}/' if dataset else ''}{case} by {model}"
