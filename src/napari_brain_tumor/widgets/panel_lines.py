"""What the panels do, as Python lines and shell commands: layers and choices in, `CommandLines` out; no Qt."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from napari.layers import Layer

from napari_brain_tumor.catalogue import Method, ModelInfo, find_model
from napari_brain_tumor.command_lines import (
    CommandLines,
    LabelFile,
    ModelRun,
    Opening,
    add_case_lines,
    opening_of,
    refine_lines,
    relabel_lines,
    rerun_lines,
    review_lines,
    score_dataset_lines,
    segment_lines,
    usual_shell,
)
from napari_brain_tumor.errors import BrainTumorError, RecordError
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.layers import SegmentationTag, SequenceTag
from napari_brain_tumor.study import Role
from napari_brain_tumor.widgets.saved_files import saved_file
from napari_brain_tumor.widgets.segment_state import Choices
from napari_brain_tumor.widgets.stored_maps import stored_maps_of

__all__ = [
    "add_lines_of",
    "label_file_of",
    "opening_of_layers",
    "origin_of",
    "refine_lines_of",
    "relabel_lines_of",
    "review_lines_of",
    "score_lines_of",
    "segment_lines_of",
]

_RUN_SETTINGS: Final = ("flips", "min_lesion_mm3", "precision", "seeds", "thresholds", "box", "brain")
"""Of a record, what `segment` takes; the rest is the model's own."""
_MASK_IN_MEMORY: Final = "mask"
"""What a record says of a brain mask that no file holds."""
_SAME: Final = 5e-4
_SAVE_FIRST: Final = "Save the layer first (Save segmentation, in the Segment panel)"


def segment_lines_of(
    choices: Choices, suffix: str, schema: str, saved: str = "", shown: Layer | None = None
) -> CommandLines:
    """What Run and Save of the Segment panel do.

    Parameters
    ----------
    choices : Choices
    suffix : str
        Of the file format that is chosen; empty for a folder of masks.
    schema : str
        Label numbers that are chosen.
    saved : str
        Where the result was saved, if it was.
    shown : Layer, optional
        The labels that are selected.

    Raises
    ------
    BrainTumorError
        If it cannot be run as it is chosen, or its scans are not from files.
    """
    if choices.obstacle:
        raise RecordError(choices.obstacle)
    scans = opening_of_layers(choices.sequences)
    settings = {**choices.settings, "model": _model_word(choices.model)} | _brain_word(choices)
    name = _case_of(choices.sequences)
    lines = segment_lines(scans, settings, saved or f"{name}_segmentation{suffix}", schema)
    again = rerun_lines(saved).shell(usual_shell()) if saved else ""
    notes = (
        *(["The selected labels were edited by hand; the lines give what a model gives."] if _is_edited(shown) else []),
        *([f"To compute the saved result again and compare: {again}"] if again else []),
    )
    return replace(lines, notes=(*lines.notes, *notes))


def _brain_word(choices: Choices) -> dict[str, Any]:
    """The file of the layer that tells the brain, as `segment` takes it; nothing where no layer does."""
    return {} if isinstance(choices.brain, str) else {"brain": str(label_file_of(choices.brain).path)}


def _is_edited(layer: Layer | None) -> bool:
    return layer is not None and layers.is_edited(layer)


def opening_of_layers(sequences: Mapping[Role, Layer]) -> Opening:
    """How a script opens what those layers show; raises `RecordError` where they are not from files."""
    tags = {role: layers.view(layer).tag for role, layer in sequences.items()}
    ours = {role: tag for role, tag in tags.items() if isinstance(tag, SequenceTag) and tag.source is not None}
    foreign = [sequences[role].name for role in sequences if role not in ours]
    if foreign:
        msg = (
            f"{', '.join(foreign)} is not from a file that this plugin opened, so a script cannot open it: save the "
            "layer first (File > Save Selected Layers), open the saved file and choose it here."
        )
        raise RecordError(msg)
    sources = {role: tag.source for role, tag in ours.items() if tag.source is not None}
    moved = [role for role, tag in ours.items() if tag.resampled]
    return opening_of(sources, sequences, next(iter(ours.values())).grid, moved)


def label_file_of(layer: Layer) -> LabelFile:
    """The file of a labels layer; raises `RecordError` where what it shows is in no file."""
    saved = saved_file(layer)
    if saved is not None:
        return saved
    tag = layer.metadata.get(layers.KEY)
    opened = tag.provenance.get("path") if isinstance(tag, SegmentationTag) else None
    if opened is not None and not layers.is_edited(layer):
        return LabelFile(Path(opened), tag.provenance.get("schema"))
    msg = f"{layer.name} is in the viewer's memory alone. {_SAVE_FIRST}; then a script can open it."
    raise RecordError(msg)


