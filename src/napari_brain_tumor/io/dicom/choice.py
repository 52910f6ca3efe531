"""Which series are opened as which sequence: as a person picks them, or where each role has one candidate alone."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import DuplicateRoleError, RoleError
from napari_brain_tumor.io.dicom.series import Contents, Series
from napari_brain_tumor.io.sequence_words import role_named
from napari_brain_tumor.study import ROLES, Role

__all__ = ["candidates", "describe", "listing", "pick"]

_MOST_LEFT: Final = 6
"""Series that a note names of those that were not opened."""
Chosen = dict[Role, Series]

_MOST_STACKS_SHOWN: Final = 4
"""Stacks of one series that a listing shows before it only counts the rest."""


def candidates(contents: Contents, place: Path) -> tuple[Chosen, tuple[str, ...]]:
    """The series of each role, where there is one alone for each, all of one examination; and what was left out.

    Raises
    ------
    RoleError
        If no series tells its role, or the headers contradict it.
    DuplicateRoleError
        If a role has several candidates, or they are of several examinations. The message lists every series.
    """
    by_role: dict[Role, list[Series]] = {}
    for one in contents.series:
        if one.role is not None:
            by_role.setdefault(one.role, []).append(one)
    if not by_role:
        msg = f"No series in {place.name} tells which sequence it is. {_how_to_pick(contents, {})}"
        raise RoleError(msg)
    several = {role: ones for role, ones in by_role.items() if len(ones) > 1}
    examinations = {one.study_uid for ones in by_role.values() for one in ones}
    if len(examinations) > 1 or several:
        raise DuplicateRoleError(_question(contents, place, by_role, len(examinations)))
    chosen = {role: by_role[role][0] for role in ROLES if role in by_role}
    return chosen, (*_left_out(contents.series, chosen), *contents.notes)


def pick(contents: Contents, picks: Mapping[str, str | int], place: Path) -> tuple[Chosen, tuple[str, ...]]:
    """The series that a person picked, by number, description or UID, and what to know of that choice.

    Raises
    ------
    RoleError
        If a pick fits no series, or a series is picked twice; the message lists every series.
    DuplicateRoleError
        If a pick fits several, or a role is given twice.
    """
    chosen: Chosen = {}
    for text, wanted in picks.items():
        role = role_named(text)
        if role in chosen:
            msg = f"The role {role} is given twice. A study has one series of each."
            raise DuplicateRoleError(msg)
        chosen[role] = _picked(contents, str(wanted), role, place)
    taken: dict[str, Role] = {}
    for role, one in chosen.items():
        if one.key in taken:
            msg = f"{one.title} is picked as {taken[one.key]} and as {role}. Pick another one for one of them."
            raise RoleError(msg)
        taken[one.key] = role
    ordered = {role: chosen[role] for role in ROLES if role in chosen}
    return ordered, (*_left_out(contents.series, ordered), *contents.notes, *_mixed(ordered))


def _picked(contents: Contents, wanted: str, role: Role, place: Path) -> Series:
    fitting = _fitting(contents.series, wanted)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(one.number for one in fitting)
        msg = f"{wanted!r} fits {len(fitting)} series of {place.name} for {role}: pick one by its number, {names}."
        raise DuplicateRoleError(f"{msg}\n{listing(contents)}")
    msg = f"{place.name} has no series {wanted!r} for {role}. It has:\n{listing(contents)}"
    raise RoleError(msg)


def _fitting(series: Sequence[Series], wanted: str) -> list[Series]:
    """Those of that number; else those of that description, number of the scanner, or UID."""
    plain = _plain(wanted)
    exact = [one for one in series if plain in (one.number, one.key)]
    named = [one for one in series if _plain(one.description) == plain]
    if exact:
        return list({one.key: one for one in (*exact, *named)}.values())
    whole = [one for one in series if plain in (one.uid, one.number.split(".")[0].rstrip("abcdefghijklmnopqrstuvwxyz"))]
    return named or whole


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _question(contents: Contents, place: Path, by_role: Mapping[Role, Sequence[Series]], examinations: int) -> str:
    several = [f"{len(ones)} for {role}" for role, ones in by_role.items() if len(ones) > 1]
    what = f"several candidates for a role ({', '.join(several)})" if several else "series of more than one examination"
    if examinations > 1 and several:
        what += f", and series of {examinations} examinations"
    example = {role: by_role[role][0].number for role in ROLES if len(by_role.get(role, ())) == 1}
    return f"{place.name} has {what}. {_how_to_pick(contents, example)}"


def _how_to_pick(contents: Contents, sure: Mapping[Role, str]) -> str:
    example = dict(sure) or {"T1c": contents.series[0].number if contents.series else "5"}
    words = ", ".join(f'"{role}": "{number}"' for role, number in example.items())
    options = " ".join(f"--series {role}={number}" for role, number in example.items())
    more = " and so on for the others" if sure else ""
    return (
        f"Pick each by its number or description: series={{{words}}}{more} in Python, {options}{more} in the shell, or "
        f"in the Open case panel of napari.\n{listing(contents)}"
    )


def _left_out(series: Iterable[Series], chosen: Chosen) -> list[str]:
    taken = {one.key for one in chosen.values()}
    left = [one for one in series if one.key not in taken]
    told = [one for one in left if one.role is not None]
    rest = [one for one in left if one.role is None]
    notes = [f"{one.title} was not opened, though it would be taken for {one.role}." for one in told]
    if rest:
        names = ", ".join(f"{one.number} {one.description!r} ({one.reason})" for one in rest[:_MOST_LEFT])
        more = f" and {len(rest) - _MOST_LEFT} more" if len(rest) > _MOST_LEFT else ""
        notes.append(f"Series that were not opened: {names}{more}.")
    return notes


def _mixed(chosen: Chosen) -> list[str]:
    """What to say of series that were not scanned together."""
    notes = []
    patients = {one.patient for one in chosen.values()}
    if len(patients) > 1:
        notes.append("The series that were picked are of different patients, by their headers.")
    elif len({one.study_uid for one in chosen.values()}) > 1:
        notes.append("The series that were picked are of different examinations: look whether they fit.")
    return notes


# Listing ------------------------------------------------------------------------------------------------------------


def listing(contents: Contents) -> str:
    """One line for each series; of a series with many stacks the first few."""
    shown = []
    counts: dict[str, int] = {}
    for one in contents.series:
        counts[one.uid] = counts.get(one.uid, 0) + 1
        if counts[one.uid] <= _MOST_STACKS_SHOWN:
            shown.append(f"  {describe(one)}")
        elif counts[one.uid] == _MOST_STACKS_SHOWN + 1:
            shown.append(f"  ... and {one.parts - _MOST_STACKS_SHOWN} more stacks of it, up to number {_last(one)}")
    return "\n".join(shown)


def _last(one: Series) -> str:
    return f"{one.number.rsplit('.', 1)[0]}.{one.parts}"


def describe(one: Series) -> str:
    """A series in one line: number, description, what it is, when it was scanned, and its role."""
    parts = [
        f"{one.number}: {one.description or '(no description)'}",
        one.plane if one.modality in ("MR", "") else f"{one.modality}, {one.plane}",
        size_words(one),
        slice_words(one),
        f"contrast agent {one.contrast_agent}" if one.contrast_agent else "",
        time_words(one),
        "\\".join(one.image_type),
        one.acquired or one.study_date,
        f"taken for {one.role}" if one.role is not None else f"role not known: {one.reason}",
        f"cannot be opened: {one.problem}" if one.problem else "",
    ]
    return " · ".join(part for part in parts if part)


def size_words(one: Series) -> str:
    """Columns, rows and the size of a pixel."""
    if not one.rows:
        return ""
    size = f"{one.columns}x{one.rows}"
    spacing = one.pixel_spacing_mm
    return size if spacing is None else f"{size} of {spacing[1]:.3g}x{spacing[0]:.3g} mm"


def slice_words(one: Series) -> str:
    """How many slices, how thick, and how far apart."""
    words = f"{one.slices} slice{'s'[: one.slices != 1]}"
    thick = "" if one.slice_thickness_mm is None else f" of {one.slice_thickness_mm:.3g} mm"
    step = "" if one.slice_step_mm is None or one.slices < 2 else f", one every {one.slice_step_mm:.3g} mm"
    return words + thick + step


def time_words(one: Series) -> str:
    """Repetition, echo and inversion time."""
    times = {"TR": one.repetition_time_ms, "TE": one.echo_time_ms, "TI": one.inversion_time_ms}
    told = [f"{name} {value:.4g}" for name, value in times.items() if value is not None]
    return f"{' '.join(told)} ms" if told else ""
