"""Add a random skull, scalp, face and neck to any brain, in four sequences: whole heads with exact truth.

Real T2 scans with the skull are rare in public data sets, but skull-stripped brains abound. The surroundings of a brain
are simple enough to be drawn: shells along its surface, two orbits, air-filled cavities, a neck. Proportions,
thicknesses and intensities vary widely, so that a network learns to recognise brains and not these heads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import Grid, bounding_box
from napari_brain_tumor.study import Role
from napari_brain_tumor_training.synthetic_fields import Field, Mask

_Matter = Literal["air", "bone", "marrow", "fat", "skin", "muscle", "fluid", "mucosa", "cord"]

_MEANS: Final[dict[Role, dict[_Matter, float]]] = {
    "T1": {
        "air": 0.0,
        "bone": 0.08,
        "marrow": 1.1,
        "fat": 1.9,
        "skin": 0.9,
        "muscle": 0.65,
        "fluid": 0.32,
        "mucosa": 0.8,
        "cord": 0.85,
    },
    "T1c": {
        "air": 0.0,
        "bone": 0.08,
        "marrow": 1.1,
        "fat": 1.8,
        "skin": 1.1,
        "muscle": 0.75,
        "fluid": 0.36,
        "mucosa": 1.7,
        "cord": 0.85,
    },
    "T2": {
        "air": 0.0,
        "bone": 0.10,
        "marrow": 1.1,
        "fat": 1.8,
        "skin": 0.9,
        "muscle": 0.45,
        "fluid": 2.9,
        "mucosa": 2.2,
        "cord": 1.0,
    },
    "FLAIR": {
        "air": 0.0,
        "bone": 0.10,
        "marrow": 0.8,
        "fat": 1.4,
        "skin": 0.9,
        "muscle": 0.55,
        "fluid": 0.30,
        "mucosa": 1.5,
        "cord": 1.0,
    },
}
"""Mean of each kind of matter outside the brain, divided by that of white matter."""

_BRAIN_MEDIAN: Final[dict[Role, float]] = {"T1": 0.82, "T1c": 0.88, "T2": 1.45, "FLAIR": 1.06}
"""Median within a brain, divided by the mean of white matter."""

_MARGINS_MM: Final = ((34.0, 34.0), (34.0, 40.0), (85.0, 26.0))
"""Margins around the brain: left and right, back and front, below and above."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadScan:
    """A whole head: float32 sequences `(X, Y, Z)` in RAS order, its brain, and their common grid."""

    sequences: Mapping[Role, Field]
    brain: Mask
    grid: Grid


