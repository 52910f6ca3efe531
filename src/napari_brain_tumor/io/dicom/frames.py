"""Header information of DICOM files and of each slice (frame) in them, as plain values without pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PixelStore:
    """Location and encoding of the pixels in a file.

    Parameters
    ----------
    transfer_syntax : str
        UID of the encoding.
    offset : int
        Position of the first byte of the pixel data's value.
    signed, inverted, big_endian, words : bool
        `inverted` means MONOCHROME1; `words` means the value representation OW.
    lossy : bool
        Whether the images have ever been compressed lossily.
    """

    transfer_syntax: str
    offset: int
    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    inverted: bool
    big_endian: bool
    words: bool
    lossy: bool

    @property
    def frame_bytes(self) -> int:
        """Size of one decompressed frame in bytes."""
        return self.rows * self.columns * (self.bits_allocated // 8)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Values shared by all frames of a file; text is empty and numbers are None if the header does not state them.

    `defect` says why the file cannot be used although its header could be read; `dates` are pairs of what is dated and
    the date's text.
    """

    file: Path
    study_uid: str
    series_uid: str
    sop_uid: str
    modality: str = ""
    description: str = ""
    series_number: int | None = None
    study_description: str = ""
    patient: str = ""
    contrast_agent: str = ""
    frame_of_reference: str = ""
    images_in_acquisition: int | None = None
    dates: tuple[tuple[str, str], ...] = ()
    defect: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """Study and series UID."""
        return self.study_uid, self.series_uid


@dataclass(frozen=True, slots=True)
class Frame:
    """A slice: its position, contrast, and index in its file. Lengths in mm, times in ms, world coordinates LPS."""

    facts: FileFacts
    store: PixelStore
    index: int = 0
    position: Vector | None = None
    orientation: tuple[Vector, Vector] | None = None
    pixel_spacing: tuple[float, float] | None = None
    thickness: float | None = None
    slice_spacing: float | None = None
    location: float | None = None
    instance: int | None = None
    image_type: tuple[str, ...] = ()
    stack: str = ""
    echo: int | None = None
    echo_time: float | None = None
    repetition_time: float | None = None
    inversion_time: float | None = None
    b_value: float | None = None
    gradient: Vector | None = None
    temporal: int | None = None
    trigger_time: float | None = None
    acquisition: int | None = None
    acquired: str = ""
    other_indices: tuple[int, ...] = ()
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def name(self) -> str:
        """The file's name, with the number of the frame if the file has several."""
        name = self.facts.file.name
        return f"{name} frame {self.index + 1}" if self.store.frames > 1 else name


def file_names(frames: Sequence[Frame], most: int = 3) -> str:
    """Return the names of the first few frames, and how many more there are."""
    names = [frame.name for frame in frames]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
