"""Tables of a follow-up, for display and as files."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor import __version__
from napari_brain_tumor.followup.followup import Change, FollowUp
from napari_brain_tumor.followup.wording import size_text
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.sidecar import NOTICE
from napari_brain_tumor.io.table import Table, units_of

COLUMNS: Final = (
    "visit",
    "date",
    "what",
    "value",
    "unit",
    "change_from_baseline_percent",
    "change_from_nadir_percent",
    "category",
    "imaging_alone",
    "missing",
)
"""Columns of the CSV: one row for each visit and size; response categories are in the rows of the targets."""


def follow_up_table(follow_up: FollowUp) -> Table:
    """Return every size at every visit; each row contains the unit of its value."""
    return Table(COLUMNS, tuple(rows_of(follow_up)), units=units_of(COLUMNS))


def rows_of(follow_up: FollowUp) -> Iterator[dict[str, Any]]:
    """Yield every size at every visit as a row with `COLUMNS`."""
    for at, result in enumerate(follow_up.visits):
        day = result.visit.day
        for series in follow_up.series:
            change = series.changes[at]
            yield {
                "visit": result.visit.name,
                "date": "" if day is None else day.isoformat(),
                "what": series.key,
                "value": change.value,
                "unit": series.unit,
                **_percents(change),
                **_response(follow_up, series.key, at),
            }


def track_rows(follow_up: FollowUp) -> Iterator[tuple[str, ...]]:
    """Yield a row for each lesion over time: its name, then its state at each visit."""
    for track in follow_up.tracks:
        first = next(there for there in track.lesions if there)
        is_target = any(lesion.title in follow_up.targets for lesion in track.lesions[follow_up.baseline] or ())
        name = f"{track.number}{' (target)' if is_target else ''}, {first[0].side or 'side not known'}"
        cells = []
        for at, state in enumerate(track.states):
            size = size_text(track.volume_ml(at), "mL")
            product = size_text(track.product_mm2(at), "mm²")
            cells.append(f"{state}: {size}, {product}" if track.lesions[at] else state)
        yield (name, *cells)


def save_csv(follow_up: FollowUp, path: str | os.PathLike[str]) -> Path:
    """Save every size at every visit as CSV; raises `SaveError` if that fails."""
    follow_up_table(follow_up).to_csv(path)
    return Path(path)


def save_json(follow_up: FollowUp, path: str | os.PathLike[str]) -> Path:
    """Save all results as JSON; raises `SaveError` if that fails."""
    document = {"program": "napari-brain-tumor", "version": __version__, "notice": NOTICE, **follow_up.as_dict()}
    write_text(Path(path), json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return Path(path)


def _percents(change: Change) -> dict[str, Any]:
    shares = {"baseline": change.from_baseline, "nadir": change.from_nadir}
    return {
        f"change_from_{what}_percent": None if share is None else round(100 * share, 6)
        for what, share in shares.items()
    }


def _response(follow_up: FollowUp, key: str, at: int) -> dict[str, Any]:
    responses: Sequence[Any] = follow_up.responses.get(key, ())  # type: ignore[call-overload]
    if not responses:
        return {"category": "", "imaging_alone": "", "missing": ""}
    response = responses[at]
    return {
        "category": response.verdict,
        "imaging_alone": response.imaging or "",
        "missing": "; ".join(response.missing),
    }
