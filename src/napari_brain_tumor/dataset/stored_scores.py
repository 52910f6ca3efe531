"""A model's score for a case, stored in the data set's folder: its labels, their Dice, and its uncertainty.

The labels depend only on the images and the weights, so they are computed once. The Dice also depends on the reference
label and is recomputed when the case has been relabelled.
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime, BaseModel, ValidationError

from napari_brain_tumor.dataset.index import CaseRecord
from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.io.inside import path_inside
from napari_brain_tumor.io.packed import read_document, read_packed, write_packed
from napari_brain_tumor.labels import Region
from napari_brain_tumor.study import Segmentation

FOLDER: Final = "opinions"


class StoredScore(BaseModel, extra="forbid", frozen=True):
    """Numerical results for a model's labels of a case.

    `dice` is computed over the whole volume where the reference is known; `uncertainty` is the mean entropy in bits, 0
    to 1, of the whole tumour's probability along the tumour's border.
    """

    case: str
    model: str
    weights_sha256: str
    images_sha256: str
    label_sha256: str
    known_regions: tuple[Region, ...]
    dice: dict[Region, float]
    uncertainty: float
    made_at: AwareDatetime

    def is_about(self, case: CaseRecord) -> bool:
        """Whether it was computed from the current images of that case."""
        return self.images_sha256 == images_sha256(case)


def images_sha256(case: CaseRecord) -> str:
    """Return a hash of all sequences of a case."""
    text = ",".join(f"{role}:{case.sequences[role].sha256}" for role in case.roles)
    return hashlib.sha256(text.encode()).hexdigest()


def score_path(folder: Path, case_id: str, weights_sha256: str) -> Path:
    """Return the path of a model's score for a case; raises `OutsideFolderError` if not inside the data set."""
    return path_inside(folder, f"{FOLDER}/{weights_sha256[:16]}/{case_id}.npz", named_by="The score of a model")


def store_score(folder: Path, score: StoredScore, labels: npt.NDArray[np.uint8]) -> None:
    """Write a score with its labels `(X, Y, Z)`, replacing an earlier one; raises `SaveError` on failure."""
    path = score_path(folder, score.case, score.weights_sha256)
    write_packed(path, labels, score.model_dump_json())


def read_score(folder: Path, case: CaseRecord, weights_sha256: str) -> StoredScore | None:
    """Read a model's score for a case, or return None if there is none for the current images."""
    path = score_path(folder, case.id, weights_sha256)
    try:
        status = path.stat()
    except OSError:
        return None
    score = _read(path, status.st_mtime_ns, status.st_ino)
    return score if score is not None and score.is_about(case) else None


@lru_cache(maxsize=10_000)
def _read(path: Path, changed_ns: int, inode: int) -> StoredScore | None:
    """Read a score, cached by modification time and inode, since tables request all cases repeatedly."""
    try:
        document = read_document(path)
        return None if document is None else StoredScore.model_validate_json(document)
    except (UnreadableFileError, ValidationError):
        return None  # can be recomputed


def read_prediction(folder: Path, case: CaseRecord, score: StoredScore) -> Segmentation:
    """Return the labels behind a score on the case's grid; raises `UnreadableFileError` if they are missing."""
    packed = read_packed(score_path(folder, case.id, score.weights_sha256))
    return Segmentation(
        packed.labels.astype(np.uint8, copy=False),
        case.grid.grid,
        name=case.id,
        known_regions=score.known_regions,
        provenance={
            "task": "segment",
            "model": {"name": score.model, "weights_sha256": score.weights_sha256},
        },
        notes=case.notes,
    )
