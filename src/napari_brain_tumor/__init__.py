"""Brain-tumour segmentation in napari, from Python and from the command line.

Public names load their modules on first use: neither importing this package nor opening a file loads torch or Qt.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_brain_tumor.batch.measure import measure_many
    from napari_brain_tumor.batch.segment import segment_many, segment_many_job
    from napari_brain_tumor.brain.extraction import brain_mask, brain_mask_job, extract_brain, extract_brain_job
    from napari_brain_tumor.catalogue import list_models
    from napari_brain_tumor.compare import compare_segmentations, consensus
    from napari_brain_tumor.dataset import CuratedDataset
    from napari_brain_tumor.evaluation import evaluate, evaluate_job
    from napari_brain_tumor.followup.document import open_visits
    from napari_brain_tumor.followup.facts import VisitFacts
    from napari_brain_tumor.followup.followup import follow_up
    from napari_brain_tumor.followup.registration import register
    from napari_brain_tumor.followup.visits import Visit
    from napari_brain_tumor.interactive import Refiner, read_prompts, save_prompts
    from napari_brain_tumor.interactive.refine import refine, refine_job
    from napari_brain_tumor.io import Series, list_series, open_segmentation, open_study, save_segmentation
    from napari_brain_tumor.measure.examination import measure_study
    from napari_brain_tumor.measure.settings import MeasureSettings
    from napari_brain_tumor.measure.volumes import measure_volumes
    from napari_brain_tumor.preflight import check_study
    from napari_brain_tumor.preparation import PreparedStudy, open_prepared, prepare, prepare_job
    from napari_brain_tumor.records import rerun, rerun_job
    from napari_brain_tumor.reports import report
    from napari_brain_tumor.study import Segmentation, Study
    from napari_brain_tumor.workflow import (
        segment,
        segment_job,
        segment_with_probabilities,
        segment_with_probabilities_job,
    )

try:
    from napari_brain_tumor._version import __version__
except ImportError:  # source tree that has never been built
    __version__ = "0+unknown"

_HOMES = {
    name: f"napari_brain_tumor.{home}"
    for home, *names in (
        ("batch.measure", "measure_many"),
        ("batch.segment", "segment_many", "segment_many_job"),
        ("brain.extraction", "brain_mask", "brain_mask_job", "extract_brain", "extract_brain_job"),
        ("catalogue", "list_models"),
        ("compare", "compare_segmentations", "consensus"),
        ("dataset", "CuratedDataset"),
        ("evaluation", "evaluate", "evaluate_job"),
        ("followup.document", "open_visits"),
        ("followup.facts", "VisitFacts"),
        ("followup.followup", "follow_up"),
        ("followup.registration", "register"),
        ("followup.visits", "Visit"),
        ("interactive", "Refiner", "read_prompts", "refine", "refine_job", "save_prompts"),
        ("io", "Series", "list_series", "open_segmentation", "open_study", "save_segmentation"),
        ("measure.examination", "measure_study"),
        ("measure.settings", "MeasureSettings"),
        ("measure.volumes", "measure_volumes"),
        ("preflight", "check_study"),
        ("preparation", "PreparedStudy", "open_prepared", "prepare", "prepare_job"),
        ("records", "rerun", "rerun_job"),
        ("reports", "report"),
        ("study", "Segmentation", "Study"),
        ("workflow", "segment", "segment_job", "segment_with_probabilities", "segment_with_probabilities_job"),
    )
    for name in names
}
"""Module of each public name; each row is a module with its public names."""

__all__ = [
    "CuratedDataset",
    "MeasureSettings",
    "PreparedStudy",
    "Refiner",
    "Segmentation",
    "Series",
    "Study",
    "Visit",
    "VisitFacts",
    "__version__",
    "brain_mask",
    "brain_mask_job",
    "check_study",
    "compare_segmentations",
    "consensus",
    "evaluate",
    "evaluate_job",
    "extract_brain",
    "extract_brain_job",
    "follow_up",
    "list_models",
    "list_series",
    "measure_many",
    "measure_study",
    "measure_volumes",
    "open_prepared",
    "open_segmentation",
    "open_study",
    "open_visits",
    "prepare",
    "prepare_job",
    "read_prompts",
    "refine",
    "refine_job",
    "register",
    "report",
    "rerun",
    "rerun_job",
    "save_prompts",
    "save_segmentation",
    "segment",
    "segment_job",
    "segment_many",
    "segment_many_job",
    "segment_with_probabilities",
    "segment_with_probabilities_job",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
