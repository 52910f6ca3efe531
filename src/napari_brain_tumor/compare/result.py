"""The result of comparing segmentations, and the tables to which it is written."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from napari_brain_tumor import __version__
from napari_brain_tumor.compare import maps
from napari_brain_tumor.compare.raters import Raters
from napari_brain_tumor.compare.slices import Axis, SliceRow, slice_table
from napari_brain_tumor.compare.statistics import RaterVolume, RegionAgreement
from napari_brain_tumor.errors import ComparisonError
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.sidecar import NOTICE, PROGRAM
from napari_brain_tumor.io.table import Table, units_of
from napari_brain_tumor.labels import Region
from napari_brain_tumor.metrics.scores import DEFINITIONS, MaskScores, TumourClass

if TYPE_CHECKING:
    import pandas

SYMMETRIC: Final = (
    "dice",
    "iou",
    "hd95_mm",
    "hd95_pooled_mm",
    "hd95_max_mm",
    "hd_mm",
    "nsd_2mm",
    "assd_mm",
)
"""Scores that do not depend on which of two segmentations is the reference."""

_SCORES: Final = tuple(field.name for field in fields(MaskScores))
COLUMNS: Final = ("first", "second", "region", "first_voxels", "second_voxels", *_SCORES)
"""Columns of the CSV: the compared pair, then one column for each score with the first as the reference."""


@dataclass(frozen=True, slots=True)
class PairScores:
    """Scores of the second segmentation against the first, for one region or class.

    Parameters
    ----------
    first, second : str
        Names. The first is the reference if there is one; otherwise the order is arbitrary, and only the scores in
        `SYMMETRIC` do not depend on it.
    region : {"WT", "TC", "ET"} or name of a class
    scores : MaskScores
        Scores with the first as the reference.
    first_voxels, second_voxels : int
        Sizes of the two masks.
    """

    first: str
    second: str
    region: Region | TumourClass
    scores: MaskScores
    first_voxels: int
    second_voxels: int


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """Agreement of two or more segmentations of one case.

    Parameters
    ----------
    raters : Raters
        The segmentations themselves, on one grid.
    scores : tuple of PairScores
        Scores of each compared pair, by region and then by class.
    regions : tuple of RegionAgreement
        Agreement of all segmentations together, for each region.
    volumes : tuple of RaterVolume
        Volumes by region and segmentation.
    inputs : mapping
        Provenance of each segmentation by name, with hashes.
    """

    raters: Raters
    scores: tuple[PairScores, ...]
    regions: tuple[RegionAgreement, ...]
    volumes: tuple[RaterVolume, ...]
    inputs: Mapping[str, Mapping[str, Any]]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order given."""
        return self.raters.names

    @property
    def reference(self) -> str | None:
        """Name of the segmentation used as the reference, if any."""
        return self.raters.reference

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on what was left out or resampled."""
        return self.raters.notes

    def __getitem__(self, region: Region) -> RegionAgreement:
        """Return the agreement of all segmentations in a region."""
        maps.check_region(self.raters, region)
        return next(agreement for agreement in self.regions if agreement.region == region)

    def scores_of(self, region: Region | TumourClass) -> tuple[PairScores, ...]:
        return tuple(pair for pair in self.scores if pair.region == region)

    def matrix(self, region: Region, metric: str = "dice") -> npt.NDArray[np.float64]:
        """Return a score between all segmentations, `(n, n)` in the order of the names; NaN if it is unknown.

        Parameters
        ----------
        region : {"WT", "TC", "ET"}
        metric : str
            One of `SYMMETRIC`. If there is a reference, only Dice is known for pairs that do not include it.

        Raises
        ------
        ComparisonError
            If the metric depends on which one is the reference, or not all of them define the region.
        """
        if metric not in SYMMETRIC:
            msg = f"{metric!r} has no matrix: it needs a truth. Ask for one of: {', '.join(SYMMETRIC)}."
            raise ComparisonError(msg)
        known = self[region]
        if metric == "dice":
            return known.dice.copy()
        table = np.full(known.dice.shape, np.nan)
        np.fill_diagonal(table, 1.0 if metric in ("iou", "nsd_2mm") else 0.0)
        for pair in self.scores_of(region):
            value = getattr(pair.scores, metric)
            at = self.names.index(pair.first), self.names.index(pair.second)
            table[at] = table[at[::-1]] = np.nan if value is None else value
        return table

    def slices(self, region: Region, axis: Axis = "axial", names: Sequence[str] | None = None) -> tuple[SliceRow, ...]:
        """Return the slices in which all, or the named, segmentations differ, worst first; see `slice_table`."""
        return slice_table(self.raters, region, axis, names)

    def worst_slice(self, region: Region, axis: Axis = "axial", names: Sequence[str] | None = None) -> SliceRow | None:
        """Return the slice with the most differing voxels; None if there is none."""
        rows = self.slices(region, axis, names)
        return rows[0] if rows else None

    def pair_map(self, region: Region, first: str, second: str) -> npt.NDArray[np.uint8]:
        """Return a label map `(X, Y, Z)`: 1 agreed, 2 missed (only in the first), 3 false (only in the second)."""
        return maps.pair_map(self.raters, region, first, second)

    def count_map(self, region: Region) -> npt.NDArray[np.uint8]:
        """Return a map `(X, Y, Z)` of the number of segmentations that assign each voxel to the region."""
        return maps.count_map(self.raters, region)

    # Tables ---------------------------------------------------------------------------------------------------------

    def to_csv(self, path: str | PathLike[str] | None = None) -> str:
        """Return the scores as CSV, one line for each pair and region or class, and save it if a path is given.

        Raises
        ------
        SaveError
            If it cannot be written.
        """
        return self.table.to_csv(path)

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return the scores as a `pandas.DataFrame` with one row for each pair and region or class."""
        return self.table.to_dataframe()

    @property
    def table(self) -> Table:
        """The scores, with one row for each pair and region or class."""
        return Table(COLUMNS, tuple(map(_cells, self.scores)), units=units_of(COLUMNS))

    def to_json(self, path: str | PathLike[str] | None = None) -> str:
        """Return the contents of `as_dict` as JSON text, and save it if a path is given.

        Raises
        ------
        SaveError
            If it cannot be written.
        """
        text = json.dumps(self.as_dict(), indent=2, ensure_ascii=False, default=str) + "\n"
        if path is not None:
            write_text(Path(path), text)
        return text

    def as_dict(self) -> dict[str, Any]:
        """Return all tables, with the meaning of each number and the inputs, as a JSON-serialisable dictionary."""
        return {
            "program": PROGRAM,
            "version": __version__,
            "notice": NOTICE,
            "names": list(self.names),
            "reference": self.reference,
            "grid": self.raters.grid.describe(),
            "notes": list(self.notes),
            "inputs": {name: dict(entry) for name, entry in self.inputs.items()},
            "scores": [_cells(entry) for entry in self.scores],
            "agreement": [_plain(entry) for entry in self.regions],
            "volumes": [asdict(entry) for entry in self.volumes],
            "slices": [asdict(row) for entry in self.regions for row in self.slices(entry.region)],
            "definitions": _definitions(),
        }


def _cells(pair: PairScores) -> dict[str, Any]:
    cells = {name: getattr(pair, name) for name in COLUMNS[:5]}
    return cells | {name: getattr(pair.scores, name) for name in _SCORES}


def _plain(agreement: RegionAgreement) -> dict[str, Any]:
    return {field.name: getattr(agreement, field.name) for field in fields(agreement)} | {
        "dice": agreement.dice.tolist()
    }


def _definitions() -> dict[str, str]:
    optional: Iterable[tuple[Literal["kappa", "dice_matrix", "slices"], str]] = (
        (
            "kappa",
            "Fleiss' kappa (1971) over the voxels of the smallest box around what any of them marks. None where "
            "chance alone explains everything.",
        ),
        ("dice_matrix", "Pairwise Dice, in the order of the names."),
        (
            "slices",
            "Axial slices, the one with the most differing voxels first; indices as the file counts them, from 0.",
        ),
    )
    return {**DEFINITIONS, **dict(optional)}
