"""Register every sequence of an examination to one of them, and refuse unreliable registrations."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NoReturn

import numpy as np

from napari_brain_tumor.brain.extraction import brain_mask_job
from napari_brain_tumor.errors import BrainMaskError, RegistrationError, RoleError
from napari_brain_tumor.followup.registration import Registration, by_way_of, no_motion, register_job
from napari_brain_tumor.io import FINEST, reference_role
from napari_brain_tumor.preprocessing.intensity import background_value
from napari_brain_tumor.progress import Job, Progress, part_of
from napari_brain_tumor.study import Role, Study

_SMALL_DEGREES: Final = 0.3
_SMALL_MM: Final = 0.3
"""Motions below both limits are not worth an interpolation, and are within the uncertainty of registration."""
_GAIN: Final = 0.002
"""Smallest gain in mutual information or edge agreement for which a motion is preferred to none."""
_LOSS: Final = 0.02
"""Loss of edge agreement with the reference that is tolerated when going by way of another sequence."""
_WHOLE_SHARE: Final = 0.8
"""Smallest height of a reference, as a fraction of that of the tallest scan."""

Alone = Mapping[Role, Study]
"""Each sequence as a study on its own grid."""


def choose_reference(alone: Alone, wanted: Role | None = None) -> tuple[Role, str]:
    """Choose the sequence to which the others are registered; returns it and the reason.

    Parameters
    ----------
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
        return "T1c", "T1c is used where there is one"
    left = ", but T1c covers only part of the head" if "T1c" in alone else " of these sequences"
    return reference_role(tall, FINEST), f"the smallest voxels{left}"


def _height_mm(study: Study) -> float:
    """Return the shortest side of the scan; in a slab that is the direction of its slices."""
    return min(n * side for n, side in zip(study.grid.shape, study.grid.spacing_mm, strict=True))


def align_job(alone: Alone, reference: Role, seed: int = 0, device: str = "auto") -> Job[dict[Role, Registration]]:
    """Register every other sequence to the reference, as a job; returns reliable registrations only.

    Raises
    ------
    RegistrationError
        If a sequence cannot be registered reliably, even by way of another one; the message says why and what to do.
    """
    placed: dict[Role, Registration] = {}
    refused: dict[Role, Registration] = {}
    others = [role for role in alone if role != reference]
    studies = yield from part_of(_with_brains_job(alone, device), 0, 0.2)
    fixed = studies[reference]
    for number, role in enumerate(others):
        job = register_job(studies[role], fixed, seed=seed)
        low, high = (0.2 + 0.7 * at / len(others) for at in (number, number + 1))
        registration = yield from part_of(job, low, high, f"{role} to {reference}")
        registration = _preferred(registration, studies[role], fixed)
        (placed if registration.trusted else refused)[role] = registration
    for role, direct in refused.items():
        placed[role] = yield from part_of(_detour_job(direct, placed, studies, reference, seed), 0.9, 1)
    return {role: placed[role] for role in others}


def _detour_job(
    direct: Registration, placed: Mapping[Role, Registration], studies: Alone, reference: Role, seed: int
) -> Job[Registration]:
    """Register to the reference by way of a sequence that is already aligned, if the direct registration is unreliable.

    Thick-slice T2 and FLAIR resemble T1 or each other more than they resemble a thick-slice T1c.
    """
    role, fixed = direct.moving_role, studies[reference]
    ways: list[Registration] = []
    for number, (between, onward) in enumerate(placed.items()):
        job = register_job(studies[role], studies[between], seed=seed)
        link = yield from part_of(job, number / len(placed), (number + 1) / len(placed), f"{role} to {between}")
        ways.append(by_way_of(link, onward, studies[role], fixed))
    # A detour that fits worse in the end than the rejected direct registration contains an error.
    good = [way for way in ways if way.trusted and way.after.detail >= direct.after.detail - _LOSS]
    if not good:
        _refuse(direct, studies[role], fixed, list(placed))
    return max(good, key=_link_detail)


def _link_detail(way: Registration) -> float:
    return 0.0 if way.link is None else way.link.after.detail


def _with_brains_job(alone: Alone, device: str) -> Job[dict[Role, Study]]:
    """Return the studies with brain masks for the comparison, or all without if one of them has none."""
    masked: dict[Role, Study] = {}
    for number, (role, study) in enumerate(alone.items()):
        yield Progress(number, len(alone), f"Looking for the brain in {role}")
        background = background_value(study.sequences[role])
        if background is not None:
            masked[role] = replace(study, brain=study.sequences[role] != background)
            continue
        try:
            mask = yield from part_of(brain_mask_job(study, device), number / len(alone), (number + 1) / len(alone))
        except BrainMaskError:
            return dict(alone)
        masked[role] = replace(study, brain=mask)
    return masked


def _preferred(registration: Registration, moving: Study, fixed: Study) -> Registration:
    """Return the registration, or no motion if the scans fit as well without it."""
    if registration.kind != "registered":
        return registration
    gained = max(
        registration.after.mutual_information - registration.before.mutual_information,
        registration.after.detail - registration.before.detail,
    )
    middle = fixed.grid.world((np.asarray(fixed.grid.shape) - 1) / 2)
    is_small = (
        registration.transform.angle_degrees < _SMALL_DEGREES and registration.transform.shift_mm(middle) < _SMALL_MM
    )
    return no_motion(moving, fixed) if is_small or gained < _GAIN else registration


def _refuse(direct: Registration, moving: Study, fixed: Study, detours: Sequence[Role]) -> NoReturn:
    names = f"{direct.moving_role} ({moving.name}) and {direct.fixed_role} ({fixed.name})"
    neither = f" It was not possible via {' or '.join(detours)} either." if detours else ""
    raise RegistrationError(
        f"{names} could not be brought onto one another: {'; '.join(direct.problems)}.{neither} Pick another series "
        f"for {direct.moving_role}, or leave it out: --series {direct.moving_role}=- "
        f'(series={{"{direct.moving_role}": "-"}}); if {direct.fixed_role} is the wrong one, choose another reference.'
    )
