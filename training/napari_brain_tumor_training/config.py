"""What a training run is: read from a TOML file, checked, and written into the model's card."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from napari_brain_tumor.dataset.imports import ImportFormat
from napari_brain_tumor.dataset.index import ReviewState
from napari_brain_tumor.errors import CheckpointError, TrainingError, UnreadableFileError
from napari_brain_tumor.io.regular_file import read_regular
from napari_brain_tumor.models.blocks import Dims
from napari_brain_tumor.models.configurations import CONFIGURATIONS, current_name
from napari_brain_tumor.models.neighbours import checked_neighbours
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor_training.config_parts import (
    AugmentationConfig,
    DistillationConfig,
    LossConfig,
    OptimisationConfig,
    OutputConfig,
    Section,
)

__all__ = [
    "AugmentationConfig",
    "DataSource",
    "DistillationConfig",
    "LossConfig",
    "ModelConfig",
    "OptimisationConfig",
    "OutputConfig",
    "TrainConfig",
    "read_config",
]


class DataSource(Section):
    """One set of cases: its format, its folder (relative to the data root) and its share of every batch."""

    dataset: str
    kind: Literal["decathlon", "lgg-tif", "folders", "recognised", "curated", "synthetic"]
    """`recognised` reads where it lies whatever `brain-tumor data import` recognises, such as BraTS and LGG-1p19q."""
    path: Path
    share: float = Field(gt=0)
    grade_shares: dict[str, float] = Field(default_factory=dict)
    """Share of the draws of each grade (the split's column `grade`); every case alike where none are given."""
    brain: Literal["auto", "keep"] = "auto"
    """Whether whole heads are brain-extracted before they are learned from, as `segment` does, or kept as they are."""
    states: tuple[ReviewState, ...] = ("accepted",)
    """Curated sources: review states of the cases that are taken."""
    format: ImportFormat | None = None
    """Recognised sources: their format, where it is not to be recognised."""
    cases: int = Field(default=0, ge=0)
    """Synthetic sources: how many cases are made, into the folder, before the run begins."""
    first_seed: int = Field(default=0, ge=0)
    """Synthetic sources: seed of the first case; the others follow it."""
    resolution_mm: float = Field(default=1.0, ge=0.5, le=5)
    """Synthetic sources: voxel side."""

    @model_validator(mode="after")
    def _is_complete(self) -> "DataSource":
        if (self.kind == "synthetic") != (self.cases > 0):
            msg = f"{self.dataset}: `cases` says how many cases a synthetic source has, and is for those alone."
            raise ValueError(msg)
        return self


class ModelConfig(Section):
    """The network: a configuration of the registry by name, or an architecture and its keywords."""

    configuration: str | None = None
    """A key of `models.configurations.CONFIGURATIONS`; what is given besides replaces its entries."""
    architecture: str = "unet"
    dims: Dims = 2
    arguments: dict[str, Any] = Field(default_factory=dict)
    init: str | None = None
    """Model whose weights the run begins with: an installed one's name, or the folder of a checkpoint."""
    freeze_encoder: bool = False
    """Leave the contracting path as it is in `init`, its batch norms included."""

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, entries: Any) -> Any:
        name = entries.get("configuration") if isinstance(entries, dict) else None
        if name is None:
            return entries
        name = current_name(str(name))
        if name not in CONFIGURATIONS:
            msg = f"no configuration is called {name!r}; known are {', '.join(CONFIGURATIONS)}"
            raise ValueError(msg)
        known = CONFIGURATIONS[name]
        arguments = {**known.arguments, **entries.get("arguments", {})}
        return {
            "architecture": known.architecture,
            "dims": known.dims,
            **entries,
            "configuration": name,
            "arguments": arguments,
        }

    @property
    def neighbours(self) -> int:
        """Slices on each side that a network for slices sees beside the one it segments."""
        return checked_neighbours(self.arguments, self.dims)

    @model_validator(mode="after")
    def _sees_neighbours_that_there_are(self) -> "ModelConfig":
        try:
            checked_neighbours(self.arguments, self.dims)
        except CheckpointError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _freezes_something(self) -> "ModelConfig":
        if self.freeze_encoder and self.init is None:
            msg = "freeze_encoder needs init: an encoder with random weights is not worth keeping"
            raise ValueError(msg)
        return self


