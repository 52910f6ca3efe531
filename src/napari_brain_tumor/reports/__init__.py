"""A page about one segmentation, or about several examinations of a patient, in one HTML file."""

from napari_brain_tumor.reports.page import report, report_job

__all__ = ["report", "report_job"]
