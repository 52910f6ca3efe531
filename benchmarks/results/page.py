"""Render the results page and its pictures from the stored numbers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor_training.calibrate import draw_panels
from results.calibration import as_panels
from results.document import (
    Experiment,
    Results,
    read_experiments,
)
from results.page_cost import time_and_memory
from results.page_frame import (
    definitions,
    experiments,
    head,
    reproduce,
    split,
    targets,
)
from results.page_scores import distances, grades, overlap, slices
from results.page_subsets import subsets
from results.page_trust import calibration, controls, plot_of

__all__ = ["PAGE_FILE", "page", "write_page"]

PAGE_FILE: Final = "results.md"
EXPERIMENTS_FILE: Final = "experiments.json"
REVIEW_FILE: Final = "case_review.md"


def write_page(results: Results, folder: Path) -> list[Path]:
    """Write the page, and a reliability plot for each calibrated model, next to `results.json`.

    Returns
    -------
    list of Path
        Files that were written.

    Raises
    ------
    SaveError
        If a file cannot be written.
    UnreadableFileError
        If `experiments.json` exists but is invalid.
    """
    ideas = read_experiments(folder / EXPERIMENTS_FILE)
    written = []
    for model in results.models.values():
        if model.calibration is not None and model.calibration.regions:
            written.append(folder / plot_of(model))
            draw_panels(written[-1], as_panels(model.calibration))
    text = page(results, ideas, reviewed=(folder / REVIEW_FILE).is_file())
    written.append(folder / PAGE_FILE)
    write_atomically(written[-1], lambda part: part.write_text(text, encoding="utf-8"), _check_whole(text))
    return written


def page(results: Results, ideas: Sequence[Experiment] = (), *, reviewed: bool = False) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    results : Results
        The measurements; sections without any are omitted.
    ideas : sequence of Experiment
        Ideas tried in training.
    reviewed : bool
        Whether `case_review.md` is in the same folder.
    """
    models = list(results.models.values())
    parts = (
        head(results, review=REVIEW_FILE if reviewed else None),
        targets(results),
        split(results),
        overlap(models),
        distances(models),
        grades(models),
        slices(models),
        time_and_memory(models),
        subsets(models),
        calibration(models),
        controls(models),
        experiments(ideas),
        definitions(models),
        reproduce(results),
    )
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _check_whole(text: str) -> Callable[[Path], None]:
    def check(part: Path) -> None:
        if part.read_text(encoding="utf-8") != text:
            msg = "the page did not read back the same"
            raise SaveError(msg)

    return check