class TrainConfig(Section):
    """A training run.

    Paths of sources and the split are relative to the data root that is given on the command line.
    """

    name: str
    title: str
    seed: int = 0
    roles: tuple[Role, ...] = ROLES
    split: Path | None = None
    """CSV with the columns dataset, case, patient, split (`train` or `val`); curated data sets have their own."""
    sources: tuple[DataSource, ...]
    patch: tuple[int, ...] = (144, 144)
    """Sides of the training windows in voxels: height and width, in 3D depth, height and width."""
    foreground_share: float = Field(default=0.7, ge=0, le=1)
    """Share of samples that are windows around tumour; the others are drawn from all slices."""
    validate_every: int = Field(default=10, gt=0)
    """Epochs between evaluations of the whole validation volumes."""
    validate_start: bool = False
    """Validate the weights that the run begins with, so that none that are worse are taken for its best."""
    model: ModelConfig = ModelConfig()
    preprocessing: PreprocessingSpec = PreprocessingSpec()
    augmentation: AugmentationConfig = AugmentationConfig()
    loss: LossConfig = LossConfig()
    distillation: DistillationConfig | None = None
    optimisation: OptimisationConfig
    output: OutputConfig = OutputConfig()
    min_lesion_mm3: float = Field(default=0.0, ge=0)
    """Goes into the card: see `Card`."""
    min_lesion_share: float = Field(default=0.0, ge=0, le=1)
    """Goes into the card: see `Card`."""
    min_enhancing_mm3: float = Field(default=0.0, ge=0)
    """Goes into the card: see `Card`."""
    min_sure_enhancing: float = Field(default=0.0, ge=0, le=1)
    """Goes into the card: see `Card`."""
    min_sure_tumor: float = Field(default=0.0, ge=0, le=1)
    """Goes into the card: see `Card`."""
    thickest_slices_mm: float | None = Field(default=None, gt=0)
    """Goes into the card: see `Card`."""
    target: Literal["tumor", "brain"] = "tumor"
    """Goes into the card: see `Card`."""
    brain_only: bool = False
    """Goes into the card: see `Card`."""
    min_extent_mm: float = Field(default=0.0, ge=0)
    """Goes into the card: see `Card`."""
    notes: tuple[str, ...] = ()
    licence: str = "Research use only"

    def differences(self, other: "TrainConfig") -> list[str]:
        """Names of the entries that differ and matter to the weights, not only to the card."""
        card_only = {
            "title",
            "notes",
            "licence",
            "min_lesion_mm3",
            "min_lesion_share",
            "min_enhancing_mm3",
            "min_sure_enhancing",
            "min_sure_tumor",
            "thickest_slices_mm",
            "target",
            "brain_only",
            "min_extent_mm",
            "output",
        }
        names = [name for name in type(self).model_fields if name not in card_only]
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    @model_validator(mode="after")
    def _is_consistent(self) -> "TrainConfig":
        if not self.sources:
            msg = "A training run needs at least one data source ([[sources]])."
            raise ValueError(msg)
        unsplit = [source.dataset for source in self.sources if source.kind not in ("curated", "synthetic")]
        if self.split is None and unsplit:
            msg = f"{', '.join(unsplit)} needs a split: a CSV with the columns dataset, case, patient, split."
            raise ValueError(msg)
        if self.model.neighbours and self.augmentation.lesion_mixing:
            msg = "lesion_mixing pastes into single slices: set it to 0, or leave out neighbours"
            raise ValueError(msg)
        if self.distillation and self.augmentation.lesion_mixing:
            msg = "lesion_mixing pastes what no teacher has seen: set it to 0, or leave out distillation"
            raise ValueError(msg)
        if len(self.patch) != self.model.dims or min(self.patch) < 1:
            example = "[144, 144]" if self.model.dims == 2 else "[96, 96, 96]"
            msg = (
                f"the model has {self.model.dims} dimensions, patch has the sides {self.patch}; give one per dimension"
            )
            raise ValueError(f"{msg}, such as patch = {example}")
        return self


def read_config(path: Path) -> TrainConfig:
    """The training run of a TOML file.

    Raises
    ------
    TrainingError
        If the file is missing, is not TOML or does not describe a run; the message names every wrong entry.
    """
    try:
        content = tomllib.loads(read_regular(path).decode("utf-8"))
        return TrainConfig.model_validate(content)
    except (OSError, UnicodeDecodeError, UnreadableFileError) as error:
        msg = f"The recipe {path} cannot be read: {str(error).rstrip('.')}."
        raise TrainingError(msg) from error
    except RecursionError as error:
        msg = f"The recipe {path} is not one: its brackets nest too deeply."
        raise TrainingError(msg) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"The recipe {path} is not valid TOML: {error}."
        raise TrainingError(msg) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        msg = f"The recipe {path} does not describe a training run: {problems}."
        raise TrainingError(msg) from error
