"""The midsagittal plane of the brain in world coordinates, and the position of lesions relative to it."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.classical.run import scan_of
from napari_brain_tumor.classical.scan import BRIGHT_ROLES, clipped_brightness
from napari_brain_tumor.classical.symmetry import MirrorPlane, find_mirror_plane
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.measure.mirror_fit import fit_mirror_plane
from napari_brain_tumor.preprocessing.pipeline import Prepared, PreprocessingSpec, prepare
from napari_brain_tumor.study import ROLES, Role, Study

Side = Literal["left", "right", "both sides"]

MIDLINE_ROLES: Final[tuple[Role, ...]] = (*BRIGHT_ROLES, "T1", "T1c")
"""Sequences in which the midline is searched for; the first one available is used."""


@dataclass(frozen=True, slots=True)
class MidlinePosition:
    """Position relative to the midsagittal plane.

    Parameters
    ----------
    side : {"left", "right", "both sides"}
        The patient's side.
    distance_mm : float
        Distance from the plane to the nearest voxel; 0 if a voxel reaches it.
    """

    side: Side
    distance_mm: float

    @property
    def crosses(self) -> bool:
        """Whether it lies on both sides of the midline."""
        return self.side == "both sides"


@dataclass(frozen=True, slots=True)
class MidsagittalPlane:
    """The plane of all points p (world, RAS+ mm) for which normal · p = offset_mm.

    Parameters
    ----------
    normal : (x, y, z)
        Unit vector towards the patient's right.
    offset_mm : float
        Distance from the world origin along the normal.
    """

    normal: tuple[float, float, float]
    offset_mm: float

    def beyond_mm(self, world: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the signed distances in mm from the plane to points `(..., 3)`, positive on the patient's right."""
        distances: npt.NDArray[np.float64] = np.asarray(world, dtype=np.float64) @ np.array(self.normal)
        return distances - self.offset_mm

    def position(self, world: npt.NDArray[np.float64], margin_mm: float) -> MidlinePosition:
        """Return the position of points `(N, 3)`; "both sides" if they extend beyond the margin on each side."""
        beyond = self.beyond_mm(world)
        low, high, middle = float(beyond.min()), float(beyond.max()), float(beyond.mean())
        side: Side = "right" if middle > 0 else "left"
        if low < -margin_mm and high > margin_mm:
            side = "both sides"
        return MidlinePosition(side, max(0.0, low, -high))


def find_midsagittal_plane(study: Study) -> MidsagittalPlane:
    """Find the plane in which the brain of a study is most like its mirror image.

    One sequence is used (FLAIR, else T2, T1 or T1c), and the plane is searched for within 14 degrees of the patient's
    upright axes; see `classical.symmetry` and `measure.mirror_fit`. No brain is perfectly symmetric: in synthetic heads
    that were sheared and warped, the plane found lay within 4 degrees and 2 mm of the true one.

    Parameters
    ----------
    study : Study
        A study whose files state the voxel size.

    Raises
    ------
    SpacingUnknownError
        If the voxel size is unknown.
    """
    _ = study.grid.spacing_mm
    role = next(role for role in MIDLINE_ROLES if role in study.sequences)
    scan_study = study.only((role,))
    prepared = prepare(scan_study, ROLES, PreprocessingSpec())
    scan = scan_of(scan_study, prepared)
    image = clipped_brightness(scan.channels[role], scan.brain)
    first = find_mirror_plane(image, scan.brain, scan.spacing_mm)
    plane = fit_mirror_plane(image, scan.brain, scan.spacing_mm, first)
    return _in_world(plane, prepared, scan.spacing_mm)


def _in_world(plane: MirrorPlane, prepared: Prepared, spacing_mm: tuple[float, float, float]) -> MidsagittalPlane:
    grid = prepared.work.grid
    points = grid.world([_voxel(plane, prepared, spacing_mm, y, z) for y, z in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))])
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    normal /= np.linalg.norm(normal)
    if normal @ _rightwards(grid) < 0:
        normal = -normal
    x, y, z = normal.tolist()
    return MidsagittalPlane((x, y, z), float(normal @ points[0]))


def _voxel(
    plane: MirrorPlane, prepared: Prepared, spacing_mm: tuple[float, float, float], y: float, z: float
) -> tuple[float, float, float]:
    """Return the voxel `(x, y, z)` of the working grid on the plane at `y`, `z` in mm from the middle of the box."""
    from_middle = (z, y, plane.offset_mm + plane.turn * y + plane.tilt * z)
    middle = (np.asarray(prepared.mask.shape) - 1) / 2 + prepared.box.start
    index = middle + np.array(from_middle) / spacing_mm
    return float(index[2]), float(index[1]), float(index[0])


def _rightwards(grid: Grid) -> npt.NDArray[np.float64]:
    return grid.affine[:3, 0]
