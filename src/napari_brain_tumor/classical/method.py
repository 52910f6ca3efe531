"""The result of a method without weights."""

from collections.abc import Mapping
from dataclasses import dataclass

from napari_brain_tumor.labels import Region
from napari_brain_tumor.types import Mask


@dataclass(frozen=True, slots=True, eq=False)
class MethodResult:
    """Regions, and notes for the user on how they were found.

    Parameters
    ----------
    masks : mapping of region to (Z, Y, X) bool array
    """

    masks: Mapping[Region, Mask]
    notes: tuple[str, ...] = ()
