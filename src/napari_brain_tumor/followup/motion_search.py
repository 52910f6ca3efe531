"""Search for the rigid transform that registers one scan to another.

Maximises mutual information (Mattes 2003, 10.1109/TMI.2003.809072), first coarsely from many starting positions (the
files' own coordinates, and aligned centres with rotations about each axis), then finely from the best two. With thick
slices the metric has many local optima in which gradient descent gets stuck, so the fine search follows directions
instead (Powell 1964, 10.1093/comjnl/7.2.155). Samples are drawn with a given seed.
"""

from typing import Any, Final

import numpy as np
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from napari_brain_tumor.errors import RegistrationError
from napari_brain_tumor.followup.rigid import Matrix, RigidTransform
from napari_brain_tumor.followup.scan_agreement import LPS, Agreement, Scan, Scans, agreement_of, as_itk, foreground
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.types import Array

_COARSE_MM: Final = 4.0
_FINE_MM: Final = 2.0
_FINEST_MM: Final = 1.0
"""Voxel sizes of the three levels; coarser scans keep their own resolution, and the last level is for fine scans."""
_COARSE_SAMPLES: Final = 10_000
_SAMPLES: Final = 15_000
_BINS: Final = 32
_COARSE_STEPS: Final = 60
_ROUNDS: Final = 6
"""Number of rounds of the fine search, each along six directions."""
_TURN_DEGREES: Final = 12.0
"""Rotation of the starting positions; from each, a search can correct for up to this much more or less."""
_BEST: Final = 2
"""Number of starting positions that are refined."""
_MISFIT_SAMPLES: Final = 30_000
_MISFIT_STEPS: Final = 100
_LEAST_GAIN: Final = 0.03
"""Smallest improvement in edge agreement for which a transform is accepted."""


def best_motion_job(scans: Scans, seed: int) -> Job[RigidTransform]:
    moving, fixed = scans
    beginnings = _beginnings(moving.centre, fixed.centre)
    pair, mask = _images(scans, _COARSE_MM)
    judged = moving.coarse(_COARSE_MM), fixed.coarse(_COARSE_MM)
    ends: list[tuple[float, RigidTransform]] = []
    for done, start in enumerate(beginnings):
        yield Progress(0.4 * done / len(beginnings), 1, "Searching for a starting position")
        motion = _search(pair, start, seed, samples=_COARSE_SAMPLES, steps=_COARSE_STEPS, mask=mask)[1]
        # With less overlap the metric covers less and may improve, so results are judged by a fixed measure.
        ends.append((_fitness(agreement_of(judged, motion)), motion))
    ends.sort(key=lambda end: end[0], reverse=True)
    pair, mask = _images(scans, _FINE_MM)
    judged = moving.coarse(_FINE_MM), fixed.coarse(_FINE_MM)
    refined: list[tuple[float, RigidTransform]] = []
    for done, (_, start) in enumerate(ends[:_BEST]):
        yield Progress(0.4 + 0.4 * done / _BEST, 1, f"Refining at {_FINE_MM:g} mm")
        motion = _search_directions(pair, start, seed, mask)
        refined.append((_fitness(agreement_of(judged, motion)), motion))
    fitness, best = max(refined, key=lambda end: end[0])
    if moving.is_fine and fixed.is_fine:
        yield Progress(0.8, 1, f"Refining at {_FINEST_MM:g} mm")
        pair, mask = _images(scans, _FINEST_MM)
        finest = _search_directions(pair, best, seed, mask)
        if _fitness(agreement_of(judged, finest)) >= 0.98 * fitness:
            return finest
    return best


def _fitness(agreement: Agreement) -> float:
    return agreement.mutual_information * agreement.overlap


def _images(scans: "Scans", size_mm: float) -> tuple[list[Any], Any]:
    """Return both scans as SimpleITK images, and the brain mask of the fixed one if both brains are known."""
    known = all(scan.brain is not None for scan in scans)
    return [scan.image(size_mm) for scan in scans], scans[1].brain_image(size_mm) if known else None


def find_misfit(
    moving: tuple[Array, Grid], fixed: tuple[Array, Grid], seed: int = 0
) -> tuple[RigidTransform | None, Agreement, Agreement]:
    """Check quickly and coarsely whether two scans of one examination would fit better if one were moved.

    Parameters
    ----------
    moving, fixed : (array, Grid)
        Scans as returned by `coarse_scan`.
    seed : int
        Random seed of the sampling.

    Returns
    -------
    RigidTransform or None
        From the fixed world to the moving one; None if no transform makes the edges agree clearly better.
    Agreement, Agreement
        Agreement as the scans are, and after that transform.
    """
    scans = Scan(*moving), Scan(*fixed)
    rest = RigidTransform(np.eye(4))
    before = agreement_of(scans, rest)
    pair = [as_itk(array, grid) for array, grid in (moving, fixed)]
    try:
        _, best = _search(pair, rest, seed, samples=_MISFIT_SAMPLES, steps=_MISFIT_STEPS)
    except RegistrationError:
        return None, before, before
    after = agreement_of(scans, best)
    better = after.detail >= before.detail + _LEAST_GAIN and after.mutual_information > before.mutual_information
    return (best if better else None), before, after


def _beginnings(moving_centre: Matrix, fixed_centre: Matrix) -> tuple[RigidTransform, ...]:
    """Return the starting positions: the files' coordinates, and aligned centres without and with rotations."""
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
    inside = foreground(np.asarray(values))
    index = np.argwhere(inside).mean(axis=0) if inside.any() else (np.asarray(values.shape) - 1) / 2
    point = np.array(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))
    return point * (-1, -1, 1)


def _search(
    images: list[Any], start: RigidTransform, seed: int, *, samples: int, steps: int, mask: Any = None
) -> tuple[float, RigidTransform]:
    """Optimise a transform from a starting position by gradient descent; also returns the metric (lower is better)."""
    method = _method(images[1], samples, seed, mask)
    spacing = max(images[1].GetSpacing())
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=spacing, minStep=spacing * 2e-3, numberOfIterations=steps, relaxationFactor=0.6
    )
    return _executed(method, images, start)


def _search_directions(images: list[Any], start: RigidTransform, seed: int, mask: Any) -> RigidTransform:
    """Optimise a transform along one direction after another, which can step over small local optima."""
    method = _method(images[1], _SAMPLES, seed, mask)
    method.SetOptimizerAsPowell(
        numberOfIterations=_ROUNDS, maximumLineIterations=20, stepLength=1.0, stepTolerance=1e-3, valueTolerance=1e-5
    )
    return _executed(method, images, start)[1]


def _method(fixed: Any, samples: int, seed: int, mask: Any) -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    # Samples outside the mask are drawn as well, and discarded.
    count = float(np.prod(fixed.GetSize())) if mask is None else float(sitk.GetArrayViewFromImage(mask).sum())
    method.SetMetricSamplingPercentage(min(1.0, samples / count), seed + 1)  # ITK uses the time of day for seed 0
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
        raise RegistrationError(f"The scans could not be registered: {str(error).strip().splitlines()[-1]}") from error
    return float(method.GetMetricValue()), _from_itk(transform)


def _to_itk(start: RigidTransform, centre_ras: Matrix) -> Any:
    lps = LPS @ start.matrix @ LPS
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
    return RigidTransform(LPS @ lps @ LPS)
