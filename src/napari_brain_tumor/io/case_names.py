"""Derive the name of a case, and of its patient, from the path as typed by the user.

A file called `flair.nii.gz` names its sequence but not the patient. The name is then taken from its folder or, if that
is called something like `anat` or `2019-03-01`, from the folder above. Symbolic links are never followed: a result is
named after the path as typed.
"""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from napari_brain_tumor.io.sequence_words import roles_in
from napari_brain_tumor.io.volume import short_name

_PLACES: Final = frozenset(
    {"anat", "nifti", "niftis", "nii", "dicom", "dicoms", "dcm", "mri", "mr", "mrt", "images", "image", "img", "imgs"}
    | {"scan", "scans", "raw", "rawdata", "data", "brain", "head", "series", "volume", "volumes", "vol", "input"}
    | {"sequence", "sequences", "im", "file"}
)
"""Generic words in file and folder names, which do not identify a patient."""
_VISIT: Final = re.compile(
    r"(?:(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d|ses(?:sion)?[-_ ]?\w+|(?:visit|tp|timepoint)[-_ ]?\d+|baseline|intraop"
    r"|recurrence|t0|(?:week|wk|day|month)[-_ ]?\d+(?:[-_]\d+)?"
    r"|(?:fu|follow[-_ ]?up)[-_ ]?\d*|(?:pre|post)[-_ ]?(?:op|surgery|treatment|rt)?)",
    re.IGNORECASE,
)
"""Folder names that stand for an examination of a patient."""
_ENTITY: Final = re.compile(r"(?<![A-Za-z0-9])(sub|ses)-([A-Za-z0-9]+)")
_HIGHEST: Final = 4
"""Maximum number of folder levels to go up."""


def case_name(path: Path) -> str:
    """Return the name for the results of a case: the file's own short name, or `folder_name` for a folder.

    Parameters
    ----------
    path : Path
        A file or folder. `.` and relative paths refer to the current folder; symbolic links are not followed.
    """
    return folder_name(path) if path.is_dir() else short_name(_typed(path))


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return a distinct name for each of several cases: `case_name`, prefixed by a folder name where needed.

    Two cases get the same name only if their paths are identical. Names that differ only in upper and lower case count
    as equal, because some file systems do not distinguish them.

    Examples
    --------
    >>> distinct_names([Path("P1/flair.nii.gz"), Path("P2/flair.nii.gz"), Path("P3/t1.nii.gz")])
    ['P1_flair', 'P2_flair', 't1']
    """
    own = [case_name(path) for path in paths]
    names = list(own)
    for members in _of_one_name(names, paths):
        for i, prefix in zip(members, _prefixes([_typed(paths[i]) for i in members]), strict=True):
            names[i] = f"{prefix}_{own[i]}"
    # A prefixed name may coincide with the plain name of another case; all folders are then used as a prefix.
    for members in _of_one_name(names, paths):
        for i in members:
            names[i] = "_".join((*map(_plain, _typed(paths[i]).parts[1:-1]), own[i]))
    return names


def _of_one_name(names: Sequence[str], paths: Sequence[Path]) -> list[list[int]]:
    """Return the indices of names that are shared by different paths."""
    by_name: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        by_name[name.lower()].append(i)
    return [members for members in by_name.values() if len({_typed(paths[i]) for i in members}) > 1]


def study_name(files: Sequence[Path], place: Path) -> str:
    """Return the name of a study, from its file name if that identifies the case, otherwise from the folder.

    Parameters
    ----------
    files : sequence of Path
        Files the sequences are read from, at least one.
    place : Path
        The file or folder that was opened.
    """
    if len(files) == 1 and files[0].is_file():
        name = short_name(files[0])
        if not _names_nobody(name):
            return bids_name(name) or name
    return folder_name(place if place.is_dir() else files[0].parent)


def folder_name(folder: Path) -> str:
    """Return the case name for a folder, preceded by the patient's if the folder is called `anat` or after a visit.

    Examples
    --------
    >>> folder_name(Path("sub-01/ses-2/anat")), folder_name(Path("P7/2019-03-01")), folder_name(Path("P7/FLAIR"))
    ('sub-01_ses-2', 'P7_ses-20190301', 'P7')
    """
    place = _typed(folder)
    parts = [place, *place.parents][:_HIGHEST]
    visits: list[str] = []
    for part in parts:
        if bids := bids_name("_".join(p.name for p in reversed(parts[: parts.index(part) + 1]))):
            return bids
        if not part.name:
            break
        if _VISIT.fullmatch(part.name):
            visits.insert(0, part.name)
        elif not _names_nobody(part.name):
            return "_".join((part.name, *_as_sessions(visits, part.name)))
    return place.name or "study"


def bids_name(text: str) -> str:
    """Return subject and session from a name or path with BIDS entities; empty if it contains no subject.

    Examples
    --------
    >>> bids_name("sub-01_ses-pre_ce-gd_T1w"), bids_name("patient_T1w")
    ('sub-01_ses-pre', '')
    """
    entities = dict(_ENTITY.findall(text))
    if "sub" not in entities:
        return ""
    return "_".join(f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities)


def _as_sessions(visits: Sequence[str], patient: str) -> list[str]:
    """Mark visits as BIDS sessions if the parent folder contains a digit; otherwise it may name a collection."""
    plain = [re.sub(r"[-_. ]", "", re.sub(r"^ses(?:sion)?[-_ ]?", "", visit, flags=re.IGNORECASE)) for visit in visits]
    return [f"ses-{visit}" if re.search(r"\d", patient) else visit for visit in plain]


def _names_nobody(name: str) -> bool:
    rest = [word for word in re.split(r"[-_. ]+", name) if word and word.lower() not in _PLACES]
    if not rest:
        return True
    words = roles_in(" ".join(rest))
    # One or two letters that name no sequence (C, KM, SE) are initials or serve to number patients.
    initials = words.role is None and len(rest) == 1 and len(rest[0]) <= 2 and rest[0].isalpha()
    return words.only_words and not initials


def _prefixes(paths: Sequence[Path]) -> list[str]:
    """Return, for each path, the parent folder name at the first level where all differ, or else all parent names."""
    for level in range(1, max(len(path.parts) for path in paths)):
        here = [path.parts[-level - 1] if level < len(path.parts) else "" for path in paths]
        if len({name.lower() for name in here}) == len(set(paths)):
            return [_plain(name) for name in here]
    return ["_".join(map(_plain, path.parts[:-1])) for path in paths]


def _plain(part: str) -> str:
    return re.sub(r"[\\/:]+", "", part)


def _typed(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))
