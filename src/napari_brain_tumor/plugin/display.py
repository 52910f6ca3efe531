"""Convert between a scan's own grid and the (Z, Y, X) array on the closest orthogonal RAS grid that is displayed."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_brain_tumor.errors import DimensionError
from napari_brain_tumor.geometry import Grid, Reorientation, orthogonal_grid, resample, to_ras
from napari_brain_tumor.plugin.carry import carry
from napari_brain_tumor.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Display:
    """A scan's own grid together with the grid on which it is displayed, which is aligned with the viewer's RAS world.

    A scan whose axes are parallel to the world's is only reoriented, without loss; an oblique one is resampled.

    Parameters
    ----------
    source : Grid
        Grid of the scan; arrays on it are (X, Y, Z) in file order.
    viewer_grid : Grid
        Grid of the layer; arrays on it are displayed as (Z, Y, X).
    """

    source: Grid
    viewer_grid: Grid

    @classmethod
    def of(cls, source: Grid) -> Self:
        """Return the display of a grid."""
        in_viewer = source.in_viewer
        target = orthogonal_grid(in_viewer) if source.is_oblique else to_ras(in_viewer).target
        return cls(source, target if source.viewer == "RAS" else target.as_in_lps_viewer())

    @property
    def turn(self) -> Reorientation:
        """Axis order and flips from the source to the display; only if it is not resampled."""
        return to_ras(self.source.in_viewer)

    @property
    def resampled(self) -> bool:
        """Whether displaying the scan requires interpolation because it is oblique."""
        return self.source.is_oblique

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (Z, Y, X) of the layer's array."""
        x, y, z = self.viewer_grid.shape
        return z, y, x

    @property
    def scale(self) -> tuple[float, float, float]:
        """Spacing along Z, Y, X, in the grid's unit."""
        x, y, z = self.viewer_grid.spacing
        return z, y, x

    @property
    def translate(self) -> tuple[float, float, float]:
        """Coordinates (z, y, x) of the first voxel's centre in the viewer's world, in the grid's unit."""
        x, y, z = self.viewer_grid.in_viewer.affine[:3, 3]
        return float(z), float(y), float(x)

    def show(self, array: Array, *, nearest: bool = False) -> Array:
        """Convert a source array (X, Y, Z) to (Z, Y, X), as a view, or resampled (linear or nearest) if oblique."""
        if self.resampled:
            return np.ascontiguousarray(resample(array, self.source, self.viewer_grid, nearest=nearest).T)
        return self.turn.apply(array).T

    def restore(self, array: Array, *, nearest: bool = False) -> Array:
        """Convert a displayed array (Z, Y, X) to the source's order (X, Y, Z); the inverse of `show`."""
        self._check(array)
        if self.resampled:
            return resample(array.T, self.viewer_grid, self.source, nearest=nearest)
        return self.turn.undo(array.T)

    def restore_labels(self, labels: Array, original: Array | None) -> Array:
        """Convert labels to the source's order; for a resampled scan, only edited voxels, keeping all others.

        Each edited voxel inside the scan changes at least one voxel of it, usually those whose centres it contains.

        Parameters
        ----------
        labels : (Z, Y, X) array
            Current labels of the layer.
        original : (X, Y, Z) array or None
            Labels originally displayed in that layer; None if it was empty.
        """
        if not self.resampled:
            return self.restore(labels)
        self._check(labels)
        before = np.zeros(self.source.shape, labels.dtype) if original is None else original
        altered = (labels != self.show(before, nearest=True)).T
        at, values = carry(
            np.argwhere(altered), labels.T[altered], self.viewer_grid, self.source, every=True, before=before
        )
        restored = np.array(before, dtype=labels.dtype)
        restored[tuple(at.T)] = values
        return restored

    def _check(self, array: Array) -> None:
        if array.shape != self.shape:
            msg = f"The layer has shape {array.shape}; the scan it belongs to is shown as {self.shape}."
            raise DimensionError(msg)
