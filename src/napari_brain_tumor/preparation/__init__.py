"""Prepare raw series of an examination as a study on one grid, and map results back to each series' own grid."""

from napari_brain_tumor.preparation.candidates import Candidate, candidates_of
from napari_brain_tumor.preparation.choice import Choice, Selection, select
from napari_brain_tumor.preparation.folder import open_prepared, save_prepared
from napari_brain_tumor.preparation.need import why_prepare, why_prepare_grids
from napari_brain_tumor.preparation.pipeline import prepare, prepare_job
from napari_brain_tumor.preparation.prepared import PreparedStudy, SequencePlace
from napari_brain_tumor.preparation.settings import PreparationSettings

__all__ = [
    "Candidate",
    "Choice",
    "PreparationSettings",
    "PreparedStudy",
    "Selection",
    "SequencePlace",
    "candidates_of",
    "open_prepared",
    "prepare",
    "prepare_job",
    "save_prepared",
    "select",
    "why_prepare",
    "why_prepare_grids",
]
