"""Brain extraction: finding the brain in scans of a whole head. Importing it does not load torch."""

from napari_brain_tumor.brain.extraction import brain_mask, brain_mask_job, extract_brain, extract_brain_job

__all__ = ["brain_mask", "brain_mask_job", "extract_brain", "extract_brain_job"]
