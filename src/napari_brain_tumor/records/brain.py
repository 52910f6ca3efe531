"""The brain that a recorded segmentation was made within, found or taken again."""

from pathlib import Path
from typing import Literal

from napari_brain_tumor.brain.network import brain_model
from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.records.places import Places
from napari_brain_tumor.records.records import BrainRecord, SegmentRecord
from napari_brain_tumor.study import Segmentation


def brain_choice(recorded: SegmentRecord, places: Places) -> Literal["auto", "keep"] | Path:
    """What `segment` is told of the brain so that it does as it did then.

    Records that say nothing of it are of scans without a skull, or older than brain extraction: all was kept.

    Raises
    ------
    RecordError
        If the network or the mask of then is not there.
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
    """That the brain is not the very same now, in a sentence; nothing if it is."""
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
