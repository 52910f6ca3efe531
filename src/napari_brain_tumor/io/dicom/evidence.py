"""Determine the sequence of a series from its description and from tags that support or contradict it."""

from dataclasses import dataclass
from typing import Final

from napari_brain_tumor.io.dicom.frames import FileFacts, Frame
from napari_brain_tumor.io.sequence_words import RoleWords, role_in_name, role_of_description
from napari_brain_tumor.study import Role

_NOT_PLAIN: Final = {
    "LOCALIZER": "a scout",
    "SCOUT": "a scout",
    "MOSAIC": "slices side by side in one picture",
    "MIP": "a projection",
    "MINIP": "a projection",
    "MIN_IP": "a projection",
    "MAX_IP": "a projection",
    "PROJECTION IMAGE": "a projection",
    "ADC": "a map",
    "FA": "a map",
    "TRACEW": "a map",
    "DIFFUSION": "a diffusion image",
    "PERFUSION": "a perfusion image",
    "SUB": "a subtraction",
    "SUBTRACT": "a subtraction",
    "SUBTRACTION": "a subtraction",
    "PHASE MAP": "a phase image",
    "PHASE": "a phase image",
    "P": "a phase image",
    "PCA": "a phase image",
    "REAL": "a part of a complex image",
    "IMAGINARY": "a part of a complex image",
}
"""Values of the image type of images that are not sequences in themselves."""
BY_FOLDER: Final = "by its folder"
"""Reason given for a role derived from the folder name alone; its note is the last of a series."""
_MAP: Final = "MAP"
_MR: Final = ("MR", "", "OT")


@dataclass(frozen=True, slots=True)
class Guess:
    """The role assumed for a series, the reason, and a note for the user when the series is used."""

    role: Role | None
    reason: str
    note: str = ""


def role_of_frame(frame: Frame | FileFacts) -> Guess:
    """Return the role that the header of a slice indicates, or None with the reason."""
    facts = frame.facts if isinstance(frame, Frame) else frame
    if facts.modality not in _MR:
        return Guess(None, f"is of modality {facts.modality}")
    if isinstance(frame, Frame) and (what := _special_type(frame)):
        return Guess(None, f"is {what}, by its image type")
    by_header = _role_by_header(frame, facts)
    if by_header.role is not None:
        return Guess(by_header.role, "by its description", _what_else_decided(by_header.role, facts))
    if by_header.doubt:
        return Guess(None, by_header.doubt)
    folder = facts.file.parent.name
    if (role := role_in_name(folder)) is not None:
        return Guess(role, BY_FOLDER, f"{facts.description!r} is taken as {role} because of its folder, {folder}.")
    return Guess(None, "its description names no sequence" if facts.description else "has no description")


def _role_by_header(frame: Frame | FileFacts, facts: FileFacts) -> RoleWords:
    if not isinstance(frame, Frame):
        return role_of_description(facts.description, facts.contrast_agent or None)
    return role_of_description(
        facts.description,
        facts.contrast_agent or None,
        te_ms=frame.echo_time,
        tr_ms=frame.repetition_time,
        ti_ms=frame.inversion_time,
    )


def _special_type(frame: Frame) -> str:
    for value in frame.image_type:
        if value in _NOT_PLAIN:
            return _NOT_PLAIN[value]
        if value.split()[-1:] == [_MAP] or value.split("_")[-1:] == [_MAP]:
            return "a map"
    return ""


def _what_else_decided(role: Role, facts: FileFacts) -> str:
    """Return a note if the description alone would not have led to that role."""
    if role_in_name(facts.description) == role:
        return ""
    if role == "T1c":
        return f"{facts.description!r} is taken as T1c: its header names a contrast agent ({facts.contrast_agent})."
    return f"{facts.description!r} is taken as {role} because of the times in its header."
