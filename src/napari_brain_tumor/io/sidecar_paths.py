"""How the record of a result refers to its input files, since full paths may disclose more than intended."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Final, Literal

from napari_brain_tumor.io.dicom import hidden_key

PathStyle = Literal["auto", "relative", "absolute", "names"]

PATH_STYLES: Final[tuple[PathStyle, ...]] = ("auto", "relative", "absolute", "names")
"""`auto` uses relative paths for nearby files (at most two folders up from the record), otherwise absolute paths.

`names` leaves out the folders. Whenever a record names a scan, its SHA-256 identifies the file found there.
"""

_NEAR: Final = 2
"""Maximum number of levels from the record's folder up to a common parent folder."""
_PATH_KEYS: Final = ("path", "folder")


def with_paths(provenance: Mapping[str, Any], folder: Path, style: PathStyle) -> dict[str, Any]:
    """Return provenance with its paths rewritten for a record that is stored in `folder`.

    UIDs of DICOM series, by which an archive could identify the patient, are replaced by their hashes, except with
    `"absolute"`.
    """
    rewritten = {key: _rewritten(value, folder, style) for key, value in provenance.items()}
    # The entry `path` is where labels were opened, perhaps to be saved again.
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
    # Symbolic links are resolved, because `..` from a linked folder leads elsewhere.
    real = os.path.join(os.path.realpath(absolute.parent), absolute.name)
    try:
        relative = Path(os.path.relpath(real, os.path.realpath(folder)))
    except ValueError:  # different drive on Windows
        return str(absolute)
    near = relative.parts.count("..") <= _NEAR
    return str(PurePosixPath(*relative.parts)) if near or style == "relative" else str(absolute)
