"""Build the parts of a case's record."""

import numpy as np

from napari_brain_tumor.dataset.duplicates import voxels_sha256
from napari_brain_tumor.dataset.files import label_file
from napari_brain_tumor.dataset.index import (
    STATES,
    CaseRecord,
    DatasetIndex,
    LabelRecord,
    MadeBy,
    Review,
    ReviewState,
    SliceNumbers,
    case_id_from,
    now,
)
from napari_brain_tumor.dataset.patients import patient_key
from napari_brain_tumor.dataset.truth import Truth, encode, maker_of
from napari_brain_tumor.errors import CaseNotFoundError, DatasetError
from napari_brain_tumor.study import Study, TifSlices


def case_of(index: DatasetIndex, case_id: str) -> CaseRecord:
    """Return the case with that id; raises `CaseNotFoundError` if there is none."""
    for case in index.cases:
        if case.id == case_id:
            return case
    near = ", ".join(case.id for case in index.cases[:6]) + (" ..." if len(index.cases) > 6 else "")
    raise CaseNotFoundError(f"{index.name} has no case {case_id!r}. It has {near or 'none yet'}.")


def free_id(index: DatasetIndex, requested: str | None, name: str) -> str:
    """Return the requested id, or one made from the name; raises `DatasetError` if it is taken or invalid."""
    used = {case.id.lower() for case in index.cases}
    case_id = requested or case_id_from(name)
    if case_id.lower() in used:
        raise DatasetError(
            f"{index.name} already has a case {case_id}. To replace its label, relabel it; for another examination "
            "use another id."
        )
    if case_id != case_id_from(case_id):
        msg = f"{case_id!r} cannot be an id: use letters, digits, _ and -, for example {case_id_from(case_id)!r}."
        raise DatasetError(msg)
    return case_id


def spelling(patient: str, key: str) -> str:
    """Return the name as given if it yields the key by itself, otherwise the key."""
    return patient if patient_key(patient) == key else key


def new_review(state: ReviewState, note: str, *, decided: bool = False) -> Review:
    """Return a review with the current time; raises `DatasetError` if there is no such state."""
    if state not in STATES:
        raise DatasetError(f"{state!r} is not a review state. Choose one of {', '.join(STATES)}.")
    return Review(state=state, note=note, reviewed_at=now() if decided or state != "draft" else None)


def slice_numbers(study: Study) -> SliceNumbers | None:
    """Return the slice numbers of a study that was read from slices, otherwise None."""
    layout = study.layout
    if not isinstance(layout, TifSlices):
        return None
    return SliceNumbers(patient=layout.patient, numbers=layout.numbers)


def label_record(case_id: str, version: int, truth: Truth, maker: MadeBy | None) -> LabelRecord:
    """Return what the index stores about a label."""
    return LabelRecord(
        file=label_file(case_id, version),
        version=version,
        sha256=voxels_sha256(encode(truth)),
        known_regions=truth.segmentation.known_regions,
        known_slices=truth.known_slices,
        unknown_voxels=int(truth.known.size - np.count_nonzero(truth.known)),
        voxels=truth.voxels,
        made_by=maker or maker_of(truth.segmentation),
        made_at=now(),
    )


def without_mention(case: CaseRecord, removed: str) -> CaseRecord:
    return case.model_copy(update={"similar": tuple(s for s in case.similar if s.case != removed)})
