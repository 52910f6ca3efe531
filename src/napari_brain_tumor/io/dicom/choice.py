"""Choose the series to open as each sequence: as picked by the user, or the only candidate for each role."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import DuplicateRoleError, RoleError
from napari_brain_tumor.io.dicom.contents import Contents
from napari_brain_tumor.io.dicom.series import Series
from napari_brain_tumor.io.sequence_words import role_named
from napari_brain_tumor.study import ROLES, Role

_MOST_LEFT: Final = 6
"""Maximum number of unopened series listed in a note."""
Chosen = dict[Role, Series]

_MOST_STACKS_SHOWN: Final = 4
"""Maximum number of stacks shown per series in a listing; the rest are only counted."""


def candidates(contents: Contents, place: Path) -> tuple[Chosen, tuple[str, ...]]:
    """Return the series of each role if each has one candidate, all of one examination, and what was left out.

    Raises
    ------
    RoleError
        If no series indicates its role, or the headers contradict it.
    DuplicateRoleError
        If a role has several candidates, or they belong to several examinations. The message lists every series.
    """
    by_role: dict[Role, list[Series]] = {}
    for series in contents.series:
        if series.role is not None:
            by_role.setdefault(series.role, []).append(series)
    if not by_role:
        raise RoleError(f"No series in {place.name} says which sequence it is. {_how_to_pick(contents, {})}")
    several = {role: ones for role, ones in by_role.items() if len(ones) > 1}
    examinations = {series.study_uid for ones in by_role.values() for series in ones}
    if len(examinations) > 1 or several:
        raise DuplicateRoleError(_question(contents, place, by_role, len(examinations)))
    opened = {role: by_role[role][0] for role in ROLES if role in by_role}
    return opened, (*_left_out(contents.series, opened), *contents.notes)


def pick(contents: Contents, picks: Mapping[str, str | int], place: Path) -> tuple[Chosen, tuple[str, ...]]:
    """Return the series picked by number, description or UID, and notes on the choice.

    Raises
    ------
    RoleError
        If a pick matches no series, or a series is picked twice; the message lists every series.
    DuplicateRoleError
        If a pick matches several series, or a role is given twice.
    """
    picked: Chosen = {}
    for text, selector in picks.items():
        role = role_named(text)
        if role in picked:
            raise DuplicateRoleError(f"The role {role} is given twice. A study has one series of each.")
        picked[role] = _picked(contents, str(selector), role, place)
    role_of_key: dict[str, Role] = {}
    for role, series in picked.items():
        if series.key in role_of_key:
            raise RoleError(
                f"{series.title} is picked as {role_of_key[series.key]} and as {role}. Pick another one for one of "
                "them."
            )
        role_of_key[series.key] = role
    ordered = {role: picked[role] for role in ROLES if role in picked}
    return ordered, (*_left_out(contents.series, ordered), *contents.notes, *_mixed(ordered))


def _picked(contents: Contents, selector: str, role: Role, place: Path) -> Series:
    fitting = _fitting(contents.series, selector)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(candidate.number for candidate in fitting)
        msg = f"{selector!r} fits {len(fitting)} series of {place.name} for {role}: pick one by its number, {names}."
        raise DuplicateRoleError(f"{msg}\n{listing(contents)}")
    raise RoleError(f"{place.name} has no series {selector!r} for {role}. It has:\n{listing(contents)}")


def _fitting(series: Sequence[Series], selector: str) -> list[Series]:
    """Return the series with that number, or else with that description, scanner's number or UID."""
    plain = _plain(selector)
    exact = [entry for entry in series if plain in (entry.number, entry.key)]
    by_description = [entry for entry in series if _plain(entry.description) == plain]
    if exact:
        return list({entry.key: entry for entry in (*exact, *by_description)}.values())
    whole = [
        entry
        for entry in series
        if plain in (entry.uid, entry.number.split(".")[0].rstrip("abcdefghijklmnopqrstuvwxyz"))
    ]
    return by_description or whole


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
        f"in napari under Open… > Files that need details…\n{listing(contents)}"
    )


