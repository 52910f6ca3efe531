"""Growth of a glioma in a head: reaction-diffusion core, edema along white matter, pressure on surrounding tissue.

Growth follows du/dt = div(D grad u) + rho u (1 - u) (Swanson 2000, doi:10.1046/j.1365-2184.2000.00177.x), computed by
the explicit Euler method with no flow into fluid. The width of the front is about sqrt(D / rho), here 4.5 to 6 mm, well
above the grid's spacing. Core and edema grow separately, each until it has reached its drawn volume.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.labels import classes_from_regions
from napari_brain_tumor_training.synthetic_anatomy import Head, Tissues, tissues_on
from napari_brain_tumor_training.synthetic_fields import BandNoise, Field, Mask, axis_coordinates, on_grid

Grade = Literal["HGG", "LGG"]

_REACH_MM: Final = 62.0
"""Half the edge length of the cube in which a tumour grows."""

_MAX_STEPS: Final = 600
_STEPS_BETWEEN_CHECKS: Final = 4
_CORE_LEVEL: Final = 0.45
_EDEMA_LEVEL: Final = 0.35
_SULCUS_MM: Final = 2.5
"""Tissue is averaged over this width before a core grows in it, so that ventricles stop a tumour but sulci do not."""

_SMALLEST_ISLAND_MM3: Final = 80.0


@dataclass(frozen=True, slots=True, eq=False)
class TumourPlan:
    """Parameters drawn before growth.

    Parameters
    ----------
    grade : {"HGG", "LGG"}
        A high-grade core has a necrotic centre and an enhancing rim; a low-grade one enhances in patches or not at all.
    volume_ml : float
        Volume of the whole tumour.
    core_share : float
        Volume of the core, as a share of the whole tumour.
    dead_share : float
        Volume of necrosis, as a share of the core (0 in a low-grade tumour).
    gap_share : float
        Share of the living core that does not enhance.
    diffusivity, rate : float
        D in mm2/day and rho in 1/day.
    push_mm : float
        Largest displacement of the tissue around the core.
    where : float
        Selects the tumour's position, between 0 and 1.
    lobes : (L, 3) array
        Offsets in mm of the growth seeds from the position.
    edge, rim, gaps, fringe : BandNoise
        Irregularities of the core's edge, the rim's width, the enhancement and the edema.
    """

    grade: Grade
    volume_ml: float
    core_share: float
    dead_share: float
    gap_share: float
    diffusivity: float
    rate: float
    push_mm: float
    where: float
    lobes: npt.NDArray[np.float64]
    edge: BandNoise
    rim: BandNoise
    gaps: BandNoise
    fringe: BandNoise


@dataclass(frozen=True, slots=True, eq=False)
class GrownTumour:
    """Densities of core and edema (0 to 1), and the displacement `(3, X, Y, Z)` in mm, on the growth grid."""

    plan: TumourPlan
    grid: Grid
    core: Field
    edema: Field
    push_mm: Field


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Disjoint parts of a tumour on a grid; `density` is that of the edema, `labels` are the package's classes."""

    edema: Mask
    living: Mask
    dead: Mask
    enhancing: Mask
    density: Field
    labels: npt.NDArray[np.uint8]


def draw_plan(
    rng: np.random.Generator, grade: Grade, volume_range_ml: tuple[float, float], enhancing_low_grade: float
) -> TumourPlan:
    """Draw a tumour of the given grade.

    Parameters
    ----------
    rng : numpy Generator
        Random number generator.
    grade : {"HGG", "LGG"}
        See `TumourPlan`.
    volume_range_ml : (float, float)
        Smallest and largest volume of the whole tumour.
    enhancing_low_grade : float
        Probability that a low-grade tumour has enhancing patches.
    """
    low, high = volume_range_ml
    ring = grade == "HGG"
    core_share = rng.uniform(0.26, 0.5) if ring else rng.uniform(0.45, 0.8)
    dead_share = rng.uniform(0.3, 0.55) if ring else 0.0
    patchy = 1.0 - float(rng.random() < enhancing_low_grade) * rng.uniform(0.04, 0.15)
    gap_share = rng.uniform(0.05, 0.2) if ring else patchy
    rate = rng.uniform(0.03, 0.05)
    return TumourPlan(
        grade=grade,
        volume_ml=float(low + (high - low) * rng.beta(2.4, 1.6)),
        core_share=float(core_share),
        dead_share=float(dead_share),
        gap_share=float(gap_share),
        diffusivity=1.0,
        rate=float(rate),
        push_mm=float(rng.uniform(2, 7) if ring else rng.uniform(0.5, 4)),
        where=float(rng.random()),
        lobes=_draw_lobes(rng),
        edge=BandNoise.draw(rng, 4.0),
        rim=BandNoise.draw(rng, 3.0),
        gaps=BandNoise.draw(rng, 3.5),
        fringe=BandNoise.draw(rng, 3.0),
    )


