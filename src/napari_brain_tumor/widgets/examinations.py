"""Determine which labels belong to one examination from the scans they were made on, not from their layers. No Qt."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from napari.layers import Layer

from napari_brain_tumor.plugin.layers import segmentation_tag, sequence_tag
from napari_brain_tumor.study import Source

Identity = frozenset[tuple[str, ...]]
"""Facts that identify an examination; labels and scans that share any of them belong to the same one."""


def identity_of_labels(labels: Layer, scans: Iterable[Layer]) -> Identity:
    """Return the facts that identify the examination of a labels layer.

    Parameters
    ----------
    scans : iterable of Layer
        The open scans that have its grid.

    Returns
    -------
    frozenset
        Hashes, series and locations of the scans that it was made on and lies on, or the open layers if these do not
        come from files. For labels without any scan, the layer itself.
    """
    tag = segmentation_tag(labels)
    facts = set(_recorded(tag.provenance, tag.case)) if tag is not None else set()
    for layer in scans:
        scan = sequence_tag(layer)
        if scan is not None and scan.source is not None:
            facts |= _of_source(scan.source, scan.case)
        else:
            facts.add(("layer", str(layer.unique_id)))
    return frozenset(facts or {("layer", str(labels.unique_id))})


def identity_of_sources(sources: Iterable[Source], case: str) -> Identity:
    """Return the facts that identify the examination of scans read from these sources, under the name of a case."""
    return frozenset(fact for source in sources for fact in _of_source(source, case))


def _recorded(provenance: Mapping[str, Any], case: str) -> Iterable[tuple[str, ...]]:
    """Return what the provenance of a result records about the scans that it was made on."""
    inputs = provenance.get("inputs")
    for entry in inputs.values() if isinstance(inputs, Mapping) else ():
        if isinstance(entry, Mapping) and entry.get("path"):
            yield from _of_source(Source(Path(str(entry["path"])), series=entry.get("series")), case)
            if entry.get("sha256"):
                yield "sha256", str(entry["sha256"])


def _of_source(source: Source, case: str) -> set[tuple[str, ...]]:
    """Return file and series; also case and folder, which sequences of one examination share even in separate files."""
    place = source.path.absolute()
    is_folder = place.is_dir()
    facts: set[tuple[str, ...]] = {("folder", str(place if is_folder else place.parent), case)}
    if source.series is not None:
        facts.add(("series", source.series))
    if not is_folder:
        facts.add(("file", str(place)))
    return facts
