"""Logic of the Curate panel, without Qt: converting cases to layers and back, and the list of recent data sets."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from napari.layers import Layer

from napari_brain_tumor.dataset import CaseRecord, CuratedDataset, MadeBy, ReviewState, Truth
from napari_brain_tumor.dataset.drafts import Draft, read_draft
from napari_brain_tumor.dataset.stored_scores import StoredScore, read_prediction, read_score
from napari_brain_tumor.errors import BrainTumorError, DatasetError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.models.cards import models_folder
from napari_brain_tumor.plugin import from_layers, layers, to_layers
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.layers import LayerData, LayerView, SequenceTag
from napari_brain_tumor.requests.dataset import AddCaseRequest
from napari_brain_tumor.study import Role
from napari_brain_tumor.types import Mask
from napari_brain_tumor.widgets.case_rows import STATE_NAMES
from napari_brain_tumor.widgets.recent_paths import recent_paths, remember_path

SCORES_TARGET: Final = "napari_brain_tumor.case_scoring:score_dataset_job"
"""The job that runs in the worker process."""

Knowing = Literal["painted voxels", "painted slices", "everything"]
KNOWING: Final[dict[Knowing, str]] = {
    "painted slices": "as before, plus slices that were painted on",
    "painted voxels": "as before, plus voxels that were painted",
    "everything": "everything",
}
"""Which part of a partly annotated label counts as known after it was corrected."""

_RECENT_FILE: Final = "recent-data-sets.json"


@dataclass(frozen=True, slots=True, eq=False)
class LoadedCase:
    """A case ready to be shown.

    Parameters
    ----------
    record : CaseRecord
        The record at the time of reading.
    label : LayerData
        The reference labels.
    prediction : LayerData or None
        The model's labels.
    draft : Draft or None
        Unsaved work of an earlier session.
    warning : str
        What could not be read but is not essential.
    """

    record: CaseRecord
    truth: Truth
    scans: list[LayerData]
    label: LayerData
    score: StoredScore | None = None
    prediction: LayerData | None = None
    draft: Draft | None = None
    warning: str = ""


def load_case(folder: Path, case_id: str, weights_sha256: str | None = None) -> LoadedCase:
    """Read a case with the model's labels and unsaved work; raises what `CuratedDataset.study` and `truth` raise."""
    dataset = CuratedDataset(folder)
    record, truth = dataset.case(case_id), dataset.truth(case_id)
    scans = to_layers.study_to_layers(replace(dataset.study(case_id), name=case_id))
    label = to_layers.segmentation_to_layer(truth.segmentation, name=f"{case_id} label")
    score, prediction = prediction_of(dataset, record, weights_sha256)
    draft, warning = _draft_of(folder, case_id, label[0].shape)
    return LoadedCase(record, truth, scans, label, score, prediction, draft, warning)


def prediction_of(
    dataset: CuratedDataset, record: CaseRecord, weights_sha256: str | None
) -> tuple[StoredScore | None, LayerData | None]:
    """Return the stored score of a model on a case, and its labels as a layer."""
    score = read_score(dataset.folder, record, weights_sha256) if weights_sha256 is not None else None
    if score is None:
        return None, None
    predicted = read_prediction(dataset.folder, record, score)
    return score, to_layers.segmentation_to_layer(predicted, name=f"{record.id} prediction")


def _draft_of(folder: Path, case_id: str, shape: tuple[int, ...]) -> tuple[Draft | None, str]:
    try:
        draft = read_draft(folder, case_id)
    except BrainTumorError as error:
        return None, str(error)
    if draft is not None and draft.labels.shape != shape:
        return None, f"The unsaved work on {case_id} belongs to another scan of that name, so it is ignored."
    return draft, ""


def case_text(loaded: LoadedCase | None, *, edited: bool, has_dataset: bool) -> str:
    """Return which case is open, as rich text, or what to do if none is."""
    if loaded is None:
        return "Click a case to open it." if has_dataset else "Open a data set, or create a new one."
    record = loaded.record
    by = record.label.made_by
    maker = f"{by.kind} ({by.model})" if by.model else by.kind
    unsaved = " · edited, not saved" if edited else ""
    return f"<b>{record.id}</b> · {STATE_NAMES[record.state]} · label by {maker}{unsaved}"


def show_roles(scans: Sequence[LayerData], roles: Collection[Role]) -> list[LayerData]:
    """Return the layers with those sequences visible that were visible before; unchanged if the case has none."""
    present = [_role(attributes) for _, attributes, _ in scans]
    if not set(present) & set(roles):
        return list(scans)
    return [(data, {**attributes, "visible": _role(attributes) in roles}, kind) for data, attributes, kind in scans]


def _role(attributes: Mapping[str, Any]) -> Role | None:
    tag = attributes["metadata"].get(layers.KEY)
    return tag.role if isinstance(tag, SequenceTag) else None


def maker_after(base: MadeBy, *, edited: bool) -> MadeBy:
    """Return who made a label, given who made the one that was opened and whether it was edited."""
    if not edited:
        return base
    if base.kind in ("model", "both"):
        return base.model_copy(update={"kind": "both"})
    return MadeBy(kind="hand", source=base.source)


def known_after(truth: Truth, classes: npt.NDArray[np.uint8], knowing: Knowing) -> Mask:
    """Return the voxels `(X, Y, Z)` that are known after a label was corrected to these classes."""
    if knowing == "everything" or truth.is_complete:
        return np.ones(truth.known.shape, dtype=bool)
    painted = classes != truth.segmentation.data
    if knowing == "painted slices":
        slices = truth.known_slices
        axis = slices.axis if slices is not None else _axial_axis(truth.segmentation.grid)
        others = tuple(a for a in range(3) if a != axis)
        painted = np.broadcast_to(painted.any(axis=others, keepdims=True), painted.shape)
    return truth.known | painted