def grow(head: Head, plan: TumourPlan, brain_grid: Grid, step_mm: float) -> GrownTumour:
    """Grow a tumour in a head, on a cube of voxel size `step_mm` around its position.

    Raises
    ------
    TrainingError
        If the head has no place for it.
    """
    tissues, grid = _neighbourhood(head, plan, brain_grid, step_mm)
    voxel_ml = step_mm**3 / 1000
    seeds = _seed_density(plan, grid)
    room, spread = _core_medium(tissues, plan.diffusivity, step_mm)
    roughness = 0.12 * plan.edge.on(grid)
    core_voxels = plan.volume_ml * plan.core_share / voxel_ml
    rate = np.full(grid.shape, plan.rate, dtype=np.float32)
    core = _grown(seeds, _Medium(spread, rate, room, step_mm), roughness, _CORE_LEVEL, core_voxels)
    push = _push(core + roughness > _CORE_LEVEL, tissues.depth_mm, plan.push_mm, step_mm)
    edema = _grown_edema(head, plan, grid, push, core + roughness > _CORE_LEVEL)
    return GrownTumour(plan, grid, core, edema, push)


def parts_on(tumour: GrownTumour, tissues: Tissues, grid: Grid) -> Parts:
    """Evaluate the parts of a grown tumour on a grid, for `tissues` that it has already displaced."""
    plan, spacing = tumour.plan, grid.spacing[0]
    edge, fringe = 0.12 * plan.edge.on(grid), 0.08 * plan.fringe.on(grid)
    density = on_grid(tumour.edema, tumour.grid, grid)
    core = _without_islands((on_grid(tumour.core, tumour.grid, grid) + edge > _CORE_LEVEL) & tissues.brain, spacing)
    solid = tissues.brain & (tissues.fluid < 0.4) & (tissues.grey < 0.65)
    whole = _touching(((density + fringe > _EDEMA_LEVEL) & solid) | core, core)
    dead = _dead_centre(core, plan, grid)
    enhancing = core & ~dead & ~_lowest_share(plan.gaps.on(grid), core & ~dead, plan.gap_share)
    return Parts(
        edema=whole & ~core,
        living=core & ~dead & ~enhancing,
        dead=dead,
        enhancing=enhancing,
        density=density,
        labels=classes_from_regions(np.stack([whole, core, enhancing])),
    )


def no_parts(grid: Grid) -> Parts:
    """Return the empty parts of a head without tumour."""
    none = np.zeros(grid.shape, dtype=np.bool_)
    return Parts(none, none, none, none, np.zeros(grid.shape, dtype=np.float32), np.zeros(grid.shape, dtype=np.uint8))


@dataclass(frozen=True, slots=True, eq=False)
class _Medium:
    """Growth parameters per voxel: D in mm2/day, rho in 1/day, where cells can live, voxel size in mm."""

    diffusivity: Field
    rate: Field
    room: Mask
    spacing_mm: float


