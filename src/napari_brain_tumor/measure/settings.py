"""What can be chosen when a segmentation is measured."""

from dataclasses import dataclass
from typing import Final

from napari_brain_tumor.errors import MeasureError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.labels import Region
from napari_brain_tumor.measure.diameters import PLANES, Plane

__all__ = ["MEASURED_REGIONS", "MeasureSettings"]

MEASURED_REGIONS: Final[tuple[Region, ...]] = ("ET", "WT")
"""Regions whose lesions have diameters: enhancing disease, and the whole tumour where disease does not enhance."""


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """How a segmentation is measured.

    Parameters
    ----------
    least_mm3 : float
        Connected parts of less than this are no lesions; they are counted apart. 50 is what the BraTS challenge leaves
        out among gliomas.
    least_voxels_unknown : int
        The same where the files do not state the voxel size.
    plane : {"acquisition", "axial", "coronal", "sagittal"}
        In which diameters are measured; the plane of acquisition is that of thick slices, else the axial one.
    fill_cavities : bool
        Whether diameters may run across what a lesion encloses within a slice. RANO excludes cysts and cavities.
    measurable_mm : float
        Least length of both diameters of a measurable lesion; where slices lie farther apart than half of it, twice
        their distance counts (Wen 2010, doi:10.1200/JCO.2009.26.3541; Wen 2023, doi:10.1200/JCO.23.01059).
    measurable_slices : int
        On how many slices a measurable lesion is seen at least.
    midline_margin_mm : float
        How far a lesion reaches to both sides of the midline before it is said to cross it.
    """

    least_mm3: float = 50.0
    least_voxels_unknown: int = 50
    plane: Plane = "acquisition"
    fill_cavities: bool = False
    measurable_mm: float = 10.0
    measurable_slices: int = 2
    midline_margin_mm: float = 3.0

    def __post_init__(self) -> None:
        if self.plane not in PLANES:
            msg = f"The plane {self.plane!r} is not one of {', '.join(PLANES)}. Choose one of these."
            raise MeasureError(msg)
        for name in ("least_mm3", "least_voxels_unknown", "measurable_mm", "measurable_slices", "midline_margin_mm"):
            if not getattr(self, name) >= 0:
                msg = f"{name} is {getattr(self, name)}; it needs a number from 0 on. Leave it out for the default."
                raise MeasureError(msg)

    def least_voxels(self, grid: Grid) -> float:
        """How many voxels of a grid a lesion has at least."""
        return self.least_mm3 / grid.voxel_volume_mm3 if grid.unit == "mm" else float(self.least_voxels_unknown)

    def least_length_mm(self, slice_distance_mm: float) -> float:
        """Least length of both diameters of a measurable lesion, given how far slices lie apart."""
        return max(self.measurable_mm, 2 * slice_distance_mm)

    def smallest(self, grid: Grid) -> str:
        """The size of the smallest lesion in words."""
        return f"{self.least_mm3:g} mm³" if grid.unit == "mm" else f"{self.least_voxels_unknown} voxels"
