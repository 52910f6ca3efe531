"""Compare models and methods on cases whose truth is known."""

from napari_brain_tumor.comparison.result import PREDICTIONS, UNFINISHED, Evaluation, Refused, check_folder
from napari_brain_tumor.comparison.scoring import evaluate, evaluate_job
from napari_brain_tumor.comparison.tables import read_scores

__all__ = [
    "PREDICTIONS",
    "UNFINISHED",
    "Evaluation",
    "Refused",
    "check_folder",
    "evaluate",
    "evaluate_job",
    "read_scores",
]
