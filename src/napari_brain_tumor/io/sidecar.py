"""JSON file beside a saved segmentation: its provenance and the meaning of its integers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_brain_tumor import __version__
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.atomic import Part, write_together
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.io.meaning import Meaning, texts_of
from napari_brain_tumor.io.sidecar_paths import PathStyle, with_paths
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.label_schemas import schema_named
from napari_brain_tumor.study import Segmentation

PROGRAM: Final = "napari-brain-tumor"
FORMAT: Final = 2
"""Version of the document. Version 1 had no version entry, no hashes of labels and none of a folder's single files."""
NOTICE: Final = (
    "For research only. Not for clinical use: not a medical device, not to be used for diagnosis or treatment."
)


def write_sidecar(segmentation: Segmentation, path: Path, schema: str = "MSD", *, paths: PathStyle = "auto") -> Path:
    """Write provenance, schema and the meaning of every integer beside a saved segmentation.

    Parameters
    ----------
    segmentation : Segmentation
        The segmentation whose `provenance` is written.
    path : Path
        The saved file or folder: `seg.nii.gz` gets `seg.json`. If there is a `seg.json` that is not ours, or belongs to
        another existing file, it is left alone and the sidecar is named `seg.napari-brain-tumor.json`.
    schema : str
        The schema in which the file was written.
    paths : {"auto", "relative", "absolute", "names"}
        How files of scans and models are referred to; see `sidecar_paths`.

    Returns
    -------
    Path
        Path of the sidecar.

    Raises
    ------
    SaveError
        If it cannot be written, or the provenance contains something that JSON cannot represent.
    """
    part = sidecar_part(segmentation, Meaning.of(segmentation, schema_named(schema)), path, paths=paths)
    write_together([part])
    return part.path


def sidecar_part(
    segmentation: Segmentation,
    meaning: Meaning,
    path: Path,
    *,
    paths: PathStyle = "auto",
    more: Mapping[str, Any] | None = None,
) -> Part:
    """Return the sidecar as a part, to be written together with its file or folder; entries in `more` come first.

    Raises
    ------
    SaveError
        If the provenance contains something that JSON cannot represent.
    """
    target = next(place for place in _candidates(path) if _is_free(place, path))
    document = {
        **(more or {}),
        "program": PROGRAM,
        "format": FORMAT,
        "version": __version__,
        "notice": NOTICE,
        "file": path.name,
        **meaning.document,
        "provenance": with_paths(segmentation.provenance, target.parent, paths),
    }
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        msg = f"{path.name} was not saved: its provenance holds something that JSON cannot express ({error})."
        raise SaveError(msg) from error
    # File names may contain bytes that cannot be decoded; in JSON they are written as escape sequences.
    content = text.encode("utf-8", errors="backslashreplace")
    return Part(target, lambda temporary: _write(temporary, content), _check_json)


def read_sidecar(path: Path) -> Mapping[str, Any]:
    """Return the contents of the package's sidecar of a file or folder; empty if there is none, or it is not ours.

    It describes the file as saved. Compare its `labels_sha256` to check whether the file has changed since.
    """
    document_path = sidecar_path(path)
    return {} if document_path is None else _content(document_path)


def sidecar_path(path: Path) -> Path | None:
    """Return the path of the package's own sidecar of a file or folder; None if there is none."""
    for candidate in _candidates(path):
        content = _content(candidate)
        if _is_ours(content) and content.get("file") == path.name:
            return candidate
    return None


def notes_in(sidecar: Mapping[str, Any]) -> tuple[str, ...]:
    """Return notes on assumptions made for the result; older versions kept them among the provenance notes."""
    provenance = sidecar.get("provenance")
    older = provenance.get("notes") if isinstance(provenance, Mapping) else ()
    return texts_of(sidecar.get("notes", older))


def _candidates(path: Path) -> tuple[Path, ...]:
    stem = short_name(path)
    names = (f"{stem}.json", f"{stem}.{PROGRAM}.json", f"{path.name}.{PROGRAM}.json")
    return tuple(path.with_name(name) for name in dict.fromkeys(names))


def _is_free(place: Path, path: Path) -> bool:
    """Whether the file's sidecar may be written there, replacing its earlier one or that of a file that is gone."""
    if not place.exists() or place == _candidates(path)[-1]:
        return True
    content = _content(place)
    other = content.get("file")
    return _is_ours(content) and (other == path.name or not _is_there(place, other))


def _is_there(place: Path, name: Any) -> bool:
    try:
        return isinstance(name, str) and place.with_name(name).exists()
    except (OSError, ValueError):
        return False


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_ours(content: Mapping[str, Any]) -> bool:
    return content.get("program") == PROGRAM


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__}")


def _check_json(path: Path) -> None:
    if not _is_ours(_content(path)):
        raise SaveError("what was written does not read back")
