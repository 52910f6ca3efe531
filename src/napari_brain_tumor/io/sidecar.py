"""The JSON beside a saved segmentation: how it was made and what its integers mean."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_brain_tumor import __version__
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.labels import labels_sha256, schema_named
from napari_brain_tumor.study import Segmentation

__all__ = ["NOTICE", "notes_in", "read_sidecar", "sidecar_text", "write_sidecar"]

PROGRAM: Final = "napari-brain-tumor"
FORMAT: Final = 2
"""Of the document. 1, which did not say so, had no hashes of labels and none of the single files of a folder."""
NOTICE: Final = (
    "For research only. Not for clinical use: not a medical device, not to be used for diagnosis or treatment."
)


def write_sidecar(segmentation: Segmentation, path: Path, schema: str = "MSD") -> Path:
    """Write provenance, schema and the meaning of every integer beside a saved segmentation.

    Parameters
    ----------
    segmentation : Segmentation
        Whose `provenance` is written.
    path : Path
        The saved file or folder: `seg.nii.gz` gets `seg.json`. Somebody else's `seg.json` is left alone, then
        the sidecar is `seg.napari-brain-tumor.json`.
    schema : str
        The schema in which the file was written.

    Returns
    -------
    Path
        The sidecar.

    Raises
    ------
    SaveError
        If it cannot be written, or the provenance holds something that JSON cannot express.
    """
    text = sidecar_text(segmentation, path, schema)
    plain, own = _candidates(path)
    target = plain if not plain.exists() or _is_ours(_content(plain)) else own
    write_atomically(target, lambda temporary: temporary.write_text(text, encoding="utf-8"), _check_json)
    return target


def sidecar_text(segmentation: Segmentation, path: Path, schema: str = "MSD") -> str:
    """What `write_sidecar` would write; raises `SaveError` if JSON cannot express the provenance."""
    document = _document(segmentation, path, schema)
    try:
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        msg = f"{path.name} was not saved: its provenance holds something that JSON cannot express ({error})."
        raise SaveError(msg) from error


def read_sidecar(path: Path) -> Mapping[str, Any]:
    """Contents of our own sidecar of a file or folder; empty where there is none, or it is not ours."""
    for candidate in _candidates(path):
        content = _content(candidate)
        if _is_ours(content) and content.get("file") == path.name:
            return content
    return {}


def notes_in(sidecar: Mapping[str, Any]) -> tuple[str, ...]:
    """What was guessed when the result was made; older versions told it among the notes of provenance."""
    provenance = sidecar.get("provenance")
    older = provenance.get("notes") if isinstance(provenance, Mapping) else ()
    notes = sidecar.get("notes", older)
    return tuple(note for note in notes if isinstance(note, str)) if isinstance(notes, list) else ()


def _candidates(path: Path) -> tuple[Path, Path]:
    stem = short_name(path)
    return path.with_name(f"{stem}.json"), path.with_name(f"{stem}.{PROGRAM}.json")


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_ours(content: Mapping[str, Any]) -> bool:
    return content.get("program") == PROGRAM


def _document(segmentation: Segmentation, path: Path, schema: str) -> dict[str, Any]:
    chosen = schema_named(schema)
    meanings = {chosen.from_class[c]: n for c, n in segmentation.class_names.items() if c in chosen.from_class}
    return {
        "program": PROGRAM,
        "format": FORMAT,
        "version": __version__,
        "notice": NOTICE,
        "file": path.name,
        "schema": chosen.name,
        "values": {str(value): meaning for value, meaning in sorted(meanings.items())},
        "known_regions": list(chosen.known_regions if len(chosen.known_regions) == 1 else segmentation.known_regions),
        "labels_sha256": labels_sha256(chosen.encode(segmentation.data)),
        "notes": list(segmentation.notes),
        "provenance": dict(segmentation.provenance),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"a {type(value).__name__}"
    raise TypeError(msg)


def _check_json(path: Path) -> None:
    if not _is_ours(_content(path)):
        msg = "what was written does not read back"
        raise SaveError(msg)
