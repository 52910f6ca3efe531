"""Describe a series from its headers, including notes on assumptions and defects."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

import numpy as np

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.io.dicom.evidence import Guess, role_of_frame
from napari_brain_tumor.io.dicom.frames import FileFacts, Frame
from napari_brain_tumor.io.dicom.grouping import Part
from napari_brain_tumor.io.dicom.headers import Header, NoImage
from napari_brain_tumor.io.dicom.pixels import same_pixels
from napari_brain_tumor.io.dicom.series import Plane, Series
from napari_brain_tumor.io.dicom.stack import Stack, arrange, normal_of

PLANES: Final[tuple[Plane, ...]] = ("sagittal", "coronal", "axial")


def defect_of(headers: Sequence[Header], suspects: Sequence[NoImage]) -> str:
    known = [(header.facts.file.name, header.facts.defect) for header in headers if header.facts.defect]
    if known:
        more = f" (and so for {len(known) - 1} more files)" if len(known) > 1 else ""
        return f"{known[0][0]} cannot be read: {known[0][1]}{more}. Copy it again, or export the series again."
    if suspects:
        return (
            f"{first_few([image.file.name for image in suspects])} cannot be read: {suspects[0].defect}. It may "
            "belong to this "
            "series. Copy it again; if it belongs to something else, move it out of the folder."
        )
    return ""


def described(part: Part, number: int, parts: int, defect: str) -> Series:
    first = part.frames[0]
    facts = first.facts
    series = empty_series(facts)
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
        acquired=readable_text(min(frame.acquired for frame in part.frames)),
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
    """Return the ordered slices, their spacing, the reason why they form no stack (if any), and further notes."""
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
        notes.append(f"The images of {name} were compressed with loss: fine detail may differ from what was measured.")
    if part.frames[0].store.inverted:
        notes.append(
            f"The values of {name} are stored inverted (MONOCHROME1) and were inverted back, so that bright is bright."
        )
    return notes


def empty_series(facts: FileFacts) -> Series:
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
        study_date=readable_text(dates.get("study", dates.get("series", ""))),
        study_description=facts.study_description,
        patient=facts.patient,
        uid=facts.series_uid,
        part=0,
        parts=1,
        folder=facts.file.parent,
        files=(facts.file,),
    )


def without_frames(facts: FileFacts, defect: str) -> Series:
    guess = role_of_frame(facts)
    return replace(empty_series(facts), problem=defect, role=guess.role, reason=guess.reason)


def _plane(frame: Frame) -> Plane:
    normal = normal_of(frame)
    return "unknown" if normal is None else PLANES[int(np.abs(normal).argmax())]


def readable_text(moment: str) -> str:
    """Format `20240301` and `20240301102231.5` for display."""
    match = re.match(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?)?", moment)
    if match is None:
        return ""
    day = "-".join(match.group(1, 2, 3))
    return day if match[4] is None else f"{day} {match[4]}:{match[5]}:{match[6] or '00'}"


def numbered(series: Iterable[Series]) -> tuple[Series, ...]:
    """Return the series in order, with the numbers by which they can be picked."""
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
    base = f"x{place + 1}" if not series.number else series.number + (letters_of(place) if len(sharing) > 1 else "")
    return f"{base}.{series.part}" if series.part else base


def letters_of(place: int) -> str:
    """Return the letters a to z, then aa, ab ..."""
    return (letters_of(place // 26 - 1) if place >= 26 else "") + "abcdefghijklmnopqrstuvwxyz"[place % 26]


def without_copies(series: Series) -> list[str]:
    """Return notes on duplicate slices; raises if a different slice lies at the same position."""
    for first, twin in series.content.twins:
        if not same_pixels(first, twin):
            where = f" at {_at(first)} mm" if first.position is not None else ""
            raise UnreadableFileError(
                f"{series.title} has two different slices at one position{where}: {first.name} and {twin.name}. "
                f"Nothing in their headers (echo, time, acquisition) tells them apart; {len(series.content.twins)} "
                "positions are taken twice. Export the series again, or keep one slice of each position."
            )
    names = [f"{twin.name} repeats {first.name}" for first, twin in series.content.twins]
    if not names:
        return []
    return [f"{len(names)} {'copies' if len(names) > 1 else 'copy'} of a slice left out: {first_few(names)}."]


def _at(frame: Frame) -> str:
    normal = normal_of(frame)
    return "" if normal is None or frame.position is None else f"{float(np.asarray(frame.position) @ normal):.4g}"


def first_few(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
