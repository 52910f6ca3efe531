"""Brain extraction: which voxels of a whole head are brain. Importing it loads no torch."""

from napari_brain_tumor.brain.extraction import brain_mask, brain_mask_job, extract_brain, extract_brain_job

__all__ = ["brain_mask", "brain_mask_job", "extract_brain", "extract_brain_job"]
