"""A model's score of a case, stored in the data set's folder: its labels, their Dice, and how unsure it is.

The labels depend on the images and the weights alone, so they are computed once; the Dice is of one label, and is
computed again after the case was relabelled.
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
    """A model's labels for a case in numbers.

    `dice` is whole-volume, over the voxels whose truth is known; `uncertainty` is the mean entropy in bits, 0 to 1, of
    the whole tumour's probability along the tumour's border.
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
        """Whether it was computed from the images of that case."""
        return self.images_sha256 == images_sha256(case)


def images_sha256(case: CaseRecord) -> str:
    """Of all sequences of a case."""
    text = ",".join(f"{role}:{case.sequences[role].sha256}" for role in case.roles)
    return hashlib.sha256(text.encode()).hexdigest()


def score_path(folder: Path, case_id: str, weights_sha256: str) -> Path:
    """Where the score of a model on a case is kept; raises `OutsideFolderError` if not inside the data set."""
    return path_inside(folder, f"{FOLDER}/{weights_sha256[:16]}/{case_id}.npz", named_by="The score of a model")


def store_score(folder: Path, score: StoredScore, labels: npt.NDArray[np.uint8]) -> None:
    """Write a score with its labels `(X, Y, Z)`, in place of an earlier one; raises `SaveError` if that fails."""
    path = score_path(folder, score.case, score.weights_sha256)
    write_packed(path, labels, score.model_dump_json())


def read_score(folder: Path, case: CaseRecord, weights_sha256: str) -> StoredScore | None:
    """The score of a model on a case, or None where there is none of these images."""
    path = score_path(folder, case.id, weights_sha256)
    try:
        status = path.stat()
    except OSError:
        return None
    score = _read(path, status.st_mtime_ns, status.st_ino)
    return score if score is not None and score.is_about(case) else None


@lru_cache(maxsize=10_000)
def _read(path: Path, changed_ns: int, inode: int) -> StoredScore | None:
    """What is written there, or was when the file had these marks; a table asks for all cases again and again."""
    try:
        document = read_document(path)
        return None if document is None else StoredScore.model_validate_json(document)
    except (UnreadableFileError, ValidationError):
        return None  # it can be computed again


def read_prediction(folder: Path, case: CaseRecord, score: StoredScore) -> Segmentation:
    """The labels behind a score, on the grid of the case; raises `UnreadableFileError` where they are gone."""
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
