"""Drafts of labels, kept in the data set's folder until they are saved, so that a crash does not lose them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt
from pydantic import AwareDatetime, BaseModel, ValidationError

from napari_brain_tumor.dataset.index import MadeBy
from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.io.inside import path_inside
from napari_brain_tumor.io.packed import read_packed, write_packed

FOLDER: Final = "drafts"


class DraftRecord(BaseModel, extra="forbid", frozen=True):
    """Information about a draft besides its labels."""

    case: str
    label_sha256: str
    """Hash of the saved label that was being edited."""
    base: MadeBy
    """Who made the labels that were edited: the saved label, or the prediction that replaced it."""
    edited: bool = True
    """Whether anything was edited by hand."""
    made_at: AwareDatetime


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """Labels as they were in the layer, `(Z, Y, X)` integers, and their record."""

    record: DraftRecord
    labels: npt.NDArray[Any]


def draft_path(folder: Path, case_id: str) -> Path:
    """Return the path of a case's draft; raises `OutsideFolderError` if it would be outside the data set."""
    return path_inside(folder, f"{FOLDER}/{case_id}.npz", named_by="The draft")


def keep_draft(folder: Path, draft: Draft) -> None:
    """Write the draft of a case, replacing an earlier one; on failure, raises `SaveError` and keeps the earlier one."""
    write_packed(draft_path(folder, draft.record.case), draft.labels, draft.record.model_dump_json())


def read_draft(folder: Path, case_id: str) -> Draft | None:
    """Read the draft of a case, or return None.

    Raises
    ------
    UnreadableFileError
        If the file is damaged.
    """
    path = draft_path(folder, case_id)
    if not path.is_file():
        return None
    packed = read_packed(path)
    try:
        return Draft(DraftRecord.model_validate_json(packed.document), packed.labels)
    except ValidationError as error:
        msg = f"{path} is not a draft of this version ({error.errors(include_url=False)[0]['msg']}). Move it away."
        raise UnreadableFileError(msg) from error


def forget_draft(folder: Path, case_id: str) -> None:
    """Delete the draft of a case, if there is one."""
    draft_path(folder, case_id).unlink(missing_ok=True)
