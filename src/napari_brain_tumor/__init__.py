"""Brain-tumour segmentation in napari, from Python and from the shell.

The public names load what they need on first use: importing this package, and opening a file,
loads neither torch nor Qt.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_brain_tumor.catalogue import list_models
    from napari_brain_tumor.comparison import evaluate, evaluate_job
    from napari_brain_tumor.curated_dataset import CuratedDataset
    from napari_brain_tumor.interactive import Refiner, read_prompts, save_prompts
    from napari_brain_tumor.interactive.refine import refine, refine_job
    from napari_brain_tumor.io import open_segmentation, open_study, save_segmentation
    from napari_brain_tumor.measure.volumes import measure_volumes
    from napari_brain_tumor.preflight import check_study
    from napari_brain_tumor.replay import rerun, rerun_job
    from napari_brain_tumor.study import Segmentation, Study
    from napari_brain_tumor.workflow import (
        segment,
        segment_job,
        segment_with_probabilities,
        segment_with_probabilities_job,
    )

try:
    from napari_brain_tumor._version import __version__
except ImportError:  # a source tree that was never built
    __version__ = "0+unknown"

_HOMES = {
    "CuratedDataset": "napari_brain_tumor.curated_dataset",
    "Refiner": "napari_brain_tumor.interactive",
    "Segmentation": "napari_brain_tumor.study",
    "Study": "napari_brain_tumor.study",
    "check_study": "napari_brain_tumor.preflight",
    "evaluate": "napari_brain_tumor.comparison",
    "evaluate_job": "napari_brain_tumor.comparison",
    "list_models": "napari_brain_tumor.catalogue",
    "measure_volumes": "napari_brain_tumor.measure.volumes",
    "open_segmentation": "napari_brain_tumor.io",
    "open_study": "napari_brain_tumor.io",
    "read_prompts": "napari_brain_tumor.interactive",
    "refine": "napari_brain_tumor.interactive",
    "refine_job": "napari_brain_tumor.interactive",
    "rerun": "napari_brain_tumor.replay",
    "rerun_job": "napari_brain_tumor.replay",
    "save_prompts": "napari_brain_tumor.interactive",
    "save_segmentation": "napari_brain_tumor.io",
    "segment": "napari_brain_tumor.workflow",
    "segment_job": "napari_brain_tumor.workflow",
    "segment_with_probabilities": "napari_brain_tumor.workflow",
    "segment_with_probabilities_job": "napari_brain_tumor.workflow",
}

__all__ = [
    "CuratedDataset",
    "Refiner",
    "Segmentation",
    "Study",
    "__version__",
    "check_study",
    "evaluate",
    "evaluate_job",
    "list_models",
    "measure_volumes",
    "open_segmentation",
    "open_study",
    "read_prompts",
    "refine",
    "refine_job",
    "rerun",
    "rerun_job",
    "save_prompts",
    "save_segmentation",
    "segment",
    "segment_job",
    "segment_with_probabilities",
    "segment_with_probabilities_job",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
