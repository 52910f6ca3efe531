"""Resample sequences on different grids onto one of these grids."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from napari_brain_tumor.errors import GridMismatchError, RoleError
from napari_brain_tumor.geometry import Grid, resample
from napari_brain_tumor.io.study_folder import role_named
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor.types import Array, Mask

Key = TypeVar("Key", bound=Hashable)

FINEST: Final = "finest"
"""Selects the grid with the smallest voxels."""

_PREFERRED: Final[tuple[Role, ...]] = ("T1c", "FLAIR", "T2", "T1")
"""Order of preference for the grid if voxel sizes are equal: sequences that show most of the tumour come first."""
_SAME_SIZE: Final = 1.02
"""Ratio of voxel volumes up to which they count as equal, to allow for rounding in headers."""
_COVERED: Final = 0.95
"""If a sequence covers less than this fraction of the grid, a note is made."""


@dataclass(frozen=True, slots=True, eq=False)
class OneGrid:
    """Sequences that have been brought onto one grid.

    Parameters
    ----------
    reference : Role or None
        The sequence whose grid it is; None if it is not the grid of any sequence.
    arrays : mapping of role to (X, Y, Z) array
        Arrays that had to be resampled are float32; the others are unchanged.
    notes : tuple of str
        Notes for the user on what was done.
    """

    reference: Role | None
    grid: Grid
    arrays: Mapping[Role, Array]
    resampled: tuple[Role, ...]
    notes: tuple[str, ...]


def distinct_grids(grids: Mapping[Key, Grid]) -> list[tuple[tuple[Key, ...], Grid]]:
    """Return the distinct grids, each with the keys of the items that lie on it."""
    groups: list[tuple[list[Key], Grid]] = []
    for key, grid in grids.items():
        for members, known in groups:
            if known.same_place(grid):
                members.append(key)
                break
        else:
            groups.append(([key], grid))
    return [(tuple(members), grid) for members, grid in groups]


def reference_role(grids: Mapping[Role, Grid], target: str = FINEST) -> Role:
    """Return the sequence onto whose grid the others are brought.

    Parameters
    ----------
    target : str
        `"finest"` for the smallest voxels (if equal, T1c before FLAIR, T2 and T1), or a role.

    Raises
    ------
    RoleError
        If there is no sequence with that role.
    """
    if target.strip().lower() != FINEST:
        role = role_named(target)
        if role not in grids:
            msg = f"There is no {role} to resample onto; the sequences are {', '.join(grids)}. Name one, or {FINEST!r}."
            raise RoleError(msg)
        return role
    sizes = {role: abs(float(np.linalg.det(grid.affine[:3, :3]))) for role, grid in grids.items()}
    smallest = min(sizes.values())
    return next(role for role in _PREFERRED if role in sizes and sizes[role] <= _SAME_SIZE * smallest)


def bring_onto_one_grid(sequences: Mapping[Role, tuple[Array, Grid]], onto: str | Grid = FINEST) -> OneGrid:
    """Resample linearly, without registration, all sequences that do not lie on the chosen grid.

    Parameters
    ----------
    sequences : mapping of role to (array, Grid)
        Arrays `(X, Y, Z)`, each on its own grid.
    onto : str or Grid
        A target as in `reference_role`, or the grid itself.

    Raises
    ------
    RoleError
        If `onto` is a role that is not present.
    GridMismatchError
        If a sequence lies elsewhere in space, or its files do not state the voxel size although the others' do.
    """
    grids = {role: grid for role, (_, grid) in sequences.items()}
    reference = None if isinstance(onto, Grid) else reference_role(grids, onto)
    target = onto if isinstance(onto, Grid) else grids[reference_role(grids, onto)]
    _check_units(grids, target)
    moved = tuple(role for role in ROLES if role in grids and not grids[role].same_place(target))
    arrays = {role: array for role, (array, _) in sequences.items()}
    notes = [_resampling_note(moved, reference, target)] if moved else []
    covered: dict[Role, float] = {}
    for role in moved:
        arrays[role], covered[role] = resample_within(arrays[role], grids[role], target)
        _check_covered(role, covered[role], grids[role], target)
    partly = [f"{role} covers {share:.0%}" for role, share in covered.items() if share < _COVERED]
    notes += [f"{', '.join(partly)} of that grid; the rest is set to background."] if partly else []
    return OneGrid(reference, target, arrays, moved, tuple(notes))


def resample_within(array: Array, source: Grid, target: Grid, within: Mask | None = None) -> tuple[Array, float]:
    """Interpolate linearly onto another grid, with background outside `source`; also return the fraction covered.

    Parameters
    ----------
    array : (X, Y, Z) array
        Values on `source`.
    within : (X, Y, Z) bool array, optional
        Mask on `target`. Voxels outside it are set to background, and the fraction refers to the mask.

    Returns
    -------
    (X, Y, Z) float32 array, float
        Values on `target`, and the fraction covered. Voxels extend to their faces, so no part of the outermost thick
        slices is lost.
    """
    values = resample(array, source, target, fill=None)
    scanned = scanned_part(source, target)
    if within is not None:
        scanned &= within
    values[~scanned] = np.median(array[:: source.shape[0] - 1 or 1, :: source.shape[1] - 1 or 1, [0, -1]])
    return values, float(scanned.sum() / (scanned.size if within is None else max(1, within.sum())))


def scanned_part(source: Grid, target: Grid) -> Mask:
    """Return which voxels `(X, Y, Z)` of the target lie within the source."""
    return np.asarray(resample(np.ones(source.shape, np.uint8), source, target, nearest=True) > 0)


def _resampling_note(moved: tuple[Role, ...], reference: Role | None, target: Grid) -> str:
    were = "was" if len(moved) == 1 else "were"
    whose = f"the grid of {reference}" if reference is not None else "one grid"
    size = f"{'x'.join(map(str, target.shape))} voxels of {'x'.join(f'{side:.3g}' for side in target.spacing)} mm"
    return (
        f"{', '.join(moved)} {were} resampled onto {whose} ({size}), linearly and without registration: check whether "
        "they fit."
    )


def _check_units(grids: Mapping[Role, Grid], target: Grid) -> None:
    other = [role for role, grid in grids.items() if grid.unit != target.unit]
    if other:
        raise GridMismatchError(
            f"{', '.join(other)} and the others do not all state the voxel size, so they cannot be brought onto one "
            "grid. Give it (spacing_mm), or open only those that state it."
        )


def _check_covered(role: Role, covered: float, source: Grid, target: Grid) -> None:
    if covered == 0:
        raise GridMismatchError(
            f"{role} ({source.describe()}) lies nowhere on the grid that it was to be resampled onto "
            f"({target.describe()}). Are they from the same examination? Register it first, or leave it out."
        )
