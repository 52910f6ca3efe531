"""The JSON beside a saved segmentation: how it was made and what its integers mean."""

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
"""Of the document. 1, which did not say so, had no hashes of labels and none of the single files of a folder."""
NOTICE: Final = (
    "For research only. Not for clinical use: not a medical device, not to be used for diagnosis or treatment."
)


def write_sidecar(segmentation: Segmentation, path: Path, schema: str = "MSD", *, paths: PathStyle = "auto") -> Path:
    """Write provenance, schema and the meaning of every integer beside a saved segmentation.

    Parameters
    ----------
    segmentation : Segmentation
        Whose `provenance` is written.
    path : Path
        The saved file or folder: `seg.nii.gz` gets `seg.json`. A `seg.json` of somebody else, or of another file that
        is there, is left alone; then the sidecar is `seg.napari-brain-tumor.json`.
    schema : str
        The schema in which the file was written.
    paths : {"auto", "relative", "absolute", "names"}
        How the files of scans and models are named; see `sidecar_paths`.

    Returns
    -------
    Path
        The sidecar.

    Raises
    ------
    SaveError
        If it cannot be written, or the provenance holds something that JSON cannot express.
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
    """The sidecar of a file or folder, to be written together with it; `more` are entries that come first in it.

    Raises
    ------
    SaveError
        If the provenance holds something that JSON cannot express.
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
    # Names of files may hold bytes that are no text in the system's encoding; JSON has an escape for each of them.
    content = text.encode("utf-8", errors="backslashreplace")
    return Part(target, lambda temporary: _write(temporary, content), _check_json)


def read_sidecar(path: Path) -> Mapping[str, Any]:
    """Contents of our own sidecar of a file or folder; empty where there is none, or it is not ours.

    It tells what was saved once. Whether that is what the file holds now its `labels_sha256` tells.
    """
    document_path = sidecar_path(path)
    return {} if document_path is None else _content(document_path)


def sidecar_path(path: Path) -> Path | None:
    """Where our own sidecar of a file or folder is; None where there is none."""
    for candidate in _candidates(path):
        content = _content(candidate)
        if _is_ours(content) and content.get("file") == path.name:
            return candidate
    return None


def notes_in(sidecar: Mapping[str, Any]) -> tuple[str, ...]:
    """What was guessed when the result was made; older versions told it among the notes of provenance."""
    provenance = sidecar.get("provenance")
    older = provenance.get("notes") if isinstance(provenance, Mapping) else ()
    return texts_of(sidecar.get("notes", older))


def _candidates(path: Path) -> tuple[Path, ...]:
    stem = short_name(path)
    names = (f"{stem}.json", f"{stem}.{PROGRAM}.json", f"{path.name}.{PROGRAM}.json")
    return tuple(path.with_name(name) for name in dict.fromkeys(names))


def _is_free(place: Path, path: Path) -> bool:
    """Whether a sidecar of the file may be written there: over its earlier one, or that of a file that is gone."""
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
