"""The two values that everything passes around: a `Study` and a `Segmentation` of it."""

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
    """Where a sequence came from: a file or folder, and which volume, channel or DICOM series (UID) of several.

    `stamp` tells the file as it was when it was read (`io.source_files.file_stamp`), so that a later hash is not taken
    for one of the same bytes; it is no part of what the source is.
    """

    path: Path
    channel: int | None = None
    series: str | None = None
    stamp: tuple[int, int] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class NiftiForms:
    """The two voxel-to-world matrices of a NIfTI header with their codes, kept to write results alike."""

    sform: npt.NDArray[np.float64]
    sform_code: int
    qform: npt.NDArray[np.float64] | None
    qform_code: int


@dataclass(frozen=True, slots=True)
class TifSlices:
    """A study read from `<patient>_<k>.tif` slices (or one `.tif`): the patient and the numbers `k` in order."""

    patient: str
    numbers: tuple[int, ...]


FileLayout = NiftiForms | TifSlices | None
"""What of the source's file format is needed to save a result the same way; None: nothing but the grid."""


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """Up to four sequences of one examination, by role, on one grid.

    Parameters
    ----------
    sequences : mapping of role to (X, Y, Z) array
        Intensities in file order; T1, T1c, T2 or FLAIR, at least one.
    grid : Grid
        The grid that all of them share.
    name : str
        Of the case, for titles and file names.
    sources : mapping of role to Source
        Where each sequence came from.
    layout : NiftiForms, TifSlices or None
        What is needed to save a result as the source was.
    notes : tuple of str
        What the reader noticed and the user should know.
    resampled : tuple of Role
        Sequences whose files lie on another grid, and that were brought onto this one.
    brain : (X, Y, Z) bool array, optional
        The brain, where everything outside of it was set to the background (`extract_brain`).
    preparation : mapping
        How it was made of raw series (`prepare`), as JSON can express it; empty where files were taken as they are.

    Raises
    ------
    RoleError
        For a role that is not one of the four, or no sequence at all.
    GridMismatchError
        If an array does not have the grid's shape.
    IntensityError
        If a sequence holds NaN or infinite values, or one value only.
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
        """The same study with those roles alone."""
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
    """Our classes on a grid: 0 background, 1 edema, 2 non-enhancing, 3 enhancing (4 resection cavity, only from files).

    Parameters
    ----------
    data : (X, Y, Z) uint8 array
        Classes, in the order of the grid.
    grid : Grid
        Where the voxels lie: the source scan's own grid.
    name : str
        Of the case.
    class_names : dict of int to str
        Of the classes that can occur.
    known_regions : tuple of {"WT", "TC", "ET"}
        What the labels tell; a Kaggle LGG mask tells WT alone.
    layout : NiftiForms, TifSlices or None
        What is needed to save as the source was.
    provenance : dict
        How it was made: inputs, model, versions, settings, times. Written beside the saved file.
    notes : tuple of str
        What was guessed of the scans or the labels, or noticed by a reader, and the user should know.
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
    """Raise `IntensityError` if an image holds NaN or infinite values, or one value only.

    Parameters
    ----------
    what : str
        Its name, for the message.
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
