"""The search for the rigid motion of one scan onto another.

Mutual information (Mattes 2003, 10.1109/TMI.2003.809072), first coarsely from many beginnings (the files' own
coordinates, and the centres on one another, turned by some degrees about each axis), then finely from the best two.
Thick slices make a rough landscape, on which steps along the gradient end in the nearest dent: the fine search goes
along directions instead (Powell 1964, 10.1093/comjnl/7.2.155). Samples are drawn with a seed.
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
"""Voxel sizes of the resolutions; a scan coarser than that is taken as it is, and the last one is for fine scans."""
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
_MISFIT_SAMPLES: Final = 30_000
_MISFIT_STEPS: Final = 100
_LEAST_GAIN: Final = 0.03
"""Of the agreement of edges, by which a motion has to improve it to be believed."""


def best_motion_job(scans: Scans, seed: int) -> Job[RigidTransform]:
    moving, fixed = scans
    beginnings = _beginnings(moving.centre, fixed.centre)
    pair, mask = _images(scans, _COARSE_MM)
    judged = moving.coarse(_COARSE_MM), fixed.coarse(_COARSE_MM)
    ends: list[tuple[float, RigidTransform]] = []
    for done, start in enumerate(beginnings):
        yield Progress(0.4 * done / len(beginnings), 1, "Searching for a starting position")
        motion = _search(pair, start, seed, samples=_COARSE_SAMPLES, steps=_COARSE_STEPS, mask=mask)[1]
        # The metric looks at less where scans part, and then may rise: what it found is judged by what does not.
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
    """Both scans as SimpleITK has them, and the brain of the fixed one if both are known."""
    known = all(scan.brain is not None for scan in scans)
    return [scan.image(size_mm) for scan in scans], scans[1].brain_image(size_mm) if known else None


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
    inside = foreground(np.asarray(values))
    index = np.argwhere(inside).mean(axis=0) if inside.any() else (np.asarray(values.shape) - 1) / 2
    point = np.array(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))
    return point * (-1, -1, 1)


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
