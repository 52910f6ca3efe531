"""What a training run is: read from a TOML file, checked, and written into the model's card."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec
from napari_brain_tumor.study import ROLES, Role

__all__ = ["AugmentationConfig", "DataSource", "ModelConfig", "OptimisationConfig", "TrainConfig", "read_config"]


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSource(_Config):
    """One set of cases: its format, its folder (relative to the data root) and its share of every batch."""

    dataset: str
    kind: Literal["decathlon", "lgg-tif"]
    path: Path
    share: float = Field(gt=0)
    grade_shares: dict[str, float] = Field(default_factory=dict)
    """Share of the draws of each grade (the split's column `grade`); every case alike where none are given."""


class ModelConfig(_Config):
    """The network, by its name in the registry and its keywords."""

    architecture: str = "unet"
    dims: Literal[2] = 2
    arguments: dict[str, Any] = Field(default_factory=dict)
    init: str | None = None
    """Model whose weights the run begins with: an installed one's name, or the folder of a checkpoint."""


class AugmentationConfig(_Config):
    """How samples are varied; probabilities are per sample."""

    flip_probability: float = Field(default=0.5, ge=0, le=1)
    affine_probability: float = Field(default=0.8, ge=0, le=1)
    rotation_degrees: float = Field(default=20, ge=0)
    scale: tuple[float, float] = (0.75, 1.35)
    intensity_probability: float = Field(default=0.8, ge=0, le=1)
    contrast: float = Field(default=0.3, ge=0)
    brightness: float = Field(default=0.3, ge=0)
    gamma: float = Field(default=0.4, ge=0)
    bias_field: float = Field(default=0.15, ge=0)
    noise: float = Field(default=0.12, ge=0)
    noise_probability: float = Field(default=0.2, ge=0, le=1)
    blur_probability: float = Field(default=0.15, ge=0, le=1)
    role_dropout: float = Field(default=0.5, ge=0, le=1)
    """Share of samples from which a random part of the sequences is taken away."""


class OptimisationConfig(_Config):
    """Steps, rates and precision."""

    epochs: int = Field(gt=0)
    iterations_per_epoch: int = Field(default=100, gt=0)
    batch: int = Field(default=16, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    warmup_fraction: float = Field(default=0.03, ge=0, lt=1)
    gradient_norm: float = Field(default=12.0, gt=0)
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    precision: Literal["bfloat16", "float32"] = "bfloat16"


class TrainConfig(_Config):
    """A training run.

    Paths of sources and the split are relative to the data root that is given on the command line.
    """

    name: str
    title: str
    seed: int = 0
    roles: tuple[Role, ...] = ROLES
    split: Path
    """CSV with the columns dataset, case, patient, split (`train` or `val`)."""
    sources: tuple[DataSource, ...]
    patch: tuple[int, int] = (144, 144)
    """Height and width of the training windows, in voxels."""
    foreground_share: float = Field(default=0.7, ge=0, le=1)
    """Share of samples that are windows around tumour; the others are drawn from all slices."""
    validate_every: int = Field(default=10, gt=0)
    """Epochs between evaluations of the whole validation volumes."""
    model: ModelConfig = ModelConfig()
    preprocessing: PreprocessingSpec = PreprocessingSpec()
    augmentation: AugmentationConfig = AugmentationConfig()
    optimisation: OptimisationConfig
    min_lesion_mm3: float = Field(default=0.0, ge=0)
    """Goes into the card: see `Card`."""
    min_enhancing_mm3: float = Field(default=0.0, ge=0)
    """Goes into the card: see `Card`."""
    notes: tuple[str, ...] = ()
    licence: str = "Research use only"

    def differences(self, other: "TrainConfig") -> list[str]:
        """Names of the entries that differ and matter to the weights, not only to the card."""
        card_only = {"title", "notes", "licence", "min_lesion_mm3", "min_enhancing_mm3"}
        names = [name for name in type(self).model_fields if name not in card_only]
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    @model_validator(mode="after")
    def _has_sources(self) -> "TrainConfig":
        if not self.sources:
            msg = "A training run needs at least one data source ([[sources]])."
            raise ValueError(msg)
        return self


def read_config(path: Path) -> TrainConfig:
    """The training run of a TOML file.

    Raises
    ------
    TrainingError
        If the file is missing, is not TOML or does not describe a run; the message names every wrong entry.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return TrainConfig.model_validate(content)
    except OSError as error:
        msg = f"The recipe {path} cannot be read: {error}."
        raise TrainingError(msg) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"The recipe {path} is not valid TOML: {error}."
        raise TrainingError(msg) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        msg = f"The recipe {path} does not describe a training run: {problems}."
        raise TrainingError(msg) from error
