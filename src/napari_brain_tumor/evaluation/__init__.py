"""Compare models and methods on cases with a reference segmentation."""

from napari_brain_tumor.evaluation.result import PREDICTIONS, UNFINISHED, Evaluation, Refused, check_folder
from napari_brain_tumor.evaluation.scoring import evaluate, evaluate_job
from napari_brain_tumor.evaluation.tables import read_scores

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