def dress(images: Mapping[Role, npt.NDArray[np.generic]], brain: Mask, spacing_mm: float, seed: int) -> HeadScan:
    """Add a head around a skull-stripped brain.

    Parameters
    ----------
    images : mapping of role to (X, Y, Z) array
        In RAS order, isotropic; voxels outside the brain are ignored.
    brain : (X, Y, Z) bool array
        The true brain mask; it is returned with margins for the head.
    spacing_mm : float
        Voxel size; 2 mm is sufficient for the structures drawn.
    seed : int
        The same seed gives the same head.
    """
    rng = np.random.default_rng(seed)
    pad = [(round(a / spacing_mm), round(b / spacing_mm)) for a, b in _MARGINS_MM]
    mask = np.pad(brain, pad)
    layers = _layers(mask, spacing_mm, rng)
    strange = rng.random() < 0.15
    sequences: dict[Role, Field] = {}
    for role, image in images.items():
        inner = np.pad(np.asarray(image, dtype=np.float32), pad)
        inner *= np.float32(_BRAIN_MEDIAN[role] / max(float(np.median(inner[mask])), 1e-6))
        sequences[role] = _scanned(_painted(inner, mask, layers, role, rng, strange=strange), spacing_mm, rng)
    grid = Grid(mask.shape, np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0]))
    return HeadScan(sequences, mask, grid)


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Coordinates in mm relative to landmarks of the brain's box: its middle, frontal pole and lowest slice."""

    x: Field
    y: Field
    z: Field
    width: float
    length: float
    height: float

    def ellipsoid(self, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Field:
        """Return the squared distance to the centre relative to the radii; values below one are inside."""
        parts = zip((self.x, self.y, self.z), centre, radii, strict=True)
        return np.asarray(sum(((at - c) / r) ** 2 for at, c, r in parts), dtype=np.float32)


def _place(brain: Mask, spacing_mm: float) -> _Place:
    box = bounding_box(brain)
    assert box is not None, "a head needs a brain"
    low = np.array(box.start) * spacing_mm
    high = np.array(box.stop) * spacing_mm
    x, y, z = (np.arange(n, dtype=np.float32) * np.float32(spacing_mm) for n in brain.shape)
    size = high - low
    middle = (low[0] + high[0]) / 2
    return _Place(
        (x - middle)[:, None, None],
        (y - high[1])[None, :, None],
        (z - low[2])[None, None, :],
        float(size[0]),
        float(size[1]),
        float(size[2]),
    )


def _layers(brain: Mask, spacing_mm: float, rng: np.random.Generator) -> dict[_Matter, Mask]:
    """Return the voxels of each kind of matter; later entries cover earlier ones, and the brain covers all."""
    at = _place(brain, spacing_mm)
    noise = _noise_source(brain.shape, spacing_mm, rng)
    away = _away(brain, spacing_mm)
    gap = np.clip(rng.uniform(0.0, 2.0) + 0.8 * noise(25), 0, 4)
    skull = gap + np.clip(rng.uniform(4.5, 8.5) + 1.5 * noise(25), 2.5, 13)
    scalp = skull + np.clip(rng.uniform(3.0, 10.0) + 1.5 * noise(30), 2, 16)
    face, neck = _face(at, rng), _neck(at, rng)
    below = at.z < (0.35 + 0.1 * rng.random()) * at.height
    body = (away < scalp) | (face < 1) | ((neck < 1) & (at.z < 0.2 * at.height))
    depth = np.asarray(ndimage.distance_transform_edt(body), dtype=np.float32) * np.float32(spacing_mm)
    coarse, fine = noise(9), noise(4)
    layers: dict[_Matter, Mask] = {"fat": body}
    muscle = body & (depth > 5 + 2 * noise(20)) & (coarse > rng.uniform(-0.9, 0.2)) & (below | (away > scalp))
    temporal = (np.abs(at.x) > 0.3 * at.width) & (at.y < -0.1 * at.length) & (at.y > -0.6 * at.length)
    temporal = temporal & (at.z < 0.65 * at.height) & (away > skull) & (depth > 2.5)
    layers["muscle"] = muscle | (temporal & body)
    layers["skin"] = body & (depth < rng.uniform(1.5, 3.2))
    layers["mucosa"] = _cavities(at, rng, 1.25) & body
    shell = (away < skull) & (away >= gap)
    vertebra = (at.ellipsoid((0, -0.58 * at.length, 0), (22, 26, 1e4)) < 1) & (at.z < -2)
    layers["bone"] = shell | (vertebra & body)
    inner = (away > gap + 1.6) & (away < skull - 1.6) & (coarse + 0.5 * fine > rng.uniform(-1.0, 0.6))
    layers["marrow"] = (inner & shell) | (vertebra & (fine > 0))
    layers["air"] = (_cavities(at, rng, 1.0) & (fine > -0.8) & body & (away > gap + 1)) | ~body
    eyes, orbits = _orbits(at, rng)
    outside = (away > gap + 1.5) & body
    layers["fat"] = layers["fat"] | (orbits & outside)
    canal = at.ellipsoid((0, -0.57 * at.length, 0), (9, 9, 1e4)) < 1
    layers["fluid"] = (away < gap) | (eyes & outside) | (canal & (at.z < 4))
    layers["cord"] = (at.ellipsoid((0, -0.57 * at.length, 0), (6, 5, 1e4)) < 1) & (at.z < 4)
    for matter in ("muscle", "skin", "mucosa", "bone", "marrow", "air"):
        layers[matter] &= ~(orbits & outside)
    return layers


def _away(brain: Mask, spacing_mm: float) -> Field:
    """Return the distance from the brain in mm after bridging its folds and gaps, as the inner skull does."""
    far = np.asarray(ndimage.distance_transform_edt(~brain), dtype=np.float32) * np.float32(spacing_mm)
    reach = 9.0
    bridged = np.asarray(ndimage.distance_transform_edt(far < reach)) * spacing_mm > reach
    away = np.asarray(ndimage.distance_transform_edt(~(bridged | brain)), dtype=np.float32)
    return np.asarray(ndimage.gaussian_filter(away * np.float32(spacing_mm), 0.6), dtype=np.float32)


def _face(at: _Place, rng: np.random.Generator) -> Field:
    size = rng.uniform(0.92, 1.1)
    upper = at.ellipsoid(
        (0, -0.30 * at.length, 0.05 * at.height), (0.50 * at.width * size, 0.42 * at.length, 0.75 * at.height)
    )
    nose = at.ellipsoid((0, 8 + rng.uniform(0, 10), 0.02 * at.height), (14, 16, 26))
    return np.minimum(upper, nose)


def _neck(at: _Place, rng: np.random.Generator) -> Field:
    size = rng.uniform(0.85, 1.15)
    return at.ellipsoid((0, -0.52 * at.length, 0), (0.46 * at.width * size, 0.36 * at.length * size, 1e4))


def _cavities(at: _Place, rng: np.random.Generator, grow: float) -> Mask:
    """Return the nose, sinuses and mastoid cells; with `grow`, including the mucosa that lines them."""
    draws = np.random.default_rng(rng.integers(2**31) if grow == 1.25 else 0)
    centres = [
        ((0, -8, -18), (12, 34, 26)),
        ((0, -30, 0.2 * at.height), (12, 26, 11)),
        ((28, -18, -12), (14, 15, 17)),
        ((-28, -18, -12), (14, 15, 17)),
        ((9, 4, 0.43 * at.height), (11, 7, 12)),
        ((-9, 4, 0.43 * at.height), (11, 7, 12)),
        ((50, -0.58 * at.length, 0.16 * at.height), (11, 14, 16)),
        ((-50, -0.58 * at.length, 0.16 * at.height), (11, 14, 16)),
        ((0, -35, -55), (20, 25, 12)),
    ]
    inside = np.zeros(np.broadcast_shapes(at.x.shape, at.y.shape, at.z.shape), dtype=bool)
    for centre, radii in centres:
        size = grow * draws.uniform(0.7, 1.2)
        inside |= at.ellipsoid(centre, (radii[0] * size, radii[1] * size, radii[2] * size)) < 1
    return inside


def _orbits(at: _Place, rng: np.random.Generator) -> tuple[Mask, Mask]:
    """Return the eyeballs, and the cones of fat behind them."""
    apart = 0.235 * at.width * rng.uniform(0.92, 1.08)
    front, level = rng.uniform(-16, -4), rng.uniform(0.17, 0.27) * at.height
    radius = rng.uniform(11, 13.5)
    shape = np.broadcast_shapes(at.x.shape, at.y.shape, at.z.shape)
    eyes, orbits = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for side in (-1, 1):
        eyes |= at.ellipsoid((side * apart, front, level), (radius, radius, radius)) < 1
        share = np.clip((front - at.y) / 42, 0, 1)
        width = 17 * (1 - share) + 5 * share
        line = side * (apart * (1 - share) + 12 * share)
        round_it = ((at.x - line) ** 2 + (at.z - level) ** 2) < width**2
        orbits |= round_it & (at.y < front + 6) & (at.y > front - 42)
    return eyes, orbits | eyes


def _painted(
    inner: Field, brain: Mask, layers: Mapping[_Matter, Mask], role: Role, rng: np.random.Generator, *, strange: bool
) -> Field:
    """Return the ideal image: each kind of matter at a mean near its usual one, or at any mean if `strange`."""
    image = np.zeros(brain.shape, dtype=np.float32)
    suppressed = rng.random() < {"T1": 0.1, "T1c": 0.25, "T2": 0.25, "FLAIR": 0.3}[role]
    for matter, where in layers.items():
        mean = _MEANS[role][matter] * float(np.exp(0.22 * np.clip(rng.standard_normal(), -2, 2)))
        if suppressed and matter in ("fat", "marrow"):
            mean *= rng.uniform(0.15, 0.5)
        if strange and matter not in ("air", "bone"):
            mean = rng.uniform(0.1, 2.5)
        image[where] = mean
    image *= 1 + np.float32(0.10) * ndimage.gaussian_filter(rng.standard_normal(brain.shape, dtype=np.float32), 0.8)
    soft = np.clip(ndimage.gaussian_filter(brain.astype(np.float32), 0.4), 0, 1)
    share = np.where(brain, np.maximum(soft, 0.75), 0).astype(np.float32)
    return np.asarray(image * (1 - share) + inner * share, dtype=np.float32)


def _scanned(image: Field, spacing_mm: float, rng: np.random.Generator) -> Field:
    """Add coil shading, blur and Rician noise."""
    coarse = rng.standard_normal((4, 4, 4)) * rng.uniform(0.0, 0.25)
    zoom = [n / 4 for n in image.shape]
    shading = np.exp(ndimage.zoom(coarse, zoom, order=1, mode="nearest", grid_mode=True))[
        tuple(slice(n) for n in image.shape)
    ]
    image = ndimage.gaussian_filter(image * shading.astype(np.float32), rng.uniform(0.15, 0.7))
    noise = np.float32(rng.uniform(0.005, 0.06))
    real = image + noise * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.hypot(real, noise * rng.standard_normal(image.shape, dtype=np.float32)), dtype=np.float32)


def _noise_source(
    shape: tuple[int, ...], spacing_mm: float, rng: np.random.Generator
) -> Callable[[float], npt.NDArray[np.float32]]:
    """Return a function that makes smooth noise of unit standard deviation, given its width in millimetres."""

    def smooth(width_mm: float) -> npt.NDArray[np.float32]:
        step = max(1.0, width_mm / spacing_mm)
        coarse = rng.standard_normal([int(np.ceil(n / step)) + 2 for n in shape])
        fine = ndimage.zoom(coarse, step, order=1, mode="nearest")[tuple(slice(n) for n in shape)]
        return np.asarray(fine / max(float(fine.std()), 1e-6), dtype=np.float32)

    return smooth
