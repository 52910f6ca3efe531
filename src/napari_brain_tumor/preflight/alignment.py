"""Whether the sequences of an examination are aligned: a short, coarse search for a better position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from napari_brain_tumor.followup.registration import RigidTransform, coarse_scan, find_misfit
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.preprocessing.traits import extent_of
from napari_brain_tumor.study import Role
from napari_brain_tumor.types import Array

__all__ = ["Alignment", "Misfit", "judge_alignment"]


_LEAST_MM: Final = 3.0
_LEAST_DEGREES: Final = 3.0
_LEAST_EXTENT_MM: Final = 40.0
"""Of a scan that can be turned in space: a few slices look alike wherever they lie."""
_FIRST: Final[tuple[Role, ...]] = ("T1", "T1c", "FLAIR", "T2")
"""The one that the others are compared with at first: where the anatomy is seen best."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A sequence that does not lie on another one.

    Parameters
    ----------
    role, onto : Role
    degrees : float
        By which it is turned.
    shift_mm : float
        By which the middle of the scan lies elsewhere.
    """

    role: Role
    onto: Role
    degrees: float
    shift_mm: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the sequences lie on one another.

    Parameters
    ----------
    misfits : tuple of Misfit
        None where they fit.
    unjudged : str
        Why that could not be judged; empty where it was.
    """

    misfits: tuple[Misfit, ...] = ()
    unjudged: str = ""


def judge_alignment(sequences: Mapping[Role, Array], grids: Mapping[Role, Grid]) -> Alignment:
    """Compare every sequence with the others; a second or two for a case of full size.

    Parameters
    ----------
    sequences : mapping of role to (X, Y, Z) array
    grids : mapping of role to Grid
    """
    roles = [role for role in _FIRST if role in sequences]
    if len(roles) < 2:
        return Alignment(unjudged="there is one sequence only")
    extents = [extent_of(grids[role]) for role in roles]
    if None in extents:
        return Alignment(unjudged="the voxel size is not known")
    if min(extent for extent in extents if extent is not None) < _LEAST_EXTENT_MM:
        return Alignment(unjudged="too few slices were scanned")
    small = {role: coarse_scan(sequences[role], grids[role]) for role in roles}
    first = roles[0]
    still = RigidTransform(np.eye(4))
    motions = {first: still}
    for role in roles[1:]:
        motions[role] = find_misfit(small[role], small[first])[0] or still
    return Alignment(_misfits(roles, motions, small[first][1]))


def _misfits(roles: Sequence[Role], motions: Mapping[Role, RigidTransform], grid: Grid) -> tuple[Misfit, ...]:
    """Against the sequence that most of the others lie on: where the first was moved, the others were not."""
    centre = grid.world((np.asarray(grid.shape) - 1) / 2)
    apart = {pair: misfit for pair in combinations(roles, 2) if (misfit := _misfit(*pair, motions, centre)) is not None}
    anchor = min(roles, key=lambda role: sum(role in pair for pair in apart))
    return tuple(
        Misfit(role, anchor, misfit.degrees, misfit.shift_mm)
        for pair, misfit in apart.items()
        if anchor in pair
        for role in pair
        if role != anchor
    )


def _misfit(moving: Role, fixed: Role, motions: Mapping[Role, RigidTransform], centre: Array) -> Misfit | None:
    between = RigidTransform(motions[fixed].matrix @ motions[moving].inverse.matrix)
    degrees, shift = between.angle_degrees, between.shift_mm(motions[moving].apply(centre))
    return Misfit(fixed, moving, degrees, shift) if degrees >= _LEAST_DEGREES or shift >= _LEAST_MM else None
