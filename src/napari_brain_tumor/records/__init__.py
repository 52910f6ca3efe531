"""Recompute a recorded result and report whether it is reproduced."""

from napari_brain_tumor.records.agreement import Agreement
from napari_brain_tumor.records.report import Replay
from napari_brain_tumor.records.run import rerun, rerun_job

__all__ = ["Agreement", "Replay", "rerun", "rerun_job"]
