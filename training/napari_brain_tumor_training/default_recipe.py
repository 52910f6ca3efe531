"""The recipe of a training request: read from a file, or a default one for a curated data set."""

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
"""Extent of the scans that the model is meant for; measured on the 3D model shipped with the package."""
_OPTIMISATION: Final[dict[Dims, dict[str, Any]]] = {
    2: {"epochs": 100, "batch": 16, "patience": 40},
    3: {"epochs": 150, "batch": 2, "patience": 60},
}

_FINE_TUNING: Final[dict[Dims, dict[str, Any]]] = {
    2: {"epochs": 20, "iterations_per_epoch": 25, "batch": 8},
    3: {"epochs": 20, "iterations_per_epoch": 25, "batch": 2},
}
_GENTLE: Final[dict[str, Any]] = {"learning_rate": 2e-4, "ema_decay": 0.98, "warmup_fraction": 0.1, "patience": 10}
"""A tenth to a third of the learning rate of the shipped models, so that fine-tuning does not undo their training."""
_FROM_CARD: Final = (
    *("min_lesion_mm3", "min_lesion_share", "min_enhancing_mm3", "thickest_slices_mm", "brain_only", "min_extent_mm"),
    *("notes", "licence"),
)
"""Entries that a fine-tuned model takes over from the model it started from."""


def recipe_of(request: TrainRequest) -> TrainConfig:
    """Return the recipe of a request, without the request's optimisation settings.

    Raises
    ------
    TrainingError
        If the recipe cannot be read or does not fit the request.
    DatasetError
        If the folder is not a data set.
    ModelNotFoundError, CheckpointError
        If the model to start from does not exist or is invalid.
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
    """Return a recipe that fine-tunes a model on the accepted cases of a curated data set.

    The network, sequences, preprocessing, and the card's entries on scans and lesions are the model's own. Training
    takes few, small steps, and the unchanged model is the first candidate for the best weights.

    Parameters
    ----------
    folder : Path
        The data set's folder.
    model : ModelInfo
        A single network that segments tumours.

    Raises
    ------
    DatasetError
        If there is no data set in the folder.
    TrainingError
        If the model is an ensemble, or a model for brain extraction.
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
        # On a CPU, side outputs of 3D networks take more than half of a step, and scoring fifteen subsets many minutes.
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
    """Return a default recipe for the accepted cases of a curated data set, with paths relative to its folder.

    Parameters
    ----------
    folder : Path
        The data set's folder.
    model : str, optional
        A configuration of the registry; if not given, a U-Net in 2D or a residual U-Net in 3D.
    dims : {2, 3}, optional
        If not given, the model's published dimensions, or 2 without a model.

    Raises
    ------
    DatasetError
        If there is no data set in the folder.
    TrainingError
        If there is no configuration of that name.
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
    """Return the recipe with another configuration, or in other dimensions with the default windows.

    Raises
    ------
    TrainingError
        If there is no configuration of that name.
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
