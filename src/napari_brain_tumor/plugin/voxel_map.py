"""Map voxels between a scan's own grid and the layer that displays it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.plugin.carry import carry
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.types import Array, Indices


@dataclass(frozen=True, slots=True, eq=False)
class VoxelMap:
    """Transfers single voxels and their values between a scan `(X, Y, Z)` and its layer `(Z, Y, X)`.

    If a scan is not oblique, voxels correspond one to one. An oblique scan is displayed resampled: each voxel takes the
    value of the voxel nearest to its centre, so a change covers the same place on both grids to within half a voxel. On
    the way to the scan no voxel of the layer is lost.
    """

    display: Display

    @property
    def one_to_one(self) -> bool:
        """Whether slices of the layer are slices of the scan's file."""
        return not self.display.resampled

    def world(self, indices: npt.ArrayLike) -> Array:
        """Return world points `(N, 3)` (x, y, z) of voxels `(N, 3)` (z, y, x) of the layer."""
        return self.display.viewer_grid.world(np.asarray(indices)[:, ::-1])

    def layer(self, points: npt.ArrayLike) -> Array:
        """Return fractional voxels `(N, 3)` (z, y, x) of the layer at world points `(N, 3)`."""
        return self.display.viewer_grid.voxels(points)[:, ::-1]

    def to_layer(self, voxels: Indices, values: Array) -> tuple[Indices, Array]:
        """Convert voxels `(N, 3)` (x, y, z) of the scan, with values, to voxels `(M, 3)` (z, y, x) of the layer."""
        if not self.one_to_one:
            carried_to, values_there = carry(voxels, values, self.display.source, self.display.viewer_grid)
            return carried_to[:, ::-1], values_there
        turn, size = self.display.turn, np.asarray(self.display.source.shape)
        columns = [
            size[axis] - 1 - voxels[:, axis] if flip else voxels[:, axis]
            for axis, flip in zip(turn.axes, turn.flips, strict=True)
        ]
        return np.stack(columns[::-1], axis=1), values

    def to_scan(self, indices: Indices, values: Array) -> tuple[Indices, Array]:
        """Convert voxels `(N, 3)` (z, y, x) of the layer, with values, to voxels `(M, 3)` (x, y, z) of the scan."""
        x_y_z = indices[:, ::-1]
        if not self.one_to_one:
            return carry(x_y_z, values, self.display.viewer_grid, self.display.source, every=True)
        turn, size = self.display.turn, np.asarray(self.display.source.shape)
        voxels = np.empty_like(x_y_z)
        for at, (axis, flip) in enumerate(zip(turn.axes, turn.flips, strict=True)):
            voxels[:, axis] = size[axis] - 1 - x_y_z[:, at] if flip else x_y_z[:, at]
        return voxels, values

    def file_axis(self, layer_axis: int) -> int:
        """Return the axis of the scan's file, 0 to 2, that corresponds to an axis of the layer (0 to 2 for Z, Y, X)."""
        return self.display.turn.axes[2 - layer_axis]

    def file_slice(self, layer_axis: int, index: int) -> int:
        """Convert a slice number of the layer to that in the scan's file, or back; only if voxels match one to one."""
        return self.display.shape[layer_axis] - 1 - index if self.runs_back(layer_axis) else index

    layer_slice = file_slice

    def runs_back(self, layer_axis: int) -> bool:
        """Whether slices are numbered in opposite directions in the file and in the layer."""
        return self.display.turn.flips[2 - layer_axis]
