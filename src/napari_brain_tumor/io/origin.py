"""Origin of labels according to their record: made by a model, by a person, or by both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_brain_tumor import __version__
from napari_brain_tumor.io.sidecar import read_sidecar
from napari_brain_tumor.labels import labels_sha256
from napari_brain_tumor.study import Segmentation

Maker = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]
"""DICOM terms for labels made by an algorithm, by an algorithm and a person, or by a person."""

_EDITED = ("edited_by_hand", "refined", "refinement", "record_disagrees")


@dataclass(frozen=True, slots=True)
class Record:
    """The provenance of labels, and the folder to which its relative paths refer."""

    provenance: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True, slots=True)
class Origin:
    """Who or what made the labels.

    Parameters
    ----------
    maker : {"AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"}
        `"SEMIAUTOMATIC"` if nothing is recorded, since neither of the others can be claimed.
    name : str
        Name of the model or method.
    version : str
        Version of this program, or of the one named in the record.
    settings : mapping of str to str
        What identifies the algorithm beyond its name: the hash of its weights, and its settings.
    """

    maker: Maker
    name: str
    version: str
    settings: Mapping[str, str] = field(default_factory=dict)


def record_of(segmentation: Segmentation) -> Record:
    """Return the provenance of labels: their own, or that in the JSON beside their file."""
    provenance = segmentation.provenance
    path = provenance.get("path")
    if not path or "inputs" in provenance:
        return Record(provenance, Path())
    beside = read_sidecar(Path(path)).get("provenance")
    return Record({**(beside if isinstance(beside, Mapping) else {}), **provenance}, Path(path).parent)


def origin_of(segmentation: Segmentation) -> Origin:
    """Return who made the labels; labels that differ from the record have been edited since."""
    provenance = record_of(segmentation).provenance
    version = _version(provenance)
    if provenance.get("method") == "painted by hand":
        return Origin("MANUAL", "painted by hand", version)
    edited = any(provenance.get(key) for key in _EDITED) or _differs(segmentation, provenance)
    model = provenance.get("model")
    if isinstance(model, Mapping) and model.get("name"):
        return Origin(
            "SEMIAUTOMATIC" if edited else "AUTOMATIC", str(model["name"]), version, _settings(provenance, model)
        )
    if provenance.get("task") == "consensus":
        return Origin("SEMIAUTOMATIC", str(provenance.get("method", "consensus")), version)
    if provenance.get("task") == "refine":
        return Origin("SEMIAUTOMATIC", "correction by prompts", version)
    return Origin("SEMIAUTOMATIC", "not recorded", "not recorded")


def _differs(segmentation: Segmentation, provenance: Mapping[str, Any]) -> bool:
    recorded = provenance.get("labels_sha256")
    # Labels of the whole tumour alone were merged when they were written, which does not count as an edit.
    joined = len(segmentation.known_regions) == 1
    return isinstance(recorded, str) and not joined and recorded != labels_sha256(segmentation.data)


def _version(provenance: Mapping[str, Any]) -> str:
    versions = provenance.get("versions")
    recorded = versions.get("napari-brain-tumor") if isinstance(versions, Mapping) else None
    return str(recorded or __version__)


def _settings(provenance: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, str]:
    texts = {key: str(model[key]) for key in ("architecture", "weights_sha256", "source") if model.get(key)}
    settings = provenance.get("settings")
    flags = settings.items() if isinstance(settings, Mapping) else ()
    return texts | {key: str(value) for key, value in flags if isinstance(value, bool | int | float | str)}
