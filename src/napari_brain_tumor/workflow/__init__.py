"""One case from end to end: what the window, a script and the shell all call."""

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
