"""The probabilities behind a result, kept in memory with its layer, without Qt.

They are stored under the hash of the labels that were derived from them: when undo restores older labels together with
their tag, the older probabilities are found again. They are neither saved nor journalled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from napari.layers import Labels, Layer

from napari_brain_tumor.labels import Region, labels_sha256
from napari_brain_tumor.measure.doubt import DoubtfulPlace, doubtful_places
from napari_brain_tumor.measure.volumes import REGION_NAMES
from napari_brain_tumor.plugin import to_layers
from napari_brain_tumor.plugin.layers import KEY, LayerData, SegmentationTag
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.study import Segmentation

MAPS: Final = ("probabilities", "uncertainty")
"""Maps that can be shown in addition to the labels."""

_KEPT: Final = "napari-brain-tumor probabilities"
_MOST: Final = 3
"""Number of results of one layer whose probabilities are kept for undo."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredMaps:
    """Data kept for a result.

    Parameters
    ----------
    places : tuple of DoubtfulPlace
        Doubtful places, the largest first.
    """

    maps: RegionProbabilities
    places: tuple[DoubtfulPlace, ...]

    @classmethod
    def of(cls, maps: RegionProbabilities) -> "StoredMaps":
        """Return the probabilities together with their doubtful places."""
        by_region = {region: values.T for region, values in zip(maps.regions, maps.values, strict=True)}
        return cls(maps, tuple(doubtful_places(by_region, maps.thresholds, maps.grid)))


def result_layer(segmentation: Segmentation, maps: RegionProbabilities | None) -> LayerData:
    """Return the layer of a result, including its probabilities if there are any."""
    data, attributes, kind = to_layers.segmentation_to_layer(segmentation)
    model = segmentation.provenance.get("model")
    if isinstance(model, Mapping) and model.get("name"):
        attributes["name"] = f"{segmentation.name} {model['name']}"  # distinguishes several results of a case
    if maps is not None:
        attributes["metadata"] |= {_KEPT: {_name_of(attributes["metadata"]): StoredMaps.of(maps)}}
    return data, attributes, kind


def stored_maps_of(layer: Layer | None) -> StoredMaps | None:
    """Return the data kept for the current labels of a layer; None if there are none."""
    if not isinstance(layer, Labels):
        return None
    stored: StoredMaps | None = layer.metadata.get(_KEPT, {}).get(_name_of(layer.metadata))
    return stored


def keep(layer: Layer, attributes: Mapping[str, Any]) -> None:
    """Store the data of a result in the layer that took the result in."""
    new = attributes["metadata"].get(_KEPT, {})
    old = {name: stored for name, stored in layer.metadata.get(_KEPT, {}).items() if name not in new}
    newest = dict([*old.items(), *new.items()][-_MOST:])
    layer.metadata = {**layer.metadata, _KEPT: newest}


def relabel(tag: SegmentationTag, stored: StoredMaps, thresholds: Mapping[Region, float]) -> LayerData:
    """Return the layer of labels for other thresholds, without running the network again.

    Raises
    ------
    ProbabilityError
        If a threshold is not between 0 and 1, or its region is not one of the model's.
    """
    maps = stored.maps.with_thresholds(thresholds)
    data = maps.labels()
    settings = {
        **tag.provenance.get("settings", {}),
        "thresholds": dict(maps.thresholds),
        "min_sure_enhancing": maps.rules.min_sure_enhancing,
        "min_sure_tumor": maps.rules.min_sure_tumor,
    }
    provenance = {**tag.provenance, "settings": settings, "labels_sha256": labels_sha256(data)}
    segmentation = Segmentation(
        data, tag.grid, tag.case, tag.class_names, tag.known_regions, tag.layout, provenance, tag.notes
    )
    return result_layer(segmentation, maps)


def map_layers(name: str, stored: StoredMaps, what: str) -> list[LayerData]:
    """Return image layers of a result's probabilities, one per region, or of its uncertainty.

    Parameters
    ----------
    name : str
        Name of the result's layer.
    what : str
        One of `MAPS`.
    """
    grid = stored.maps.scan_grid
    if what == "uncertainty":
        return [to_layers.map_to_layer(f"{name} uncertainty", stored.maps.uncertainty(), grid, "inferno", of=what)]
    return [
        to_layers.map_to_layer(
            f"{name} probability of {REGION_NAMES[region]}",
            stored.maps[region].astype("float32"),
            grid,
            "viridis",
            of=what,
        )
        for region in stored.maps.regions
    ]


def _name_of(metadata: Mapping[str, Any]) -> str:
    tag = metadata.get(KEY)
    return str(tag.provenance.get("labels_sha256", "")) if isinstance(tag, SegmentationTag) else ""
