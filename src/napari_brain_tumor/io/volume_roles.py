"""Assign roles to the volumes or channels of one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_brain_tumor.errors import DuplicateRoleError, RoleError
from napari_brain_tumor.io import tiff
from napari_brain_tumor.io.case_names import study_name
from napari_brain_tumor.io.given_roles import HOW_TO_ORDER, Roles, ordered_roles
from napari_brain_tumor.io.reading import AnyPath
from napari_brain_tumor.io.sequences import Sequences, named_sequences
from napari_brain_tumor.io.study_folder import dataset_json, dataset_roles, role_in_name
from napari_brain_tumor.io.volume import Volume
from napari_brain_tumor.study import Role


def the_one_role(roles: Mapping[str, AnyPath | int] | Sequence[str | None], path: Path) -> Role | None:
    """Return the role of a file with a single volume."""
    return next(role for role in ordered_roles(roles, 1, path.name))


def sequences_of_volumes(volumes: Sequence[Volume], roles: Roles, path: Path) -> Sequences:
    """Return the volumes of a 4-D file by the given roles, or else by the `dataset.json` beside it."""
    volume_roles = dataset_roles(dataset_json(path)) if roles is None else ordered_roles(roles, len(volumes), path.name)
    if volume_roles is None:
        raise RoleError(
            f"{path.name} holds {len(volumes)} volumes and no dataset.json gives their order. Give it: {HOW_TO_ORDER}."
        )
    if len(volume_roles) != len(volumes):
        raise RoleError(
            f"{path.name} holds {len(volumes)} volumes, its dataset.json names {len(volume_roles)}. "
            f"Give the order: {HOW_TO_ORDER}."
        )
    by_role = {role: volume for role, volume in zip(volume_roles, volumes, strict=True) if role is not None}
    if len(by_role) != sum(role is not None for role in volume_roles):
        msg = f"{path.name}: a role is given to two volumes in {volume_roles}. A study has one of each."
        raise DuplicateRoleError(msg)
    left = (
        f"Volume {i} of {path.name} was not opened: no role is given for it."
        for i, r in enumerate(volume_roles)
        if r is None
    )
    return named_sequences(by_role, study_name([path], path), tuple(left))


def sequences_of_channels(channels: Sequence[Volume], roles: Roles, name: str, case: str) -> Sequences:
    """Return the channels of a TIFF by the given roles, or else as in the Kaggle LGG set or by its name."""
    notes: tuple[str, ...] = ()
    if roles is not None:
        channel_roles = ordered_roles(roles, len(channels), name)
    elif len(channels) == 3:
        channel_roles = tiff.LGG_CHANNELS
        notes = ("Red, green and blue are taken as T1, FLAIR and T1c, as in the Kaggle LGG set.",)
    else:
        channel_roles = (role_in_name(name),) if len(channels) == 1 else ()
    by_role = {role: channel for role, channel in zip(channel_roles, channels, strict=False) if role is not None}
    if not by_role:
        raise RoleError(
            f"{name} is a TIFF with {len(channels)} channel{'s'[: len(channels) != 1]} and does not say which "
            "sequence it is. "
            'State it: roles=("FLAIR",) for one channel, roles=("T1", "FLAIR", "T1c") for three.'
        )
    distinct, dropped = _without_repeats(by_role)
    return named_sequences(distinct, case, (*notes, *dropped))


def _without_repeats(volumes: Mapping[Role, Volume]) -> tuple[dict[Role, Volume], tuple[str, ...]]:
    """Leave out channels that are blank or repeat FLAIR, which stand in for a sequence that was not acquired."""
    flair = volumes.get("FLAIR")
    distinct: dict[Role, Volume] = {}
    notes = []
    for role, volume in volumes.items():
        if flair is not None and volume is not flair and tiff.repeats(volume.array, flair.array):
            notes.append(f"The channel of {role} only repeats FLAIR: {role} counts as absent.")
        elif len(volumes) > 1 and volume.array.min() == volume.array.max():
            notes.append(f"The channel of {role} is blank: {role} counts as absent.")
        else:
            distinct[role] = volume
    return (distinct, tuple(notes)) if distinct else (dict(volumes), ())
