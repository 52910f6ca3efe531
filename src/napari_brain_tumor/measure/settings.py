"""What can be chosen when a segmentation is measured."""

from typing import Final

from napari_brain_tumor.labels import Region
from napari_brain_tumor.requests.measure import MeasureRequest as MeasureSettings

__all__ = ["MeasureSettings"]

MEASURED_REGIONS: Final[tuple[Region, ...]] = ("ET", "WT")
"""Regions whose lesions have diameters: enhancing disease, and the whole tumour where disease does not enhance."""
