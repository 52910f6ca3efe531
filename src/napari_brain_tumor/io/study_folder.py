"""Identify sequences by file name: BraTS of all years, and the sequence words used in real archives."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor.errors import DuplicateRoleError
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.io.sequence_words import role_in_name, role_named, roles_in
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.study import ROLES, Role

__all__ = ["role_in_name", "role_named"]


@dataclass(frozen=True, slots=True)
class FoundSequences:
    """What file names indicate: the sequences by role, the segmentations, and files that are neither."""

    sequences: dict[Role, Path]
    segmentations: tuple[Path, ...]
    unrecognised: tuple[Path, ...]


def find_sequences(files: Iterable[Path]) -> FoundSequences:
    """Return the roles of image files by their names, or by their folder's name if the file name has none.

    Parameters
    ----------
    files : iterable of Path
        Image files of one case; none is opened.

    Raises
    ------
    DuplicateRoleError
        If two files claim the same role; the message names both.
    """
    claims: dict[Role, list[Path]] = {}
    segmentations, unrecognised = [], []
    everything = sorted(files)
    beside: dict[Path, list[Path]] = {}  # grouped by folder: comparing all pairs of thousands of slices would be slow
    for path in everything:
        beside.setdefault(path.parent, []).append(path)
    for path in everything:
        role = role_of_file(path, beside[path.parent])
        if names_segmentation(path):
            segmentations.append(path)
        elif role is None:
            unrecognised.append(path)
        else:
            claims.setdefault(role, []).append(path)
    for role, paths in claims.items():
        if len(paths) > 1:
            raise DuplicateRoleError(_duplicate_message(role, paths))
    sequences = {role: claims[role][0] for role in ROLES if role in claims}
    return FoundSequences(sequences, tuple(segmentations), tuple(unrecognised))


def names_segmentation(path: Path) -> bool:
    """Whether a file name indicates labels: seg, mask, label, roi, truth, gold standard, `XX.O.OT` ..."""
    name = short_name(path).lower()
    tokens = set(re.findall(r"[a-z]+", name))
    joined = re.search(r"(seg|segm|segmentation|mask|masks|label|labels)$", name)
    return bool(tokens & _LABEL_WORDS or joined or re.search(r"\bxx\.o\.ot\b", name))


def role_of_file(path: Path, siblings: Iterable[Path]) -> Role | None:
    """Return a file's role from its nnU-Net channel, its name, or its folder's name if that contains no other scan.

    If the name leaves its sequence open (see `roles_in`), the folder's name does not override it.
    """
    name = short_name(path)
    channel = _nnunet_channel(path, name)
    if channel is not None:
        return channel
    words = roles_in(name)
    if words.role is not None or words.doubt:
        return words.role
    scans = [p for p in siblings if p.parent == path.parent and not names_segmentation(p)]
    return role_in_name(path.parent.name) if scans == [path] else None


def why_unrecognised(path: Path) -> str:
    """Return the note for a file for which no role was found."""
    doubt = roles_in(short_name(path)).doubt
    return f"{path.name} was not opened: {doubt or 'its name names no known sequence'}."


def _nnunet_channel(path: Path, name: str) -> Role | None:
    """Return the role of `<case>_0000` according to the channels in its data set's `dataset.json`."""
    match = _CHANNEL.search(name)
    roles = dataset_roles(dataset_json(path)) if match is not None else None
    number = int(match[1]) if match is not None else 0
    return roles[number] if roles is not None and number < len(roles) else None


def dataset_json(path: Path) -> Mapping[str, Any] | None:
    """Return the `dataset.json` beside a file or in the folder above, or None."""
    for folder in (path.parent, path.parent.parent):
        candidate = folder / "dataset.json"
        if not candidate.is_file():
            continue
        try:
            content = read_json(candidate)
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            return content
    return None


def dataset_roles(dataset: Mapping[str, Any] | None) -> tuple[Role | None, ...] | None:
    """Return the roles of a 4-D file's volumes, from `modality` (Decathlon) or `channel_names` (nnU-Net), or None."""
    entry = (dataset or {}).get("modality") or (dataset or {}).get("channel_names")
    if not isinstance(entry, Mapping):
        return None
    try:
        ordered = [entry[key] for key in sorted(entry, key=int)]
    except ValueError:
        return None
    roles = tuple(role_in_name(str(text)) for text in ordered)
    return roles if any(roles) else None


def dataset_labels(dataset: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return the `labels` entry of a `dataset.json` as a mapping of integer (as text) to meaning.

    nnU-Net writes it the other way round, with a list of integers for a region; if an integer appears in several
    entries, their texts are joined, one per line.
    """
    entry = (dataset or {}).get("labels")
    if not isinstance(entry, Mapping):
        return None
    texts_by_number: dict[str, list[str]] = {}
    for key, value in entry.items():
        for number, text in _numbered(str(key), value):
            texts_by_number.setdefault(str(number), []).append(text)
    return {number: "\n".join(dict.fromkeys(texts)) for number, texts in texts_by_number.items()} or None


def _numbered(key: str, value: object) -> list[tuple[int, str]]:
    """Return the integers of one entry with its text, whichever of the two is the key."""
    number = _whole_number(key)
    if number is not None and isinstance(value, str) and not value.strip().isdecimal():
        return [(number, value)]
    numbers = value if isinstance(value, list) else [value]
    return [(listed, key) for one in numbers if (listed := _whole_number(one)) is not None]


def _whole_number(value: object) -> int | None:
    """Return the integer from 0 to 255 that a value is or spells, else None; labels have no other values."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\s*\d{1,3}\s*", value, re.ASCII) and int(value) <= 255 else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return int(value) if 0 <= value <= 255 and float(value).is_integer() else None


_MOST_LISTED: Final = 8
_CHANNEL: Final = re.compile(r"_(\d{4})$")
"""nnU-Net's file name ending for a single channel."""
_LABEL_WORDS: Final = frozenset(
    {"seg", "segm", "segs", "segmentation", "segmentations", "mask", "masks", "label", "labels", "roi", "rois"}
    | {"truth", "groundtruth", "gt", "gold", "annotation", "annotations", "tumormask", "tumorseg"}
    | {"dseg", "glistrboost", "gtv"}
)


def _duplicate_message(role: Role, paths: Sequence[Path]) -> str:
    listed = [str(Path(p.parent.name) / p.name) for p in paths[:_MOST_LISTED]]
    names = f"{', '.join(listed[:-1])} and {listed[-1]}"
    more = f" and {len(paths) - len(listed)} more" if len(paths) > len(listed) else ""
    count = "Two" if len(paths) == 2 else str(len(paths))
    return (
        f"{count} files claim to be {role}: {names}{more}. A study has one of each: if this folder holds several "
        f'examinations open one of them, otherwise say which file is meant, for example roles={{"{role}": '
        f'"{paths[0].name}"}}.'
    )
