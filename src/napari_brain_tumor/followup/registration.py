"""Rigid registration of one scan onto another, and whether it can be trusted.

Mutual information (Mattes 2003, 10.1109/TMI.2003.809072), first coarsely from many beginnings (the files' own
coordinates, and the centres on one another, turned by some degrees about each axis), then finely from the best two.
Thick slices make a rough landscape, on which steps along the gradient end in the nearest dent: the fine search goes
along directions instead (Powell 1964, 10.1093/comjnl/7.2.155). Samples are drawn with a seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_brain_tumor.errors import RegistrationError, RoleError
from napari_brain_tumor.geometry import Grid, orthogonal_grid, resample, to_ras
from napari_brain_tumor.labels import REGIONS, classes_from_known, region_mask
from napari_brain_tumor.progress import Job, Progress, action, part_of
from napari_brain_tumor.study import Role, Segmentation, Study
from napari_brain_tumor.types import Array, Float32Array

Matrix = npt.NDArray[np.float64]

_PREFERRED: Final[tuple[Role, ...]] = ("T1", "T1c", "FLAIR", "T2")
"""The sequence that is registered, if both have it: plain T1 first, for treatment changes it least."""
_COARSE_MM: Final = 4.0
_FINE_MM: Final = 2.0
_FINEST_MM: Final = 1.0
"""Voxel sizes of the resolutions; a scan coarser than that is taken as it is, and the last one is for fine scans."""
_IS_FINE_MM: Final = 1.6
_COARSE_SAMPLES: Final = 10_000
_SAMPLES: Final = 15_000
_BINS: Final = 32
_COARSE_STEPS: Final = 60
_ROUNDS: Final = 6
"""Of the fine search, each along six directions."""
_TURN_DEGREES: Final = 12.0
"""By which the beginnings are turned: a search finds what is turned by up to that much more or less."""
_BEST: Final = 2
"""Beginnings that are followed to the end."""
_BELOW_BRAIN_MM: Final = 5.0
"""Around a mask that is looked at too: the edge of the brain tells the most."""
_LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])

_LEAST_OVERLAP: Final = 0.6
"""Of the two heads, as a share of the smaller one: below, most of one lies where the other was not scanned."""
_LEAST_DETAIL_SAME: Final = 0.45
_LEAST_DETAIL: Final = 0.4
_LEAST_DETAIL_FLAIR: Final = 0.33
"""Agreement of edges: for the same sequence, for two different ones, and where one of the two is FLAIR.

