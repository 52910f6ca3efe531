"""Description of the inputs of a comparison or consensus."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor.io.source_files import labels_files_sha256
from napari_brain_tumor.labels import labels_sha256
from napari_brain_tumor.study import Segmentation

_KEPT: Final = ("path", "schema", "task", "method", "model", "edited_by_hand")


def describe_inputs(segmentations: Mapping[str, Segmentation]) -> dict[str, dict[str, Any]]:
    """Return by name the hash of the labels and, as far as provenance states them, file with hash, schema and model."""
    return {name: _described(segmentation) for name, segmentation in segmentations.items()}


def _described(segmentation: Segmentation) -> dict[str, Any]:
    entry = {key: segmentation.provenance[key] for key in _KEPT if key in segmentation.provenance}
    place = Path(entry["path"]) if "path" in entry else None
    if place is not None and place.exists():
        entry["sha256"] = labels_files_sha256(place)
    return {**entry, "labels_sha256": labels_sha256(segmentation.data)}
