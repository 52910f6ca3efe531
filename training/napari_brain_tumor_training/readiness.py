"""Whether the weights of a run are ready to be used as a model; does not import torch."""

from pathlib import Path
from typing import Any, Final

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.models.cards import CARD_FILE, Card, read_card

_LEAST_EPOCHS: Final = 5
"""Number of epochs after which weights are accepted even if they were never validated."""


def best_checkpoint(run_folder: Path) -> Path | None:
    """Return the folder of a run's best weights so far, as a model; None if there are none yet."""
    folders = [path.parent for path in run_folder.glob(f"*/{CARD_FILE}") if not path.parent.name.endswith("-last")]
    return max(folders, key=lambda folder: (folder / CARD_FILE).stat().st_mtime, default=None)


def why_not_ready(card: Card) -> str:
    """Explain why weights should not be added to the list of models yet; empty if there is no reason.

    Weights are accepted once they were validated, or come from the last planned epoch or the fifth or a later one.
    """
    training = card.training
    if training is None or card.metrics:
        return ""
    planned = _planned_epochs(training.settings)
    if training.epochs >= (min(_LEAST_EPOCHS, planned) if planned else _LEAST_EPOCHS):
        return ""
    when = "before its first epoch was complete" if training.epochs == 0 else f"after epoch {training.epochs}"
    return (
        f"{card.name} was stopped {when} and was never validated, so its quality is unknown. "
        "Resume the run until its first validation."
    )


def require_ready(checkpoint: Path) -> None:
    """Raise `TrainingError` if `why_not_ready` gives a reason; `CheckpointError` if the folder is not a checkpoint."""
    reason = why_not_ready(read_card(checkpoint))
    if reason:
        raise TrainingError(f"{reason} From the shell it can be added all the same: brain-tumor runs add RUN --anyway")


def _planned_epochs(settings: dict[str, Any]) -> int:
    plan = settings.get("optimisation")
    epochs = plan.get("epochs") if isinstance(plan, dict) else None
    return epochs if isinstance(epochs, int) else 0
