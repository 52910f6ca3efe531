"""The series of an examination: each a stack of slices with what it shows, listed before anything is chosen."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from os.path import commonpath
from pathlib import Path
from typing import Final, Literal

import numpy as np

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.io.dicom.evidence import BY_FOLDER, Guess, role_of_frame
from napari_brain_tumor.io.dicom.files import DicomFiles, dicom_files
from napari_brain_tumor.io.dicom.frames import FileFacts, Frame
from napari_brain_tumor.io.dicom.grouping import Part, split
from napari_brain_tumor.io.dicom.headers import Header, NoImage, header_of
from napari_brain_tumor.io.dicom.pixels import same_pixels, stack_pixels
from napari_brain_tumor.io.dicom.stack import Stack, arrange, normal_of
from napari_brain_tumor.io.volume import Volume
from napari_brain_tumor.study import Role

Plane = Literal["axial", "coronal", "sagittal", "unknown"]

_HIDDEN: Final = "sha256:"
_PLANES: Final[tuple[Plane, ...]] = ("sagittal", "coronal", "axial")


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


@dataclass(frozen=True, slots=True)
class Contents:
    """What DICOM a folder holds.

    Parameters
    ----------
    series : tuple of Series
        In the order of examination and number.
    notes : tuple of str
        What lies beside them and was not read.
    """

    series: tuple[Series, ...]
    notes: tuple[str, ...] = ()


def contents_of(place: Path) -> Contents:
    """The series below a folder; of a file, those that it is part of, among the files of its folder.

    Raises
    ------
    UnreadableFileError
        If the folder cannot be listed, or the file is not part of a series.
    """
    if place.is_dir():
        return _contents(dicom_files(place))
    header = header_of(place)
    if isinstance(header, NoImage):
        if not (header.what or header.defect):  # a DICOMDIR stands for its folder
            return contents_of(place.parent)
        why = header.defect or f"it is {header.what}"
        msg = f"{place.name} is not part of a DICOM series that can be read: {why}. Open the folder of the series."
        raise UnreadableFileError(msg)
    beside = _contents(dicom_files(place.parent, deepest=0))
    return Contents(tuple(entry for entry in beside.series if place in _all_files(entry)))


def series_of_source(folder: Path, key: str | None) -> tuple[Series, ...]:
    """The series below a folder that a result was made from, by `Series.key`; all where none is given."""
    return tuple(s for s in contents_of(folder).series if key in (None, s.key, s.uid, hidden_key(s.key)))


def hidden_key(key: str) -> str:
    """What stands for a `Series.key` in records: whoever has the files can find the series by it, nobody else can.

    The UID itself would tell an archive which patient it is.
    """
    return key if key.startswith(_HIDDEN) else _HIDDEN + hashlib.sha256(key.encode()).hexdigest()[:32]


def stamp_of(files: Iterable[Path]) -> tuple[int, int] | None:
    """When the last of the files was changed, in ns, and their bytes: another stamp means other contents."""
    try:
        known = [path.stat() for path in files]
    except OSError:
        return None
    return (max(status.st_mtime_ns for status in known), sum(status.st_size for status in known)) if known else None


def dates_at(place: Path) -> tuple[tuple[str, str], ...]:
    """The dates in the header of the first slice at a path, each with what it dates; nothing where there is none."""
    files = [place] if place.is_file() else dicom_files(place).files
    headers = (header_of(path) for path in files)
    first = next((header for header in headers if isinstance(header, Header)), None)
    return () if first is None else first.facts.dates


def read_series(series: Series) -> Volume:
    """A series as one image `(X, Y, Z)`, slices in order of their position.

    Raises
    ------
    UnreadableFileError
        If a file is damaged, or the slices do not form a stack: the message says which and where.
    """
    if series.problem:
        raise UnreadableFileError(series.problem)
    stamp = stamp_of(series.files)
    copies = _dropped_copies(series)
    stack = arrange(series.content.frames, series.title)
    notes = [*series.notes, *stack.notes, *copies]
    array = stack_pixels(stack.frames, series.title)
    name = series.description or series.folder.name
    return Volume(name, array, stack.grid, series.folder, notes=tuple(notes), series=series.key, stamp=stamp)


def read_volumes(place: Path) -> list[Volume]:
    """Every series below a folder, or that a file is part of, as an image."""
    return [read_series(series) for series in contents_of(place).series]


def _all_files(series: Series) -> set[Path]:
    return {*series.files, *(twin.facts.file for _, twin in series.content.twins)}


# From headers to series ---------------------------------------------------------------------------------------------


def _contents(below: DicomFiles) -> Contents:
    headers = [header_of(path) for path in below.files]
    images = [entry for entry in headers if isinstance(entry, Header)]
    damaged = [entry for entry in headers if isinstance(entry, NoImage) and entry.defect]
    left = [entry for entry in headers if isinstance(entry, NoImage) and entry.what]
    groups: dict[tuple[str, str], list[Header]] = {}
    for header in images:
        groups.setdefault(header.facts.identity, []).append(header)
    series = [entry for group in groups.values() for entry in _series_of(group, damaged)]
    series = _without_shared_folders(series)
    if damaged and not series:
        first = damaged[0]
        msg = f"{first.file.name} cannot be read: {first.defect}. Copy it again, or export the series again."
        raise UnreadableFileError(msg)
    return Contents(_numbered(series), (*_left_notes(left), *_other_notes(below.others, bool(series))))


def _without_shared_folders(series: Sequence[Series]) -> list[Series]:
    """A folder's name speaks of its series only where it holds one."""
    uids: dict[Path, set[str]] = {}
    for entry in series:
        for path in entry.files:
            uids.setdefault(path.parent, set()).add(entry.uid)
    return [
        replace(entry, role=None, reason="its description names no sequence", notes=entry.notes[:-1])
        if entry.reason == BY_FOLDER and len(uids[entry.files[0].parent]) > 1
        else entry
        for entry in series
    ]


