"""Read and write scans and segmentations."""

from napari_brain_tumor.io.dicom import Series
from napari_brain_tumor.io.export import save_segmentation
from napari_brain_tumor.io.one_grid import FINEST, bring_onto_one_grid, distinct_grids, reference_role
from napari_brain_tumor.io.read_labels import open_segmentation, open_truth
from napari_brain_tumor.io.read_study import list_series, open_sequences, open_sources, open_study
from napari_brain_tumor.io.reading import open_image, open_volumes
from napari_brain_tumor.io.recognition import recognise
from napari_brain_tumor.io.sequences import Sequences
from napari_brain_tumor.io.sidecar import read_sidecar, write_sidecar
from napari_brain_tumor.io.study_folder import (
    FoundSequences,
    find_sequences,
    names_segmentation,
    role_in_name,
    role_named,
)
from napari_brain_tumor.io.volume import Volume

__all__ = [
    "FINEST",
    "FoundSequences",
    "Sequences",
    "Series",
    "Volume",
    "bring_onto_one_grid",
    "distinct_grids",
    "find_sequences",
    "list_series",
    "names_segmentation",
    "open_image",
    "open_segmentation",
    "open_sequences",
    "open_sources",
    "open_study",
    "open_truth",
    "open_volumes",
    "read_sidecar",
    "recognise",
    "reference_role",
    "role_in_name",
    "role_named",
    "save_segmentation",
    "write_sidecar",
]
