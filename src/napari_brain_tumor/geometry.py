"""Voxel grids in world coordinates, their orientation, and reversible reorientation.

World coordinates are RAS+ millimetres (x to the patient's right, y anterior, z superior), as in nibabel. Arrays are
indexed in the order of the file.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.errors import DimensionError, SpacingUnknownError
from napari_brain_tumor.types import Array

LengthUnit = Literal["mm", "voxel"]
ViewerWorld = Literal["RAS", "LPS"]

_OBLIQUE_TOLERANCE = 1e-3
"""Largest off-axis direction cosine of a grid that counts as aligned with the world axes (0.06 degrees)."""


_HALF_TURN = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Converts RAS to LPS world coordinates and vice versa."""


_FLAT: Final = 1e-3
"""Volume spanned by three unit vectors below which they count as coplanar."""


def _spans_a_volume(axes: npt.NDArray[np.float64]) -> bool:
    """Whether three steps (columns) are non-zero and not coplanar, regardless of their lengths."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        steps = np.linalg.norm(axes, axis=0)
        volume = abs(np.linalg.det(axes / steps))
        return bool(volume > _FLAT and 1e-12 < abs(np.linalg.det(axes)) < np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A regular voxel grid: `shape` and the 4x4 voxel-to-world `affine`.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels along the three axes, in file order.
    affine : (4, 4) array-like
        Maps voxel indices to world RAS+ coordinates.
    unit : {"mm", "voxel"}
        `"voxel"` if the files do not state the spacing; world coordinates are then in voxels.
    viewer : {"RAS", "LPS"}
        World orientation of the viewer in which it is displayed. `"LPS"` is for layers that another program opened, and
        for anything computed from them, which must be displayed on top of them.
    """

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]
    unit: LengthUnit = "mm"
    viewer: ViewerWorld = "RAS"

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise DimensionError(f"A grid needs three axes of at least one voxel, got shape {tuple(self.shape)}.")
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or not _spans_a_volume(affine[:3, :3]):
            raise DimensionError(f"A grid needs an invertible 4x4 voxel-to-world matrix, got {affine.tolist()}.")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        same_affine = bool(np.array_equal(self.affine, other.affine))
        return (self.shape, self.unit, self.viewer) == (other.shape, other.unit, other.viewer) and same_affine

    __hash__ = None  # type: ignore[assignment]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along the three axes, in `unit`."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Spacing in millimetres; raises `SpacingUnknownError` if the files do not state it."""
        self._require_mm()
        return self.spacing

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in cubic millimetres; raises `SpacingUnknownError` if it is unknown."""
        self._require_mm()
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def axis_codes(self) -> str:
        """Direction of each axis, for example `"RAS"` or `"LPS"`."""
        return "".join(nib.orientations.aff2axcodes(self.affine))

    @property
    def is_oblique(self) -> bool:
        """Whether any axis is oblique to the world axes."""
        directions = self.affine[:3, :3] / np.asarray(self.spacing)
        off_axis = np.sort(np.abs(directions), axis=0)[:2]
        return bool((off_axis > _OBLIQUE_TOLERANCE).any())

    def same_place(self, other: "Grid", tolerance_voxels: float = 0.02) -> bool:
        """Whether the grids have the same shape and unit, and all corner voxels coincide within the tolerance."""
        if self.shape != other.shape or self.unit != other.unit:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape])).reshape(3, -1).T
        distance = np.linalg.norm(self.world(corners) - other.world(corners), axis=1)
        return bool(distance.max() <= tolerance_voxels * min(self.spacing))

    def world(self, voxels: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Convert voxel indices `(..., 3)` to world coordinates `(..., 3)`."""
        points = np.asarray(voxels, dtype=np.float64)
        world: npt.NDArray[np.float64] = points @ self.affine[:3, :3].T + self.affine[:3, 3]
        return world

    def voxels(self, world: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Convert world points `(..., 3)` to fractional voxel indices `(..., 3)`."""
        inverse = np.linalg.inv(self.affine)
        points = np.asarray(world, dtype=np.float64)
        voxels: npt.NDArray[np.float64] = points @ inverse[:3, :3].T + inverse[:3, 3]
        return voxels

    def cropped(self, box: "Box") -> "Grid":
        """Return the part of the grid inside the box; its voxels keep their world position."""
        affine = self.affine.copy()
        affine[:3, 3] = self.world(box.start)
        return Grid(box.shape, affine, self.unit, self.viewer)

    @property
    def in_viewer(self) -> "Grid":
        """Return the grid in the world of the viewer in which it is displayed: unchanged for RAS, rotated for LPS."""
        return self if self.viewer == "RAS" else Grid(self.shape, _HALF_TURN @ self.affine, self.unit)

    def as_in_lps_viewer(self) -> "Grid":
        """Convert the grid of a layer in a viewer with LPS world coordinates to a grid in the patient's RAS world."""
        return Grid(self.shape, _HALF_TURN @ self.affine, self.unit, "LPS")

    def describe(self) -> str:
        """Describe shape, spacing and orientation in one line, for messages."""
        shape = "x".join(str(n) for n in self.shape)
        oblique = ", oblique" if self.is_oblique else ""
        if self.unit == "voxel":
            return f"{shape} voxels of unknown size, {self.axis_codes}{oblique}"
        spacing = "x".join(f"{s:.4g}" for s in self.spacing)
        origin = ", ".join(f"{o:.4g}" for o in self.affine[:3, 3])
        return f"{shape} voxels of {spacing} mm, {self.axis_codes}{oblique}, first voxel at ({origin}) mm"

    def _require_mm(self) -> None:
        if self.unit != "mm":
            raise SpacingUnknownError(
                "The files of this study do not state the voxel size, so millimetres cannot be given. "
                "Open it again with its spacing: open_study(path, spacing_mm=(x, y, z))."
            )


@dataclass(frozen=True, slots=True)
class Box:
    """A block of voxels along three axes, from `start` up to but not including `stop`."""

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along the three axes."""
        x, y, z = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return x, y, z

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of the block in an array on the whole grid."""
        x, y, z = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return x, y, z

    @classmethod
    def whole(cls, shape: tuple[int, int, int]) -> Self:
        """Return the box that covers an array of the given shape."""
        return cls((0, 0, 0), shape)

    def grown(self, margin: tuple[int, int, int], shape: tuple[int, int, int]) -> "Box":
        """Return the box with a margin of voxels on every side, clipped to an array of the given shape."""
        start = tuple(max(0, a - m) for a, m in zip(self.start, margin, strict=True))
        stop = tuple(min(n, b + m) for b, m, n in zip(self.stop, margin, shape, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]


def bounding_box(mask: npt.NDArray[np.bool_]) -> Box | None:
    """Return the smallest box around the true voxels of `(X, Y, Z)`, or None if there are none."""
    start, stop = [], []
    for axis in range(3):
        other = tuple(a for a in range(3) if a != axis)
        hits = np.flatnonzero(mask.any(axis=other))
        if hits.size == 0:
            return None
        start.append(int(hits[0]))
        stop.append(int(hits[-1]) + 1)
    return Box(tuple(start), tuple(stop))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Reorientation:
    """Permutation and flips of axes between two grids, without resampling. `undo` inverts `apply`.

    `axes[i]` is the source axis that becomes target axis `i`; `flips[i]` says whether target axis `i` is reversed.
    """

    source: Grid
    target: Grid
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, array: Array) -> Array:
        """Return a view of a source array in the target's axis order; the array must have exactly three axes."""
        self._check(array, self.source)
        turned = array.transpose(self.axes)
        return turned[self._flip_index()]

    def undo(self, array: Array) -> Array:
        """Return a view of a target array in the source's axis order."""
        self._check(array, self.target)
        return array[self._flip_index()].transpose(np.argsort(self.axes))

    def _flip_index(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)

    @staticmethod
    def _check(array: Array, grid: Grid) -> None:
        if array.shape != grid.shape:
            raise DimensionError(f"The array has shape {array.shape}, its grid {grid.shape}.")


def to_ras(grid: Grid) -> Reorientation:
    """Find the axis order and flips that bring a grid closest to RAS (right, anterior, superior)."""
    orientation = nib.orientations.io_orientation(grid.affine)
    axes = tuple(int(a) for a in np.argsort(orientation[:, 0]))
    flips = tuple(bool(orientation[a, 1] < 0) for a in axes)
    inverse = nib.orientations.inv_ornt_aff(orientation, grid.shape)
    shape = tuple(grid.shape[a] for a in axes)
    target = Grid(shape, grid.affine @ inverse, grid.unit, grid.viewer)  # type: ignore[arg-type]
    return Reorientation(grid, target, axes, flips)  # type: ignore[arg-type]


def orthogonal_grid(grid: Grid) -> Grid:
    """Return the smallest RAS grid, aligned with the world axes, that covers `grid` with its spacing per axis."""
    ras = to_ras(grid).target
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in ras.shape])).reshape(3, -1).T
    world = ras.world(corners)
    low, high = world.min(axis=0), world.max(axis=0)
    spacing = np.asarray(ras.spacing)
    shape = tuple(int(n) for n in np.maximum(1, np.ceil((high - low) / spacing - 1e-6)))
    centre = (low + high) / 2
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = centre - spacing * (np.asarray(shape) - 1) / 2
    return Grid(shape, affine, grid.unit, grid.viewer)  # type: ignore[arg-type]


