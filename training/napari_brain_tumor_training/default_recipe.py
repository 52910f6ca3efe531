"""The recipe of a request: that of a file, or for a curated data set one that nobody wrote."""

from pathlib import Path
from typing import Any, Final, cast

from pydantic import ValidationError

from napari_brain_tumor.dataset import CuratedDataset, case_id_from
from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.models.blocks import Dims
from napari_brain_tumor.models.cards import ModelInfo, find_model
from napari_brain_tumor.models.configurations import CONFIGURATIONS, current_name
from napari_brain_tumor.models.neighbours import NEIGHBOURS
from napari_brain_tumor.requests.train import TrainRequest
from napari_brain_tumor_training.config import TrainConfig, read_config

_MODELS: Final[dict[Dims, str]] = {2: "unet_brain", 3: "residual_unet_light"}
_PATCHES: Final[dict[Dims, tuple[int, ...]]] = {2: (160, 160), 3: (96, 96, 96)}
_MIN_EXTENT_MM: Final[dict[Dims, float]] = {2: 0.0, 3: 32.0}
"""Of the scans that the model will be for: measured on the 3D model that ships."""
_OPTIMISATION: Final[dict[Dims, dict[str, Any]]] = {
    2: {"epochs": 100, "batch": 16, "patience": 40},
    3: {"epochs": 150, "batch": 2, "patience": 60},
}

_FINE_TUNING: Final[dict[Dims, dict[str, Any]]] = {
    2: {"epochs": 20, "iterations_per_epoch": 25, "batch": 8},
    3: {"epochs": 20, "iterations_per_epoch": 25, "batch": 2},
}
_GENTLE: Final[dict[str, Any]] = {"learning_rate": 2e-4, "ema_decay": 0.98, "warmup_fraction": 0.1, "patience": 10}
"""A tenth to a third of the rate that the shipped models were trained with, so that they are not unlearned."""
_FROM_CARD: Final = (
    *("min_lesion_mm3", "min_lesion_share", "min_enhancing_mm3", "thickest_slices_mm", "brain_only", "min_extent_mm"),
    *("notes", "licence"),
)
"""Entries that a fine-tuned model has from the one that it began with."""


def recipe_of(request: TrainRequest) -> TrainConfig:
    """The recipe that a request means, without its settings of the plan.

    Raises
    ------
    TrainingError
        If it cannot be read or what was asked for does not go with it.
    DatasetError
        If the folder is no data set.
    ModelNotFoundError, CheckpointError
        If there is no such model to start from.
    """
    dims = cast("Dims | None", request.dims)
    if not request.source.is_dir():
        return _started(with_model(read_config(request.source), request.model, dims), request.start_from)
    if request.start_from is None:
        return recipe_for_dataset(request.source, request.model, dims)
    if request.model is not None or dims is not None:
        raise TrainingError(f"The network is that of {request.start_from}: leave out the network and its dimensions.")
    return recipe_to_fine_tune(request.source, find_model(request.start_from))


def recipe_to_fine_tune(folder: Path, model: ModelInfo) -> TrainConfig:
    """A recipe that goes on with a model on the accepted cases of a curated data set.

    Network, sequences, preprocessing and what the card says of scans and lesions are the model's; the steps are few and
    small, and the model as it is counts as the first candidate for the best weights.

    Parameters
    ----------
    folder : Path
        The data set.
    model : ModelInfo
        A network of its own that segments tumours.

    Raises
    ------
    DatasetError
        If there is no data set.
    TrainingError
        If the model is an ensemble, or extracts brains.
    """
    card = model.card
    if card.members or card.target != "tumor":
        members = ", ".join(member.name for member in card.members)
        what = f"is an ensemble: fine-tune one of {members}" if members else "does not segment tumours: choose another"
        raise TrainingError(f"{model.name} {what}.")
    name, described = CuratedDataset(folder).name, card.model_dump(mode="json")
    start = model.name if model.bundled else str(model.folder)
    entries = {
        "name": case_id_from(f"{model.name}-{name}"),
        "title": f"{card.title or model.name}, fine-tuned on {name}",
        "sources": [{"dataset": name, "kind": "curated", "path": ".", "share": 1}],
        "roles": described["roles"],
        "preprocessing": described["preprocessing"],
        "model": {"architecture": card.architecture, "arguments": card.arguments, "dims": card.dims, "init": start},
        "patch": _PATCHES[card.dims],
        "optimisation": _FINE_TUNING[card.dims] | _GENTLE,
        "validate_every": 5,
        "validate_start": True,
        # Side outputs of 3D networks cost more than half of a step on a CPU; fifteen subsets of roles many minutes.
        "loss": {"deep_supervision": "none"} if card.dims == 3 else {},
        "output": {"report": False},
    }
    return _checked(entries | {name: described[name] for name in _FROM_CARD})


def _started(config: TrainConfig, start_from: str | None) -> TrainConfig:
    if start_from is None:
        return config
    entries = config.model_dump(mode="json")
    entries["model"]["init"] = start_from
    return _checked(entries)


def recipe_for_dataset(folder: Path, model: str | None = None, dims: Dims | None = None) -> TrainConfig:
    """A recipe for the accepted cases of a curated data set, whose paths are relative to the set's folder.

    Parameters
    ----------
    folder : Path
        The data set.
    model : str, optional
        A configuration of the registry; a U-Net in 2D, a residual U-Net in 3D if not given.
    dims : {2, 3}, optional
        Those that the model was published with if not given, and 2 without a model.

    Raises
    ------
    DatasetError
        If there is no data set.
    TrainingError
        If no configuration has that name.
    """
    name, model = CuratedDataset(folder).name, model and current_name(model)
    model_dims: Dims = dims or (CONFIGURATIONS[model].dims if model in CONFIGURATIONS else 2)
    entries = {
        "name": case_id_from(name),
        "title": f"Trained on {name}",
        "sources": [{"dataset": name, "kind": "curated", "path": ".", "share": 1}],
        "model": {"configuration": model or _MODELS[model_dims], "dims": model_dims},
        "patch": _PATCHES[model_dims],
        "optimisation": _OPTIMISATION[model_dims],
        "min_extent_mm": _MIN_EXTENT_MM[model_dims],
    }
    return _checked(entries)


def with_model(config: TrainConfig, model: str | None, dims: Dims | None) -> TrainConfig:
    """The recipe with another configuration of the registry, or in other dimensions with the usual windows.

    Raises
    ------
    TrainingError
        If no configuration has that name.
    """
    if model is None and dims is None:
        return config
    entries, model = config.model_dump(mode="json"), model and current_name(model)
    if model is not None:
        entries["model"] = {"configuration": model, "dims": dims} if dims else {"configuration": model}
    else:
        entries["model"]["dims"] = dims
    model_dims = dims or (CONFIGURATIONS[model].dims if model in CONFIGURATIONS else config.model.dims)
    if model_dims != config.model.dims:
        entries["patch"] = _PATCHES[model_dims]
        entries["optimisation"]["batch"] = _OPTIMISATION[model_dims]["batch"]
        entries["min_extent_mm"] = _MIN_EXTENT_MM[model_dims]
        entries["model"].get("arguments", {}).pop(NEIGHBOURS, None)  # a volume holds its neighbouring slices
    return _checked(entries)


def _checked(entries: dict[str, Any]) -> TrainConfig:
    try:
        return TrainConfig.model_validate(entries)
    except ValidationError as error:
        problems = "; ".join(e["msg"] for e in error.errors())
        raise TrainingError(f"No recipe can be made from this: {problems}.") from error
