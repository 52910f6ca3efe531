"""Read and write scans and segmentations."""

from napari_brain_tumor.io.opening import open_image, open_segmentation, open_study, open_truth, recognise
from napari_brain_tumor.io.study_folder import (
    FoundSequences,
    find_sequences,
    names_segmentation,
    role_in_name,
    role_named,
)
from napari_brain_tumor.io.volume import Volume

__all__ = [
    "FoundSequences",
    "Volume",
    "find_sequences",
    "names_segmentation",
    "open_image",
    "open_segmentation",
    "open_study",
    "open_truth",
    "recognise",
    "role_in_name",
    "role_named",
]
