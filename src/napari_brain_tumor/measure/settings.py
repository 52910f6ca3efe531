"""Settings for measuring a segmentation."""

from typing import Final

from napari_brain_tumor.labels import Region
from napari_brain_tumor.requests.measure import MeasureRequest as MeasureSettings

__all__ = ["MeasureSettings"]

MEASURED_REGIONS: Final[tuple[Region, ...]] = ("ET", "WT")
"""Regions whose lesions get diameters: enhancing tumour, and the whole tumour for non-enhancing disease."""
