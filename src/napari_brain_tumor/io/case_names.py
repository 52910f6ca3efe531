"""What a case is called, and whom it shows, told by the path that the user typed.

A file called `flair.nii.gz` tells what it shows but not of whom; then its folder does, and where that is called `anat`
or `2019-03-01`, the one above. Links are never followed: a result is named after what was typed.
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
"""Words of files and folders that everybody has, so that they name nobody."""
_VISIT: Final = re.compile(
    r"(?:(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d|ses(?:sion)?[-_ ]?\w+|(?:visit|tp|timepoint)[-_ ]?\d+|baseline|intraop"
    r"|recurrence|t0|(?:week|wk|day|month)[-_ ]?\d+(?:[-_]\d+)?"
    r"|(?:fu|follow[-_ ]?up)[-_ ]?\d*|(?:pre|post)[-_ ]?(?:op|surgery|treatment|rt)?)",
    re.IGNORECASE,
)
"""Names of examinations of one patient."""
_ENTITY: Final = re.compile(r"(?<![A-Za-z0-9])(sub|ses)-([A-Za-z0-9]+)")
_HIGHEST: Final = 4
"""So many folders are climbed at most."""


def case_name(path: Path) -> str:
    """The name for results of a case, by its path as it was typed: of a file its own, of a folder `folder_name`.

    Parameters
    ----------
    path : Path
        Of a file or folder; `.` and relative paths are taken from the current folder, links are not followed.
    """
    return folder_name(path) if path.is_dir() else short_name(_typed(path))


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """A name for each of several cases: `case_name`, with the folder that tells those of one name apart before it.

    Two cases have one name only where they are the same path. Upper and lower case do not tell names apart, since they
    do not on every system.

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
    # What has a folder in front now may be called as another case is by itself: then all folders tell them apart.
    for members in _of_one_name(names, paths):
        for i in members:
            names[i] = "_".join((*map(_plain, _typed(paths[i]).parts[1:-1]), own[i]))
    return names


def _of_one_name(names: Sequence[str], paths: Sequence[Path]) -> list[list[int]]:
    """Places of the names that different paths share."""
    by_name: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        by_name[name.lower()].append(i)
    return [members for members in by_name.values() if len({_typed(paths[i]) for i in members}) > 1]


def study_name(files: Sequence[Path], place: Path) -> str:
    """Whom the sequences of an examination show: the name of the file where it tells, else of the folder.

    Parameters
    ----------
    files : sequence of Path
        That the sequences are read from, at least one.
    place : Path
        What was opened: a file or a folder.
    """
    if len(files) == 1 and files[0].is_file():
        name = short_name(files[0])
        if not _names_nobody(name):
            return bids_name(name) or name
    return folder_name(place if place.is_dir() else files[0].parent)


def folder_name(folder: Path) -> str:
    """The name that a folder gives to the case in it, with the patient's where its own is `anat` or a visit's.

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
    """Subject and session of a name or path with entities of BIDS; empty where it has no subject.

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
    """Marked as visits of one patient where the folder above has a number, else it may be that of a collection."""
    plain = [re.sub(r"[-_. ]", "", re.sub(r"^ses(?:sion)?[-_ ]?", "", visit, flags=re.IGNORECASE)) for visit in visits]
    return [f"ses-{visit}" if re.search(r"\d", patient) else visit for visit in plain]


def _names_nobody(name: str) -> bool:
    rest = [word for word in re.split(r"[-_. ]+", name) if word and word.lower() not in _PLACES]
    if not rest:
        return True
    words = roles_in(" ".join(rest))
    # One or two letters that name no sequence (C, KM, SE) are initials, or count patients.
    initials = words.role is None and len(rest) == 1 and len(rest[0]) <= 2 and rest[0].isalpha()
    return words.only_words and not initials


def _prefixes(paths: Sequence[Path]) -> list[str]:
    """For each path the name of the folder above that differs; where no level differs for all, all names down to it."""
    for level in range(1, max(len(path.parts) for path in paths)):
        here = [path.parts[-level - 1] if level < len(path.parts) else "" for path in paths]
        if len({name.lower() for name in here}) == len(set(paths)):
            return [_plain(name) for name in here]
    return ["_".join(map(_plain, path.parts[:-1])) for path in paths]


def _plain(part: str) -> str:
    return re.sub(r"[\\/:]+", "", part)


def _typed(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))
