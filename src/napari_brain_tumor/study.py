"""The two main data types: a `Study`, and a `Segmentation` of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import DimensionError, GridMismatchError, IntensityError, RoleError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.labels import CLASS_NAMES, Region
from napari_brain_tumor.types import Array

Role = Literal["T1", "T1c", "T2", "FLAIR"]

ROLES: Final[tuple[Role, ...]] = ("T1", "T1c", "T2", "FLAIR")
"""Roles of MRI sequences, in the order of the networks' input channels."""


@dataclass(frozen=True, slots=True)
class Source:
    """Origin of a sequence: a file or folder, and the volume, channel or DICOM series (UID) within it.

    `stamp` identifies the state of the file when it was read (`io.source_files.file_stamp`), so that a later hash
    is not attributed to the data that were read. It is not part of the identity of the source.
    """

    path: Path
    channel: int | None = None
    series: str | None = None
    stamp: tuple[int, int] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class NiftiForms:
    """The two voxel-to-world matrices of a NIfTI header with their codes, kept so that results can be saved alike."""

    sform: npt.NDArray[np.float64]
    sform_code: int
    qform: npt.NDArray[np.float64] | None
    qform_code: int


@dataclass(frozen=True, slots=True)
class TifSlices:
    """A study read from `<patient>_<k>.tif` slices (or a single `.tif`): the patient, and the numbers `k` in order."""

    patient: str
    numbers: tuple[int, ...]


FileLayout = NiftiForms | TifSlices | None
"""Details of the source's file format that are needed to save a result in the same way; None: only the grid."""


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """Up to four sequences of one examination, by role, on a common grid.

    Parameters
    ----------
    sequences : mapping of role to (X, Y, Z) array
        Intensities in file order, for one or more of T1, T1c, T2 and FLAIR.
    grid : Grid
        The common grid.
    name : str
        Name of the case, for titles and file names.
    sources : mapping of role to Source
        Origin of each sequence.
    layout : NiftiForms, TifSlices or None
        Format details needed to save a result like the source.
    notes : tuple of str
        Remarks of the reader for the user.
    resampled : tuple of Role
        Sequences that were resampled onto this grid from a different one.
    brain : (X, Y, Z) bool array, optional
        Brain mask, if everything outside it was set to the background (`extract_brain`).
    preparation : mapping
        JSON-serialisable record of its preparation from raw series (`prepare`); empty if files were used unchanged.

    Raises
    ------
    RoleError
        For an unknown role, or no sequence at all.
    GridMismatchError
        If an array does not have the grid's shape.
    IntensityError
        If a sequence contains NaN or infinite values, or only one value.
    """

    sequences: Mapping[Role, Array]
    grid: Grid
    name: str = "study"
    sources: Mapping[Role, Source] = field(default_factory=dict)
    layout: FileLayout = None
    notes: tuple[str, ...] = ()
    resampled: tuple[Role, ...] = ()
    brain: npt.NDArray[np.bool_] | None = None
    preparation: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [role for role in self.sequences if role not in ROLES]
        if unknown or not self.sequences:
            msg = f"A study needs at least one sequence with a role of {', '.join(ROLES)}; got {list(self.sequences)}."
            raise RoleError(msg)
        for role, array in self.sequences.items():
            if array.shape != self.grid.shape:
                raise GridMismatchError(f"{role} has shape {array.shape}, but the study's grid has {self.grid.shape}.")
            check_intensities(array, f"{role} of {self.name}")
        if self.brain is not None and self.brain.shape != self.grid.shape:
            msg = f"The brain mask has shape {self.brain.shape}, but the study's grid has {self.grid.shape}."
            raise GridMismatchError(msg)
        ordered = {role: self.sequences[role] for role in ROLES if role in self.sequences}
        object.__setattr__(self, "sequences", ordered)

    @property
    def roles(self) -> tuple[Role, ...]:
        """Roles that are present, in the order T1, T1c, T2, FLAIR."""
        return tuple(self.sequences)

    def only(self, roles: tuple[Role, ...]) -> Self:
        """Return the study with only the given roles."""
        missing = [role for role in roles if role not in self.sequences]
        if missing:
            raise RoleError(f"{self.name} has {', '.join(self.roles)}; it lacks {', '.join(missing)}.")
        return replace(
            self,
            sequences={role: self.sequences[role] for role in roles},
            sources={role: self.sources[role] for role in roles if role in self.sources},
            resampled=tuple(role for role in self.resampled if role in roles),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """Classes on a grid: 0 background, 1 edema, 2 non-enhancing, 3 enhancing (4 resection cavity, only from files).

    Parameters
    ----------
    data : (X, Y, Z) uint8 array
        Classes, in the axis order of the grid.
    grid : Grid
        The source scan's own grid.
    name : str
        Name of the case.
    class_names : dict of int to str
        Names of the classes that can occur.
    known_regions : tuple of {"WT", "TC", "ET"}
        Regions that the labels define; a Kaggle LGG mask defines only WT.
    layout : NiftiForms, TifSlices or None
        Format details needed to save it like the source.
    provenance : dict
        How it was made: inputs, model, versions, settings, times. Saved next to the label file.
    notes : tuple of str
        Remarks for the user: assumptions made about the scans or labels, and observations of the reader.
    """

    data: npt.NDArray[np.uint8]
    grid: Grid
    name: str = "segmentation"
    class_names: Mapping[int, str] = field(default_factory=lambda: dict(CLASS_NAMES))
    known_regions: tuple[Region, ...] = ("WT", "TC", "ET")
    layout: FileLayout = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.data.shape != self.grid.shape:
            raise GridMismatchError(f"The labels have shape {self.data.shape}, their grid {self.grid.shape}.")
        if self.data.dtype != np.uint8:
            msg = f"Labels are kept as uint8, got {self.data.dtype}. Convert with labels.decode of the right schema."
            raise DimensionError(msg)


def check_intensities(array: Array, what: str) -> None:
    """Raise `IntensityError` if an image contains NaN or infinite values, or only one value.

    Parameters
    ----------
    what : str
        Name of the image, for the message.
    """
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int(array.size - np.isfinite(array).sum())
        raise IntensityError(
            f"{what} holds {count} NaN or infinite values of {array.size}. An intact scan holds finite numbers: "
            "export it again from its source, or replace them before opening."
        )
    if low == high:
        msg = f"{what} is empty: every voxel is {low}. Leave this file out, or export the sequence again."
        raise IntensityError(msg)
