"""Whether an earlier result was made of the scans that a case holds now."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.io.bids import anatomy_of
from napari_brain_tumor.io.reading import images_in
from napari_brain_tumor.io.study_folder import find_sequences
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.records.places import Places, hash_of_format_1, hash_of_source
from napari_brain_tumor.records.records import InputRecord, SidecarRecord, read_record
from napari_brain_tumor.study import Role

__all__ = ["changes_since_result"]


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
    try:
        record = read_record(result)
    except BrainTumorError:
        return None
    if not isinstance(record, SidecarRecord) or not any(one.sha256 for one in record.provenance.inputs.values()):
        return None
    inputs = record.provenance.inputs
    words = [f"{role} {what}" for role, one in inputs.items() if (what := _change(one, record.path.parent, case))]
    return ", ".join([*words, *([] if chosen else _new_sequences(inputs, case))])


def _change(recorded: InputRecord, beside: Path, case: Path) -> str:
    if recorded.sha256 is None:
        return ""
    there = [place for place in dict.fromkeys(_places(recorded, beside, case)) if place.exists()]
    places = Places(beside)
    try:
        hashes = {h(recorded, place, places) for place in there for h in (hash_of_source, hash_of_format_1)}
    except (BrainTumorError, OSError) as error:
        return f"cannot be read ({error})"
    if recorded.sha256 in hashes:
        return ""
    return f"was changed ({recorded.path.name})" if there else f"is no longer there ({recorded.path.name})"


def _places(recorded: InputRecord, beside: Path, case: Path) -> Iterator[Path]:
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


def _new_sequences(inputs: Mapping[Role, InputRecord], case: Path) -> list[str]:
    """Sequences by names of files that the result was made without."""
    if not case.is_dir() or any(one.series or one.channel is not None for one in inputs.values()):
        return []
    try:
        found = find_sequences(images_in(anatomy_of(case))).sequences
    except BrainTumorError:
        return []
    return [f"{role} is new ({path.name})" for role, path in found.items() if role not in inputs]
