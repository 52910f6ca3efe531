"""A different healthy head for each seed: tissue maps of the ICBM 152 template, deformed and given new folds.

The averaged template is blurred where people differ most, in the outer sulci. Sharpening its tissue shares and cutting
random sheets of fluid into the cortex restores the appearance of an individual.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.geometry import Box, Grid, bounding_box
from napari_brain_tumor_training.synthetic_fields import BandNoise, Field, Mask, axis_coordinates

_WARPS: Final = ((45.0, 3.5), (22.0, 1.8), (11.0, 0.8))
"""Smoothness and standard deviation, in mm, of displacements that are summed; their gradient stays below one."""

_HEAD_BOX: Final = ((-92.0, 92.0), (-128.0, 96.0), (-84.0, 98.0))
"""Box in millimetres in which the brain is searched for."""

_SHARE_FLOOR: Final = 0.02
"""Added to tissue shares before taking logarithms."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Parameters that make a head differ from the template; all parts can be evaluated on any grid.

    Parameters
    ----------
    to_template : (3, 3) array
        Transform from subject to template millimetres, before the warp: scale, rotation, shear and left-right flip.
    warps : sequence of (float, three BandNoise)
        Displacements in mm, each with its standard deviation and components.
    folds, fold_depth, folia : BandNoise
        Fields whose zero surfaces are sulci, that set the depth of the sulci, and for the finer folds of the
        cerebellum.
    vessels : two BandNoise
        Vessels run where both fields are zero.
    patches : BandNoise
        Determines where the dura enhances and the choroid plexus is.
    fluid_shift : float
        Log-odds by which fluid spaces are wider (positive) or narrower than in the template.
    """

    to_template: npt.NDArray[np.float64]
    warps: tuple[tuple[float, tuple[BandNoise, BandNoise, BandNoise]], ...]
    folds: BandNoise
    fold_depth: BandNoise
    folia: BandNoise
    vessels: tuple[BandNoise, BandNoise]
    patches: BandNoise
    fluid_shift: float


@dataclass(frozen=True, slots=True, eq=False)
class Tissues:
    """Tissue shares of voxels `(X, Y, Z)`, 0 to 1: white + grey + fluid = 1 in the brain; vessels and dura on top."""

    white: Field
    grey: Field
    fluid: Field
    vessel: Field
    dura: Field
    brain: Mask
    depth_mm: Field
    template_mm: Field


@dataclass(frozen=True, slots=True, eq=False)
class _Templates:
    white: Field
    grey: Field
    depth_mm: Field
    sinus: Field
    ventricle: Field
    affine: npt.NDArray[np.float64]


def draw_head(rng: np.random.Generator) -> Head:
    """Draw a head, rotated by up to 8 degrees and 0.86 to 1 times as large per axis as the template, which is large."""
    return Head(
        to_template=np.asarray(np.linalg.inv(_random_matrix(rng)), dtype=np.float64),
        warps=tuple((std, _three_fields(rng, sigma)) for sigma, std in _WARPS),
        folds=BandNoise.draw(rng, 5.0),
        fold_depth=BandNoise.draw(rng, 9.0),
        folia=BandNoise.draw(rng, 2.4),
        vessels=(BandNoise.draw(rng, 8.0), BandNoise.draw(rng, 8.0)),
        patches=BandNoise.draw(rng, 7.0),
        fluid_shift=float(rng.uniform(0.4, 1.3)),
    )


def head_grid(head: Head, resolution_mm: float, margin_mm: float = 2.0) -> Grid:
    """Return the smallest RAS grid of this voxel size that contains the brain with a margin."""
    coarse = _grid_of_box(_HEAD_BOX, 4.0)
    depth = _sampled(_templates().depth_mm, _template_points(head, coarse, None), outside=-5.0)
    box = bounding_box(depth > -2.0)
    if box is None:
        raise TrainingError("The drawn head has no brain inside the field of view; use another seed.")
    return _grid_of_box(_box_mm(coarse, box, margin_mm), resolution_mm)


def tissues_on(head: Head, grid: Grid, push_mm: Field | None = None) -> Tissues:
    """Evaluate the tissues of a head on a grid.

    Parameters
    ----------
    head : Head
        A head from `draw_head`.
    grid : Grid
        RAS grid aligned with the world axes.
    push_mm : (3, X, Y, Z) float32 array, optional
        Displacement, by a growing mass, of the tissue that is now at each voxel.
    """
    templates = _templates()
    points = _template_points(head, grid, push_mm)
    depth = _sampled(templates.depth_mm, points, outside=-5.0)
    brain = depth > 0
    white, grey, fluid = _tissue_shares(head, grid, points, depth)
    patches = head.patches.on(grid)
    return Tissues(
        white=white * brain,
        grey=grey * brain,
        fluid=fluid * brain,
        vessel=_vessels(head, grid, points, fluid, depth, patches) * brain,
        dura=_dura(depth, patches) * brain,
        brain=brain,
        depth_mm=depth,
        template_mm=_millimetres(points),
    )


@lru_cache(maxsize=1)
def _templates() -> _Templates:
    """Load the tissue maps at 1 mm from the files included in nilearn, without downloading anything."""
    try:
        from nilearn import datasets
    except ImportError as missing:
        raise TrainingError(
            "Synthetic cases are made from the ICBM 152 tissue maps that come with nilearn, which is not installed. "
            "Install it: pip install 'napari-brain-tumor[synthetic]'."
        ) from missing
    whole = datasets.load_mni152_template(resolution=1)
    grey = np.asarray(datasets.load_mni152_gm_template(resolution=1).dataobj, dtype=np.float32)
    white = np.asarray(datasets.load_mni152_wm_template(resolution=1).dataobj, dtype=np.float32)
    brain = np.asarray(whole.dataobj) > 0
    affine = np.asarray(whole.affine, dtype=np.float64)
    depth = _signed_depth(brain)
    fluid = np.clip(1 - white - grey, 0, 1)
    return _Templates(white, grey, depth, _sinus(affine, depth), _ventricle(fluid, depth), affine)


def _signed_depth(brain: Mask) -> Field:
    inside = np.asarray(ndimage.distance_transform_edt(brain))
    outside = np.asarray(ndimage.distance_transform_edt(~brain))
    return (np.minimum(inside, 60) - np.minimum(outside, 10)).astype(np.float32)


def _sinus(affine: npt.NDArray[np.float64], depth: Field) -> Field:
    """Return the superior sagittal sinus, a midline tube under the vault."""
    x, y, z = axis_coordinates(Grid(depth.shape, affine))
    above = ((z > 5) & (z < 90))[None, None, :] & ((y > -105) & (y < 60))[None, :, None]
    tube = np.exp(-((x[:, None, None] / 2.2) ** 2) - ((depth - 2.5) / 2.5) ** 2)
    return np.asarray(tube * above, dtype=np.float32)


def _ventricle(fluid: Field, depth: Field) -> Field:
    deep = (fluid > 0.6) & (depth > 28)
    return np.asarray(ndimage.gaussian_filter(deep.astype(np.float32), 0.7), dtype=np.float32)


def _random_matrix(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw the matrix from template to subject: shear, then scale with a random flip, then rotation."""
    scale = rng.uniform(0.90, 0.96) * rng.uniform(0.96, 1.04, size=3)
    scale[0] *= rng.choice([-1.0, 1.0])
    shear = np.eye(3) + np.triu(rng.uniform(-0.03, 0.03, size=(3, 3)), 1)
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(rng.uniform(-8, 8, size=3))):
        turn = turn @ _turn(axis, float(angle))
    return np.asarray(turn @ np.diag(scale) @ shear, dtype=np.float64)