def _left_out(series: Iterable[Series], opened: Chosen) -> list[str]:
    opened_keys = {entry.key for entry in opened.values()}
    left = [entry for entry in series if entry.key not in opened_keys]
    with_role = [entry for entry in left if entry.role is not None]
    rest = [entry for entry in left if entry.role is None]
    notes = [f"{entry.title} was not opened, though it would be taken for {entry.role}." for entry in with_role]
    if rest:
        names = ", ".join(f"{entry.number} {entry.description!r} ({entry.reason})" for entry in rest[:_MOST_LEFT])
        more = f" and {len(rest) - _MOST_LEFT} more" if len(rest) > _MOST_LEFT else ""
        notes.append(f"Series that were not opened: {names}{more}.")
    return notes


def _mixed(opened: Chosen) -> list[str]:
    """Return notes on series that were not scanned together."""
    notes = []
    patients = {entry.patient for entry in opened.values()}
    if len(patients) > 1:
        notes.append("The series that were picked are of different patients, by their headers.")
    elif len({entry.study_uid for entry in opened.values()}) > 1:
        notes.append("The series that were picked are of different examinations: check that they fit.")
    return notes


# Listing ------------------------------------------------------------------------------------------------------------


def listing(contents: Contents) -> str:
    """Return one line for each series; for a series with many stacks, only the first few are shown."""
    lines = []
    counts: dict[str, int] = {}
    for series in contents.series:
        counts[series.uid] = counts.get(series.uid, 0) + 1
        if counts[series.uid] <= _MOST_STACKS_SHOWN:
            lines.append(f"  {describe(series)}")
        elif counts[series.uid] == _MOST_STACKS_SHOWN + 1:
            lines.append(
                f"  ... and {series.parts - _MOST_STACKS_SHOWN} more stacks of it, up to number {_last(series)}"
            )
    return "\n".join(lines)


def _last(series: Series) -> str:
    return f"{series.number.rsplit('.', 1)[0]}.{series.parts}"


def describe(series: Series) -> str:
    """Describe a series in one line: number, description, type, time of acquisition, and role."""
    parts = [
        f"{series.number}: {series.description or '(no description)'}",
        series.plane if series.modality in ("MR", "") else f"{series.modality}, {series.plane}",
        size_words(series),
        slice_words(series),
        f"contrast agent {series.contrast_agent}" if series.contrast_agent else "",
        time_words(series),
        "\\".join(series.image_type),
        series.acquired or series.study_date,
        f"taken for {series.role}" if series.role is not None else f"role not known: {series.reason}",
        f"cannot be opened: {series.problem}" if series.problem else "",
    ]
    return " · ".join(part for part in parts if part)


def size_words(series: Series) -> str:
    """Format columns, rows and pixel size."""
    if not series.rows:
        return ""
    size = f"{series.columns}x{series.rows}"
    spacing = series.pixel_spacing_mm
    return size if spacing is None else f"{size} of {spacing[1]:.3g}x{spacing[0]:.3g} mm"


def slice_words(series: Series) -> str:
    """Format the number of slices, their thickness and spacing."""
    words = f"{series.slices} slice{'s'[: series.slices != 1]}"
    thick = "" if series.slice_thickness_mm is None else f" of {series.slice_thickness_mm:.3g} mm"
    step = "" if series.slice_step_mm is None or series.slices < 2 else f", one every {series.slice_step_mm:.3g} mm"
    return words + thick + step


def time_words(series: Series) -> str:
    """Format repetition, echo and inversion time."""
    times = {"TR": series.repetition_time_ms, "TE": series.echo_time_ms, "TI": series.inversion_time_ms}
    known_times = [f"{name} {value:.4g}" for name, value in times.items() if value is not None]
    return f"{' '.join(known_times)} ms" if known_times else ""
