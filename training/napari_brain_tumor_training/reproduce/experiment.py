"""The published experiments, each described completely by a file in `experiments`."""

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from napari_brain_tumor.dataset.imports import ImportFormat
from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor_training.config import DataSource, ModelConfig, TrainConfig
from napari_brain_tumor_training.config_parts import Section

_FOLDER: Final = "experiments"
_SEED: Final = 2024


class ExperimentData(Section):
    """A data set that an experiment needs."""

    dataset: str
    """Name of the data set in tables."""
    title: str
    formats: tuple[ImportFormat, ...]
    """Accepted formats, the published one first."""
    layout: str
    """Layout of the folder, described for whoever has to provide it."""
    grades: tuple[str, ...] = ()
    """Cases known to have another grade are left out."""


class ExperimentNetwork(Section):
    """A network that an experiment trains."""

    name: str
    title: str
    configuration: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    roles: tuple[Role, ...] | None = None
    """Sequences that the network receives; those of the recipe if not given."""


class Experiment(Section):
    """A published experiment.

    Attributes
    ----------
    published : str
        Summary of the publication, in a sentence or two.
    differs : tuple of str
        Differences between this reproduction and the publication.
    validation_share : float, optional
        Share of the patients. Alternatively, numbers of `validation_patients` and `training_patients`, or the same
        proportion if there are fewer patients.
    brain : {"auto", "keep"}
        Whether the brain is extracted from whole heads first.
    metrics : tuple of str
        Columns of the table.
    recipe : dict
        Entries shared by the recipes of all networks.
    """

    name: str
    title: str
    published: str
    differs: tuple[str, ...] = ()
    data: tuple[ExperimentData, ...]
    networks: tuple[ExperimentNetwork, ...]
    methods: tuple[str, ...] = ()
    training_patients: int | None = None
    validation_patients: int | None = None
    validation_share: float | None = Field(default=None, gt=0, lt=1)
    brain: Literal["auto", "keep"] = "auto"
    metrics: tuple[str, ...] = ("dice", "iou", "sensitivity", "specificity", "hd95_mm")
    recipe: dict[str, Any]

    def patients_of_sides(self, patients: int) -> tuple[int, int]:
        """Return how many of the patients are for training and for validation; at least one each."""
        training, validation = self.training_patients, self.validation_patients
        if training is not None and validation is not None:
            if patients >= training + validation:
                return training, validation
            share = validation / (training + validation)
        else:
            share = self.validation_share or 0.2
        count = max(1, round(share * patients))
        return patients - count, count

    def config_of(self, network: ExperimentNetwork, sources: tuple[DataSource, ...], split: Path) -> TrainConfig:
        entries = {
            "roles": ROLES,
            "seed": _SEED,
            "output": {"report": False, "tensorboard": False, "sample_slices": 0},
            **self.recipe,
            **({"roles": network.roles} if network.roles else {}),
            "name": network.name,
            "title": f"{network.title} ({self.name})",
            "model": ModelConfig(configuration=network.configuration, arguments=network.arguments),
            "sources": sources,
            "split": split,
            "notes": (f"Trained by the reproduction of {self.name}: not for use on patients.",),
        }
        return TrainConfig.model_validate(entries)


def experiment_names() -> tuple[str, ...]:
    """Return the names of the experiments that can be reproduced."""
    folder = files(__package__).joinpath(_FOLDER)
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


@cache
def experiment_named(name: str) -> Experiment:
    """Return the experiment of this name.

    Raises
    ------
    TrainingError
        If there is no such experiment.
    """
    if name not in experiment_names():
        raise TrainingError(f"No experiment is called {name!r}. Choose one of: {', '.join(experiment_names())}.")
    text = files(__package__).joinpath(_FOLDER, f"{name}.toml").read_text(encoding="utf-8")
    return Experiment.model_validate({"name": name, **tomllib.loads(text)})
