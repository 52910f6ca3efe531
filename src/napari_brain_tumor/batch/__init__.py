"""Batch processing of many cases, with a summary table."""

from napari_brain_tumor.batch.case_table import CaseRow, CaseRows, CaseTable
from napari_brain_tumor.batch.rows import BatchRows, CaseProgress
from napari_brain_tumor.batch.segment import SegmentedCase, SegmentWork, segment_many, segment_many_job

__all__ = [
    "BatchRows",
    "CaseProgress",
    "CaseRow",
    "CaseRows",
    "CaseTable",
    "SegmentWork",
    "SegmentedCase",
    "segment_many",
    "segment_many_job",
]
