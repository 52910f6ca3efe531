"""Keep track of which labels layers were saved, and where, so that generated code can open the files."""

from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from napari.layers import Layer

from napari_brain_tumor.labels import labels_sha256
from napari_brain_tumor.requests.actions import LabelFile


@dataclass(frozen=True, slots=True)
class _Saved:
    file: LabelFile
    sha256: str


_saved: "WeakKeyDictionary[Layer, _Saved]" = WeakKeyDictionary()


def remember_saved(layer: Layer, path: str | Path, schema: str) -> None:
    """Record that a labels layer, in its current state, was saved to a file."""
    _saved[layer] = _Saved(LabelFile(Path(path), schema), labels_sha256(layer.data))


def saved_file(layer: Layer) -> LabelFile | None:
    """Return the file that holds the current labels of a layer; None if they were edited since, or never saved."""
    saved = _saved.get(layer)
    return saved.file if saved is not None and saved.sha256 == labels_sha256(layer.data) else None
