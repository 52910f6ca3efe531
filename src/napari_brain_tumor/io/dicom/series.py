"""What is known of a DICOM series."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from napari_brain_tumor.io.dicom.grouping import Part
from napari_brain_tumor.study import Role

Plane = Literal["axial", "coronal", "sagittal", "unknown"]


@dataclass(frozen=True, slots=True)
class Series:
    """One stack of slices of an examination, as its headers describe it; no pixel is read for it.

    Parameters
    ----------
    number : str
        What it is picked by: the scanner's number of the series, `"5"`; of several stacks in one series `"5.1"`,
        `"5.2"`; `"5a"`, `"5b"` where two series share a number, `"x1"` where one has none. The same files always get
        the same numbers.
    description : str
        What the scanner calls it; empty where that was removed.
    plane : {"axial", "coronal", "sagittal", "unknown"}
        The closest one.
    rows, columns, slices : int
    pixel_spacing_mm : (row, column) or None
        Distance of neighbouring rows and of neighbouring columns.
    slice_thickness_mm, slice_step_mm : float or None
        How thick a slice is, and the distance from one to the next.
    contrast_agent : str
    echo_time_ms, repetition_time_ms, inversion_time_ms : float or None
    image_type : tuple of str
        Such as `("ORIGINAL", "PRIMARY", "M")`.
    acquired : str
        When it was scanned, `2024-03-01 10:22:31`; empty where the header does not tell.
    role : {"T1", "T1c", "T2", "FLAIR"} or None
        What it would be taken for.
    reason : str
        Why, or why it is taken for nothing.
    problem : str
        Why it cannot be opened; empty where nothing speaks against it.
    modality, study_uid, study_date, study_description, patient : str
        Of the examination it belongs to.
    uid : str
        Of the series.
    part : int
        Which stack of the series, from 1; 0 where it has one.
    parts : int
        How many stacks the series has.
    folder : Path
        The closest folder that holds all files of the series, those of its other stacks too.
    files : tuple of Path
        In the order of the slices.
    notes : tuple of str
        What to know when it is used.
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
        """UID of the series, with the number of the stack where it has several: by it a result finds its scan."""
        return f"{self.uid}#{self.part}" if self.part else self.uid

    @property
    def title(self) -> str:
        """Number and description, for messages."""
        return f"Series {self.number} ({self.description})" if self.description else f"Series {self.number}"
