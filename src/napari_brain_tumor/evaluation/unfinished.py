"""Finished cases of an interrupted evaluation, from which the next attempt continues."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_brain_tumor.evaluation.tables import rows_of, scores_csv
from napari_brain_tumor.evaluation.views import CaseView
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.metrics.compare import CaseScores


@dataclass(frozen=True, slots=True, eq=False)
class FinishedCase:
    """What is stored for a case: its scores, an example slice, and JSON-serialisable facts about it."""

    rows: tuple[CaseScores, ...]
    view: CaseView
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A folder of finished cases; `settings` is everything else that their scores depend on."""

    folder: Path
    settings: str

    def load(self, case: str) -> FinishedCase | None:
        """Load a case if it was finished with the same settings; `case` is a string that identifies it."""
        try:
            with np.load(self._path(case), allow_pickle=False) as archive:
                return _from_arrays(dict(archive))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # missing, or a partial file from an older version: the case is computed again

    def keep(self, case: str, finished: FinishedCase) -> None:
        """Save the case; raises `SaveError` if that fails."""
        arrays = _to_arrays(finished)
        write_atomically(self._path(case), lambda path: np.savez_compressed(path, **arrays), lambda _: None)

    def _path(self, case: str) -> Path:
        digest = hashlib.sha256(f"{self.settings}\0{case}".encode()).hexdigest()
        return self.folder / f"{digest[:32]}.npz"


def _to_arrays(finished: FinishedCase) -> dict[str, Any]:
    view = finished.view
    text = {
        "rows": scores_csv(finished.rows),
        "about": finished.about,
        "caption": view.caption,
        "borders": view.borders,
        "methods": list(view.predicted),
    }
    masks = np.stack([view.truth, *view.predicted.values()])
    return {"text": np.array(json.dumps(text)), "image": view.image, "masks": masks}


def _from_arrays(arrays: Mapping[str, Any]) -> FinishedCase:
    text = json.loads(str(arrays["text"]))
    truth, *predicted = arrays["masks"]
    by_method = dict(zip(text["methods"], predicted, strict=True))
    view = CaseView(arrays["image"], truth, by_method, tuple(text["borders"]), text["caption"])
    return FinishedCase(rows_of(text["rows"]), view, text["about"])
