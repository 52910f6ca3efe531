"""The model card as a readable page."""

from collections.abc import Iterable, Sequence
from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from napari_brain_tumor.catalogue import Method, ModelInfo
from napari_brain_tumor.measure.volumes import REGION_NAMES
from napari_brain_tumor.models.card_parts import Metrics
from napari_brain_tumor.models.cards import Card
from napari_brain_tumor.study import ROLES
from napari_brain_tumor.widgets.parts import add_to


def page_of(model: Method) -> str:
    """Return a description of a model or method as HTML, without colours so that it is readable in every theme."""
    if isinstance(model, ModelInfo):
        return _card_page(model)
    source = escape(getattr(model, "source", ""))
    summary = escape(getattr(model, "summary", ""))
    seeds = "Starts at the points of a Points layer, or automatically." if model.takes_seeds else ""
    facts = {"Scans": "needs FLAIR or T2; T1 and T1c add the enhancing class", "Source": source, "Seeds": seeds}
    return f"<h3>{escape(model.title)}</h3><p>{summary}</p>{_table(facts.items())}" + _notes(model.notes_without(ROLES))


def _card_page(model: ModelInfo) -> str:
    card = model.card
    parts = [
        f"<h3>{escape(card.title or model.name)}</h3>",
        _table(_facts(model)),
        _heading("Dice on validation cases, by the scans that were given"),
        *_scores(card.metrics),
        *_calibration(card),
        *_training(card),
        _notes(card.notes),
    ]
    return "".join(parts)


def _facts(model: ModelInfo) -> list[tuple[str, str]]:
    card = model.card
    regions = ", ".join(f"{REGION_NAMES[region]} ({region})" for region in card.regions)
    thresholds = ", ".join(f"{region} {card.threshold(region):g}" for region in card.regions)
    slices = "any" if card.thickest_slices_mm is None else f"up to {card.thickest_slices_mm:g} mm apart"
    removed = f"parts under {card.min_lesion_mm3:g} mm³, and under {card.min_lesion_share:.0%} of the largest"
    roles = ", ".join(dict.fromkeys(card.roles))
    facts = [
        ("Name", model.name),
        ("Network", f"{card.architecture}, {card.dims}D, {card.parameters / 1e6:.1f} million parameters"),
        ("Scans", f"{roles} ({'any of them' if card.optional_roles else 'all of them'})"),
        ("Head", "brain without skull" if card.brain_only else "with or without skull"),
        ("Slices", slices),
        ("Extent", f"at least {card.min_extent_mm:g} mm in all directions" if card.min_extent_mm else "any"),
        ("Regions", regions),
        ("Thresholds", thresholds),
        ("Removed", removed),
        ("Networks", ", ".join(member.name for member in card.members)),
        ("Origin", card.origin or ("comes with the plugin" if model.bundled else str(model.folder))),
        ("Licence", card.licence),
        ("Made", f"{card.created:%Y-%m-%d}"),
        ("Weights", f"SHA-256 {card.weights_sha256[:16]}…"),
    ]
    return [(name, escape(value)) for name, value in facts]


def _scores(metrics: Sequence[Metrics]) -> list[str]:
    if not metrics:
        return ["<p>None were measured.</p>"]
    regions = list(dict.fromkeys(region for entry in metrics for region in entry.mean_dice))
    parts = []
    for dataset in dict.fromkeys(entry.dataset for entry in metrics):
        these = [entry for entry in metrics if entry.dataset == dataset]
        rows = [
            ["+".join(entry.roles) + (", mirrored" if entry.flips else ""), str(entry.cases)]
            + [f"{entry.mean_dice[region]:.2f}" if region in entry.mean_dice else "" for region in regions]
            for entry in sorted(these, key=lambda entry: (entry.flips, -len(entry.roles)))
        ]
        parts.append(f"<p>{escape(dataset)}</p>" + _grid(["Scans", "Cases", *regions], rows))
        parts += [
            f"<p>{escape(text)}</p>" for text in dict.fromkeys(entry.definition for entry in these if entry.definition)
        ]
    return parts


def _calibration(card: Card) -> list[str]:
    if not card.calibration:
        return [_heading("Calibration"), "<p>Probabilities are as the network gives them.</p>"]
    rows = [
        [region, f"{calibration.temperature:.2f}", f"{calibration.error_before:.3f}", f"{calibration.error_after:.3f}"]
        for region, calibration in card.calibration.items()
    ]
    heads = ["Region", "Temperature", "Error before", "after"]
    return [_heading("Calibration"), _grid(heads, rows)]


def _training(card: Card) -> list[str]:
    if card.training is None:
        return [_heading("Training"), "<p>Not known.</p>"]
    training = card.training
    text = f"{training.cases} cases of {', '.join(training.datasets)}, {training.epochs} epochs, seed {training.seed}"
    return [_heading("Training"), f"<p>{escape(text)}; split {training.split_sha256[:12]}…</p>"]


def _notes(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"{_heading('Worth knowing')}<ul>{items}</ul>" if items else ""


def _heading(text: str) -> str:
    return f"<h4>{escape(text)}</h4>"


def _table(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><td><b>{name}</b>&nbsp;</td><td>{value}</td></tr>" for name, value in facts if value)
    return f"<table cellpadding='2'>{rows}</table>"


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th align='left'>{escape(title)}&nbsp;&nbsp;</th>" for title in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}&nbsp;&nbsp;</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table cellpadding='2'><tr>{head}</tr>{body}</table>"


class ModelPage(QDialog):
    """A window that shows one model; its text can be selected and copied.

    Parameters
    ----------
    parent : QWidget
        Widget whose theme is used.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setModal(False)
        self.resize(480, 560)
        column = QVBoxLayout(self)
        self.text = QTextBrowser()
        self.text.setAccessibleName("About the model")
        self.text.setToolTip("Select and copy with the mouse or the keyboard.")
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        for close_button in buttons.buttons():
            close_button.setToolTip("Close this page (Escape).")
        add_to(column, self.text, buttons)

    def show_model(self, model: Method) -> None:
        """Show this model, and bring the window to the front."""
        self.setWindowTitle(f"About {model.title}")
        self.text.setHtml(page_of(model))
        self.show()
        self.raise_()