def _turn(axis: int, angle: float) -> npt.NDArray[np.float64]:
    first, second = [a for a in range(3) if a != axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def _three_fields(rng: np.random.Generator, sigma_mm: float) -> tuple[BandNoise, BandNoise, BandNoise]:
    x, y, z = (BandNoise.draw(rng, sigma_mm) for _ in range(3))
    return x, y, z


def _grid_of_box(box_mm: Sequence[tuple[float, float]], spacing_mm: float) -> Grid:
    x, y, z = (int(np.ceil((high - low) / spacing_mm)) + 1 for low, high in box_mm)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = [low for low, _ in box_mm]
    return Grid((x, y, z), affine)


def _box_mm(grid: Grid, box: Box, margin_mm: float) -> list[tuple[float, float]]:
    first = grid.world(box.start) - margin_mm
    last = grid.world([b - 1 for b in box.stop]) + margin_mm
    return [(float(np.floor(a)), float(np.ceil(b))) for a, b in zip(first, last, strict=True)]


def _template_points(head: Head, grid: Grid, push_mm: Field | None) -> Field:
    """Return the template voxel coordinates `(3, X, Y, Z)` of the tissue at each voxel of the grid."""
    moved = np.stack(np.broadcast_arrays(*np.ix_(*axis_coordinates(grid)))).astype(np.float32)
    for std, components in head.warps:
        for axis, noise in enumerate(components):
            moved[axis] += std * noise.on(grid)
    if push_mm is not None:
        moved -= push_mm
    affine = _templates().affine
    inverse = np.linalg.inv(affine)
    matrix = (inverse[:3, :3] @ head.to_template).astype(np.float32)
    points = np.tensordot(matrix, moved, axes=(1, 0))
    return np.asarray(points + inverse[:3, 3].astype(np.float32)[:, None, None, None], dtype=np.float32)


def _millimetres(points: Field) -> Field:
    """Convert template voxel coordinates `(3, X, Y, Z)` to millimetres."""
    affine = _templates().affine
    return np.stack([points[axis] * affine[axis, axis] + affine[axis, 3] for axis in range(3)]).astype(np.float32)


def _sampled(template: Field, points: Field, outside: float = 0.0) -> Field:
    return np.asarray(ndimage.map_coordinates(template, points, order=1, cval=outside), dtype=np.float32)


def _tissue_shares(head: Head, grid: Grid, points: Field, depth: Field) -> tuple[Field, Field, Field]:
    """Return white, grey and fluid shares, sharper than in the template (a mean of 152 people), with new folds."""
    templates = _templates()
    white, grey = _sampled(templates.white, points), _sampled(templates.grey, points)
    fluid = np.clip(1 - white - grey, 0, 1)
    sharpness = 1.1 + 1.1 * np.exp(-np.maximum(depth, 0) / 12)
    odds = np.stack([np.log(share + _SHARE_FLOOR) for share in (white, grey, fluid)]) * sharpness
    odds[2] += head.fluid_shift + _folds(head, grid, grey, white, depth)
    odds[2] += _folia(head, grid, _millimetres(points), depth)
    odds -= odds.max(axis=0)
    shares = np.exp(odds)
    shares /= shares.sum(axis=0)
    return shares[0], shares[1], shares[2]


def _folds(head: Head, grid: Grid, grey: Field, white: Field, depth: Field) -> Field:
    """Return the log-odds of fluid in sulci: high on the zero surfaces of smooth noise, in outer grey matter only."""
    # Sheets extend 1.2 mm to either side of the noise's zero surface (its slope is 1 / (sqrt(2) sigma) per mm).
    sheet = np.exp(-((head.folds.on(grid) / 0.17) ** 2))
    reach = np.clip((13 + 5 * head.fold_depth.on(grid) - depth) / 4, 0, 1)
    folds = 6.0 * sheet * reach * np.clip(grey * 1.6 - 2.5 * white, 0, 1)
    surface = 2.5 * np.exp(-np.maximum(depth, 0) / 1.5)
    return np.asarray(folds + surface, dtype=np.float32)


def _folia(head: Head, grid: Grid, template_mm: Field, depth: Field) -> Field:
    """Return the log-odds of fluid between the folia of the cerebellum, a finer pattern than in the cerebrum."""
    _, y, z = template_mm
    cerebellum = np.clip((-14 - z) / 4, 0, 1) * np.clip((-42 - y) / 4, 0, 1) * np.clip((16 - depth) / 6, 0, 1)
    sheet = np.exp(-((head.folia.on(grid) / 0.25) ** 2))
    return np.asarray(2.6 * sheet * cerebellum, dtype=np.float32)


def _vessels(head: Head, grid: Grid, points: Field, fluid: Field, depth: Field, patches: Field) -> Field:
    first, second = (noise.on(grid) for noise in head.vessels)
    tubes = np.exp(-(first**2 + second**2) / 0.17**2) * np.clip(1.8 * fluid + 0.08, 0, 1) * (depth < 40)
    sinus = _sampled(_templates().sinus, points) * np.clip(2 * fluid, 0, 1)
    choroid = _sampled(_templates().ventricle, points) * np.clip(1.5 * patches - 1.2, 0, 0.8)
    return np.asarray(np.maximum.reduce([tubes, sinus, choroid]), dtype=np.float32)


def _dura(depth: Field, patches: Field) -> Field:
    shell = np.exp(-((np.maximum(depth - 0.5, 0) / 1.0) ** 2))
    return np.asarray(shell * np.clip(0.1 + 0.55 * patches, 0, 1), dtype=np.float32)
