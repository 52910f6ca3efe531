"""Write what the cards of the shipped models say into README and NOTICE; run as `python scripts/model_table.py`."""

import sys
from pathlib import Path

from napari_brain_tumor.models.cards import CARD_FILE, Card, list_models, read_card
from napari_brain_tumor.models.configurations import ORIGINS, size_of
from napari_brain_tumor.models.manifest import BUNDLED

ROOT = Path(__file__).parent.parent
README, NOTICE = ROOT / "README.md", ROOT / "NOTICE"
START, END = "<!-- models: written by scripts/model_table.py -->\n", "<!-- models end -->"
NOTICE_START, NOTICE_END = "<!-- weights: written by scripts/model_table.py -->\n", "<!-- weights end -->"


def table(cards: list[Card]) -> str:
    """Markdown with one row for each model: what it is, and which scans it is for."""
    head = ("model", "network", "parameters", "for")
    return "\n".join(_line(cells) for cells in (head, ("---",) * len(head), *map(_row, cards))) + "\n"


def with_table(readme: str, cards: list[Card]) -> str:
    """The README with its table replaced."""
    before, rest = readme.split(START)
    return before + START + table(cards) + END + rest.split(END)[1]


def shipped() -> list[Card]:
    """Cards of the models in the package."""
    return [model.card for model in list_models() if model.bundled]


def with_weights() -> list[Card]:
    """Cards of every folder of weights in the package, the brain's too."""
    return [read_card(path.parent) for path in sorted(BUNDLED.glob(f"*/{CARD_FILE}"))]


def with_terms(notice: str, cards: list[Card]) -> str:
    """The NOTICE with the terms of every folder of weights replaced."""
    before, rest = notice.split(NOTICE_START)
    lines = [f"    src/napari_brain_tumor/checkpoints/{card.name}\n        {card.licence}\n" for card in cards]
    return before + NOTICE_START + "".join(lines) + NOTICE_END + rest.split(NOTICE_END)[1]


def _row(card: Card) -> tuple[str, ...]:
    return f"`{card.name}`", _network(card), f"{card.parameters / 1e6:.2f} M", card.purpose or "any scan"


def _network(card: Card) -> str:
    if card.members:
        return "mean of " + " and ".join(f"`{member.name}`" for member in card.members)
    size = size_of(card.architecture, card.arguments, card.dims)
    return f"{card.dims}D {ORIGINS[card.architecture].source.split(',')[0]}, {size}"


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    if not (cards := shipped()):
        sys.exit("No model is in the package: there is nothing to write.")
    README.write_text(with_table(README.read_text(encoding="utf-8"), cards), encoding="utf-8")
    NOTICE.write_text(with_terms(NOTICE.read_text(encoding="utf-8"), with_weights()), encoding="utf-8")
