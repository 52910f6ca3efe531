"""Render tissues and tumour as four MRI sequences: means, texture, shading, blur, noise and grey levels.

Means are relative to white matter. Their order follows relaxation times at 3 T, their spread the medians of real
gliomas (z-scores within the brain), so that networks trained on real scans see familiar contrasts here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor_training.synthetic_anatomy import Tissues
from napari_brain_tumor_training.synthetic_fields import BandNoise, Field
from napari_brain_tumor_training.synthetic_tumour import Parts

Matter = Literal["white", "grey", "fluid", "edema", "living", "enhancing", "dead", "vessel", "dura"]

CONTRASTS: Final[dict[Role, dict[Matter, float]]] = {
    "T1": {
        "white": 1.00,
        "grey": 0.74,
        "fluid": 0.34,
        "edema": 0.81,
        "living": 0.68,
        "enhancing": 0.78,
        "dead": 0.54,
        "vessel": 0.80,
        "dura": 0.95,
    },
    "T1c": {
        "white": 1.00,
        "grey": 0.80,
        "fluid": 0.40,
        "edema": 0.83,
        "living": 0.72,
        "enhancing": 1.62,
        "dead": 0.52,
        "vessel": 2.00,
        "dura": 2.00,
    },
    "T2": {
        "white": 1.00,
        "grey": 1.36,
        "fluid": 2.90,
        "edema": 2.22,
        "living": 1.95,
        "enhancing": 1.76,
        "dead": 2.45,
        "vessel": 0.85,
        "dura": 1.20,
    },
    "FLAIR": {
        "white": 1.00,
        "grey": 1.14,
        "fluid": 0.30,
        "edema": 1.88,
        "living": 1.56,
        "enhancing": 1.50,
        "dead": 1.25,
        "vessel": 0.80,
        "dura": 1.05,
    },
}
"""Mean of each kind of matter, divided by that of white matter."""

_UNEVENNESS: Final[dict[Matter, float]] = {"edema": 0.10, "living": 0.08, "enhancing": 0.22, "dead": 0.10}
"""Standard deviation of slow variation within the parts of a tumour, divided by their mean."""

_QUIETNESS: Final[dict[Role, float]] = {"T1": 1.8, "T1c": 1.3, "T2": 0.9, "FLAIR": 0.9}
"""Factor on the drawn signal-to-noise ratio: T1 is acquired with more averaging than its contrast suggests."""

_DEAD_FLAIR_SPREAD: Final = 0.2
"""Relative variation between cases of necrosis on FLAIR, which depends on its protein content."""

_BRIGHTEST_PERCENTILE: Final = 99.9
_TOP_LEVEL: Final = 125
"""Highest grey level; finer levels would only store noise and double the size of the files."""


@dataclass(frozen=True, slots=True)
class Degradation:
    """Degradation of images compared with ideal ones.

    Parameters
    ----------
    bias : float
        Standard deviation of the logarithm of coil shading.
    signal_to_noise : (float, float)
        Range of the ratio of white matter to (Rician) noise on T2 and FLAIR; T1 and T1c have less noise.
    blur_mm : (float, float)
        Range of the in-plane point spread (standard deviation).
    slice_blur_mm : (float, float)
        The same across slices of T2 and FLAIR, which are acquired in thick slices.
    texture : float
        Standard deviation of fine variation within tissue, divided by its mean.
    gamma : float
        Standard deviation of the logarithm of each sequence's contrast exponent.
    jitter : float
        Standard deviation of the logarithm of each mean, after applying the exponent.
    """

    bias: float = 0.08
    signal_to_noise: tuple[float, float] = (13.0, 24.0)
    blur_mm: tuple[float, float] = (0.4, 0.65)
    slice_blur_mm: tuple[float, float] = (0.5, 1.2)
    texture: float = 0.02
    gamma: float = 0.10
    jitter: float = 0.015


def render(
    tissues: Tissues, parts: Parts, grid: Grid, rng: np.random.Generator, degradation: Degradation
) -> dict[Role, npt.NDArray[np.uint8]]:
    """Render images `(X, Y, Z)` of the four sequences, with grey levels 1 to 125 in the brain and 0 outside."""
    cover = _cover(parts, tissues, grid)
    textures = (BandNoise.draw(rng, 1.6).on(grid), BandNoise.draw(rng, 9.0).on(grid))
    uneven = BandNoise.draw(rng, 2.5).on(grid), BandNoise.draw(rng, 6.0).on(grid)
    images: dict[Role, npt.NDArray[np.uint8]] = {}
    for role in ROLES:
        means = _drawn_means(role, rng, degradation)
        ideal = _ideal(tissues, cover, means, uneven[0] * 0.7 + uneven[1] * 0.7)
        ideal *= 1 + degradation.texture * (textures[0] + 0.7 * textures[1])
        images[role] = _as_levels(_scanned(ideal, role, grid, rng, degradation), tissues)
    return images


def _cover(parts: Parts, tissues: Tissues, grid: Grid) -> dict[Matter, Field]:
    """Return how much of each voxel the tumour's parts cover, with soft borders of about a voxel, wider for edema."""
    edema = _soft(parts.edema, 1.1, grid) * np.clip(0.7 + 0.5 * parts.density, 0, 1) * (1 - tissues.fluid)
    edema = edema * (1 - 0.35 * tissues.grey)
    return {
        "edema": np.asarray(edema, dtype=np.float32),
        "living": _soft(parts.living, 0.6, grid),
        "dead": _soft(parts.dead, 0.7, grid),
        "enhancing": _soft(parts.enhancing, 0.6, grid),
    }


