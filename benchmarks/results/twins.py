"""The healthy twin of a glioma: the hemisphere with the tumour is replaced by the mirror image of the other."""

from typing import Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.classical.run import scan_of
from napari_brain_tumor.classical.scan import Spacing, clipped_brightness
from napari_brain_tumor.classical.symmetry import MirrorPlane, find_mirror_plane
from napari_brain_tumor.geometry import Box
from napari_brain_tumor.preprocessing.pipeline import Prepared, PreprocessingSpec, prepare
from napari_brain_tumor.study import ROLES, Segmentation, Study

__all__ = ["healthy_twin"]

_MARGIN: Final = 24
"""Margin in voxels around the brain within slices, in case the mirrored half is the larger one."""


def healthy_twin(study: Study, truth: Segmentation) -> Study | None:
    """Replace the hemisphere with the tumour by the mirror image of the healthy one.

    The mid-sagittal plane is estimated from the brightness of FLAIR or T2 (`classical.symmetry`), and the mirrored half
    is interpolated linearly. Tissue displaced to the healthy side by the tumour is kept.

    Parameters
    ----------
    study : Study
        A study with FLAIR or T2, and known voxel size.
    truth : Segmentation
        The truth on the study's grid.

    Returns
    -------
    Study or None
        The twin on the RAS grid of the brain's box; None if the truth is empty or touches both hemispheres.
    """
    prepared = prepare(study, ROLES, PreprocessingSpec(margin_voxels=_MARGIN))
    scan = scan_of(study, prepared)
    plane = find_mirror_plane(clipped_brightness(scan.bright, scan.brain), scan.brain, scan.spacing_mm)
    right = plane.side(scan.brain.shape, scan.spacing_mm) > 0
    tumour = prepared.work.labels_to_work(truth.data)[prepared.box.slices] > 0
    if bool((tumour & right).any()) == bool((tumour & ~right).any()):
        return None
    sick = right if (tumour & right).any() else ~right
    return _mirrored(study, prepared, plane, sick, scan.spacing_mm)


def _mirrored(
    study: Study, prepared: Prepared, plane: MirrorPlane, sick: npt.NDArray[np.bool_], spacing_mm: Spacing
) -> Study:
    box, sequences = prepared.box, {}
    for role, sequence in study.sequences.items():
        volume = prepared.work.to_work(sequence)[box.slices].astype(np.float32)
        twin = np.where(sick, plane.mirror(volume, spacing_mm), volume)
        sequences[role] = np.ascontiguousarray(twin.transpose(2, 1, 0))
    grid = prepared.work.grid.cropped(Box(box.start[::-1], box.stop[::-1]))
    return Study(sequences, grid, f"{study.name}_twin")
