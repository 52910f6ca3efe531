"""Roles given by the caller: a file or a volume number for each role, or a list of roles in volume order."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import DuplicateRoleError, RoleError
from napari_brain_tumor.io.reading import AnyPath, existing
from napari_brain_tumor.io.study_folder import role_named
from napari_brain_tumor.study import Role

Roles = Mapping[str, AnyPath | int] | Sequence[str | None] | None

HOW_TO_NAME_FILES: Final = 'roles={"T1c": "file.nii.gz", "FLAIR": "other.nii.gz"}'
HOW_TO_ORDER: Final = 'roles=("FLAIR", "T1", "T1c", "T2"), with None for a volume to leave out'


def files_by_role(roles: Roles, place: Path) -> dict[Role, Path] | None:
    """Return a mapping of role to file if the caller named files; None for numbers, an order or nothing."""
    if not isinstance(roles, Mapping) or not roles or any(isinstance(v, int) for v in roles.values()):
        return None
    folder = place if place.is_dir() else place.parent
    files: dict[Role, Path] = {}
    for text, value in roles.items():
        role = role_named(text)
        if role in files:
            msg = f"The role {role} is given twice: {files[role].name} and {value}. A study has one of each."
            raise DuplicateRoleError(msg)
        if not isinstance(value, str | PathLike):
            msg = f"roles names {value!r} for {role}; expected a file or, for a file with several volumes, a number."
            raise RoleError(msg)
        files[role] = existing(folder / Path(value).expanduser())
    return files


def ordered_roles(
    roles: Mapping[str, AnyPath | int] | Sequence[str | None], count: int, what: str
) -> tuple[Role | None, ...]:
    """Return the role of each of `count` volumes, from a list in order or a mapping of role to number."""
    ordered = _from_numbers(roles, count, what) if isinstance(roles, Mapping) else _from_order(roles, count, what)
    present = [role for role in ordered if role is not None]
    if not present:
        raise RoleError(f"No role is given for any volume of {what}. Give the order: {HOW_TO_ORDER}.")
    if len(set(present)) != len(present):
        raise DuplicateRoleError(f"{what}: a role is given twice in {', '.join(present)}. A study has one of each.")
    return ordered


def _from_order(roles: Sequence[str | None], count: int, what: str) -> tuple[Role | None, ...]:
    texts = [roles] if isinstance(roles, str) else list(roles)
    if len(texts) != count:
        raise RoleError(
            f"{what} holds {count} volumes, but {len(texts)} roles are given. Give one for each, None to leave it out."
        )
    return tuple(None if text is None else role_named(text) for text in texts)


def _from_numbers(roles: Mapping[str, AnyPath | int], count: int, what: str) -> tuple[Role | None, ...]:
    ordered: list[Role | None] = [None] * count
    for text, number in roles.items():
        if not isinstance(number, int) or not 0 <= number < count:
            raise RoleError(f"{what} holds volumes 0 to {count - 1}; roles names {number!r} for {text}.")
        if ordered[number] is not None:
            raise DuplicateRoleError(f"{what}: volume {number} is given to {ordered[number]} and to {text}.")
        ordered[number] = role_named(text)
    return tuple(ordered)
