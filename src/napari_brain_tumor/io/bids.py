"""Find the examinations in a BIDS data set, subject or session.

The scans used here lie in `sub-<label>[/ses-<label>]/anat`. Derivatives, source data and modalities other than `anat`
are ignored.
"""

import re
from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import DuplicateRoleError, UnreadableFileError
from napari_brain_tumor.io.case_names import folder_name
from napari_brain_tumor.io.volume import short_name

_SUBJECT: Final = re.compile(r"sub-[A-Za-z0-9]+")
_SESSION: Final = re.compile(r"ses-[A-Za-z0-9]+")
_ENTITY: Final = re.compile(r"(?:^|_)([A-Za-z]+)-([A-Za-z0-9]+)(?=_|$)")
_MOST_LISTED: Final = 8
_TABLES: Final = (".json", ".tsv", ".bval", ".bvec", ".txt", ".md")


def entities_of(path: Path) -> dict[str, str]:
    """Return the BIDS entities in a file name such as `sub-01_ce-gd_T1w.nii.gz`, in order, or those of its folders.

    If the name contains no subject (for example a folder of DICOM slices below `sub-01/ses-2`), subject and session are
    taken from the parent folders.
    """
    entities = dict(_ENTITY.findall(short_name(path)))
    if "sub" in entities:
        return entities
    above = [part for part in path.parts if _SUBJECT.fullmatch(part) or _SESSION.fullmatch(part)]
    return dict(_ENTITY.findall("_".join(above)))


def data_set_root(scan: Path) -> Path | None:
    """Return the root of the BIDS data set that contains a scan, i.e. the parent of `sub-*`; None if there is none."""
    return next((folder.parent for folder in scan.absolute().parents if _SUBJECT.fullmatch(folder.name)), None)


def is_bids(folder: Path) -> bool:
    """Whether a folder is a BIDS data set, subject or session folder with `anat` below it."""
    return bool(_inner(folder))


def examinations(folder: Path) -> tuple[Path, ...]:
    """Return the `anat` folders of every subject and session in a BIDS folder, in order; empty for other folders.

    Parameters
    ----------
    folder : Path
        Folder of a data set, a subject or a session.
    """
    return tuple(
        anat for inner in _inner(folder) for anat in ([inner] if inner.name == "anat" else examinations(inner))
    )


def anatomy_of(folder: Path) -> Path:
    """Return the folder with the scans: the only `anat` in a BIDS folder, otherwise the folder itself.

    Raises
    ------
    DuplicateRoleError
        If there are several examinations; the message lists them.
    UnreadableFileError
        If there is none.
    """
    if not is_bids(folder):
        return folder
    folders = examinations(folder)
    if len(folders) == 1:
        return folders[0]
    if not folders:
        msg = f"{folder.name} is a folder of BIDS without anatomical scans: no anat folder of it holds a file."
        raise UnreadableFileError(msg)
    names = ", ".join(folder_name(anat) for anat in folders[:_MOST_LISTED])
    more = f" and {len(folders) - _MOST_LISTED} more" if len(folders) > _MOST_LISTED else ""
    where = folders[0].relative_to(folder).parent.as_posix()
    msg = f"{folder.name} holds {len(folders)} examinations: {names}{more}. Open one of them, such as {where}."
    raise DuplicateRoleError(msg)


def _inner(folder: Path) -> list[Path]:
    """Return the folders one level down: sessions of a subject, subjects of a data set, or `anat`."""
    anat = folder / "anat"
    is_subject = _SUBJECT.fullmatch(folder.name) is not None
    if is_subject or _SESSION.fullmatch(folder.name):
        sessions = _matching(folder, _SESSION) if is_subject else []
        return [*([anat] if _holds_scans(anat) else []), *sessions]
    # A folder of subjects that also contains scans itself is a custom layout, not BIDS.
    return [] if _holds_scans(folder) else _with_anatomy(_matching(folder, _SUBJECT))


def _with_anatomy(subjects: list[Path]) -> list[Path]:
    """Return the subjects if their folders follow BIDS; other data sets, too, name cases `sub-01`."""
    is_like_bids = any((s / "anat").is_dir() or _matching(s, _SESSION) for s in subjects)
    return subjects if is_like_bids else []


def _matching(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if pattern.fullmatch(p.name) and p.is_dir())
    except OSError:
        return []


def _holds_scans(folder: Path) -> bool:
    try:
        files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    except OSError:
        return False
    return any(not p.name.lower().endswith(_TABLES) and short_name(p) != p.name for p in files)
