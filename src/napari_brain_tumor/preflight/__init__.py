"""Checks before a run: one row for each question, with suggested remedies. Does not load torch."""

from napari_brain_tumor.preflight.check import check_case, check_scans, check_study
from napari_brain_tumor.preflight.rows import Fix, FixKind, Row, Verdict, worst
from napari_brain_tumor.preflight.scans import Scans

__all__ = ["Fix", "FixKind", "Row", "Scans", "Verdict", "check_case", "check_scans", "check_study", "worst"]