def origin_of(layer: Layer | None) -> LabelFile | ModelRun | None:
    """What a script begins a correction with: the model that made the labels, their file, or nothing.

    The model comes first where the panel has its probabilities, with which prompts spread better: from a file they
    would be missing, and the same prompts would give other labels.

    Raises
    ------
    RecordError
        If the labels are in no file, and no model gives them again.
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


def _run_of(layer: Layer) -> ModelRun | None:
    """How a model made the labels of a layer, with every setting of that run; None where none did."""
    tag = layer.metadata.get(layers.KEY)
    told = tag.provenance if isinstance(tag, SegmentationTag) else {}
    made_by = told.get("model") or {}
    if told.get("task") != "segment" or "name" not in made_by:
        return None
    settings = {key: value for key, value in (told.get("settings") or {}).items() if key in _RUN_SETTINGS}
    settings = {key: value for key, value in settings.items() if value or key == "min_lesion_mm3"}
    if settings.get("brain") == _MASK_IN_MEMORY:
        return None
    settings |= {key: tuple(map(_plain, settings[key])) for key in ("seeds", "box") if key in settings}
    model: str | Path = Path(made_by["folder"]) if "folder" in made_by else str(made_by["name"])
    with suppress(BrainTumorError):
        method = find_model(model)
        model = _model_word(method) or model
        settings = _without_usual(settings, method)
        return ModelRun(model, settings, not method.is_baseline)
    return ModelRun(model, settings)


def _plain(value: Any) -> Any:
    return tuple(map(float, value)) if isinstance(value, Sequence) else float(value)


def _without_usual(settings: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """The settings without those that the model has anyway; 0 for the smallest lesion is one of its own."""
    told = dict(settings)
    if isinstance(method, ModelInfo):
        card = method.card
        thresholds = told.pop("thresholds", {})
        changed = {region: float(p) for region, p in thresholds.items() if abs(p - card.threshold(region)) >= _SAME}
        told |= {"thresholds": changed} if changed else {}
    if told.get("brain") == "auto":
        told.pop("brain")
    if told.get("min_lesion_mm3") == method.min_lesion_mm3:
        told.pop("min_lesion_mm3")
    return told


def refine_lines_of(
    sequences: Mapping[Role, Layer], origin: LabelFile | ModelRun | None, prompts: str = ""
) -> CommandLines:
    """What the Correct panel does; raises `RecordError` where the scans are not from files.

    Parameters
    ----------
    sequences : mapping of role to layer
    origin : LabelFile, ModelRun or None
        As `origin_of` gives it for the labels before they were corrected.
    prompts : str
        Where the prompts were saved, if they were.
    """
    case = _case_of(sequences)
    lines = refine_lines(
        opening_of_layers(sequences), origin, prompts or f"{case}_prompts.json", f"{case}_corrected.nii.gz"
    )
    note = "Save the prompts first (Save prompts…): the lines read them from that file."
    return lines if prompts else replace(lines, notes=(*lines.notes, note))


def add_lines_of(
    folder: Path, sequences: Mapping[Role, Layer], label: Layer, facts: Mapping[str, Any], slices: Sequence[int] | None
) -> CommandLines:
    """What Add case of the Curate panel does; raises `RecordError` where layers are not from files."""
    scans = opening_of_layers(sequences)
    told = {**facts, "patient": facts.get("patient") or _case_of(sequences), "made_by": _maker_of(label)}
    known = None if slices is None else _slices_in_file(slices, label)
    return add_case_lines(folder, scans, label_file_of(label), told, known)


def relabel_lines_of(folder: Path, case_id: str, label: Layer | None, state: str, note: str) -> CommandLines:
    """What saving a corrected label does; raises `RecordError` where it is in no file of its own, or gone."""
    if label is None:
        msg = f"The labels of {case_id} were removed from the viewer after they were saved in the data set."
        raise RecordError(msg)
    return relabel_lines(folder, case_id, label_file_of(label), state, note)


def review_lines_of(folder: Path, case_id: str, state: str, note: str) -> CommandLines:
    """What a decision in the Curate panel does."""
    return review_lines(folder, case_id, state, note)


def score_lines_of(folder: Path, case_ids: Sequence[str], model: ModelInfo) -> CommandLines:
    """What Score all of the Curate panel does."""
    return score_dataset_lines(folder, case_ids, _model_word(model) or model.folder)


def _model_word(model: Method | None) -> str | Path | None:
    """The name of a model if that finds it, else its folder."""
    if not isinstance(model, ModelInfo):
        return None if model is None else model.name
    with suppress(BrainTumorError):
        found = find_model(model.name)
        if isinstance(found, ModelInfo) and found.folder == model.folder:
            return model.name
    return model.folder


def _case_of(sequences: Mapping[Role, Layer]) -> str:
    first = next(iter(sequences.values()))
    tag = first.metadata.get(layers.KEY)
    return tag.case if isinstance(tag, SequenceTag) else str(first.name)


def _maker_of(label: Layer) -> tuple[str, str | None] | None:
    """Kind and model, where it was not simply read from a file."""
    tag = label.metadata.get(layers.KEY)
    told = tag.provenance if isinstance(tag, SegmentationTag) else {}
    if told.get("task") == "segment":
        return "model", (told.get("model") or {}).get("name")
    return None if "path" in told else ("hand", None)


def _slices_in_file(slices: Sequence[int], label: Layer) -> list[int]:
    """Slices as the layer counts them, along its first axis, as the scan's file counts its third.

    Raises
    ------
    RecordError
        If the file's third axis is another one.
    """
    tag = label.metadata.get(layers.KEY)
    if not isinstance(tag, (SegmentationTag, SequenceTag)):
        msg = f"{label.name} was painted from scratch, so its slices are not those of a file. {_SAVE_FIRST}."
        raise RecordError(msg)
    shown = np.zeros(label.data.shape, np.uint8)
    shown[list(slices)] = 1
    known = Display.of(tag.grid).restore(shown, nearest=True).astype(bool)
    numbers = np.flatnonzero(known.any(axis=(0, 1)))
    if not known[:, :, numbers].all() or known.sum() != known[:, :, numbers].size:
        msg = "The slices of this view are not those of the file's third axis, the only ones that a script takes."
        raise RecordError(msg)
    return [int(number) for number in numbers]
