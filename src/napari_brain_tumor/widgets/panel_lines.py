"""The panels' actions as Python and shell commands: layers and choices in, `CommandLines` out; no Qt."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from napari.layers import Layer

from napari_brain_tumor.catalogue import Method, ModelInfo, find_model
from napari_brain_tumor.errors import BrainTumorError, RecordError
from napari_brain_tumor.io.formats import BIDS
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.layers import SequenceTag
from napari_brain_tumor.requests.actions import LabelFile, ModelRun, refine_lines, rerun_lines, segment_lines
from napari_brain_tumor.requests.dataset import AddCaseRequest
from napari_brain_tumor.requests.dataset_actions import add_case_lines, relabel_lines, score_dataset_lines
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.requests.opening import OpenRequest
from napari_brain_tumor.requests.quoting import usual_shell
from napari_brain_tumor.requests.reopening import opening_of
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Role
from napari_brain_tumor.widgets.result_files import Format
from napari_brain_tumor.widgets.saved_files import saved_file
from napari_brain_tumor.widgets.segment_state import Choices
from napari_brain_tumor.widgets.stored_maps import stored_maps_of
from napari_brain_tumor.widgets.study_queue import OpenStudy

_MASK_IN_MEMORY: Final = "mask"
"""What a record says about a brain mask that was never saved to a file."""
_SAME: Final = 5e-4
_SAVE_FIRST: Final = "Save the layer first (Save…)"


def segment_lines_of(
    choices: Choices, file_format: Format, schema: str, saved: str = "", result: Layer | None = None
) -> CommandLines:
    """Return code for what Run and Save of the Segment panel do.

    Parameters
    ----------
    file_format : Format
        The chosen file format.
    schema : str
        The chosen numbering of the labels.
    saved : str
        Path of the saved result, if it was saved.
    result : Layer, optional
        The selected labels.

    Raises
    ------
    BrainTumorError
        If the choices cannot be run, or the scans do not come from files.
    """
    if choices.obstacle:
        raise RecordError(choices.obstacle)
    scans = opening_of_layers(choices.sequences)
    brain = {} if isinstance(choices.brain, str) else {"brain": str(label_file_of(choices.brain).path)}
    request = choices.request.with_options(model=_model_word(choices.model), **brain)
    name = OpenStudy.of(choices.sequences).name
    usual = f"{name}_segmentation{file_format.suffix}" if file_format.name != BIDS.name else "data_set"
    # The saved file determines its format, even if another one has been chosen since.
    chosen_format = "" if saved and not saved.endswith(file_format.suffix) else file_format.name
    lines = segment_lines(scans, request, saved or usual, schema, chosen_format)
    again = rerun_lines(saved).shell(usual_shell()) if saved and file_format.labels else ""
    notes = list(lines.notes)
    if result is not None and layers.is_edited(result):
        notes.append("The selected labels were edited by hand; these lines give the model's own result.")
    if again:
        notes.append(f"To compute the saved result again and compare: {again}")
    return replace(lines, notes=tuple(notes))


def opening_of_layers(sequences: Mapping[Role, Layer]) -> OpenRequest:
    """Return how a script opens the scans of these layers; raises `RecordError` if they do not come from files."""
    tags = {role: layers.view(layer).tag for role, layer in sequences.items()}
    own = {role: tag for role, tag in tags.items() if isinstance(tag, SequenceTag) and tag.source is not None}
    foreign = [sequences[role].name for role in sequences if role not in own]
    if foreign:
        msg = (
            f"{', '.join(foreign)} is not from a file that this plugin opened, so a script cannot open it: save the "
            "layer first (File > Save Selected Layers), open the saved file and choose it here."
        )
        raise RecordError(msg)
    sources = {role: tag.source for role, tag in own.items() if tag.source is not None}
    moved = [role for role, tag in own.items() if tag.resampled]
    return opening_of(sources, sequences, next(iter(own.values())).grid, moved)


def label_file_of(layer: Layer) -> LabelFile:
    """Return the file of a labels layer; raises `RecordError` if its current labels are not in a file."""
    saved = saved_file(layer)
    if saved is not None:
        return saved
    provenance = _provenance_of(layer)
    if "path" in provenance and not layers.is_edited(layer):
        return LabelFile(Path(provenance["path"]), provenance.get("schema"))
    msg = f"{layer.name} is in the viewer's memory alone. {_SAVE_FIRST}; then a script can open it."
    raise RecordError(msg)


def origin_of(layer: Layer | None) -> LabelFile | ModelRun | None:
    """Return what a script starts a correction from: the model that made the labels, their file, or None.

    The model is preferred if the panel has its probabilities, because prompts spread better with them. A file does not
    contain them, so the same prompts would give different labels.

    Raises
    ------
    RecordError
        If the labels are not in a file and cannot be reproduced with a model.
    """
    if layer is None:
        return None
    run = None if layers.is_edited(layer) else _run_of(layer)
    if run is not None and stored_maps_of(layer) is not None:
        return run
    try:
        return label_file_of(layer)
    except RecordError:
        if run is None:
            raise
        return run


def _provenance_of(layer: Layer) -> Mapping[str, Any]:
    tag = layers.segmentation_tag(layer)
    return tag.provenance if tag is not None else {}


def _run_of(layer: Layer) -> ModelRun | None:
    """Return how a model made the labels of a layer, with every setting of that run, or None."""
    provenance = _provenance_of(layer)
    made_by = provenance.get("model") or {}
    if provenance.get("task") != "segment" or "name" not in made_by:
        return None
    settings = provenance.get("settings") or {}
    if settings.get("brain") == _MASK_IN_MEMORY:
        return None
    request = SegmentRequest.recorded_in(settings).with_options(brain=settings.get("brain", "auto"))
    model: str | Path = Path(made_by["folder"]) if "folder" in made_by else str(made_by["name"])
    with suppress(BrainTumorError):
        method = find_model(model)
        changes = {"model": _model_word(method) or model} | _of_the_model(request, method)
        return ModelRun(request.with_options(**changes), not method.is_baseline)
    return ModelRun(request.with_options(model=model))


def _of_the_model(request: SegmentRequest, method: Method) -> dict[str, Any]:
    """Return options with the model's own defaults set to None; a smallest lesion of 0 can be such a default."""
    options: dict[str, Any] = {}
    if isinstance(method, ModelInfo) and request.thresholds is not None:
        changed = {r: p for r, p in request.thresholds.items() if abs(p - method.card.threshold(r)) >= _SAME}
        options["thresholds"] = changed or None
    if request.min_lesion_mm3 == method.min_lesion_mm3:
        options["min_lesion_mm3"] = None
    return options


