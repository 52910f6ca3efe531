"""Every sequence of an examination registered to one of them, and refused where that cannot be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from napari_brain_tumor.brain.extraction import brain_mask_job
from napari_brain_tumor.errors import BrainMaskError, RegistrationError, RoleError
from napari_brain_tumor.followup.registration import Registration, RigidTransform, no_motion, register_job
from napari_brain_tumor.io import FINEST, reference_role
from napari_brain_tumor.preprocessing.intensity import background_value
from napari_brain_tumor.progress import Job, Progress, part_of
from napari_brain_tumor.study import Role, Study

__all__ = ["align_job", "choose_reference"]

_SMALL_DEGREES: Final = 0.3
_SMALL_MM: Final = 0.3
"""Motions below both are not worth an interpolation, and no surer than that themselves."""
_GAIN: Final = 0.002
"""Of mutual information or of the agreement of edges, that a motion has to bring to be preferred to none."""
_WHOLE_SHARE: Final = 0.8
"""Of what the tallest scan covers, that a reference has to cover."""

Alone = Mapping[Role, Study]
"""Each sequence as a study on its own grid."""


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """How every sequence lies: `registrations` by role, without the reference."""

    reference: Role
    registrations: Mapping[Role, Registration]


def choose_reference(alone: Alone, wanted: Role | None = None) -> tuple[Role, str]:
    """The sequence that the others are registered to, and why.

    Parameters
    ----------
    alone : mapping of role to Study
    wanted : Role, optional
        The user's own choice.

    Raises
    ------
    RoleError
        If there is no such sequence.
    """
    if wanted is not None:
        if wanted not in alone:
            msg = f"{wanted} cannot be the reference: the sequences are {', '.join(alone)}. Name one of them."
            raise RoleError(msg)
        return wanted, "as chosen"
    heights = {role: _height_mm(study) for role, study in alone.items()}
    tall = {role: study.grid for role, study in alone.items() if heights[role] >= _WHOLE_SHARE * max(heights.values())}
    if "T1c" in tall:
        return "T1c", "T1c is taken where there is one"
    left = ", but T1c covers a part of the head only" if "T1c" in alone else " of those that are here"
    return reference_role(tall, FINEST), f"the smallest voxels{left}"


def _height_mm(study: Study) -> float:
    """The shortest side, which is where a slab ends."""
    return min(n * side for n, side in zip(study.grid.shape, study.grid.spacing_mm, strict=True))


def align_job(alone: Alone, reference: Role, seed: int = 0, device: str = "auto") -> Job[dict[Role, Registration]]:
    """Register every sequence to the reference: a job; returns the registrations of the others, all trusted.

    Raises
    ------
    RegistrationError
        If one cannot be trusted; the message names it, the reasons and what to do.
    """
    found: dict[Role, Registration] = {}
    others = [role for role in alone if role != reference]
    with_brains = yield from part_of(_with_brains_job(alone, device), 0, 0.2)
    for done, role in enumerate(others):
        job = register_job(with_brains[role], with_brains[reference], seed=seed)
        low, high = (0.2 + 0.8 * at / len(others) for at in (done, done + 1))
        registration = yield from part_of(job, low, high, f"{role} to {reference}")
        found[role] = _preferred(registration, with_brains[role], with_brains[reference])
        _require_trusted(found[role], with_brains[role], with_brains[reference])
    return found


def _with_brains_job(alone: Alone, device: str) -> Job[dict[Role, Study]]:
    """The studies with a brain mask to compare within; all without, where one has none."""
    masked: dict[Role, Study] = {}
    for done, (role, study) in enumerate(alone.items()):
        yield Progress(done, len(alone), f"Looking for the brain in {role}")
        background = background_value(study.sequences[role])
        if background is not None:
            masked[role] = replace(study, brain=study.sequences[role] != background)
            continue
        try:
            mask = yield from part_of(brain_mask_job(study, device), done / len(alone), (done + 1) / len(alone))
        except BrainMaskError:
            return dict(alone)
        masked[role] = replace(study, brain=mask)
    return masked


def _preferred(found: Registration, moving: Study, fixed: Study) -> Registration:
    """The motion, or none where the scans fit as well as they lie."""
    if found.kind != "registered":
        return found
    gained = max(
        found.after.mutual_information - found.before.mutual_information, found.after.detail - found.before.detail
    )
    middle = fixed.grid.world((np.asarray(fixed.grid.shape) - 1) / 2)
    is_small = found.transform.angle_degrees < _SMALL_DEGREES and found.transform.shift_mm(middle) < _SMALL_MM
    return no_motion(moving, fixed) if is_small or gained < _GAIN else found


def _require_trusted(found: Registration, moving: Study, fixed: Study) -> None:
    if not found.trusted:
        names = f"{found.moving_role} ({moving.name}) and {found.fixed_role} ({fixed.name})"
        msg = (
            f"{names} could not be brought onto one another: {'; '.join(found.problems)}. Pick another series for "
            f'{found.moving_role}, or leave it out: --series {found.moving_role}=- (series={{"{found.moving_role}": '
            f'"-"}}); if {found.fixed_role} is the wrong one, choose another reference.'
        )
        raise RegistrationError(msg)


def at_rest() -> RigidTransform:
    """No motion."""
    return RigidTransform(np.eye(4))
