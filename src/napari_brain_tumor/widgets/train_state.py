"""Logic of the Train panel, without Qt: the request, the description of a run, the location of its pictures."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final

from psygnal import SignalGroupDescriptor

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.errors import BrainTumorError, RecordError
from napari_brain_tumor.models.cards import ModelInfo, models_folder, read_card
from napari_brain_tumor.requests.dataset_actions import train_lines
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.requests.quoting import install_command
from napari_brain_tumor.widgets.worker import time_left_text
from napari_brain_tumor_training import readiness
from napari_brain_tumor_training.detached import REQUEST_FILE, RunRequest, missing_packages
from napari_brain_tumor_training.run_cost import RunCost
from napari_brain_tumor_training.run_status import Run, RunStatus, mean_dice

CONFIGURATIONS_TARGET: Final = "napari_brain_tumor_training.run_process:configurations_job"
ESTIMATE_TARGET: Final = "napari_brain_tumor_training.run_process:estimate_job"
INSTALL_TARGET: Final = "napari_brain_tumor_training.run_process:install_job"
"""The job that runs in the worker process, which has torch."""

_NO_VALIDATION: Final = (
    "No accepted case is on the validation side: how good the model becomes is not measured. Accept some there, or add "
    "patients."
)
_STATES: Final = {
    "starting": "starting",
    "running": "running",
    "finished": "finished",
    "stopped": "stopped",
    "failed": "failed",
    "died": "its process died",
}


@dataclass
class TrainChoices:
    """What the user chose; `events` reports each change. 0 and "" stand for the defaults."""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    source: str = ""
    data: str = ""
    model: str = ""
    start_from: str = ""
    dims: int = 0
    device: str = "auto"
    epochs: int = 0
    batch: int = 0
    learning_rate: float = 0.0

    @property
    def is_recipe(self) -> bool:
        """Whether a recipe rather than a data set is chosen."""
        return Path(self.source).suffix.lower() == ".toml"

    @property
    def fine_tunes(self) -> bool:
        """Whether training starts from an existing model; a recipe determines that itself."""
        return bool(self.start_from) and not self.is_recipe

    @property
    def obstacle(self) -> str:
        """Why training cannot be started yet; empty if it can."""
        missing = missing_packages()
        if missing:
            install = install_command(missing)
            return f"Training needs {', '.join(missing)}, which is not installed. Install it with: {install}"
        if not self.source.strip():
            return "Choose a curated data set or a recipe."
        return _problem_of_recipe(Path(self.source), self.data) if self.is_recipe else _problem_of(Path(self.source))

    @property
    def request(self) -> RunRequest:
        """The request for the training process."""
        return RunRequest(
            source=Path(self.source),
            data=Path(self.data) if self.data and self.is_recipe else None,
            model=None if self.fine_tunes else self.model or None,
            start_from=self.start_from if self.fine_tunes else None,
            dims=None if self.fine_tunes else self.dims or None,
            device=self.device,
            epochs=self.epochs or None,
            batch=self.batch or None,
            learning_rate=self.learning_rate or None,
        )


def lines_of(choices: TrainChoices, folder: Path) -> CommandLines:
    """Return code for Start, in a run's folder; raises `RecordError` if training cannot be started."""
    if choices.obstacle:
        raise RecordError(choices.obstacle)
    return train_lines(choices.request, folder)


def default_runs_folder() -> Path:
    """Return the default folder of runs: beside the user's own models."""
    return models_folder().parent / "runs"


def new_run_folder(parent: Path, choices: TrainChoices, now: datetime) -> Path:
    """Return an unused folder, named after the kind of training, the data and the time."""
    source = Path(choices.source)
    network = Path(choices.start_from).name if choices.fine_tunes else choices.model
    words = [source.stem if choices.is_recipe else source.name, network, f"{now:%Y%m%d-%H%M%S}"]
    name = "-".join(filter(None, words))
    candidates = (f"{name}-{k}" if k > 1 else name for k in range(1, 1000))
    return next(parent / candidate for candidate in candidates if not (parent / candidate).exists())


def starting_models(models: Iterable[ModelInfo]) -> list[ModelInfo]:
    """Return the models that training can start from: tumour networks that are not ensembles."""
    return [model for model in models if not model.card.members and model.card.target == "tumor"]


def case_counts(choices: TrainChoices) -> tuple[int, int] | None:
    """Return the numbers of accepted training and validation cases; None if no curated data set is chosen."""
    if choices.is_recipe or choices.obstacle:
        return None
    dataset = CuratedDataset(choices.source)
    return len(dataset.cases(state="accepted", split="train")), len(dataset.cases(state="accepted", split="val"))


