"""The lesions of a segmentation: connected parts of a region with their position, size, side and diameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import Box, Grid, bounding_box
from napari_brain_tumor.labels import Region, region_mask
from napari_brain_tumor.measure.diameters import Bidimensional, largest_diameters, measuring_axis
from napari_brain_tumor.measure.lesion_numbers import numbers_of
from napari_brain_tumor.measure.midline import MidlinePosition, MidsagittalPlane, Side
from napari_brain_tumor.measure.settings import MEASURED_REGIONS, MeasureSettings

_TOUCHING: Final = np.ones((3, 3, 3), dtype=bool)
_MM3_PER_ML: Final = 1000.0


@dataclass(frozen=True, slots=True)
class Lesion:
    """A 26-connected part of a region.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    number : int
        Rank by size within its region; 1 is the largest.
    voxels : int
        Number of voxels.
    volume_ml : float or None
        Volume; None if the files do not state the voxel size.
    centre : (x, y, z)
        Mean position of its voxels in world coordinates, RAS+ mm (voxels if the voxel size is unknown).
    box : Box
        Bounding box in voxels, in file order.
    slices : int
        Number of slices of the measuring plane that contain part of it.
    midline : MidlinePosition or None
        Position relative to the midline; None if the midsagittal plane is unknown.
    diameters : Bidimensional or None
        None if they were not measured: diameters are not measured for this region, or the voxel size is unknown.
    measurable : bool
        Whether it counts as measurable disease according to RANO 2.0.
    reason : str
        Reason for being measurable or not.
    numbers : mapping of str to float
        The measurements in `LESION_NUMBERS`; empty if the voxel size is unknown.
    """

    region: Region
    number: int
    voxels: int
    volume_ml: float | None
    centre: tuple[float, float, float]
    box: Box
    slices: int
    midline: MidlinePosition | None
    diameters: Bidimensional | None
    measurable: bool
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def side(self) -> Side | None:
        """The patient's side; None if the midsagittal plane is unknown."""
        return None if self.midline is None else self.midline.side

    @property
    def midline_mm(self) -> float | None:
        """Distance to the midline, 0 if the lesion reaches or crosses it; None if the midline is unknown."""
        return None if self.midline is None else self.midline.distance_mm

    @property
    def size(self) -> str:
        """Size for display: `"12.34 mL"`, or voxels if the voxel size is unknown."""
        return f"{self.voxels:,} voxels".replace(",", " ") if self.volume_ml is None else f"{self.volume_ml:.2f} mL"

    @property
    def title(self) -> str:
        """Region and number, such as `"ET 1"`."""
        return f"{self.region} {self.number}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Number of parts of a region that are smaller than the smallest lesion counted, and their total voxels."""

    parts: int
    voxels: int


def find_lesions(
    classes: npt.NDArray[np.uint8],
    grid: Grid,
    region: Region,
    settings: MeasureSettings,
    plane: MidsagittalPlane | None = None,
) -> tuple[tuple[Lesion, ...], LeftOut]:
    """Find the lesions of a region, largest first, and summarise the parts that are too small to count.

    Parameters
    ----------
    classes : (X, Y, Z) uint8 array
        Label array with the package's class numbers.
    grid : Grid
        Grid of the label array.
    region : {"WT", "TC", "ET"}
    plane : MidsagittalPlane, optional
        If not given, sides are not determined.
    """
    mask = region_mask(classes, region)
    block = bounding_box(mask)
    if block is None:
        return (), LeftOut(0, 0)
    parts, count = ndimage.label(mask[block.slices], structure=_TOUCHING)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    large = sizes >= settings.least_voxels(grid)
    order = np.argsort(-sizes, kind="stable")[: int(large.sum())]
    boxes = ndimage.find_objects(parts, count)
    masks = ((_in_grid(boxes[at], block), parts[boxes[at]] == at + 1) for at in order)
    judge = _Judge(region, grid, settings, plane)
    lesions = tuple(judge.lesion(number, box, inside) for number, (box, inside) in enumerate(masks, 1))
    return lesions, LeftOut(int((~large).sum()), int(sizes[~large].sum()))


def measurability(
    diameters: Bidimensional, slices: int, slice_distance_mm: float, settings: MeasureSettings
) -> tuple[bool, str]:
    """Decide whether a lesion is measurable disease, and give the reason.

    Parameters
    ----------
    slices : int
        Number of slices that contain part of the lesion.
    slice_distance_mm : float
        Distance between these slices.
    """
    least = settings.least_length_mm(slice_distance_mm)
    if diameters.short_mm < least:
        which = "one diameter is" if diameters.long_mm >= least else "both diameters are"
        return False, f"not measurable: {which} less than {least:g} mm"
    if slices < settings.measurable_slices:
        return False, f"not measurable: seen on {slices} slice, {settings.measurable_slices} are needed"
    return True, f"measurable: both diameters are at least {least:g} mm"


def _in_grid(part: tuple[slice, ...], block: Box) -> Box:
    """Return the box, in the whole grid, of a part given by slices within a block."""
    start = tuple(inner.start + outer for inner, outer in zip(part, block.start, strict=True))
    stop = tuple(inner.stop + outer for inner, outer in zip(part, block.start, strict=True))
    return Box(start, stop)


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """Measures and assesses the lesions of one region."""

    region: Region
    grid: Grid
    settings: MeasureSettings
    plane: MidsagittalPlane | None

    def lesion(self, number: int, box: Box, inside: npt.NDArray[np.bool_]) -> Lesion:
        """Return the lesion given by a mask within a box."""
        world = self.grid.world(np.argwhere(inside) + np.array(box.start))
        axis = measuring_axis(self.grid, self.settings.plane)
        slices = int(inside.any(axis=tuple(a for a in range(3) if a != axis)).sum())
        diameters = self._diameters(box, inside, axis)
        measurable, reason = self._measurable(diameters, slices, axis)
        return Lesion(
            region=self.region,
            number=number,
            voxels=len(world),
            volume_ml=len(world) * self.grid.voxel_volume_mm3 / _MM3_PER_ML if self.grid.unit == "mm" else None,
            centre=cast("tuple[float, float, float]", tuple(world.mean(axis=0).tolist())),
            box=box,
            slices=slices,
            midline=None if self.plane is None else self.plane.position(world, self.settings.midline_margin_mm),
            diameters=diameters,
            measurable=measurable,
            reason=reason,
            numbers=numbers_of(inside, self.grid.cropped(box)),
        )

    def _diameters(self, box: Box, inside: npt.NDArray[np.bool_], axis: int) -> Bidimensional | None:
        if self.grid.unit != "mm" or self.region not in MEASURED_REGIONS:
            return None
        part = self.grid.cropped(box)
        diameters = largest_diameters(inside, part, axis, fill_cavities=self.settings.fill_cavities)
        return None if diameters is None else replace(diameters, index=diameters.index + box.start[axis])

    def _measurable(self, diameters: Bidimensional | None, slices: int, axis: int) -> tuple[bool, str]:
        if self.grid.unit != "mm":
            return False, "not assessable: the files do not state the voxel size"
        if diameters is None:
            return False, f"not assessed: diameters are measured for {' and '.join(MEASURED_REGIONS)}"
        return measurability(diameters, slices, self.grid.spacing[axis], self.settings)