def resample(array: Array, source: Grid, target: Grid, *, nearest: bool = False, fill: float | None = 0.0) -> Array:
    """Resample a `source` array to the voxels of `target`, linearly or, for labels, by nearest neighbour.

    Voxels outside the source are set to `fill`; with None, the values at its border are continued.
    """
    matrix = np.linalg.inv(source.affine) @ target.affine
    if not nearest and array.size > _LARGE_VOXELS and _goes_along_z(matrix):
        return _resampled_by_slabs(array, source, target, fill)
    data: Any = array if nearest else np.asarray(array, dtype=np.float32)
    # Labels extend to the faces of the outermost voxels ("grid-constant"), not only to their centres: otherwise
    # rounding errors of 1e-14 and tilted grids would lose the outermost layer.
    outside: Literal["nearest", "grid-constant", "constant"]
    outside = "nearest" if fill is None else "grid-constant" if nearest else "constant"
    values: Array = ndimage.affine_transform(
        data,
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=target.shape,
        order=0 if nearest else 1,
        mode=outside,
        cval=fill or 0.0,
    )
    return values


_LARGE_VOXELS: Final = 1 << 25
"""Larger volumes are not converted to float as a whole."""
_SLAB_VOXELS: Final = 1 << 23
"""Number of source voxels that are converted to float at a time."""