Measured: nineteen pairs of different patients, registered, reach .34 (same sequence), .38 (T1 or T2 and T1c) and .28
(FLAIR and another); scans of one patient .78 across a treatment, above .99 with noise alone. Between different
sequences of one patient .39 to .89, with FLAIR .22 to .62: the least of both, in simulated heads, are refused, and
whether they were registered rightly is not known. The limits were set on three of nine such examinations.
"""
_MISFIT_SAMPLES: Final = 30_000
_MISFIT_STEPS: Final = 100
_LEAST_GAIN: Final = 0.03
"""Of the agreement of edges, by which a motion has to improve it to be believed."""
_JUDGED_MM: Final = 2.0
_RIM_MM: Final = 8.0
"""The outline of a head agrees with any other head's, so what lies near it is left out."""
_FEWEST_VOXELS: Final = 500
_EDGE_QUANTILE: Final = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class RigidTransform:
    """A rotation and a shift of the world: `matrix` takes a point of the fixed world to the moving one (RAS+ mm)."""

    matrix: Matrix

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        rotation = matrix[:3, :3]
        proper = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) and np.linalg.det(rotation) > 0
        if matrix.shape != (4, 4) or not proper:
            msg = f"A rigid transform is a 4x4 matrix with a proper rotation, got {matrix.tolist()}."
            raise RegistrationError(msg)
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    @property
    def inverse(self) -> "RigidTransform":
        """The way back: from the moving world to the fixed one."""
        return RigidTransform(np.linalg.inv(self.matrix).astype(np.float64))

    @property
    def angle_degrees(self) -> float:
        """By how much it turns, about whichever axis."""
        cosine = (np.trace(self.matrix[:3, :3]) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    def apply(self, world: npt.ArrayLike) -> Matrix:
        """Points `(..., 3)` of the fixed world, in the moving one."""
        points: Matrix = np.asarray(world, dtype=np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return points

    def shift_mm(self, centre: npt.ArrayLike) -> float:
        """How far a point of the fixed world moves."""
        return float(np.linalg.norm(self.apply(centre) - np.asarray(centre)))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well two scans lie on one another.

    Parameters
    ----------
    mutual_information : float
        In nats, within the brains where both are known, else within the heads.
    overlap : float
        Of the heads: what both cover, as a share of the smaller one.
    detail : float
        Agreement of the edges' directions there: 0 by chance, 1 where they are the same.
    """

    mutual_information: float
    overlap: float
    detail: float


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """How a visit lies on the baseline, and how it was found.

    Parameters
    ----------
    transform : RigidTransform
        From the baseline's world to the visit's.
    moving_role, fixed_role : Role
        The sequences that were compared.
    before, after : Agreement
        Before and after it is applied.
    kind : {"registered", "given", "same space"}
        Found here, told by the user, or nothing moved since both lie in one space already.
    link : Registration, optional
        Of `moving_role` to a third sequence by way of which it was brought here: then that is what is judged.
    """

    transform: RigidTransform
    moving_role: Role
    fixed_role: Role
    before: Agreement
    after: Agreement
    kind: Literal["registered", "given", "same space"] = "registered"
    link: "Registration | None" = None

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it is not to be trusted; empty where nothing speaks against it."""
        problems = []
        if self.after.overlap < _LEAST_OVERLAP:
            problems.append(
                f"the heads overlap by {self.after.overlap:.0%} only (at least {_LEAST_OVERLAP:.0%} is expected): "
                "one of the scans covers another part of the body, or its geometry is wrong"
            )
        if self.link is not None:
            return (*problems, *self.link.problems)
        least = _least_detail(self.moving_role, self.fixed_role)
        if self.after.detail < least:
            problems.append(
                f"edges within the heads agree by {self.after.detail:.2f} only (at least {least} is expected): "
                "perhaps these are two patients, or other sequences than named"
            )
        return tuple(problems)

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.problems

    def require_trusted(self) -> None:
        """Raise `RegistrationError` with the reasons where it failed."""
        if self.problems:
            msg = (
                f"The registration failed: {'; '.join(self.problems)}. Look at the checkerboard; register another "
                "sequence, or compare volumes alone."
            )
            raise RegistrationError(msg)

    def as_dict(self) -> dict[str, Any]:
        """As it is written to JSON."""
        way = {"link": self.link.as_dict()} if self.link is not None else {}
        return {
            "kind": self.kind,
            "fixed_to_moving_world_mm": self.transform.matrix.tolist(),
            "angle_degrees": self.transform.angle_degrees,
            "sequences": {"fixed": self.fixed_role, "moving": self.moving_role},
            "before": _agreement_dict(self.before),
            "after": _agreement_dict(self.after),
            "trusted": self.trusted,
            "problems": list(self.problems),
            **way,
        }


def _least_detail(moving: Role, fixed: Role) -> float:
    if moving == fixed:
        return _LEAST_DETAIL_SAME
    return _LEAST_DETAIL_FLAIR if "FLAIR" in (moving, fixed) else _LEAST_DETAIL


def _agreement_dict(agreement: Agreement) -> dict[str, float]:
    return {
        "mutual_information": agreement.mutual_information,
        "overlap": agreement.overlap,
        "detail": agreement.detail,
    }


@action
def register(moving: Study, fixed: Study, *, role: Role | None = None, seed: int = 0) -> Job[Registration]:
    """Find the rigid motion that brings one examination onto another.

    Parameters
    ----------
    moving : Study
        The visit.
    fixed : Study
        The baseline.
    role : Role, optional
        The sequence to compare; the first of T1, T1c, FLAIR, T2 that both have where none is given.
    seed : int
        Of the sampling.

    Returns
    -------
    Registration
        Also where it failed: then `problems` says why, and nothing here uses it unasked.

    Raises
    ------
    SpacingUnknownError
        If the voxel size of one is not known.
    RoleError
        If one lacks the sequence that is asked for.
    RegistrationError
        If the search itself breaks down, for lack of any overlap.

    Notes
    -----
    Where both studies have a brain mask (`Study.brain`), the brains are compared, whatever the neck and the jaw do, and
    the search starts with the centres of the brains aligned.

    Examples
    --------
    >>> found = register(visit, baseline)  # doctest: +SKIP
    >>> found.transform.angle_degrees, found.trusted  # doctest: +SKIP
    (4.1, True)
    """
    moving_role, fixed_role = _roles(moving, fixed, role)
    for study in (moving, fixed):
        _ = study.grid.spacing_mm  # a motion in millimetres needs them
    scans = _scans(moving, moving_role, fixed, fixed_role)
    yield Progress(0, 1, "Comparing the scans before registration")
    before = _agreement_of(scans, RigidTransform(np.eye(4)))
    best = yield from part_of(_best_motion_job(scans, seed), 0.05, 0.95)
    yield Progress(0.95, 1, "Judging the result")
    return Registration(best, moving_role, fixed_role, before, _agreement_of(scans, best))


register_job = register.job
"""`register` as a job: yields `Progress`, returns what it returns. Takes the same parameters."""


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    """What is compared: values `(X, Y, Z)`, where they lie, and the brain if it is known."""

    array: Array
    grid: Grid
    brain: npt.NDArray[np.bool_] | None = None

    @property
    def is_fine(self) -> bool:
        return max(self.grid.spacing) <= _IS_FINE_MM

    def coarse(self, size_mm: float) -> "_Scan":
        """In voxels of at least that size, without the brain: ends are compared by all that both show."""
        return _Scan(*coarse_scan(self.array, self.grid, size_mm))

    def image(self, size_mm: float) -> Any:
        """As SimpleITK has it, in voxels of at least that size."""
        return _as_itk(*coarse_scan(self.array, self.grid, size_mm))

    def brain_image(self, size_mm: float) -> Any:
        """The brain and what lies just around it on the grid of `image`; None where it is not known."""
        if self.brain is None:
            return None
        target = _coarser(to_ras(self.grid).target, size_mm)
        away = ndimage.distance_transform_edt(~self.brain, sampling=self.grid.spacing)
        near = resample((away <= _BELOW_BRAIN_MM).astype(np.float32), self.grid, target) > 0.5
        return _as_itk(near.astype(np.uint8), target)

    @property
    def centre(self) -> Matrix:
        """World point in the middle of the brain, or of the head."""
        inside = _foreground(self.array) if self.brain is None else self.brain
        voxels = np.argwhere(inside).mean(axis=0) if inside.any() else (np.asarray(self.grid.shape) - 1) / 2
        return self.grid.world(voxels)


_Scans = tuple[_Scan, _Scan]
"""The moving one and the fixed one."""


def _scans(moving: Study, moving_role: Role, fixed: Study, fixed_role: Role) -> _Scans:
    return (
        _Scan(moving.sequences[moving_role], moving.grid, moving.brain),
        _Scan(fixed.sequences[fixed_role], fixed.grid, fixed.brain),
    )


def _best_motion_job(scans: _Scans, seed: int) -> Job[RigidTransform]:
    moving, fixed = scans
    beginnings = _beginnings(moving.centre, fixed.centre)
    pair, mask = _images(scans, _COARSE_MM)
    judged = moving.coarse(_COARSE_MM), fixed.coarse(_COARSE_MM)
    ends: list[tuple[float, RigidTransform]] = []
    for done, start in enumerate(beginnings):
        yield Progress(0.4 * done / len(beginnings), 1, "Looking for a beginning")
        motion = _search(pair, start, seed, samples=_COARSE_SAMPLES, steps=_COARSE_STEPS, mask=mask)[1]
        # The metric looks at less where scans part, and then may rise: what it found is judged by what does not.
        ends.append((_fitness(_agreement_of(judged, motion)), motion))
    ends.sort(key=lambda end: end[0], reverse=True)
    pair, mask = _images(scans, _FINE_MM)
    judged = moving.coarse(_FINE_MM), fixed.coarse(_FINE_MM)
    refined: list[tuple[float, RigidTransform]] = []
    for done, (_, start) in enumerate(ends[:_BEST]):
        yield Progress(0.4 + 0.4 * done / _BEST, 1, f"Refining at {_FINE_MM:g} mm")
        motion = _search_directions(pair, start, seed, mask)
        refined.append((_fitness(_agreement_of(judged, motion)), motion))
    fitness, best = max(refined, key=lambda end: end[0])
    if moving.is_fine and fixed.is_fine:
        yield Progress(0.8, 1, f"Refining at {_FINEST_MM:g} mm")
        pair, mask = _images(scans, _FINEST_MM)
        finest = _search_directions(pair, best, seed, mask)
        if _fitness(_agreement_of(judged, finest)) >= 0.98 * fitness:
            return finest
    return best


def _fitness(agreement: Agreement) -> float:
    return agreement.mutual_information * agreement.overlap


def _images(scans: "_Scans", size_mm: float) -> tuple[list[Any], Any]:
    """Both scans as SimpleITK has them, and the brain of the fixed one if both are known."""
    known = all(scan.brain is not None for scan in scans)
    return [scan.image(size_mm) for scan in scans], scans[1].brain_image(size_mm) if known else None


def coarse_scan(array: Array, grid: Grid, size_mm: float = 3.0) -> tuple[npt.NDArray[np.float32], Grid]:
    """A scan in voxels of at least that size, for `find_misfit`.

    Along its own axes: between thick slices that are tilted, nothing is interpolated before a motion does so.
    """
    target = _coarser(to_ras(grid).target, size_mm)
    return np.asarray(resample(_blurred(array, grid, size_mm / 2), grid, target), np.float32), target


def find_misfit(
    moving: tuple[Array, Grid], fixed: tuple[Array, Grid], seed: int = 0
) -> tuple[RigidTransform | None, Agreement, Agreement]:
    """Look shortly and coarsely whether two scans of one examination would fit better if one were moved.

    Parameters
    ----------
    moving, fixed : (array, Grid)
        As `coarse_scan` gives them.
    seed : int
        Of the sampling.

    Returns
    -------
    RigidTransform or None
        From the fixed world to the moving one; None where no motion makes the edges agree clearly better.
    Agreement, Agreement
        As they lie, and after that motion.
    """
    scans = _Scan(*moving), _Scan(*fixed)
    rest = RigidTransform(np.eye(4))
    before = _agreement_of(scans, rest)
    pair = [_as_itk(array, grid) for array, grid in (moving, fixed)]
    try:
        _, best = _search(pair, rest, seed, samples=_MISFIT_SAMPLES, steps=_MISFIT_STEPS)
    except RegistrationError:
        return None, before, before
    after = _agreement_of(scans, best)
    better = after.detail >= before.detail + _LEAST_GAIN and after.mutual_information > before.mutual_information
    return (best if better else None), before, after


def agreement_at_rest(moving: tuple[Array, Grid], fixed: tuple[Array, Grid]) -> Agreement:
    """How well two scans lie on one another as their grids say; each as `coarse_scan` gives it."""
    return _agreement_of((_Scan(*moving), _Scan(*fixed)), RigidTransform(np.eye(4)))


def by_way_of(link: Registration, onward: Registration, moving: Study, fixed: Study) -> Registration:
    """Bring a scan onto another by way of a third that lies between them.

    Parameters
    ----------
    link : Registration
        Of the moving scan to the third one.
    onward : Registration
        Of the third one to the fixed scan.
    moving, fixed : Study
        The two ends.

    Returns
    -------
    Registration
        Its agreements are those of the two ends; it is trusted where the heads overlap and `link` is trusted.
    """
    scans = _scans(moving, link.moving_role, fixed, onward.fixed_role)
    motion = RigidTransform(link.transform.matrix @ onward.transform.matrix)
    before = _agreement_of(scans, RigidTransform(np.eye(4)))
    return Registration(motion, link.moving_role, onward.fixed_role, before, _agreement_of(scans, motion), link=link)


def no_motion(moving: Study, fixed: Study, *, role: Role | None = None) -> Registration:
    """Take two examinations as lying in one space already, and judge that as a registration is judged."""
    moving_role, fixed_role = _roles(moving, fixed, role)
    still = RigidTransform(np.eye(4))
    there = _agreement_of(_scans(moving, moving_role, fixed, fixed_role), still)
    return Registration(still, moving_role, fixed_role, there, there, "same space")


def resample_moved(
    array: Array, source: Grid, target: Grid, transform: RigidTransform, *, nearest: bool = False
) -> Array:
    """Values of a visit's array at the voxels of the baseline's grid: linear, or nearest."""
    return resample(array, _moved(source, transform), target, nearest=nearest)


def carry_labels(segmentation: Segmentation, target: Grid, transform: RigidTransform) -> Segmentation:
    """A visit's labels on the baseline's grid: each region linearly, where it covers more than half of a voxel.

    They are for looking and for matching. Volumes are those of the visit's own grid.
    """
    source = _moved(segmentation.grid, transform)
    masks = {
        region: resample(region_mask(segmentation.data, region), source, target) > 0.5
        for region in REGIONS
        if region in segmentation.known_regions
    }
    return Segmentation(
        classes_from_known(masks),
        target,
        name=f"{segmentation.name} on the baseline",
        class_names=segmentation.class_names,
        known_regions=segmentation.known_regions,
        provenance={"task": "carry labels", "fixed_to_moving_world_mm": transform.matrix.tolist()},
        notes=segmentation.notes,
    )


def checkerboard(
    moving: Study, fixed: Study, registration: Registration, *, fields: int = 8
) -> npt.NDArray[np.float32]:
    """Both scans in turns on the baseline's grid, `(X, Y, Z)` from 0 to 1: edges that run on across fields fit.

    Parameters
    ----------
    moving, fixed : Study
        As they were registered.
    registration : Registration
    fields : int
        Along the longest axis; fields are cubes in millimetres.
    """
    grid = fixed.grid
    below = unit_range(fixed.sequences[registration.fixed_role])
    array = moving.sequences[registration.moving_role]
    above = unit_range(resample_moved(array, moving.grid, grid, registration.transform))
    side = max(n * s for n, s in zip(grid.shape, grid.spacing, strict=True)) / fields
    counts = [np.floor(np.arange(n) * s / side) for n, s in zip(grid.shape, grid.spacing, strict=True)]
    odd = sum(np.meshgrid(*counts, indexing="ij", sparse=True)) % 2 == 1
    return np.where(odd, above, below).astype(np.float32)


def _moved(grid: Grid, transform: RigidTransform) -> Grid:
    """The visit's grid, as it lies in the baseline's world."""
    return Grid(grid.shape, transform.inverse.matrix @ grid.affine, grid.unit)


def _roles(moving: Study, fixed: Study, role: Role | None) -> tuple[Role, Role]:
    if role is not None:
        for study in (moving, fixed):
            if role not in study.roles:
                msg = f"{study.name} has {', '.join(study.roles)}, but {role} was to be registered. Name another one."
                raise RoleError(msg)
        return role, role
    both = next((candidate for candidate in _PREFERRED if candidate in moving.roles and candidate in fixed.roles), None)
    if both is not None:
        return both, both
    return _first(moving), _first(fixed)


def _first(study: Study) -> Role:
    return next(role for role in _PREFERRED if role in study.roles)


def unit_range(array: Array) -> Float32Array:
    """Values from 0 to 1 between the first and the last percentile of what is brighter than nothing."""
    inside = array[array > 0] if (array > 0).any() else array
    low, high = np.percentile(inside, (1, 99))
    scaled = (np.asarray(array, np.float32) - np.float32(low)) / np.float32(max(high - low, 1e-6))
    unit: npt.NDArray[np.float32] = np.clip(scaled, 0, 1)
    return unit


def _as_itk(values: Array, grid: Grid) -> Any:
    """A SimpleITK image of values on a grid."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    placed, spacing = _LPS @ grid.affine, np.asarray(grid.spacing)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((placed[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(placed[:3, 3].tolist())
    return image


def _blurred(array: Array, grid: Grid, sigma_mm: float) -> npt.NDArray[np.float32]:
    """Blurred along the axes whose voxels are finer than the blur."""
    sigmas = [sigma_mm / s if s < 2 * sigma_mm else 0.0 for s in grid.spacing]
    blurred: npt.NDArray[np.float32] = ndimage.gaussian_filter(
        np.asarray(array, np.float32), sigmas, mode="nearest", truncate=3
    )
    return blurred


def _beginnings(moving_centre: Matrix, fixed_centre: Matrix) -> tuple[RigidTransform, ...]:
    """As the files say; and the centres on one another, as they lie and turned about each axis."""
    turns = [Rotation.identity()]
    turns += [Rotation.from_euler(axis, sign * _TURN_DEGREES, degrees=True) for axis in "xyz" for sign in (-1, 1)]
    starts = [RigidTransform(np.eye(4))]
    for turn in turns:
        matrix = np.eye(4)
        matrix[:3, :3] = turn.as_matrix()
        matrix[:3, 3] = moving_centre - matrix[:3, :3] @ fixed_centre
        starts.append(RigidTransform(matrix))
    return tuple(starts)


def _centre_of_mass(image: Any) -> Matrix:
    values = sitk.GetArrayViewFromImage(image).transpose(2, 1, 0)
    inside = _foreground(np.asarray(values))
    index = np.argwhere(inside).mean(axis=0) if inside.any() else (np.asarray(values.shape) - 1) / 2
    point = np.array(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))
    return point * (-1, -1, 1)


def _foreground(array: Array) -> npt.NDArray[np.bool_]:
    """The head: brighter than the noise of air."""
    high = float(np.percentile(array, 99))
    return np.asarray(array > 0.1 * high)


def _search(
    images: list[Any], start: RigidTransform, seed: int, *, samples: int, steps: int, mask: Any = None
) -> tuple[float, RigidTransform]:
    """The best motion near a beginning along the gradient, with the metric there (lower is better)."""
    method = _method(images[1], samples, seed, mask)
    spacing = max(images[1].GetSpacing())
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=spacing, minStep=spacing * 2e-3, numberOfIterations=steps, relaxationFactor=0.6
    )
    return _executed(method, images, start)


def _search_directions(images: list[Any], start: RigidTransform, seed: int, mask: Any) -> RigidTransform:
    """The best motion near a beginning along one direction after the other; steps over small dents."""
    method = _method(images[1], _SAMPLES, seed, mask)
    method.SetOptimizerAsPowell(
        numberOfIterations=_ROUNDS, maximumLineIterations=20, stepLength=1.0, stepTolerance=1e-3, valueTolerance=1e-5
    )
    return _executed(method, images, start)[1]


def _method(fixed: Any, samples: int, seed: int, mask: Any) -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    # Samples outside of the mask are drawn, too, and dropped.
    count = float(np.prod(fixed.GetSize())) if mask is None else float(sitk.GetArrayViewFromImage(mask).sum())
    method.SetMetricSamplingPercentage(min(1.0, samples / count), seed + 1)  # ITK takes 0 for the time of day
    if mask is not None:
        method.SetMetricFixedMask(mask)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _executed(method: Any, images: list[Any], start: RigidTransform) -> tuple[float, RigidTransform]:
    moving, fixed = images
    method.SetOptimizerScalesFromPhysicalShift()
    transform = _to_itk(start, _centre_of_mass(fixed))
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError as error:
        if "samples" in str(error).lower() or "overlap" in str(error).lower():
            return np.inf, start
        msg = f"The scans could not be registered: {str(error).strip().splitlines()[-1]}"
        raise RegistrationError(msg) from error
    return float(method.GetMetricValue()), _from_itk(transform)


def _to_itk(start: RigidTransform, centre_ras: Matrix) -> Any:
    lps = _LPS @ start.matrix @ _LPS
    transform = sitk.Euler3DTransform()
    centre = centre_ras * (-1, -1, 1)
    transform.SetCenter(centre.tolist())
    transform.SetMatrix(lps[:3, :3].ravel().tolist(), 1e-6)
    transform.SetTranslation((lps[:3, :3] @ centre + lps[:3, 3] - centre).tolist())
    return transform


def _from_itk(transform: Any) -> RigidTransform:
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    lps = np.eye(4)
    lps[:3, :3] = rotation
    lps[:3, 3] = shift + centre - rotation @ centre
    return RigidTransform(_LPS @ lps @ _LPS)


def _agreement_of(scans: _Scans, transform: RigidTransform) -> Agreement:
    """Judge how the moving scan lies on the fixed one, in 2 mm voxels at the fixed scan's place.

    Within the brains where both are known: jaw and neck move, and what lies in them differs from sequence to sequence.
    """
    grids = scans[0].grid, scans[1].grid
    target = _coarser(orthogonal_grid(grids[1]), _JUDGED_MM)
    places = _moved(grids[0], transform), grids[1]
    heads = [_on(_foreground(scan.array), place, target) for scan, place in zip(scans, places, strict=True)]
    both = heads[0] & heads[1]
    # Of the moving head, parts may lie outside the target altogether: its size is counted on its own grid.
    whole = _foreground(scans[0].array).sum() * _cell(grids[0]) / _cell(target)
    smaller = max(1.0, min(float(heads[1].sum()), float(whole)))
    overlap = min(1.0, float(both.sum()) / smaller)
    brains = [_on(s.brain, place, target) for s, place in zip(scans, places, strict=True) if s.brain is not None]
    inside = brains[0] & brains[1] if len(brains) == 2 else both
    core = ndimage.distance_transform_edt(inside, sampling=target.spacing) > _RIM_MM
    if core.sum() < _FEWEST_VOXELS:
        return Agreement(0.0, overlap, 0.0)
    plain = [
        resample(_blurred(scan.array, scan.grid, _JUDGED_MM / 2), place, target)
        for scan, place in zip(scans, places, strict=True)
    ]
    return Agreement(_mutual_information(plain[0][core], plain[1][core]), overlap, _edge_agreement(plain, core))


def _on(mask: npt.NDArray[np.bool_], place: Grid, target: Grid) -> npt.NDArray[np.bool_]:
    return np.asarray(resample(mask, place, target) > 0.5)


def _edge_agreement(images: list[Array], inside: npt.NDArray[np.bool_]) -> float:
    """Squared cosine between the two scans' gradients where both have edges; chance, 1/3, counts as 0.

    The sign does not matter, so that sequences of different contrast can be compared (Haber and Modersitzki 2006,
    10.1007/11866763_89).
    """
    slopes = [np.array(np.gradient(ndimage.gaussian_filter(image, 0.75))) for image in images]
    steep = [np.sqrt((slope**2).sum(axis=0)) for slope in slopes]
    edges = inside & np.logical_and(*(s > np.quantile(s[inside], _EDGE_QUANTILE) for s in steep))
    if not edges.any():
        return 0.0
    cosine = (slopes[0] * slopes[1]).sum(axis=0)[edges] / (steep[0] * steep[1])[edges]
    return float(1.5 * (np.mean(cosine**2) - 1 / 3))


def _cell(grid: Grid) -> float:
    return float(abs(np.linalg.det(grid.affine[:3, :3])))


def _coarser(grid: Grid, size_mm: float) -> Grid:
    spacing = np.maximum(np.asarray(grid.spacing), size_mm)
    shape = np.maximum(1, np.round(np.asarray(grid.shape) * grid.spacing / spacing)).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = grid.affine[:3, :3] * (spacing / grid.spacing)
    affine[:3, 3] = grid.world((spacing / grid.spacing - 1) / 2)
    return Grid(tuple(shape.tolist()), affine, grid.unit)


def _mutual_information(first: Array, second: Array) -> float:
    ranks = [np.digitize(image, np.quantile(image, np.linspace(0, 1, 33)[1:-1])) for image in (first, second)]
    joint = np.bincount(32 * ranks[0] + ranks[1], minlength=32 * 32).reshape(32, 32) / first.size
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / product[there])).sum())


def describe(registration: Registration, centre: npt.ArrayLike = (0.0, 0.0, 0.0)) -> Mapping[str, str]:
    """What people want to know of it, in words."""
    return {
        "Sequences": f"{registration.moving_role} onto {registration.fixed_role}",
        "Turned by": f"{registration.transform.angle_degrees:.1f}°",
        "Moved by": f"{registration.transform.shift_mm(centre):.1f} mm",
        "Heads overlap": f"{registration.before.overlap:.0%} before, {registration.after.overlap:.0%} after",
        "Edges agree": f"{registration.before.detail:.2f} before, {registration.after.detail:.2f} after",
    }
