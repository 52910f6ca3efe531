"""Training: on what, which network, and for how long."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from napari_brain_tumor.requests.request import Option, Request
from napari_brain_tumor.requests.segment import Device


class TrainRequest(Request):
    """Train a network: `start_run`, `brain-tumor train`, the Train panel; kept in the run's folder to resume it.

    Entries that are None are as the recipe has them, or usual for the model where the data set has no recipe.
    """

    source: Annotated[
        Path,
        Option(
            help="A curated data set's folder, or a TOML file that describes the run (see training/recipes).",
            label="Train on",
            metavar="RECIPE",
            positional=True,
        ),
    ]
    data: Annotated[
        Path | None,
        Option(help="Folder that the recipe's paths are relative to; the current one if not given.", label="Data"),
    ] = None
    model: Annotated[
        str | None, Option(help="A configuration of the model family, for example u2netp.", label="Network")
    ] = None
    start_from: Annotated[
        str | None,
        Option(
            help="Fine-tune this model, by name or folder, instead of training from scratch. A data set then takes "
            "over its network, sequences and preprocessing; a recipe has to be for a network of its kind.",
            label="Start from",
            flag="--from",
            metavar="MODEL",
        ),
    ] = None
    dims: Annotated[
        int | None, Field(ge=2, le=3), Option(help="2 for slices, 3 for sub-volumes.", label="Dimensions")
    ] = None
    device: Device = "auto"
    epochs: Annotated[
        int | None, Field(gt=0), Option(help="Number of epochs, instead of the recipe's.", label="Epochs")
    ] = None
    batch: Annotated[
        int | None, Field(ge=1), Option(help="Samples per step, instead of the recipe's number.", label="Batch")
    ] = None
    learning_rate: Annotated[
        float | None,
        Field(gt=0),
        Option(help="Peak learning rate, instead of the recipe's.", label="Learning rate"),
    ] = None
    validate_every: Annotated[
        int | None,
        Field(gt=0),
        Option(help="Epochs between validations, instead of the recipe's.", label="Validate every"),
    ] = None
    install: Annotated[
        bool, Option(help="Add the finished model to the list of models.", label="Add to the models")
    ] = True