def _goes_along_z(matrix: npt.NDArray[np.float64]) -> bool:
    """Whether each slice of the target lies parallel to and in the same order as the slices of the source."""
    tilted = abs(matrix[2, :2]).max() + abs(matrix[:2, 2]).max() > 1e-9
    return not tilted and matrix[2, 2] > 0


def _resampled_by_slabs(array: Array, source: Grid, target: Grid, fill: float | None) -> Array:
    """Resample linearly, a few slices at a time, each with the necessary part of the source."""
    matrix = np.linalg.inv(source.affine) @ target.affine
    scale, offset, depth = matrix[2, 2], matrix[2, 3], source.shape[2]
    step = max(1, int(_SLAB_VOXELS / max(1, array.size // depth) / scale))
    values = np.empty(target.shape, dtype=np.float32)
    for start in range(0, target.shape[2], step):
        stop = min(start + step, target.shape[2])
        # One slice more than necessary, so that rounding never mistakes the end of a slab for the end of the volume.
        low = int(np.clip(np.floor(offset + scale * start) - 1, 0, depth - 1))
        high = int(np.clip(np.ceil(offset + scale * (stop - 1)) + 2, low + 1, depth))
        from_slab, to_slab = Box((0, 0, low), (*source.shape[:2], high)), Box((0, 0, start), (*target.shape[:2], stop))
        part = np.asarray(array[from_slab.slices], dtype=np.float32)
        values[to_slab.slices] = resample(part, source.cropped(from_slab), target.cropped(to_slab), fill=fill)
    return values
