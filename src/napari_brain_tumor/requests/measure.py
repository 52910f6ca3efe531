"""Measuring: what counts as a lesion, and how diameters are taken."""

from typing import Annotated, Literal

from pydantic import Field

from napari_brain_tumor.errors import MeasureError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.requests.request import Option, Request

NotNegative = Annotated[float, Field(ge=0)]


class MeasureRequest(Request):
    """Measure a segmentation: `measure_study(..., settings=MeasureSettings(...))`, `brain-tumor measure --lesions`."""

    least_mm3: Annotated[
        NotNegative,
        Option(
            help="Connected parts smaller than this do not count as lesions; they are counted separately. The BraTS "
            "challenge uses 50 for gliomas.",
            label="Smallest",
            unit="mm³",
            error=MeasureError,
            expected="a number of at least 0",
        ),
    ] = 50.0
    least_voxels_unknown: Annotated[
        int,
        Field(ge=0),
        Option(
            help="The same in voxels, where the files do not state the voxel size.",
            label="Smallest lesion, size unknown",
            unit="voxels",
            error=MeasureError,
            expected="a number of at least 0",
        ),
    ] = 50
    plane: Annotated[
        Literal["acquisition", "axial", "coronal", "sagittal"],
        Option(
            help="Plane in which diameters are measured; acquisition is the plane of thick slices, else the axial one.",
            label="&Plane",
            error=MeasureError,
            expected="one of acquisition, axial, coronal, sagittal",
        ),
    ] = "acquisition"
    fill_cavities: Annotated[
        bool,
        Option(
            help="Let diameters run across what a lesion encloses within a slice. RANO excludes cysts and cavities.",
            label="Measure across ca&vities",
            error=MeasureError,
        ),
    ] = False
    measurable_mm: Annotated[
        NotNegative,
        Option(
            help="Least length of both diameters of a measurable lesion; where slices lie farther apart than half of "
            "it, twice their distance counts (Wen 2010, doi:10.1200/JCO.2009.26.3541; "
            "Wen 2023, doi:10.1200/JCO.23.01059).",
            label="Measurable from",
            unit="mm",
            error=MeasureError,
            expected="a number of at least 0",
        ),
    ] = 10.0
    measurable_slices: Annotated[
        int,
        Field(ge=0),
        Option(
            help="Minimum number of slices on which a measurable lesion is seen.",
            label="Measurable on",
            unit="slices",
            error=MeasureError,
            expected="a number of at least 0",
        ),
    ] = 2
    midline_margin_mm: Annotated[
        NotNegative,
        Option(
            help="How far a lesion must reach to both sides of the midline to count as crossing it.",
            label="Margin of the midline",
            unit="mm",
            error=MeasureError,
            expected="a number of at least 0",
        ),
    ] = 3.0

    brain: Annotated[
        Literal["auto", "keep"],
        Option(
            help="If the scans show a whole head: find the midline in its brain, which is extracted first (auto), "
            "or in the head as it is (keep).",
            label="Midline of a whole head",
            error=MeasureError,
            expected="auto or keep",
        ),
    ] = "auto"

    def least_voxels(self, grid: Grid) -> float:
        """How many voxels of a grid a lesion has at least."""
        return self.least_mm3 / grid.voxel_volume_mm3 if grid.unit == "mm" else float(self.least_voxels_unknown)

    def least_length_mm(self, slice_distance_mm: float) -> float:
        """Least length of both diameters of a measurable lesion, given how far slices lie apart."""
        return max(self.measurable_mm, 2 * slice_distance_mm)

    def smallest(self, grid: Grid) -> str:
        """The size of the smallest lesion in words."""
        return f"{self.least_mm3:g} mm³" if grid.unit == "mm" else f"{self.least_voxels_unknown} voxels"
