"""The published experiments: each is described by a file in `experiments`, and nothing but these files differs."""

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
    """What it is called in tables."""
    title: str
    formats: tuple[ImportFormat, ...]
    """In which it may lie, the published one first."""
    layout: str
    """How its folder looks, for whoever has to provide it."""
    grades: tuple[str, ...] = ()
    """Cases that are known to be of another grade are left out."""


class ExperimentNetwork(Section):
    """A network that an experiment trains."""

    name: str
    title: str
    configuration: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    roles: tuple[Role, ...] | None = None
    """Sequences that it sees; those of the recipe if not given."""


class Experiment(Section):
    """A published experiment.

    Attributes
    ----------
    published : str
        What was done, in a sentence or two.
    differs : tuple of str
        In what this reproduction differs from it.
    validation_share : float, optional
        Of the patients; or so many `validation_patients` to so many `training_patients`, and if there are fewer in all
        in the same proportion.
    brain : {"auto", "keep"}
        Whether the brain of a whole head is extracted first.
    metrics : tuple of str
        Columns of the table.
    recipe : dict
        What the recipes of all networks share.
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
        """Of so many patients, how many are for training and how many for validation; at least one each."""
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
    """Names of the experiments that can be reproduced."""
    folder = files(__package__).joinpath(_FOLDER)
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


@cache
def experiment_named(name: str) -> Experiment:
    """The experiment of that name.

    Raises
    ------
    TrainingError
        If there is none.
    """
    if name not in experiment_names():
        raise TrainingError(f"No experiment is called {name!r}. Choose one of: {', '.join(experiment_names())}.")
    text = files(__package__).joinpath(_FOLDER, f"{name}.toml").read_text(encoding="utf-8")
    return Experiment.model_validate({"name": name, **tomllib.loads(text)})
