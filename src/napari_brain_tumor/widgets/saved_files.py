"""Which labels layers were saved, and where: what makes a layer a file that code can open."""

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
    """Note that a labels layer, as it is now, was saved there."""
    _saved[layer] = _Saved(LabelFile(Path(path), schema), labels_sha256(layer.data))


def saved_file(layer: Layer) -> LabelFile | None:
    """The file that holds what a labels layer shows; None where it was painted on since, or never saved."""
    saved = _saved.get(layer)
    return saved.file if saved is not None and saved.sha256 == labels_sha256(layer.data) else None
