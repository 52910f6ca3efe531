"""How a grid is shown: as a (Z, Y, X) array on the closest orthogonal RAS grid, and the way back."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_brain_tumor.errors import DimensionError
from napari_brain_tumor.geometry import Grid, Reorientation, orthogonal_grid, resample, to_ras
from napari_brain_tumor.plugin.carry import carry
from napari_brain_tumor.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Display:
    """The pair of a scan's own grid and the grid, RAS in the viewer's world and aligned with it, on which it is shown.

    A scan whose axes follow the world's is only turned, which loses nothing; an oblique one is resampled.

    Parameters
    ----------
    source : Grid
        The scan's own grid; arrays on it are (X, Y, Z) in file order.
    viewer_grid : Grid
        The grid of the layer; arrays on it are shown as (Z, Y, X).
    """

    source: Grid
    viewer_grid: Grid

    @classmethod
    def of(cls, source: Grid) -> Self:
        """How this grid is shown."""
        in_viewer = source.in_viewer
        target = orthogonal_grid(in_viewer) if source.is_oblique else to_ras(in_viewer).target
        return cls(source, target if source.viewer == "RAS" else target.as_in_lps_viewer())

    @property
    def turn(self) -> Reorientation:
        """Axis order and flips from the source to what is shown; only where that is not resampled."""
        return to_ras(self.source.in_viewer)

    @property
    def resampled(self) -> bool:
        """Whether showing needs interpolation, because the scan is oblique."""
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
        """A source array (X, Y, Z) as (Z, Y, X): a view, or resampled (linear; nearest for labels) if oblique."""
        if self.resampled:
            return np.ascontiguousarray(resample(array, self.source, self.viewer_grid, nearest=nearest).T)
        return self.turn.apply(array).T

    def restore(self, array: Array, *, nearest: bool = False) -> Array:
        """A shown array (Z, Y, X) in the source's order (X, Y, Z); the inverse of `show`."""
        self._check(array)
        if self.resampled:
            return resample(array.T, self.viewer_grid, self.source, nearest=nearest)
        return self.turn.undo(array.T)

    def restore_labels(self, labels: Array, original: Array | None) -> Array:
        """Labels in the source's order; of a resampled scan only what was altered, the rest as it was.

        Every altered voxel that lies in the scan alters at least one voxel of it, and as a rule those whose centres it
        holds.

        Parameters
        ----------
        labels : (Z, Y, X) array
            As in the layer now.
        original : (X, Y, Z) array or None
            What was shown in that layer at first; None where it was empty.
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