def refine_lines_of(
    sequences: Mapping[Role, Layer], origin: LabelFile | ModelRun | None, prompts: str = ""
) -> CommandLines:
    """Return code for what the Correct panel does; raises `RecordError` if the scans do not come from files.

    Parameters
    ----------
    origin : LabelFile, ModelRun or None
        The result of `origin_of` for the labels before they were corrected.
    prompts : str
        Path of the saved prompts, if they were saved.
    """
    case = OpenStudy.of(sequences).name
    lines = refine_lines(
        opening_of_layers(sequences), origin, prompts or f"{case}_prompts.json", f"{case}_corrected.nii.gz"
    )
    note = "Save the prompts first (Save prompts…): the lines read them from that file."
    return lines if prompts else replace(lines, notes=(*lines.notes, note))


def add_lines_of(
    folder: Path,
    sequences: Mapping[Role, Layer],
    label: Layer,
    request: AddCaseRequest,
    slices: Sequence[int] | None,
) -> CommandLines:
    """Return code for Add case of the Curate panel; raises `RecordError` if layers do not come from files.

    Parameters
    ----------
    request : AddCaseRequest
        The request without the annotated slices.
    slices : sequence of int, optional
        The annotated slices, counted as in the layer.
    """
    known = None if slices is None else _slices_in_file(slices, label)
    kind, model = _maker_of(label)
    patient = request.patient or OpenStudy.of(sequences).name
    whole = request.with_options(patient=patient, made_by=kind, model=model, known_slices=known)
    return add_case_lines(folder, opening_of_layers(sequences), label_file_of(label), whole)


def relabel_lines_of(folder: Path, case_id: str, label: Layer | None, state: str, note: str) -> CommandLines:
    """Return code for saving a corrected label; raises `RecordError` if it has no file of its own, or was removed."""
    if label is None:
        msg = f"The labels of {case_id} were removed from the viewer after they were saved in the data set."
        raise RecordError(msg)
    return relabel_lines(folder, case_id, label_file_of(label), state, note)


def score_lines_of(folder: Path, case_ids: Sequence[str], model: ModelInfo) -> CommandLines:
    """Return code for Score all of the Curate panel."""
    return score_dataset_lines(folder, case_ids, _model_word(model) or model.folder)


def _model_word(model: Method | None) -> str | Path | None:
    """Return the name of a model if it is enough to find it, else its folder."""
    if not isinstance(model, ModelInfo):
        return None if model is None else model.name
    with suppress(BrainTumorError):
        installed = find_model(model.name)
        if isinstance(installed, ModelInfo) and installed.folder == model.folder:
            return model.name
    return model.folder


def _maker_of(label: Layer) -> tuple[str | None, str | None]:
    """Return the kind of origin and the model of labels; the kind is None if they were read from a file."""
    provenance = _provenance_of(label)
    if provenance.get("task") == "segment":
        return "model", (provenance.get("model") or {}).get("name")
    return (None if "path" in provenance else "hand"), None


def _slices_in_file(slices: Sequence[int], label: Layer) -> list[int]:
    """Convert slice numbers along the layer's first axis to those along the third axis of the scan's file.

    Raises
    ------
    RecordError
        If that is not the file's third axis.
    """
    tag = layers.segmentation_tag(label)
    if tag is None:
        msg = f"{label.name} was painted from scratch, so its slices are not those of a file. {_SAVE_FIRST}."
        raise RecordError(msg)
    mask = np.zeros(label.data.shape, np.uint8)
    mask[list(slices)] = 1
    known = Display.of(tag.grid).restore(mask, nearest=True).astype(bool)
    numbers = np.flatnonzero(known.any(axis=(0, 1)))
    if not known[:, :, numbers].all() or known.sum() != known[:, :, numbers].size:
        msg = "The slices of this view are not those of the file's third axis, the only ones that a script takes."
        raise RecordError(msg)
    return [int(number) for number in numbers]
