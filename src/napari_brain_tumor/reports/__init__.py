"""Reports on a segmentation, or on several examinations of a patient, as a single HTML file."""

from napari_brain_tumor.reports.page import report, report_job

__all__ = ["report", "report_job"]
