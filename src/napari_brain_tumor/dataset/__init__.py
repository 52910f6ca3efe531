"""Curated data sets, as created by curation and used for training.

>>> from napari_brain_tumor.dataset import CuratedDataset
"""

from napari_brain_tumor.dataset.duplicates import find_similar
from napari_brain_tumor.dataset.index import (
    STATES,
    CaseRecord,
    DatasetIndex,
    KnownSlices,
    LabelRecord,
    MadeBy,
    PatientRecord,
    Review,
    ReviewState,
    SimilarCase,
    Split,
    SplitPolicy,
    case_id_from,
)
from napari_brain_tumor.dataset.patients import patient_key
from napari_brain_tumor.dataset.split import SplitRow, read_split_table
from napari_brain_tumor.dataset.store import CuratedDataset
from napari_brain_tumor.dataset.truth import UNKNOWN, Truth, truth_of

__all__ = [
    "STATES",
    "UNKNOWN",
    "CaseRecord",
    "CuratedDataset",
    "DatasetIndex",
    "KnownSlices",
    "LabelRecord",
    "MadeBy",
    "PatientRecord",
    "Review",
    "ReviewState",
    "SimilarCase",
    "Split",
    "SplitPolicy",
    "SplitRow",
    "Truth",
    "case_id_from",
    "find_similar",
    "patient_key",
    "read_split_table",
    "truth_of",
]
