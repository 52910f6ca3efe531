"""Phantom brains with known tumours for the methods without weights."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.classical.scan import Scan
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.study import Role, Study
from napari_brain_tumor.types import Mask

SHAPE = (60, 96, 80)
"""(Z, Y, X) in voxels of 2 mm at the middle of a brain of 100, 170 and 140 mm."""
SPACING = (2.0, 2.0, 2.0)
LESION = (34, 60, 56)
BRIGHTNESS: dict[Role, tuple[float, float, float]] = {
    "T1": (100, 40, 70),
    "T1c": (100, 40, 70),
    "T2": (100, 220, 170),
    "FLAIR": (100, 30, 170),
}
"""Of tissue, fluid and tumour."""


def ellipsoid(radii_mm: Sequence[float], shape=SHAPE, spacing=SPACING, centre=None) -> Mask:
    """Voxels within an ellipsoid about a voxel; about the middle of the array if none is given."""
    middle = [(n - 1) / 2 for n in shape] if centre is None else centre
    squares = [((np.arange(n) - c) * s / r) ** 2 for n, c, s, r in zip(shape, middle, spacing, radii_mm, strict=True)]
    z, y, x = np.ix_(*squares)
    return z + y + x <= 1


def brain_and_lesion(radius_mm: float = 18.0, shape=SHAPE, spacing=SPACING, centre=LESION) -> tuple[Mask, Mask]:
    """A brain and a ball of tumour in it."""
    return ellipsoid((50, 85, 70), shape, spacing), ellipsoid((radius_mm,) * 3, shape, spacing, centre)


def image(role: Role, brain: Mask, lesion: Mask, spacing=SPACING, seed: int = 0) -> npt.NDArray[np.float32]:
    """Noisy tissue with symmetric ventricles and a tumour; 0 outside the brain."""
    tissue, fluid, tumour = BRIGHTNESS[role]
    y, x = ((n - 1) / 2 for n in brain.shape[1:])
    middle = [((brain.shape[0] - 1) / 2, y, x + side / spacing[2]) for side in (-10, 10)]
    left, right = (ellipsoid((10, 22, 6), brain.shape, spacing, at) for at in middle)
    clean = np.where(lesion, tumour, np.where(left | right, fluid, tissue)).astype(np.float32)
    noise = np.random.default_rng(seed).normal(0, 15, brain.shape)
    blurred = ndimage.gaussian_filter(clean, [0.8 * 2 / s for s in spacing]) + noise
    return np.where(brain, np.maximum(blurred, 1), 0).astype(np.float32)


def scan(
    lesion: Mask, brain: Mask | None = None, roles: Sequence[Role] = ("FLAIR",), spacing=SPACING, rim=None
) -> Scan:
    """A standardised scan; `rim` enhances on T1c."""
    within = ellipsoid((50, 85, 70), lesion.shape, spacing) if brain is None else brain
    channels = {}
    for seed, role in enumerate(roles):
        values = image(role, within, lesion & within, spacing, seed)
        if role == "T1c" and rim is not None:
            values[rim] += 90
        inside = values[within] if within.any() else values
        channels[role] = np.where(within, (values - inside.mean()) / max(inside.std(), 1e-6), 0).astype(np.float32)
    return Scan(channels, within, spacing)


def head_study(lesion: Mask, unit="mm", matrix=None) -> tuple[Study, Mask]:
    """A head with scalp and skull around the brain, as a study `(X, Y, Z)` on a RAS grid, and its brain `(Z, Y, X)`."""
    brain = ellipsoid((50, 85, 70), lesion.shape)
    skull, scalp = ellipsoid((57, 92, 77), lesion.shape), ellipsoid((66, 101, 86), lesion.shape)
    sequences = {}
    for seed, role in enumerate(("T1", "FLAIR")):
        values = image(role, brain, lesion & brain, seed=seed)
        shell = np.where(scalp & ~skull, 260.0, np.where(skull & ~brain, 8.0, 2.0))
        noise = np.abs(np.random.default_rng(10 + seed).normal(0, 2, lesion.shape))
        sequences[role] = (np.where(brain, values, shell) + noise).astype(np.float32).transpose(2, 1, 0)
    spacing = np.diag([2.0, 2.0, 2.0, 1.0]) if matrix is None else matrix
    return Study(sequences, Grid(lesion.shape[::-1], spacing, unit), "head"), brain
