"""How the record of a result names the files that it was made from: paths tell more than one may want to hand on."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Final, Literal

from napari_brain_tumor.io.dicom import hidden_key

PathStyle = Literal["auto", "relative", "absolute", "names"]

PATH_STYLES: Final[tuple[PathStyle, ...]] = ("auto", "relative", "absolute", "names")
"""`auto` is relative to the record for what lies near it, up to two folders above and down from there, else absolute.

`names` leaves out the folders. Wherever a record names a scan, its SHA-256 proves what is found there.
"""

_NEAR: Final = 2
"""Steps up from the record's folder to the one that holds both."""
_PATH_KEYS: Final = ("path", "folder")


def with_paths(provenance: Mapping[str, Any], folder: Path, style: PathStyle) -> dict[str, Any]:
    """Provenance with its paths as they are written into a record that lies in `folder`.

    UIDs of DICOM series, by which an archive finds the patient, are replaced by their hashes, but for `"absolute"`.
    """
    rewritten = {key: _rewritten(value, folder, style) for key, value in provenance.items()}
    # A path of its own is where labels were opened, perhaps to be saved again.
    return rewritten | ({"path": _path_in_style(provenance["path"], folder, style)} if "path" in provenance else {})


def _rewritten(value: Any, folder: Path, style: PathStyle) -> Any:
    if isinstance(value, list | tuple):
        return [_rewritten(entry, folder, style) for entry in value]
    if not isinstance(value, Mapping):
        return value
    rewritten = {key: _rewritten(entry, folder, style) for key, entry in value.items()}
    rewritten |= {key: _path_in_style(value[key], folder, style) for key in _PATH_KEYS if key in value}
    if isinstance(value.get("series"), str) and style != "absolute":
        rewritten["series"] = hidden_key(value["series"])
    return rewritten


def _path_in_style(path: Any, folder: Path, style: PathStyle) -> Any:
    if not isinstance(path, str | PurePath) or not str(path):
        return path
    place = Path(path)
    if style == "names":
        return place.name
    absolute = Path(os.path.abspath(place))
    if style == "absolute":
        return str(absolute)
    # Of real folders: a step up from a linked one leads elsewhere.
    real = os.path.join(os.path.realpath(absolute.parent), absolute.name)
    try:
        relative = Path(os.path.relpath(real, os.path.realpath(folder)))
    except ValueError:  # another drive of Windows
        return str(absolute)
    near = relative.parts.count("..") <= _NEAR
    return str(PurePosixPath(*relative.parts)) if near or style == "relative" else str(absolute)
