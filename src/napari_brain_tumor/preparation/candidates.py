"""List what an examination contains: each DICOM series, image file or volume, with its properties and role."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.geometry import Grid, to_ras
from napari_brain_tumor.io import dicom, nifti
from napari_brain_tumor.io.bids import anatomy_of
from napari_brain_tumor.io.formats import NIFTI
from napari_brain_tumor.io.given_roles import Roles
from napari_brain_tumor.io.read_study import open_sequences
from napari_brain_tumor.io.reading import (
    AnyPath,
    Spacing,
    existing,
    grid_of,
    images_in,
    is_image,
    read_volumes,
    slices_in,
    with_spacing,
)
from napari_brain_tumor.io.sequence_words import roles_in
from napari_brain_tumor.io.study_folder import names_segmentation, role_of_file
from napari_brain_tumor.io.volume import Volume, short_name
from napari_brain_tumor.study import Role

_FINE_MM: Final = 2.0
_MANY_SLICES: Final = 60
_PLANES: Final = ("sagittal", "coronal", "axial")


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One image of an examination, described by its header without reading voxels.

    Parameters
    ----------
    number : str
        Identifier for picking it: the number of a DICOM series, or of a file in alphabetical order.
    name : str
        The description of the series, or the file's name.
    role : {"T1", "T1c", "T2", "FLAIR"} or None
        The role it is recognised as.
    reason : str
        Why it is recognised as that, or not at all.
    read : callable
        Function that reads its voxels.
    shape : (int, int, int) or None
        Voxels within the slice (columns, rows) and number of slices; None if the header cannot be read.
    spacing_mm : (float, float, float) or None
        In the same order; None if unknown.
    plane : str
        `"axial"`, `"coronal"`, `"sagittal"` or `"unknown"`.
    contrast_agent, times : str
        From DICOM headers.
    derived : bool
        Whether it was computed from another series.
    acquired : str
        Time of the scan, as far as the header states it.
    examination : str
        UID of the DICOM study; empty for files.
    problem : str
        Why it cannot be used; empty if it can.
    aliases : tuple of str
        Other names by which it can be picked.
    """

    number: str
    name: str
    role: Role | None
    reason: str
    read: Callable[[], Volume]
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    plane: str = "unknown"
    contrast_agent: str = ""
    times: str = ""
    derived: bool = False
    acquired: str = ""
    examination: str = ""
    problem: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Number and name, for messages."""
        return f"{self.number} ({self.name})" if self.name else self.number

    @property
    def slices(self) -> int:
        """Number of slices."""
        return self.shape[2] if self.shape is not None else 0

    @property
    def is_3d(self) -> bool:
        """Whether it is a 3D sequence, with small voxels in every direction."""
        return self.spacing_mm is not None and max(self.spacing_mm) <= _FINE_MM and self.slices >= _MANY_SLICES

    @property
    def covered_mm(self) -> float | None:
        """Distance from the first to the last slice, including their thickness."""
        return None if self.spacing_mm is None else self.slices * self.spacing_mm[2]

    @property
    def voxel_mm3(self) -> float | None:
        """Volume of a voxel."""
        return None if self.spacing_mm is None else float(np.prod(self.spacing_mm))

    @property
    def size(self) -> str:
        """Number of voxels and their size, in words."""
        if self.shape is None:
            return ""
        voxels = "x".join(map(str, self.shape))
        if self.spacing_mm is None:
            return f"{voxels} voxels of unknown size"
        return f"{voxels} of {'x'.join(f'{side:.3g}' for side in self.spacing_mm)} mm"


def candidates_of(path: AnyPath, roles: Roles = None, *, spacing_mm: Spacing | None = None) -> tuple[Candidate, ...]:
    """List all images of an examination, in the order of their numbers.

    Parameters
    ----------
    path : path-like
        A DICOM study, a BIDS subject or session with one examination, a folder of files, or one file.
    roles : mapping or sequence, optional
        As for `open_study`, if file names are not informative; only the images named here are then listed.
    spacing_mm : (x, y, z), optional
        Voxel size of files that do not state it.

    Raises
    ------
    UnreadableFileError, RoleError, DuplicateRoleError
        As for `open_study`.
    """
    place = existing(path)
    if not roles and _is_dicom(place):
        return tuple(_of_series(series, spacing_mm) for series in dicom.contents_of(place).series)
    folder = anatomy_of(place) if place.is_dir() else place
    if roles or not folder.is_dir() or any(slices.images for slices in slices_in(folder)):
        return _of_volumes(place, roles, spacing_mm)
    images = images_in(folder)
    if len([path for path in images if not names_segmentation(path)]) < 2:
        return _of_volumes(place, roles, spacing_mm)
    return tuple(_of_file(number, path, images, spacing_mm) for number, path in enumerate(images, 1))


def _is_dicom(place: Path) -> bool:
    """Decide as `open_study` does: files with informative names take precedence over DICOM files next to them."""
    if place.is_file():
        return not is_image(place) and dicom.is_dicom(place)
    folder = anatomy_of(place)
    if any(slices.images for slices in slices_in(folder)):
        return False
    images = images_in(folder)
    if any(role_of_file(path, images) is not None for path in images if not names_segmentation(path)):
        return False
    return dicom.holds_dicom(folder)


def _of_series(series: dicom.Series, spacing_mm: Spacing | None) -> Candidate:
    step = series.slice_step_mm or series.slice_thickness_mm
    inner = series.pixel_spacing_mm
    return Candidate(
        number=series.number,
        name=series.description,
        role=series.role,
        reason=series.reason,
        read=lambda: with_spacing(dicom.read_series(series), spacing_mm),
        shape=(series.columns, series.rows, series.slices) if series.rows else None,
        spacing_mm=None if inner is None or step is None else (inner[1], inner[0], step),
        plane=series.plane,
        contrast_agent=series.contrast_agent,
        times=dicom.time_words(series),
        derived=series.image_type[:1] == ("DERIVED",),
        acquired=series.acquired or series.study_date,
        examination=series.study_uid,
        problem=series.problem or ("it has only one slice" if series.slices < 2 else ""),
        aliases=(series.uid, series.key, series.number.split(".")[0]),
    )


def _of_volumes(place: Path, roles: Roles, spacing_mm: Spacing | None) -> tuple[Candidate, ...]:
    opened = open_sequences(place, roles, spacing_mm=spacing_mm)
    reason = "as given" if roles else "by its name"
    return tuple(
        _of_image(number, volume.name, role, reason, volume.grid, partial(_itself, volume))
        for number, (role, volume) in enumerate(opened.volumes.items(), 1)
    )


def _itself(volume: Volume) -> Volume:
    return volume


def _of_file(number: int, path: Path, images: Iterable[Path], spacing_mm: Spacing | None) -> Candidate:
    name, role = short_name(path), role_of_file(path, images)
    read = partial(_only_image, path, spacing_mm)
    if names_segmentation(path):
        return Candidate(str(number), path.name, None, "its name says that it holds labels", read, aliases=(name,))
    reason = "by its name" if role is not None else roles_in(name).doubt or "its name does not say which sequence it is"
    try:
        shape, grid = _header(path)
    except BrainTumorError as error:
        return Candidate(str(number), path.name, role, reason, read, problem=str(error), aliases=(name,))
    if len(shape) == 4 and shape[3] > 1:
        role, reason = None, f"holds {shape[3]} volumes; a sequence is a single volume"
    return _of_image(number, path.name, role, reason, grid, read, (name,))


def _only_image(path: Path, spacing_mm: Spacing | None) -> Volume:
    """Read the only image of a file."""
    return read_volumes(path, spacing_mm)[0]


def _of_image(
    number: int,
    name: str,
    role: Role | None,
    reason: str,
    grid: Grid,
    read: Callable[[], Volume],
    aliases: tuple[str, ...] = (),
) -> Candidate:
    normal, shape, spacing = _slices_last(grid)
    return Candidate(
        number=str(number),
        name=name,
        role=role,
        reason=reason,
        read=read,
        shape=shape,
        spacing_mm=spacing if grid.unit == "mm" else None,
        plane=_PLANES[normal],
        aliases=aliases,
    )


def _slices_last(grid: Grid) -> tuple[int, tuple[int, int, int], tuple[float, float, float]]:
    """Return the slices' world axis, and shape and spacing with that axis last: the thickest, or the last one."""
    turn = to_ras(grid)
    spacing = turn.target.spacing
    thickest = int(np.argmax(spacing))
    alike = spacing[thickest] <= 1.05 * min(spacing)
    normal = turn.axes.index(2) if alike else thickest
    order = [axis for axis in range(3) if axis != normal] + [normal]
    x, y, z = (turn.target.shape[axis] for axis in order)
    a, b, c = (spacing[axis] for axis in order)
    return normal, (x, y, z), (a, b, c)


def _header(path: Path) -> tuple[tuple[int, ...], Grid]:
    if NIFTI.fits(path):
        header = nifti.read_nifti_header(path)
        return header.shape, header.grid
    grid = grid_of(path) or read_volumes(path, None)[0].grid
    return grid.shape, grid
