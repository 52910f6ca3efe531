"""Tumour volumes: voxels and millilitres for each class and region."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.table import Table, units_of
from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.study import Segmentation

if TYPE_CHECKING:
    import pandas

REGION_NAMES: Final[dict[Region, str]] = {"WT": "whole tumour", "TC": "tumour core", "ET": "enhancing tumour"}
"""Full names of the regions."""

_MM3_PER_ML: Final = 1000.0

_NEEDED: Final[dict[int, frozenset[Region]]] = {
    1: frozenset({"WT", "TC"}),
    2: frozenset({"TC", "ET"}),
    3: frozenset({"ET"}),
}
"""Regions that must be known to distinguish a class from the others."""


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """Size of one class or region.

    Parameters
    ----------
    kind : {"class", "region"}
        Classes are mutually exclusive; regions are nested and combine classes.
    key : int or {"WT", "TC", "ET"}
        The integer of the class or the short name of the region.
    name : str
        Full name.
    voxels : int
        Number of voxels.
    ml : float or None
        Volume in millilitres; None if the files do not state the voxel size.
    """

    kind: Literal["class", "region"]
    key: int | Region
    name: str
    voxels: int
    ml: float | None

    @property
    def size(self) -> str:
        """Size for display: `"12.34 mL"`, or `"1 234 voxels"` if the voxel size is unknown."""
        return f"{self.voxels:,} voxels".replace(",", " ") if self.ml is None else f"{self.ml:.2f} mL"


@dataclass(frozen=True, slots=True)
class VolumeTable:
    """Sizes of a segmentation's classes, followed by its regions; `unit` is the unit of the rows' `size`.

    Parameters
    ----------
    unit : {"mL", "voxels"}
    undetermined : tuple of {"WT", "TC", "ET"}
        Regions that cannot be derived from the labels: their size is unknown, which is not the same as 0 mL.
    """

    rows: tuple[VolumeRow, ...]
    unit: Literal["mL", "voxels"]
    undetermined: tuple[Region, ...] = ()

    @property
    def classes(self) -> tuple[VolumeRow, ...]:
        return tuple(row for row in self.rows if row.kind == "class")

    @property
    def regions(self) -> tuple[VolumeRow, ...]:
        return tuple(row for row in self.rows if row.kind == "region")

    def __getitem__(self, key: int | Region) -> VolumeRow:
        """Return the row of a class (by integer) or a region (by short name)."""
        for row in self.rows:
            if row.key == key:
                return row
        reason = "The labels do not mark" if key in self.undetermined else "This table has no row"
        raise KeyError(f"{reason} {key!r}; known are {[row.key for row in self.rows]}.")

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return one row for each class and region as a `pandas.DataFrame`."""
        columns = tuple(field.name for field in fields(VolumeRow))
        return Table(columns, tuple(map(asdict, self.rows)), units=units_of(columns)).to_dataframe()

    def find(self, key: int | str) -> VolumeRow | None:
        """Return the row of a class or region; None if the labels do not define it."""
        if not isinstance(key, str) and _NEEDED.get(key, frozenset()) & set(self.undetermined):
            return None  # the integer stands for several classes combined
        return next((row for row in self.rows if row.key == key), None)


def measure_volumes(segmentation: Segmentation) -> VolumeTable:
    """Count the voxels of every class and known region, and convert them to millilitres if the voxel size is known.

    Parameters
    ----------
    segmentation : Segmentation
        A segmentation that marks only the whole tumour gives a single row.

    Returns
    -------
    VolumeTable
        Classes in the order of their integers, followed by the regions that the labels define: WT, TC, ET. A class
        that does not occur has a row with 0 voxels; `undetermined` lists the regions that the labels do not define.

    Examples
    --------
    >>> volumes = measure_volumes(segmentation)  # doctest: +SKIP
    >>> volumes["WT"].ml  # doctest: +SKIP
    87.31
    """
    counts = _class_counts(segmentation.data)
    voxel_ml = _voxel_ml(segmentation.grid)
    rows = [*_class_rows(segmentation, counts, voxel_ml), *_region_rows(segmentation, counts, voxel_ml)]
    undetermined = tuple(region for region in REGIONS if region not in segmentation.known_regions)
    return VolumeTable(tuple(rows), "voxels" if voxel_ml is None else "mL", undetermined)


def _class_counts(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    # order="K" follows the memory layout, which avoids copying the Fortran-ordered arrays that nibabel returns.
    return np.bincount(data.ravel(order="K"), minlength=256)


def _voxel_ml(grid: Grid) -> float | None:
    return grid.voxel_volume_mm3 / _MM3_PER_ML if grid.unit == "mm" else None


def _class_rows(segmentation: Segmentation, counts: npt.NDArray[Any], voxel_ml: float | None) -> Iterator[VolumeRow]:
    if segmentation.known_regions == ("WT",):
        return  # its only class is the whole tumour, which already has a row as a region
    names: Mapping[int, str] = segmentation.class_names
    for value in sorted(names):
        yield _row("class", value, names[value], int(counts[value]), voxel_ml)


def _region_rows(segmentation: Segmentation, counts: npt.NDArray[Any], voxel_ml: float | None) -> Iterator[VolumeRow]:
    for region, classes in REGIONS.items():
        if region in segmentation.known_regions:
            yield _row("region", region, REGION_NAMES[region], int(counts[list(classes)].sum()), voxel_ml)


def _row(
    kind: Literal["class", "region"], key: int | Region, name: str, voxels: int, voxel_ml: float | None
) -> VolumeRow:
    return VolumeRow(kind, key, name, voxels, None if voxel_ml is None else voxels * voxel_ml)
