"""Check whether an earlier result was made from the scans that a case now contains."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.io.bids import anatomy_of
from napari_brain_tumor.io.reading import images_in
from napari_brain_tumor.io.sidecar import read_sidecar, sidecar_path
from napari_brain_tumor.io.source_files import combined_sha256, file_sha256, source_files
from napari_brain_tumor.io.study_folder import find_sequences
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.study import Source


@dataclass(frozen=True, slots=True)
class _Input:
    """An input sequence as described in a record."""

    path: Path
    sha256: str
    series: str | None

    def hash_at(self, place: Path) -> str:
        """Return the hash of the files from which it would be read at a given place."""
        return combined_sha256(map(file_sha256, source_files(Source(place, None, self.series))))


def changes_since_result(result: Path, case: Path, *, chosen: bool = False) -> str | None:
    """Describe how the scans of a case differ from those a result was made from; empty if they do not differ.

    Parameters
    ----------
    result : Path
        A saved segmentation with its record next to it.
    case : Path
        The folder or file that would be segmented now.
    chosen : bool
        Whether the user selected the sequences; other sequences in the case are then ignored.

    Returns
    -------
    str or None
        None if no record describes any scan.
    """
    record, inputs = sidecar_path(result), _inputs(read_sidecar(result))
    if record is None or not inputs:
        return None
    words = [f"{role} {what}" for role, entry in inputs.items() if (what := _change(entry, record.parent, case))]
    return ", ".join([*words, *([] if chosen else _new_sequences(inputs, case))])


def _inputs(record: Mapping[str, Any]) -> dict[str, _Input]:
    """Return the sequences that have a hash; empty for records of other programs."""
    provenance = record.get("provenance")
    recorded = provenance.get("inputs") if isinstance(provenance, Mapping) else None
    inputs = {}
    for role, entry in recorded.items() if isinstance(recorded, Mapping) else ():
        if not isinstance(entry, Mapping):
            continue
        path, sha256, series = (entry.get(key) for key in ("path", "sha256", "series"))
        if isinstance(path, str) and isinstance(sha256, str):
            inputs[str(role)] = _Input(Path(path), sha256, series if isinstance(series, str) else None)
    return inputs


def _change(recorded: _Input, beside: Path, case: Path) -> str:
    try:
        there = [place for place in dict.fromkeys(_places(recorded, beside, case)) if place.exists()]
        if any(recorded.hash_at(place) == recorded.sha256 for place in there):
            return ""
    except (BrainTumorError, OSError, ValueError) as error:
        return f"cannot be read ({error})"
    return f"was changed ({recorded.path.name})" if there else f"is no longer there ({recorded.path.name})"


def _places(recorded: _Input, beside: Path, case: Path) -> Iterator[Path]:
    """Yield possible locations of a sequence: as recorded, by name, or the case as a whole."""
    whole = os.path.realpath(case)
    for place in (beside / recorded.path, recorded.path):
        if Path(os.path.realpath(place)).is_relative_to(whole):
            yield place
    if case.is_file():
        yield case
        return
    yield from (place for place in sorted(case.rglob("*")) if place.name == recorded.path.name)
    if recorded.series is not None or short_name(recorded.path) == recorded.path.name:
        yield case


def _new_sequences(inputs: Mapping[str, _Input], case: Path) -> list[str]:
    """Return sequences, recognised by file name, that were not used for the result."""
    if not case.is_dir() or any(short_name(entry.path) == entry.path.name for entry in inputs.values()):
        return []  # DICOM and slices, whose names are not informative
    try:
        sequences = find_sequences(images_in(anatomy_of(case))).sequences
    except BrainTumorError:
        return []
    return [f"{role} is new ({path.name})" for role, path in sequences.items() if role not in inputs]
