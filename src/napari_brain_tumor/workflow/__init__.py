"""Segmentation of one case from start to finish, as called by the plugin's window, Python and the command line."""

from napari_brain_tumor.workflow.network import Outcome, Rules
from napari_brain_tumor.workflow.provenance import versions
from napari_brain_tumor.workflow.segmentation import (
    outcome_job,
    requested_segmentation_job,
    segment,
    segment_job,
    segment_with_probabilities,
    segment_with_probabilities_job,
)

__all__ = [
    "Outcome",
    "Rules",
    "outcome_job",
    "requested_segmentation_job",
    "segment",
    "segment_job",
    "segment_with_probabilities",
    "segment_with_probabilities_job",
    "versions",
]
