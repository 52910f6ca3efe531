"""The recipe of a training run: read from a TOML file, validated, and recorded in the model card."""

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
    """A set of cases: its format, its folder (relative to the data root) and its share of each batch."""

    dataset: str
    kind: Literal["decathlon", "lgg-tif", "folders", "recognised", "curated", "synthetic"]
    """`recognised` reads, in place, all that `brain-tumor data import` recognises, such as BraTS and LGG-1p19q."""
    path: Path
    share: float = Field(gt=0)
    grade_shares: dict[str, float] = Field(default_factory=dict)
    """Share of samples for each grade (the split's column `grade`); if not given, all cases are equally likely."""
    brain: Literal["auto", "keep"] = "auto"
    """Whether whole heads are brain-extracted before training, as in `segment`, or kept."""
    states: tuple[ReviewState, ...] = ("accepted",)
    """Curated sources: review states of the cases to use."""
    format: ImportFormat | None = None
    """Recognised sources: the format, if it is not to be detected."""
    cases: int = Field(default=0, ge=0)
    """Synthetic sources: number of cases to make in the folder before the run starts."""
    first_seed: int = Field(default=0, ge=0)
    """Synthetic sources: seed of the first case; the others have consecutive seeds."""
    resolution_mm: float = Field(default=1.0, ge=0.5, le=5)
    """Synthetic sources: voxel size."""

    @model_validator(mode="after")
    def _is_complete(self) -> "DataSource":
        if (self.kind == "synthetic") != (self.cases > 0):
            msg = f"{self.dataset}: `cases` says how many cases a synthetic source has, and is for those alone."
            raise ValueError(msg)
        return self


class ModelConfig(Section):
    """The network: a named configuration of the registry, or an architecture and its arguments."""

    configuration: str | None = None
    """A key of `models.configurations.CONFIGURATIONS`; other entries given here override those of the configuration."""
    architecture: str = "unet"
    dims: Dims = 2
    arguments: dict[str, Any] = Field(default_factory=dict)
    init: str | None = None
    """Model whose weights the run starts from: the name of an installed model, or the folder of a checkpoint."""
    freeze_encoder: bool = False
    """Keep the contracting path as in `init`, including its batch norms."""

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
        """Number of neighbouring slices on each side that a 2D network sees besides the one it segments."""
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

    Paths of sources and the split are relative to the data root given on the command line.
    """

    name: str
    title: str
    seed: int = 0
    roles: tuple[Role, ...] = ROLES
    split: Path | None = None
    """CSV with the columns dataset, case, patient, split (`train` or `val`); curated data sets define their own."""
    sources: tuple[DataSource, ...]
    patch: tuple[int, ...] = (144, 144)
    """Size of the training windows in voxels: height and width, preceded by depth in 3D."""
    foreground_share: float = Field(default=0.7, ge=0, le=1)
    """Share of samples that are windows around tumour; the others come from all slices."""
    validate_every: int = Field(default=10, gt=0)
    """Number of epochs between evaluations on whole validation volumes."""
    validate_start: bool = False
    """Validate the starting weights, so that the best weights are never worse than these."""
    model: ModelConfig = ModelConfig()
    preprocessing: PreprocessingSpec = PreprocessingSpec()
    augmentation: AugmentationConfig = AugmentationConfig()
    loss: LossConfig = LossConfig()
    distillation: DistillationConfig | None = None
    optimisation: OptimisationConfig
    output: OutputConfig = OutputConfig()
    min_lesion_mm3: float = Field(default=0.0, ge=0)
    """Recorded in the card: see `Card`."""
    min_lesion_share: float = Field(default=0.0, ge=0, le=1)
    """Recorded in the card: see `Card`."""
    min_enhancing_mm3: float = Field(default=0.0, ge=0)
    """Recorded in the card: see `Card`."""
    min_sure_enhancing: float = Field(default=0.0, ge=0, le=1)
    """Recorded in the card: see `Card`."""
    min_sure_tumor: float = Field(default=0.0, ge=0, le=1)
    """Recorded in the card: see `Card`."""
    thickest_slices_mm: float | None = Field(default=None, gt=0)
    """Recorded in the card: see `Card`."""
    target: Literal["tumor", "brain"] = "tumor"
    """Recorded in the card: see `Card`."""
    brain_only: bool = False
    """Recorded in the card: see `Card`."""
    min_extent_mm: float = Field(default=0.0, ge=0)
    """Recorded in the card: see `Card`."""
    notes: tuple[str, ...] = ()
    licence: str = "Research use only"

    def differences(self, other: "TrainConfig") -> list[str]:
        """Names of differing entries that affect the weights, and not only the card."""
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
    """Read a training run from a TOML file.

    Raises
    ------
    TrainingError
        If the file is missing, is not TOML or is not a valid recipe; the message names every invalid entry.
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