def _axial_axis(grid: Grid) -> int:
    return int(np.argmax(np.abs(grid.affine[2, :3]) / np.array(grid.spacing)))


def save_label(
    folder: Path,
    loaded: LoadedCase,
    layer: LayerView,
    *,
    maker: MadeBy,
    state: ReviewState = "draft",
    note: str | None = None,
    knowing: Knowing = "painted slices",
) -> CaseRecord:
    """Save the labels of a layer as the label of its case.

    Raises
    ------
    LabelChangedError
        If the label was replaced by someone else since it was opened.
    GridMismatchError, LabelSchemaError, DimensionError, SaveError
        If the labels do not fit the scan or cannot be written.
    """
    segmentation = from_layers.segmentation_from_layer(layer)
    truth = loaded.truth.segmentation
    corrected = replace(truth, data=np.ascontiguousarray(segmentation.data), known_regions=_regions(loaded, maker))
    return CuratedDataset(folder).relabel(
        loaded.record.id,
        corrected,
        known=known_after(loaded.truth, corrected.data, knowing),
        made_by=maker,
        state=state,
        note=note,
        based_on=loaded.record.label.sha256,
    )


def _regions(loaded: LoadedCase, maker: MadeBy) -> tuple[Region, ...]:
    """Return the regions that the label contains: as before, plus those of the model if its labels were taken over."""
    labelled = loaded.record.label.known_regions
    score = loaded.score
    if score is None or maker.kind not in ("model", "both") or maker.model_sha256 != score.weights_sha256:
        return labelled
    return tuple(region for region in REGIONS if region in labelled or region in score.known_regions)


@dataclass(frozen=True, slots=True, eq=False)
class AddRequest:
    """The layers of a new case and what is known about it.

    Parameters
    ----------
    patient, grade, note : str
        Empty if not given.
    state : str
        State of the review.
    slices : sequence of int or None
        Slices of the layer, along its first axis from 0, whose labels are known; None for all.
    references : sequence of LayerView
        Layers from whose position the scan of labels painted from scratch is found.
    not_same_as : collection of str
        Cases that look the same but are different patients.
    """

    sequences: Mapping[Role, LayerView]
    label: LayerView
    patient: str = ""
    grade: str = ""
    note: str = ""
    state: ReviewState = "draft"
    slices: Sequence[int] | None = None
    references: Sequence[LayerView] = ()
    not_same_as: Collection[str] = ()

    @property
    def request(self) -> AddCaseRequest:
        """What is known about the case apart from its layers."""
        return AddCaseRequest(
            patient=self.patient.strip() or None,
            grade=self.grade.strip() or None,
            note=self.note.strip(),
            state=self.state,
            not_same_as=tuple(self.not_same_as),
        )


def add_case(folder: Path, form: AddRequest) -> CaseRecord:
    """Add layers as a case; raises what reading the layers and `CuratedDataset.add` raise."""
    study = from_layers.study_from_layers(form.sequences)
    label = from_layers.segmentation_from_layer(form.label, form.references)
    request = form.request
    return CuratedDataset(folder).add(
        study,
        label,
        patient=request.patient,
        grade=request.grade,
        known=None if form.slices is None else _known_slices(form.slices, form.label, study.grid),
        state=request.state,
        note=request.note,
        not_same_as=request.not_same_as,
    )


def _known_slices(slices: Sequence[int], label: LayerView, grid: Grid) -> Mask:
    """Return the voxels `(X, Y, Z)` of slices that are counted as in the layer."""
    count = len(label.data)
    wrong = [k for k in slices if not 0 <= k < count]
    if wrong:
        msg = (
            f"{label.name} has slices 0 to {count - 1}; the labelled slices are given as {wrong}. Correct the list of "
            "slices."
        )
        raise DatasetError(msg)
    mask = np.zeros(label.data.shape, dtype=np.uint8)
    mask[list(slices)] = 1
    return Display.of(grid).restore(mask, nearest=True).astype(bool)


def label_to_offer(labels: Sequence[Layer], preferred: Sequence[Layer | None]) -> int:
    """Return the index of the labels layer to offer for a new case: the first preferred one, else the topmost.

    -1 if there is none.
    """
    position = next((labels.index(layer) for layer in preferred if layer is not None and layer in labels), None)
    return len(labels) - 1 if position is None else position


def numbers_in(text: str) -> list[int] | None:
    """Parse whole numbers such as `40, 52-60`, in order and without duplicates; None for an empty text.

    Raises
    ------
    DatasetError
        If the text is anything else.
    """
    numbers: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part)
        span = range(int(match[1]), int(match[2] or match[1]) + 1) if match is not None else range(0)
        if not span:
            msg = f"{text!r} is not a list of slices. Give numbers and ranges such as 40, 52-60."
            raise DatasetError(msg)
        numbers.update(span)
    return sorted(numbers) or None


def recent_datasets() -> list[Path]:
    """Return the folders of the recently opened data sets that still exist, newest first."""
    return recent_paths(_recent_file(), lambda folder: (folder / "index.json").is_file())


def remember_dataset(folder: Path) -> None:
    """Put a folder at the top of the recent ones."""
    remember_path(_recent_file(), folder)


def _recent_file() -> Path:
    return models_folder().parent / _RECENT_FILE
