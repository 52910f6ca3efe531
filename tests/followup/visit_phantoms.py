"""Examinations moved by a known motion, and visits whose sizes are known."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from napari_brain_tumor.geometry import Grid, resample
from napari_brain_tumor.study import Study


def motion(degrees: float, axis: Sequence[float], shift: Sequence[float]) -> npt.NDArray[np.float64]:
    """A rotation about an axis through the world's origin, then a shift in mm."""
    matrix = np.eye(4)
    direction = np.asarray(axis, float) / np.linalg.norm(axis)
    matrix[:3, :3] = Rotation.from_rotvec(np.deg2rad(degrees) * direction).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def moved_study(study: Study, matrix: npt.NDArray[np.float64], grid: Grid | None = None, seed: int = 0) -> Study:
    """What a scanner sees of a head that was moved, on another grid, brighter and with noise of its own."""
    target = grid or study.grid
    lies = Grid(study.grid.shape, matrix @ study.grid.affine)
    random = np.random.default_rng(seed)
    sequences = {}
    for role, array in study.sequences.items():
        there = resample(array, lies, target)
        noise = random.normal(0, 0.03 * np.percentile(array, 99), target.shape)
        sequences[role] = np.clip(1.4 * there + noise, 0, None).astype(np.float32)
    return Study(sequences, target, name="moved")