def _left_notes(left: Sequence[NoImage]) -> list[str]:
    kinds: dict[str, list[str]] = {}
    for image in left:
        kinds.setdefault(image.what, []).append(image.file.name)
    return [f"Not opened, since it is {what}: {_some(names)}." for what, names in kinds.items()]


def _other_notes(others: Sequence[Path], any_series: bool) -> list[str]:
    names = [path.name for path in others]
    return [f"Not read, since it is not DICOM: {_some(names)}."] if names and any_series else []


def _some(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _series_of(headers: Sequence[Header], damaged: Sequence[NoImage]) -> list[Series]:
    """The stacks of one series UID."""
    folders = {header.facts.file.parent for header in headers}
    suspects = [image for image in damaged if image.file.parent in folders]
    defect = _defect_of(headers, suspects)
    folder = Path(commonpath(folders))
    frames = [frame for header in headers for frame in header.frames]
    if not frames:
        return [_without_frames(headers[0].facts, defect)]
    parts = split(frames)
    several = len(parts) > 1
    return [
        replace(_described(part, at if several else 0, len(parts), defect), folder=folder)
        for at, part in enumerate(parts, 1)
    ]


def _defect_of(headers: Sequence[Header], suspects: Sequence[NoImage]) -> str:
    known = [(header.facts.file.name, header.facts.defect) for header in headers if header.facts.defect]
    if known:
        more = f" (and so for {len(known) - 1} more files)" if len(known) > 1 else ""
        return f"{known[0][0]} cannot be read: {known[0][1]}{more}. Copy it again, or export the series again."
    if suspects:
        return (
            f"{_some([image.file.name for image in suspects])} cannot be read: {suspects[0].defect}. It may "
            "belong to this "
            "series. Copy it again; if it belongs to something else, move it out of the folder."
        )
    return ""


def _described(part: Part, number: int, parts: int, defect: str) -> Series:
    first = part.frames[0]
    facts = first.facts
    series = _empty(facts)
    ordered, step, problem, notes = _arranged(part, defect)
    guess = role_of_frame(first)
    return replace(
        series,
        plane=_plane(first),
        rows=first.store.rows,
        columns=first.store.columns,
        slices=len(part.frames),
        pixel_spacing_mm=first.pixel_spacing,
        slice_thickness_mm=first.thickness,
        slice_step_mm=step,
        echo_time_ms=first.echo_time,
        repetition_time_ms=first.repetition_time,
        inversion_time_ms=first.inversion_time,
        image_type=first.image_type,
        acquired=_readable(min(frame.acquired for frame in part.frames)),
        role=guess.role,
        reason=guess.reason,
        problem=problem,
        part=number,
        parts=parts,
        files=tuple(dict.fromkeys(frame.facts.file for frame in ordered)),
        notes=(
            *notes,
            *_part_notes(facts, number, parts, len(part.frames)),
            *_value_notes(part, facts),
            *_guess_notes(guess),
        ),
        content=part,
    )


def _arranged(part: Part, defect: str) -> tuple[Sequence[Frame], float | None, str, tuple[str, ...]]:
    """The slices in order, their step, why they are no stack, and what else to know."""
    facts = part.frames[0].facts
    name = f"The series {facts.description!r}" if facts.description else "The series"
    try:
        stack: Stack = arrange(part.frames, name)
    except UnreadableFileError as error:
        return part.frames, None, defect or str(error), ()
    return stack.frames, stack.step, defect, ()


def _guess_notes(guess: Guess) -> list[str]:
    return [guess.note] if guess.note else []


def _part_notes(facts: FileFacts, number: int, parts: int, slices: int) -> list[str]:
    if not number:
        return []
    name = repr(facts.description) if facts.description else "without a description"
    return [
        f"The series {name} holds {parts} stacks (planes, echoes, image types or repeats); this is number {number}, of "
        f"{slices} slice{'s'[: slices != 1]}."
    ]


def _value_notes(part: Part, facts: FileFacts) -> list[str]:
    name = repr(facts.description) if facts.description else facts.file.parent.name
    notes = []
    if any(frame.store.lossy for frame in part.frames):
        notes.append(f"The images of {name} were compressed with loss: fine detail is not what was measured.")
    if part.frames[0].store.inverted:
        notes.append(f"The values of {name} are stored inverted (MONOCHROME1) and were turned: bright is bright.")
    return notes


def _empty(facts: FileFacts) -> Series:
    dates = dict(reversed(facts.dates))
    return Series(
        number="" if facts.series_number is None else str(facts.series_number),
        description=facts.description,
        plane="unknown",
        rows=0,
        columns=0,
        slices=0,
        pixel_spacing_mm=None,
        slice_thickness_mm=None,
        slice_step_mm=None,
        contrast_agent=facts.contrast_agent,
        echo_time_ms=None,
        repetition_time_ms=None,
        inversion_time_ms=None,
        image_type=(),
        acquired="",
        role=None,
        reason="",
        problem="",
        modality=facts.modality,
        study_uid=facts.study_uid,
        study_date=_readable(dates.get("study", dates.get("series", ""))),
        study_description=facts.study_description,
        patient=facts.patient,
        uid=facts.series_uid,
        part=0,
        parts=1,
        folder=facts.file.parent,
        files=(facts.file,),
    )


def _without_frames(facts: FileFacts, defect: str) -> Series:
    guess = role_of_frame(facts)
    return replace(_empty(facts), problem=defect, role=guess.role, reason=guess.reason)


def _plane(frame: Frame) -> Plane:
    normal = normal_of(frame)
    return "unknown" if normal is None else _PLANES[int(np.abs(normal).argmax())]


def _readable(moment: str) -> str:
    """`20240301` and `20240301102231.5` as people write them."""
    match = re.match(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?)?", moment)
    if match is None:
        return ""
    day = "-".join(match.group(1, 2, 3))
    return day if match[4] is None else f"{day} {match[4]}:{match[5]}:{match[6] or '00'}"


# Numbers ------------------------------------------------------------------------------------------------------------


def _numbered(series: Iterable[Series]) -> tuple[Series, ...]:
    """The series with the numbers that they are picked by, in order."""
    ordered = sorted(series, key=_place)
    dates: dict[str, str] = {}
    for entry in ordered:
        dates[entry.study_uid] = min(dates.get(entry.study_uid, entry.study_date), entry.study_date)
    ordered.sort(key=lambda entry: (dates[entry.study_uid], entry.study_uid, *_place(entry)))
    sharing: dict[str, list[str]] = {}
    for number, group in groupby(sorted(ordered, key=lambda entry: entry.number), key=lambda entry: entry.number):
        keys = dict.fromkeys(f"{entry.study_uid} {entry.uid}" for entry in group)
        sharing[number] = list(keys)
    return tuple(replace(entry, number=_number(entry, sharing[entry.number])) for entry in ordered)


def _place(series: Series) -> tuple[int, str, int]:
    return int(series.number or -1), series.uid, series.part


def _number(series: Series, sharing: Sequence[str]) -> str:
    place = sharing.index(f"{series.study_uid} {series.uid}")
    base = f"x{place + 1}" if not series.number else series.number + (_letters(place) if len(sharing) > 1 else "")
    return f"{base}.{series.part}" if series.part else base


def _letters(place: int) -> str:
    """The letters a to z, then aa, ab ..."""
    return (_letters(place // 26 - 1) if place >= 26 else "") + "abcdefghijklmnopqrstuvwxyz"[place % 26]


# Copies -------------------------------------------------------------------------------------------------------------


def _dropped_copies(series: Series) -> list[str]:
    """What to say of copies of slices; raises where it is another slice at the same place."""
    for first, twin in series.content.twins:
        if not same_pixels(first, twin):
            where = f" at {_at(first)} mm" if first.position is not None else ""
            msg = (
                f"{series.title} has two different slices at one position{where}: {first.name} and {twin.name}. "
                f"Nothing in their headers (echo, time, acquisition) tells them apart; {len(series.content.twins)} "
                "positions are taken twice. Export the series again, or keep one slice of each position."
            )
            raise UnreadableFileError(msg)
    names = [f"{twin.name} repeats {first.name}" for first, twin in series.content.twins]
    if not names:
        return []
    return [f"{len(names)} {'copies' if len(names) > 1 else 'copy'} of a slice left out: {_some(names)}."]


def _at(frame: Frame) -> str:
    normal = normal_of(frame)
    return "" if normal is None or frame.position is None else f"{float(np.asarray(frame.position) @ normal):.4g}"