def start_text(choices: TrainChoices, counts: tuple[int, int] | None, cost: RunCost | None) -> str:
    """Return the text of the start button: kind of training, number of accepted cases and approximate duration."""
    verb = "Fine-tune" if choices.fine_tunes else "Train"
    cases = "" if counts is None else f" on {counts[0]} case{'' if counts[0] == 1 else 's'}"
    return f"{verb}{cases}" + ("" if cost is None else f", {duration_text(cost.seconds)}")


def cost_text(counts: tuple[int, int] | None, cost: RunCost) -> str:
    """Describe the number of cases and steps and the duration, before the start."""
    cases = "" if counts is None else f"{counts[0]} training cases, {counts[1]} validation cases; "
    total = f"{cases}{cost.steps} steps, {duration_text(cost.seconds)} on {cost.device}, plus reading the cases."
    alone = "" if counts is None or counts[1] else _NO_VALIDATION
    return "\n".join(filter(None, (total, alone, cost.details)))


def duration_text(seconds: float) -> str:
    """Format an approximate duration."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def run_label(run: Run) -> str:
    """Return a line for the list of runs."""
    s = run.status
    parts = [_STATES[s.state]]
    if s.state == "running" and s.epochs:
        parts.append(f"{s.fraction:.0%}")
    if s.best_dice is not None:
        parts.append(f"Dice {s.best_dice:.3f}")
    return f"{run.folder.name} ({', '.join(parts)})"


def seconds_left(status: RunStatus, expected_seconds: float | None) -> float | None:
    """Return the time left: as reported by the run or, before it knows its pace, from its measured cost.

    Parameters
    ----------
    expected_seconds : float or None
        Duration of the whole run; None if it was not measured.
    """
    if not status.is_alive or status.remaining_seconds is not None or expected_seconds is None:
        return status.remaining_seconds
    return expected_seconds * (1 - status.fraction)


def status_text(status: RunStatus, left: float | None = None) -> str:
    """Return the text below the progress bar, with the time left if it is known."""
    if status.is_alive:
        doing = status.message or _STATES[status.state]
        parts = [f"{doing[:1].upper()}{doing[1:]}", time_left_text(left)]
    else:
        ended = "" if status.state == "died" and status.reason else f"{_STATES[status.state].capitalize()}."
        parts = [ended, status.reason]
    text = (", " if status.is_alive else " ").join(filter(None, parts))
    if status.installed:
        text += f" The model is now in the Segment tab's list as {status.installed}."
    return text


def summary(rows: list[dict[str, float]]) -> str:
    """Return the best validation scores so far, by region, as numbers for the best point of the curves."""
    scored = [(score, row) for row in rows if (score := mean_dice(row)) is not None]
    if not scored:
        return ""
    score, row = max(scored, key=lambda pair: pair[0])
    regions = [key for key in row if key.endswith((" WT", " TC", " ET")) and not key.startswith("train ")]
    regional = ", ".join(f"{key} {row[key]:.3f}" for key in regions)
    return f"Best validation: epoch {row['epoch']:.0f}, mean Dice {score:.3f} ({regional})"


def can_resume(run: Run) -> bool:
    """Return whether a new process can resume the run."""
    unfinished = run.status.state in ("stopped", "failed", "died")
    return unfinished and (run.folder / REQUEST_FILE).is_file()


def why_not_ready(run: Run) -> str:
    """Return why the best weights so far cannot be added to the model list yet; empty if they can.

    Never raises: an unreadable model card is a reason too.
    """
    checkpoint = readiness.best_checkpoint(run.folder)
    if checkpoint is None:
        return "There are no weights yet."
    try:
        return readiness.why_not_ready(read_card(checkpoint))
    except BrainTumorError as error:
        return str(error)


def latest_sample(folder: Path) -> Path | None:
    """Return the newest picture with predictions on validation slices."""
    return max((folder / "samples").glob("epoch_*.png"), default=None)


def _problem_of(folder: Path) -> str:
    try:
        accepted = CuratedDataset(folder).cases(state="accepted", split="train")
    except BrainTumorError as error:
        return str(error)
    if not accepted:
        return f"{folder.name} has no accepted training case. Accept some under Review."
    return ""


def _problem_of_recipe(path: Path, data: str) -> str:
    if not path.is_file():
        return f"There is no recipe {path}. Choose a TOML file or the folder of a curated data set."
    if data and not Path(data).is_dir():
        return f"There is no folder {data}, which the recipe's paths would be relative to. Choose another."
    return ""
