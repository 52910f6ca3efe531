"""The recipe for a curated data set where nobody wrote one."""

from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from napari_brain_tumor.dataset import CuratedDataset, case_id_from
from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.models.blocks import Dims
from napari_brain_tumor.models.configurations import CONFIGURATIONS, current_name
from napari_brain_tumor.models.neighbours import NEIGHBOURS
from napari_brain_tumor_training.config import TrainConfig

__all__ = ["recipe_for_dataset", "with_model"]

_MODELS: Final[dict[Dims, str]] = {2: "unet_brain", 3: "residual_unet_light"}
_PATCHES: Final[dict[Dims, tuple[int, ...]]] = {2: (160, 160), 3: (96, 96, 96)}
_MIN_EXTENT_MM: Final[dict[Dims, float]] = {2: 0.0, 3: 32.0}
"""Of the scans that the model will be for: measured on the 3D model that ships."""
_OPTIMISATION: Final[dict[Dims, dict[str, Any]]] = {
    2: {"epochs": 100, "batch": 16, "patience": 40},
    3: {"epochs": 150, "batch": 2, "patience": 60},
}


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
        msg = f"No recipe can be made of this: {problems}."
        raise TrainingError(msg) from error
