"""Transfer single voxels from one grid to another that may be oblique to it."""

import numpy as np

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.types import Array, Indices


def carry(
    voxels: Indices,
    values: Array,
    source: Grid,
    target: Grid,
    *,
    every: bool = False,
    before: Array | None = None,
) -> tuple[Indices, Array]:
    """Return the target voxels whose centres lie in given voxels of the source, with the values of these.

    An object thus covers the same place on both grids, without holes. But if the grids are oblique to each other or
    have different spacings, some voxels of the source contain no centre of a target voxel.

    Parameters
    ----------
    voxels : (N, 3) array of int
        Voxels of the source, each at most once.
    values : (N,) array
    every : bool
        Also transfer such voxels: to the target voxel that contains their centre or is nearest to it, unless that
        voxel gets the value of another one. Voxels outside the target's border are not transferred.
    before : array of the target's shape, optional
        With `every`: current values of the target. Source voxels that would change none of them are then treated like
        those that contain no centre of a target voxel.

    Returns
    -------
    (M, 3) array of int, (M,) array
    """
    if not len(voxels):
        return voxels, values
    centred, which = _with_centres(voxels, source, target)
    if not every:
        return centred, values[which]
    settled = which if before is None else which[before[tuple(centred.T)] != values[which]]
    homeless = np.setdiff1d(np.arange(len(voxels)), settled)
    near, of = _nearest(voxels[homeless], source, target)
    free = ~np.isin(_flat(near, target), _flat(centred, target))
    near, of = near[free], homeless[of[free]]
    return np.concatenate([centred, near]), np.concatenate([values[which], values[of]])


def _with_centres(voxels: Indices, source: Grid, target: Grid) -> tuple[Indices, Indices]:
    """Return the target voxels whose centres lie in given source voxels, and the indices of these in `voxels`."""
    low, high = voxels.min(axis=0), voxels.max(axis=0)
    block = np.full(high - low + 1, -1, np.int32 if len(voxels) < np.iinfo(np.int32).max else np.intp)
    block[tuple((voxels - low).T)] = np.arange(len(voxels))
    ends = np.array(np.meshgrid(*zip(low - 0.5, high + 0.5, strict=True))).reshape(3, -1).T
    corners = target.voxels(source.world(ends))
    start = np.maximum(np.floor(corners.min(axis=0)), 0).astype(np.intp)
    stop = np.minimum(np.ceil(corners.max(axis=0)) + 1, target.shape).astype(np.intp)
    step = np.linalg.inv(source.affine) @ target.affine
    rows = np.arange(start[1], max(start[1], stop[1]))[:, np.newaxis]
    columns = np.arange(start[2], max(start[2], stop[2]))
    cells, which = [], []
    for first in range(start[0], stop[0]):  # slice by slice, because a whole scan would need gigabytes
        at = [
            np.rint(step[k, 0] * first + step[k, 1] * rows + step[k, 2] * columns + step[k, 3]).astype(np.intp) - low[k]
            for k in range(3)
        ]
        within = np.logical_and.reduce([(a >= 0) & (a < n) for a, n in zip(at, block.shape, strict=True)])
        numbers = block[tuple(a[within] for a in at)]
        places = np.argwhere(within)[numbers >= 0] + (start[1], start[2])
        cells.append(np.column_stack([np.full(len(places), first, np.intp), places]))
        which.append(numbers[numbers >= 0].astype(np.intp))
    if not cells:
        return np.empty((0, 3), np.intp), np.empty(0, np.intp)
    return np.concatenate(cells), np.concatenate(which)


def _nearest(voxels: Indices, source: Grid, target: Grid) -> tuple[Indices, Indices]:
    """Return the target voxels at the centres of source voxels, each once, and the indices of these in `voxels`."""
    centres = target.voxels(source.world(voxels)) if len(voxels) else np.empty((0, 3))
    at = np.clip(np.rint(centres), 0, np.array(target.shape) - 1).astype(np.intp)
    beyond = np.abs(centres - at)
    # Half a target voxel, plus half the extent of a source voxel along each axis of the target.
    reach = 0.5 + 0.5 * np.abs(np.linalg.inv(target.affine)[:3, :3] @ source.affine[:3, :3]).sum(axis=1)
    inside = np.flatnonzero((beyond < reach).all(axis=1))
    order = inside[np.argsort(np.linalg.norm(beyond[inside], axis=1), kind="stable")]
    _, first = np.unique(_flat(at[order], target), return_index=True)
    return at[order[first]], order[first]


def _flat(voxels: Indices, grid: Grid) -> Indices:
    return np.ravel_multi_index(tuple(voxels.T), grid.shape).astype(np.intp)
