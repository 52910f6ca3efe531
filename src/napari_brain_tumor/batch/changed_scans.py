"""Whether an earlier result was made of the scans that a case holds now."""

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
    """A sequence as a record tells it."""

    path: Path
    sha256: str
    series: str | None

    def hash_at(self, place: Path) -> str:
        """Of the files that it would be read from, if it lay there."""
        return combined_sha256(map(file_sha256, source_files(Source(place, None, self.series))))


def changes_since_result(result: Path, case: Path, *, chosen: bool = False) -> str | None:
    """How the scans of a case differ from those that a result was made of, in words; empty where they do not.

    Parameters
    ----------
    result : Path
        A saved segmentation with the record beside it.
    case : Path
        The folder or file that would be segmented now.
    chosen : bool
        Whether the sequences are picked by the user; then others in the case mean nothing.

    Returns
    -------
    str or None
        None where no record tells of any scan.
    """
    record, inputs = sidecar_path(result), _inputs(read_sidecar(result))
    if record is None or not inputs:
        return None
    words = [f"{role} {what}" for role, entry in inputs.items() if (what := _change(entry, record.parent, case))]
    return ", ".join([*words, *([] if chosen else _new_sequences(inputs, case))])


def _inputs(record: Mapping[str, Any]) -> dict[str, _Input]:
    """The sequences that have a hash; what is no record of ours tells none."""
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
    """Where a sequence of the case may be: as the record says, by its name, or the case as a whole."""
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
    """Sequences by names of files that the result was made without."""
    if not case.is_dir() or any(short_name(entry.path) == entry.path.name for entry in inputs.values()):
        return []  # DICOM and slices, of which names tell nothing
    try:
        sequences = find_sequences(images_in(anatomy_of(case))).sequences
    except BrainTumorError:
        return []
    return [f"{role} is new ({path.name})" for role, path in sequences.items() if role not in inputs]
