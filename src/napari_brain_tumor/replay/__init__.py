"""Compute a recorded result again and tell whether it came out the same."""

from napari_brain_tumor.replay.agreement import Agreement
from napari_brain_tumor.replay.report import Replay
from napari_brain_tumor.replay.run import rerun, rerun_job

__all__ = ["Agreement", "Replay", "rerun", "rerun_job"]
