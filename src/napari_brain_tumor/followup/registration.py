"""Rigid registration of one scan to another, and checks of its reliability."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import RoleError
from napari_brain_tumor.followup.motion_search import best_motion_job
from napari_brain_tumor.followup.rigid import RigidTransform, resample_moved
from napari_brain_tumor.followup.scan_agreement import Agreement, agreement_of, scans_of
from napari_brain_tumor.progress import Job, Progress, action, part_of
from napari_brain_tumor.study import Role, Study
from napari_brain_tumor.types import Array, Float32Array

_PREFERRED: Final[tuple[Role, ...]] = ("T1", "T1c", "FLAIR", "T2")
"""Sequence to register, if both studies have it; plain T1 first, because treatment changes it least."""

_LEAST_OVERLAP: Final = 0.6
"""Smallest overlap of the heads, as a fraction of the smaller one; with less, the fields of view differ too much."""
_LEAST_DETAIL_SAME: Final = 0.45
_LEAST_DETAIL: Final = 0.4
_LEAST_DETAIL_FLAIR: Final = 0.33
"""Smallest agreement of edges: for the same sequence, for two different ones, and if one of the two is FLAIR.

Determined from measurements. Nineteen registered pairs of different patients reach .34 (same sequence), .38 (T1 or T2
with T1c) and .28 (FLAIR with another). Scans of one patient reach .78 across a treatment, and above .99 if only the
noise differs. Different sequences of one patient reach .39 to .89, with FLAIR .22 to .62; the lowest values of both
are from simulated heads and are rejected, and whether those were registered correctly is unknown. The limits were set
on three of nine such examinations.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """Registration of a visit to the baseline, and how it was found.

    Parameters
    ----------
    transform : RigidTransform
        Transform from the baseline's world to the visit's.
    moving_role, fixed_role : Role
        Sequences that were registered.
    before, after : Agreement
        Agreement before and after the transform is applied.
    kind : {"registered", "given", "same space"}
        Found by registration, provided by the user, or no motion because both are in the same space already.
    link : Registration, optional
        Registration of `moving_role` to a third sequence through which it was brought here; reliability is then judged
        by that registration.
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
        """Reasons not to trust the registration; empty if there are none."""
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
                "perhaps these are two patients, or not the sequences that were named"
            )
        return tuple(problems)

    @property
    def trusted(self) -> bool:
        """Whether there is no reason to distrust the registration."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Return the content for the JSON file."""
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
    """Find the rigid transform that brings one examination onto another.

    Parameters
    ----------
    moving : Study
        The visit.
    fixed : Study
        The baseline.
    role : Role, optional
        Sequence to register; if not given, the first of T1, T1c, FLAIR and T2 that both studies have.
    seed : int
        Random seed of the sampling.

    Returns
    -------
    Registration
        Returned even if the registration is poor; `problems` then says why, and it is not used unless requested.

    Raises
    ------
    SpacingUnknownError
        If either voxel size is unknown.
    RoleError
        If either study lacks the requested sequence.
    RegistrationError
        If the search fails because the scans do not overlap.

    Notes
    -----
    If both studies have a brain mask (`Study.brain`), only the brains are compared, so neck and jaw have no influence,
    and the search starts with the centres of the brains aligned.

    Examples
    --------
    >>> found = register(visit, baseline)  # doctest: +SKIP
    >>> found.transform.angle_degrees, found.trusted  # doctest: +SKIP
    (4.1, True)
    """
    moving_role, fixed_role = _roles(moving, fixed, role)
    for study in (moving, fixed):
        _ = study.grid.spacing_mm  # raises if the voxel size is unknown
    scans = scans_of(moving, moving_role, fixed, fixed_role)
    yield Progress(0, 1, "Comparing the scans before registration")
    before = agreement_of(scans, RigidTransform(np.eye(4)))
    best = yield from part_of(best_motion_job(scans, seed), 0.05, 0.95)
    yield Progress(0.95, 1, "Judging the result")
    return Registration(best, moving_role, fixed_role, before, agreement_of(scans, best))


register_job = register.job
"""`register` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


def by_way_of(link: Registration, onward: Registration, moving: Study, fixed: Study) -> Registration:
    """Combine two registrations that bring a scan onto another by way of a third.

    Parameters
    ----------
    link : Registration
        Registration of the moving scan to the third one.
    onward : Registration
        Registration of the third scan to the fixed one.
    moving, fixed : Study
        The first and last study of this chain.

    Returns
    -------
    Registration
        Its agreements are between the moving and fixed scans; it is trusted if the heads overlap and `link` is trusted.
    """
    scans = scans_of(moving, link.moving_role, fixed, onward.fixed_role)
    motion = RigidTransform(link.transform.matrix @ onward.transform.matrix)
    before = agreement_of(scans, RigidTransform(np.eye(4)))
    return Registration(motion, link.moving_role, onward.fixed_role, before, agreement_of(scans, motion), link=link)


def no_motion(moving: Study, fixed: Study, *, role: Role | None = None) -> Registration:
    """Treat two examinations as being in the same space already, and assess that as a registration is assessed."""
    moving_role, fixed_role = _roles(moving, fixed, role)
    still = RigidTransform(np.eye(4))
    there = agreement_of(scans_of(moving, moving_role, fixed, fixed_role), still)
    return Registration(still, moving_role, fixed_role, there, there, "same space")


def checkerboard(
    moving: Study, fixed: Study, registration: Registration, *, fields: int = 8
) -> npt.NDArray[np.float32]:
    """Alternate both scans on the baseline's grid, `(X, Y, Z)` from 0 to 1; continuous edges show a good fit.

    Parameters
    ----------
    moving, fixed : Study
        The registered studies.
    fields : int
        Number of fields along the longest axis; fields are cubes in millimetres.
    """
    grid = fixed.grid
    below = unit_range(fixed.sequences[registration.fixed_role])
    array = moving.sequences[registration.moving_role]
    above = unit_range(resample_moved(array, moving.grid, grid, registration.transform))
    side = max(n * s for n, s in zip(grid.shape, grid.spacing, strict=True)) / fields
    counts = [np.floor(np.arange(n) * s / side) for n, s in zip(grid.shape, grid.spacing, strict=True)]
    odd = sum(np.meshgrid(*counts, indexing="ij", sparse=True)) % 2 == 1
    return np.where(odd, above, below).astype(np.float32)


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
    """Scale values to 0-1 between the 1st and 99th percentile of the positive ones."""
    inside = array[array > 0] if (array > 0).any() else array
    low, high = np.percentile(inside, (1, 99))
    scaled = (np.asarray(array, np.float32) - np.float32(low)) / np.float32(max(high - low, 1e-6))
    unit: npt.NDArray[np.float32] = np.clip(scaled, 0, 1)
    return unit


def describe(registration: Registration, centre: npt.ArrayLike = (0.0, 0.0, 0.0)) -> Mapping[str, str]:
    """Describe a registration for display."""
    return {
        "Sequences": f"{registration.moving_role} onto {registration.fixed_role}",
        "Turned by": f"{registration.transform.angle_degrees:.1f}°",
        "Moved by": f"{registration.transform.shift_mm(centre):.1f} mm",
        "Heads overlap": f"{registration.before.overlap:.0%} before, {registration.after.overlap:.0%} after",
        "Edges agree": f"{registration.before.detail:.2f} before, {registration.after.detail:.2f} after",
    }
