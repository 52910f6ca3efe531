"""Write the table of shipped models in the README from their cards; run as `python scripts/model_table.py`."""

import sys
from pathlib import Path

from napari_brain_tumor.models.cards import Card, Metrics, list_models

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- models: written by scripts/model_table.py -->\n", "<!-- models end -->"
REGIONS = ("WT", "TC", "ET")


def table(cards: list[Card]) -> str:
    """Markdown with one row for each model and result from every sequence; other subsets are in docs/results.md."""
    head = ("model", "parameters", "cases", "sequences", *REGIONS)
    rows = [row for card in cards for row in _rows(card)]
    return "\n".join(_line(cells) for cells in (head, ("---",) * len(head), *rows)) + "\n" + _licences(cards)


def with_table(readme: str, cards: list[Card]) -> str:
    """The README with its table replaced."""
    before, rest = readme.split(START)
    return before + START + table(cards) + END + rest.split(END)[1]


def shipped() -> list[Card]:
    """Cards of the models in the package."""
    return [model.card for model in list_models() if model.bundled]


def _rows(card: Card) -> list[tuple[str, ...]]:
    name = f"`{card.name}` {card.architecture} {card.dims}D"
    whole = [result for result in card.metrics if set(result.roles) == set(card.roles)]
    return [(name, f"{card.parameters / 1e6:.2f} M", *_result(result)) for result in whole]


def _result(result: Metrics) -> tuple[str, ...]:
    sequences = ", ".join(result.roles) + (" (mirrored inputs averaged)" if result.flips else "")
    scores = [f"{result.mean_dice[r]:.3f}" if r in result.mean_dice else "" for r in REGIONS]
    return f"{result.cases} of {result.dataset}", sequences, *scores


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _licences(cards: list[Card]) -> str:
    return "".join(f"\n`{card.name}`: {card.licence}.\n" for card in cards)


if __name__ == "__main__":
    if not (cards := shipped()):
        sys.exit("No model is in the package: there is nothing to write.")
    README.write_text(with_table(README.read_text(encoding="utf-8"), cards), encoding="utf-8")
