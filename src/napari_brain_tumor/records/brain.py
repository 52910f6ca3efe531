"""The brain mask of a recorded segmentation: how to obtain the same one again."""

from pathlib import Path
from typing import Literal

from napari_brain_tumor.brain.network import brain_model
from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.records.places import Places
from napari_brain_tumor.records.records import BrainRecord, SegmentRecord
from napari_brain_tumor.study import Segmentation


def brain_choice(recorded: SegmentRecord, places: Places) -> Literal["auto", "keep"] | Path:
    """Return the `brain` option with which `segment` treats the skull as it did in the recorded run.

    Records without a brain mask are of skull-stripped scans or predate brain extraction: everything was kept.

    Raises
    ------
    RecordError
        If the recorded brain network or mask is not available.
    """
    brain = recorded.brain
    if brain is None:
        return "auto" if recorded.settings.get("brain") == "auto" else "keep"
    if brain.source == "mask":
        return _mask_file(brain, places)
    present = brain_model().card.weights_sha256
    if brain.weights_sha256 not in (None, present):
        raise RecordError(
            f"The brain was found by a network with weights {(brain.weights_sha256 or '')[:12]}; this version has "
            f"{present[:12]}. Install that version, or segment the case again."
        )
    return "auto"


def changed_brain(recorded: SegmentRecord, segmentation: Segmentation) -> list[str]:
    """Return a note if the brain mask is not identical to the recorded one, otherwise an empty list."""
    if recorded.brain is None:
        return []
    now = segmentation.provenance.get("brain", {}).get("mask_sha256")
    return [] if now == recorded.brain.mask_sha256 else ["The brain is not exactly the one that was recorded."]


def _mask_file(brain: BrainRecord, places: Places) -> Path:
    if brain.path is None:
        raise RecordError(
            "The result was made within a brain mask that was only in memory, so it cannot be computed again. Save "
            "the mask as a file, and segment the case with that: brain=FILE."
        )
    return places.labels(brain.path, brain.sha256, "The brain mask")