def _soft(mask: npt.NDArray[np.bool_], width_mm: float, grid: Grid) -> Field:
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), width_mm / grid.spacing[0]), dtype=np.float32)


def _drawn_means(role: Role, rng: np.random.Generator, degradation: Degradation) -> dict[Matter, float]:
    """Draw the means of one scan: a common exponent, which keeps their order, then small independent changes."""
    gamma = float(np.exp(degradation.gamma * np.clip(rng.standard_normal(), -2, 2)))
    jitter = np.exp(degradation.jitter * np.clip(rng.standard_normal(len(CONTRASTS[role])), -2, 2))
    means = {matter: mean**gamma * float(j) for (matter, mean), j in zip(CONTRASTS[role].items(), jitter, strict=True)}
    protein = float(np.exp(_DEAD_FLAIR_SPREAD * rng.standard_normal()))
    if role == "FLAIR":
        means["dead"] *= protein
    return means


def _ideal(tissues: Tissues, cover: Mapping[Matter, Field], means: Mapping[Matter, float], uneven: Field) -> Field:
    """Return the image without shading, blur and noise: tissues by their shares, then the tumour's parts on top."""
    image = tissues.white * means["white"] + tissues.grey * means["grey"] + tissues.fluid * means["fluid"]
    healthy = np.ones_like(image)
    tumour = np.zeros_like(image)
    for matter, amount in cover.items():
        healthy -= amount
        tumour += amount * means[matter] * (1 + _UNEVENNESS[matter] * uneven)
    healthy = np.clip(healthy, 0, 1)
    image = image * healthy + tumour
    for matter, amount in (("vessel", tissues.vessel), ("dura", tissues.dura)):
        over = amount * healthy
        image = image + over * (means[matter] - image)
    return np.asarray(image, dtype=np.float32)


def _scanned(ideal: Field, role: Role, grid: Grid, rng: np.random.Generator, degradation: Degradation) -> Field:
    """Add shading, blur and Rician noise."""
    shading = np.exp(degradation.bias * BandNoise.draw(rng, 45.0).on(grid))
    in_plane = rng.uniform(*degradation.blur_mm)
    across = rng.uniform(*degradation.slice_blur_mm) if role in ("T2", "FLAIR") else in_plane
    sigma = np.array([in_plane, in_plane, across]) / grid.spacing[0]
    image = ndimage.gaussian_filter(ideal * shading, sigma, truncate=3)
    noise = np.float32(1 / (_QUIETNESS[role] * rng.uniform(*degradation.signal_to_noise)))
    real = image + noise * _grain(rng, grid)
    return np.asarray(np.hypot(real, noise * _grain(rng, grid)), dtype=np.float32)


def _grain(rng: np.random.Generator, grid: Grid) -> Field:
    """Return unit noise with a slight correlation between neighbours, as after interpolation to 1 mm."""
    white = rng.standard_normal(grid.shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, 0.4, truncate=3)
    return np.asarray(smooth / smooth.std(), dtype=np.float32)


def _as_levels(image: Field, tissues: Tissues) -> npt.NDArray[np.uint8]:
    brightest = np.percentile(image[tissues.brain][::7], _BRIGHTEST_PERCENTILE)
    levels = np.clip(np.rint(image * (_TOP_LEVEL / brightest)), 1, _TOP_LEVEL)
    return np.where(tissues.brain, levels, 0).astype(np.uint8)