def _draw_lobes(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    count = int(rng.choice([1, 2, 3], p=[0.45, 0.35, 0.2]))
    offsets = rng.normal(0, 8, size=(3, 3))
    offsets[0] = 0
    return offsets[:count]


def _neighbourhood(head: Head, plan: TumourPlan, brain_grid: Grid, step_mm: float) -> tuple[Tissues, Grid]:
    """Return the tissues on a cube around the position that the plan selects."""
    coarse = _respaced(brain_grid, 4.0)
    place = _place(tissues_on(head, coarse), coarse, plan.where)
    grid = _respaced(brain_grid, step_mm)
    centre = np.rint(grid.voxels(place)).astype(int)
    reach = int(_REACH_MM / step_mm)
    start = tuple(int(max(0, c - reach)) for c in centre)
    stop = tuple(int(min(n, c + reach + 1)) for c, n in zip(centre, grid.shape, strict=True))
    cube = grid.cropped(Box(start, stop))  # type: ignore[arg-type]
    return tissues_on(head, cube), cube


def _respaced(grid: Grid, spacing_mm: float) -> Grid:
    x, y, z = (int(np.ceil((n - 1) * s / spacing_mm)) + 1 for n, s in zip(grid.shape, grid.spacing, strict=True))
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = grid.affine[:3, 3]
    return Grid((x, y, z), affine)


def _place(tissues: Tissues, grid: Grid, where: float) -> npt.NDArray[np.float64]:
    """Return a point in cerebral white matter, away from the midline, cerebellum, brain stem and surface."""
    x, y, z = tissues.template_mm
    cerebrum = (np.abs(x) > 14) & (z > np.where(y < -35, 6, -18))
    candidates = np.argwhere((tissues.white > 0.8) & cerebrum & (tissues.depth_mm > 12))
    if len(candidates) == 0:
        raise TrainingError("The drawn head has no white matter in which a tumour could start; use another seed.")
    return grid.world(candidates[int(where * len(candidates))])


def _seed_density(plan: TumourPlan, grid: Grid) -> Field:
    """Return 3 mm Gaussians at the lobes' centres, around the middle of the cube."""
    middle = grid.world((np.asarray(grid.shape) - 1) / 2)
    density = np.zeros(grid.shape, dtype=np.float32)
    for lobe in plan.lobes:
        axes = zip(axis_coordinates(grid), middle + lobe, strict=True)
        x, y, z = (np.exp(-(((at - centre) / 3.0) ** 2) / 2) for at, centre in axes)
        density = np.maximum(density, 0.8 * x[:, None, None] * y[:, None] * z)
    return np.asarray(density, dtype=np.float32)


def _core_medium(tissues: Tissues, diffusivity: float, step_mm: float) -> tuple[Mask, Field]:
    """Return where a solid core can live and how fast it spreads; it bridges sulci, but not ventricles or the falx."""
    white, grey = (_blurred(share, _SULCUS_MM / step_mm) for share in (tissues.white, tissues.grey))
    falx = (np.abs(tissues.template_mm[0]) < 2) & (tissues.fluid > 0.3)
    room = tissues.brain & (white + grey >= 0.45) & ~falx
    return room, np.asarray(diffusivity * (white + 0.6 * grey + 0.1), dtype=np.float32)


def _blurred(share: Field, width_voxels: float) -> Field:
    return np.asarray(ndimage.gaussian_filter(share, width_voxels), dtype=np.float32)


def _grown(start: Field, medium: _Medium, roughness: Field, level: float, voxels: float) -> Field:
    """Return the density once `voxels` of them exceed the level, or after the last allowed step."""
    density = start
    for number, density in enumerate(_steps(start, medium)):
        if (
            number % _STEPS_BETWEEN_CHECKS == 0
            and np.count_nonzero((density + roughness > level) & medium.room) >= voxels
        ):
            break
    return density


def _steps(start: Field, medium: _Medium) -> Iterator[Field]:
    """Yield the density after each explicit Euler step; the step size is limited by stability."""
    density = np.where(medium.room, start, 0).astype(np.float32)
    faces = [_face_diffusivity(medium, axis) for axis in range(3)]
    largest = max(float(face.max(initial=1e-6)) for face in faces)
    step = min(medium.spacing_mm**2 / (6.5 * largest), 0.5 / float(medium.rate.max()))
    growth = np.where(medium.room, medium.rate, 0).astype(np.float32) * np.float32(step)
    scale = np.float32(step / medium.spacing_mm**2)
    for _ in range(_MAX_STEPS):
        density = density + scale * _divergence(density, faces) + growth * density * (1 - density)
        yield density


def _face_diffusivity(medium: _Medium, axis: int) -> Field:
    """Return the mean of both sides of each face, zero if cells cannot live on either side."""
    lower, upper = _both_sides(axis)
    open_face = medium.room[lower] & medium.room[upper]
    mean = (medium.diffusivity[lower] + medium.diffusivity[upper]) / 2
    return np.where(open_face, mean, 0).astype(np.float32)


def _divergence(density: Field, faces: list[Field]) -> Field:
    total = np.zeros_like(density)
    for axis, face in enumerate(faces):
        lower, upper = _both_sides(axis)
        flow = face * (density[upper] - density[lower])
        total[lower] += flow
        total[upper] -= flow
    return total


def _both_sides(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    whole = [slice(None)] * 3
    lower, upper = list(whole), list(whole)
    lower[axis], upper[axis] = slice(None, -1), slice(1, None)
    return tuple(lower), tuple(upper)


def _push(core: Mask, depth_mm: Field, largest_mm: float, step_mm: float) -> Field:
    """Return the displacement away from the core, which fades with distance and near the skull."""
    smooth = ndimage.gaussian_filter(core.astype(np.float32), 10.0 / step_mm)
    away = -np.stack([np.gradient(smooth, axis=axis) for axis in range(3)])
    longest = max(float(np.sqrt((away**2).sum(axis=0)).max()), 1e-12)
    return np.asarray(away * (largest_mm / longest) * np.clip(depth_mm / 12, 0, 1), dtype=np.float32)


def _grown_edema(head: Head, plan: TumourPlan, grid: Grid, push: Field, core: Mask) -> Field:
    """Grow edema: fluid that leaks from the core and spreads forty times as easily in white matter as in grey."""
    tissues = tissues_on(head, grid, push)
    spacing = grid.spacing[0]
    room = (tissues.brain & (tissues.fluid < 0.6)) | core
    medium = _Medium(
        diffusivity=np.where(core, 1.0, tissues.white**2 + tissues.grey / 40).astype(np.float32) * 2,
        rate=(0.10 * tissues.white**2).astype(np.float32),
        room=room,
        spacing_mm=spacing,
    )
    roughness = np.where(tissues.grey < 0.65, 0.08 * plan.fringe.on(grid), -1.0).astype(np.float32)
    target = max(plan.volume_ml / (spacing**3 / 1000), float(np.count_nonzero(core)))
    return _grown(core.astype(np.float32), medium, np.where(core, 0, roughness), _EDEMA_LEVEL, target)


def _dead_centre(core: Mask, plan: TumourPlan, grid: Grid) -> Mask:
    """Return the planned share of the core's innermost voxels, with a wall of uneven thickness."""
    if plan.dead_share == 0 or not core.any():
        return np.zeros_like(core)
    depth = np.asarray(ndimage.distance_transform_edt(core), dtype=np.float32) * np.float32(grid.spacing[0])
    rough = depth + 1.6 * plan.rim.on(grid)
    return core & ~_lowest_share(rough, core, 1 - plan.dead_share) & (depth > 1.5)


def _lowest_share(values: Field, within: Mask, share: float) -> Mask:
    """Return this share of a mask's voxels, those with the lowest values."""
    if not within.any() or share <= 0:
        return np.zeros_like(within)
    if share >= 1:
        return within
    return np.asarray(within & (values <= np.quantile(values[within], share)))


def _touching(mask: Mask, anchor: Mask) -> Mask:
    """Return the connected parts of a mask that contain a voxel of the anchor."""
    labelled, count = ndimage.label(mask)
    keep = np.zeros(count + 1, dtype=np.bool_)
    keep[np.unique(labelled[anchor])] = True
    keep[0] = False
    return np.asarray(keep[labelled], dtype=np.bool_)


def _without_islands(mask: Mask, spacing_mm: float) -> Mask:
    labelled, count = ndimage.label(mask)
    sizes = np.bincount(labelled.ravel(), minlength=count + 1)
    keep = sizes * spacing_mm**3 >= _SMALLEST_ISLAND_MM3
    keep[0] = False
    return np.asarray(keep[labelled], dtype=np.bool_)
