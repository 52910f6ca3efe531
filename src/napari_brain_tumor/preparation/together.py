"""Whether the sequences of an examination lie on one another: a short, coarse search for a better place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

import numpy as np

from napari_brain_tumor.followup.motion_search import find_misfit
from napari_brain_tumor.followup.rigid import RigidTransform
from napari_brain_tumor.followup.scan_agreement import agreement_at_rest, coarse_scan
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.preprocessing.traits import extent_of
from napari_brain_tumor.study import Role
from napari_brain_tumor.types import Array

_LEAST_MM: Final = 3.0
_LEAST_DEGREES: Final = 3.0
_LEAST_EXTENT_MM: Final = 40.0
"""Of a scan that can be turned in space: a few slices look alike wherever they lie."""
_AGREES: Final = 0.45
"""Agreement of edges from which a sequence is not suspected to be mirrored. Measured in voxels of 3 mm: 24 pairs of
sequences of four gliomas reach .42 to .96; with head and feet or front and back exchanged, .03 to .18."""
_MIRROR_GAIN: Final = 0.15
_SIDES: Final = ("left and right", "front and back", "head and feet")
_FIRST: Final[tuple[Role, ...]] = ("T1", "T1c", "FLAIR", "T2")
"""The one that the others are compared with at first: where the anatomy is seen best."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A sequence that does not lie on another one.

    Parameters
    ----------
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
class Mirrored:
    """A sequence that lies on another one only once it is mirrored or turned round.

    Parameters
    ----------
    sides : tuple of str
        What is exchanged: of "left and right", "front and back", "head and feet".
    """

    role: Role
    onto: Role
    sides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Togetherness:
    """How the sequences lie on one another.

    Parameters
    ----------
    misfits : tuple of Misfit
        None where they fit.
    unjudged : str
        Why that could not be judged; empty where it was.
    mirrored : tuple of Mirrored
        Sequences whose header, or whose file, exchanges sides.
    """

    misfits: tuple[Misfit, ...] = ()
    unjudged: str = ""
    mirrored: tuple[Mirrored, ...] = ()


def judge_together(sequences: Mapping[Role, Array], grids: Mapping[Role, Grid]) -> Togetherness:
    """Compare every sequence with the others; a second or two for a case of full size.

    Parameters
    ----------
    sequences : mapping of role to (X, Y, Z) array
    """
    roles = [role for role in _FIRST if role in sequences]
    if len(roles) < 2:
        return Togetherness(unjudged="there is only one sequence")
    extents = [extent_of(grids[role]) for role in roles]
    if None in extents:
        return Togetherness(unjudged="the voxel size is not known")
    if min(extent for extent in extents if extent is not None) < _LEAST_EXTENT_MM:
        return Togetherness(unjudged="too few slices were scanned")
    small = {role: coarse_scan(sequences[role], grids[role]) for role in roles}
    first = roles[0]
    still = RigidTransform(np.eye(4))
    motions = {first: still}
    mirrored: list[Mirrored] = []
    for role in roles[1:]:
        motion, before, after = find_misfit(small[role], small[first])
        motions[role] = motion or still
        best = max(before.detail, after.detail if motion is not None else 0.0)
        if best < _AGREES and (sides := _exchanged_sides(small[role], small[first], best + _MIRROR_GAIN)):
            mirrored.append(Mirrored(role, first, sides))
    if len(mirrored) == len(roles) - 1 > 1 and len({entry.sides for entry in mirrored}) == 1:
        mirrored = [Mirrored(first, roles[1], mirrored[0].sides)]  # it is the odd one out
    return Togetherness(_misfits(roles, motions, small[first][1]), mirrored=tuple(mirrored))


def _exchanged_sides(moving: tuple[Array, Grid], fixed: tuple[Array, Grid], least: float) -> tuple[str, ...]:
    """Which sides have to be exchanged for the edges to agree at least so much; none where that does not help."""
    (array, grid) = moving
    if np.ptp(array) == 0 or np.ptp(fixed[0]) == 0:
        return ()
    onto = _middle(*fixed)
    best, sides = least, tuple[str, ...]()
    for signs in product((1.0, -1.0), repeat=3):
        if signs == (1.0, 1.0, 1.0):
            continue
        mirror = np.diag([*signs, 1.0])
        mirror[:3, 3] = onto - mirror[:3, :3] @ _middle(array, grid)
        detail = agreement_at_rest((array, Grid(grid.shape, mirror @ grid.affine)), fixed).detail
        if detail >= best:
            best, sides = detail, tuple(side for side, sign in zip(_SIDES, signs, strict=True) if sign < 0)
    return sides


def _middle(array: Array, grid: Grid) -> Array:
    """Where the middle of the head lies, in the world."""
    return grid.world(np.argwhere(array > array.mean()).mean(axis=0))


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


def _misfit(role: Role, other: Role, motions: Mapping[Role, RigidTransform], centre: Array) -> Misfit | None:
    between = RigidTransform(motions[other].matrix @ motions[role].inverse.matrix)
    degrees, shift = between.angle_degrees, between.shift_mm(motions[role].apply(centre))
    return Misfit(other, role, degrees, shift) if degrees >= _LEAST_DEGREES or shift >= _LEAST_MM else None
