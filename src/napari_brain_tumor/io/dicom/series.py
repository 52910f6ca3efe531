"""Description of a DICOM series."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from napari_brain_tumor.io.dicom.grouping import Part
from napari_brain_tumor.study import Role

Plane = Literal["axial", "coronal", "sagittal", "unknown"]


@dataclass(frozen=True, slots=True)
class Series:
    """A stack of slices of an examination as described by its headers, without reading any pixels.

    Parameters
    ----------
    number : str
        Number to pick it by: the scanner's series number, `"5"`; `"5.1"`, `"5.2"` for several stacks in one series;
        `"5a"`, `"5b"` if two series share a number, `"x1"` if a series has none. The same files always get the same
        numbers.
    description : str
        The scanner's description; empty if it was removed.
    plane : {"axial", "coronal", "sagittal", "unknown"}
        The nearest anatomical plane.
    rows, columns, slices : int
    pixel_spacing_mm : (row, column) or None
        Distance between adjacent rows and between adjacent columns.
    slice_thickness_mm, slice_step_mm : float or None
        Thickness of a slice, and distance between adjacent slices.
    contrast_agent : str
    echo_time_ms, repetition_time_ms, inversion_time_ms : float or None
    image_type : tuple of str
        For example `("ORIGINAL", "PRIMARY", "M")`.
    acquired : str
        Time of acquisition, `2024-03-01 10:22:31`; empty if the header does not state it.
    role : {"T1", "T1c", "T2", "FLAIR"} or None
        The sequence it is taken for.
    reason : str
        The reason for this role, or for having none.
    problem : str
        Why it cannot be opened; empty if there is no problem.
    modality, study_uid, study_date, study_description, patient : str
        Information about the examination it belongs to.
    uid : str
        UID of the series.
    part : int
        Index of the stack in the series, from 1; 0 if it has only one.
    parts : int
        Number of stacks in the series.
    folder : Path
        The closest folder that contains all files of the series, including those of its other stacks.
    files : tuple of Path
        In slice order.
    notes : tuple of str
        Notes for the user of this series.
    """

    number: str
    description: str
    plane: Plane
    rows: int
    columns: int
    slices: int
    pixel_spacing_mm: tuple[float, float] | None
    slice_thickness_mm: float | None
    slice_step_mm: float | None
    contrast_agent: str
    echo_time_ms: float | None
    repetition_time_ms: float | None
    inversion_time_ms: float | None
    image_type: tuple[str, ...]
    acquired: str
    role: Role | None
    reason: str
    problem: str
    modality: str
    study_uid: str
    study_date: str
    study_description: str
    patient: str
    uid: str
    part: int
    parts: int
    folder: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    content: Part = field(default=Part(()), repr=False, compare=False)

    @property
    def key(self) -> str:
        """UID of the series, with the number of the stack if there are several; links a result to its scan."""
        return f"{self.uid}#{self.part}" if self.part else self.uid

    @property
    def title(self) -> str:
        """Number and description, for messages."""
        return f"Series {self.number} ({self.description})" if self.description else f"Series {self.number}"
