"""Which sequence a series is, by its description, and by tags that support or contradict it."""

from dataclasses import dataclass
from typing import Final

from napari_brain_tumor.io.dicom.frames import FileFacts, Frame
from napari_brain_tumor.io.sequence_words import role_in_name, roles_in
from napari_brain_tumor.study import Role

__all__ = ["Guess", "role_of_frame"]

_NOT_PLAIN: Final = {
    "LOCALIZER": "a scout",
    "SCOUT": "a scout",
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
"""Values of the image type of which no sequence is taken by itself."""
_MAP: Final = "MAP"
_MR: Final = ("MR", "", "OT")
_FLUID_IS_NULLED_MS: Final = (1400.0, 3200.0)
"""Inversion times of FLAIR at 0.5 to 7 tesla."""
_T2_ECHO_MS: Final = 60.0
_AGENT_NEGATED: Final = ("NO", "NONE", "N", "N/A", "NA", "0", "WITHOUT", "NATIVE", "UNENHANCED", "OHNE", "NIL")


@dataclass(frozen=True, slots=True)
class Guess:
    """What a series is taken for, why, and what is to be told of it when it is used."""

    role: Role | None
    reason: str
    note: str = ""


def role_of_frame(frame: Frame | FileFacts) -> Guess:
    """The role that the header of a slice tells, or None with the reason."""
    facts = frame.facts if isinstance(frame, Frame) else frame
    if facts.modality not in _MR:
        return Guess(None, f"is of modality {facts.modality}")
    if isinstance(frame, Frame) and (what := _special_type(frame)):
        return Guess(None, f"is {what}, by its image type")
    words = roles_in(facts.description)
    named = words.role or (None if words.doubt else role_in_name(facts.file.parent.name))
    if isinstance(frame, Frame) and _nulls_fluid(frame):
        return _with_nulled_fluid(named, frame)
    if named == "T1" and _has_agent(facts) and not _denies_agent(facts.description):
        note = f"{facts.description!r} is taken as T1c: its header names a contrast agent ({facts.contrast_agent})."
        return Guess("T1c", "its description says T1, its header names a contrast agent", note)
    if named is not None:
        if words.role is None:
            folder = facts.file.parent.name
            return Guess(named, "by its folder", f"{facts.description!r} is taken as {named} by its folder, {folder}.")
        return Guess(named, "by its description", _agent_note(named, facts))
    unknown = words.doubt or "its description tells no sequence"
    return Guess(None, unknown if facts.description else "has no description")


def _special_type(frame: Frame) -> str:
    for value in frame.image_type:
        if value in _NOT_PLAIN:
            return _NOT_PLAIN[value]
        if value.split()[-1:] == [_MAP] or value.split("_")[-1:] == [_MAP]:
            return "a map"
    return ""


def _nulls_fluid(frame: Frame) -> bool:
    low, high = _FLUID_IS_NULLED_MS
    inversion, echo = frame.inversion_time, frame.echo_time
    return inversion is not None and echo is not None and low <= inversion <= high and echo >= _T2_ECHO_MS


def _with_nulled_fluid(named: Role | None, frame: Frame) -> Guess:
    """A long echo after the inversion time of fluid: what is called T2 or TIRM is a FLAIR, if anything."""
    times = f"TI {frame.inversion_time:.0f}, TE {frame.echo_time:.0f} ms"
    if named == "FLAIR":
        return Guess("FLAIR", "by its description")
    if named is None:
        return Guess(None, f"its times ({times}) are those of FLAIR, its description does not say so")
    return Guess(None, f"its description says {named}, its times ({times}) are those of FLAIR")


def _has_agent(facts: FileFacts) -> bool:
    words = facts.contrast_agent.upper().split()
    return bool(words) and words[0] not in _AGENT_NEGATED


def _denies_agent(description: str) -> bool:
    """Whether the description itself says that no agent was there: it is T1, and `T1 + GD` is T1c."""
    return role_in_name(f"{description} post gd") != "T1c"


def _agent_note(named: Role, facts: FileFacts) -> str:
    if named == "T1c" and not _has_agent(facts) and facts.contrast_agent:
        return f"{facts.description!r} is taken as T1c; its header says of an agent: {facts.contrast_agent}."
    return ""
