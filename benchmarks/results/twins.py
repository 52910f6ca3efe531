"""A glioma's healthy twin: the hemisphere with the tumour replaced by the mirror image of the other."""

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
"""Voxels kept beside the brain within the slices, where the mirrored half is the larger one."""


def healthy_twin(study: Study, truth: Segmentation) -> Study | None:
    """The study with its sick hemisphere replaced by the mirror image of the healthy one.

    The mid-sagittal plane is estimated from the brightness of FLAIR or T2 (`classical.symmetry`), and the mirrored half
    is interpolated linearly. What the tumour pushed over to the healthy side stays as it is.

    Parameters
    ----------
    study : Study
        With FLAIR or T2, of known voxel size.
    truth : Segmentation
        On the study's grid.

    Returns
    -------
    Study or None
        On the RAS grid of the brain's box; None where the truth touches both hemispheres, or is empty.
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
