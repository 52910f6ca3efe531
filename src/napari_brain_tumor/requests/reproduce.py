"""Published experiments: which, on what, and for how long."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from napari_brain_tumor.requests.request import Option, Request
from napari_brain_tumor.requests.segment import Device

ExperimentName = Literal["three-networks-lgg", "u2net-t1-t2", "unet-vs-classical", "unet3d-patches"]
"""The experiments that are described in `napari_brain_tumor_training/reproduce/experiments`."""


class ReproduceRequest(Request):
    """Reproduce a published experiment: `reproduce`, `brain-tumor reproduce`."""

    name: Annotated[
        ExperimentName,
        Option(help="Which experiment (docs/reproductions.md).", label="Experiment", positional=True),
    ]
    data: Annotated[
        Path,
        Option(
            help="Folder that holds the data of the experiment; nothing is downloaded, nothing in it is changed.",
            label="Data",
            metavar="DATA",
            positional=True,
        ),
    ]
    device: Device = "auto"
    budget: Annotated[
        float | None,
        Field(gt=0),
        Option(
            help="Shorten the experiment to about this many minutes: fewer cases, epochs and steps, as stated on the "
            "page.",
            label="Budget",
            unit="min",
            metavar="MINUTES",
        ),
    ] = None
    epochs: Annotated[
        int | None, Field(gt=0), Option(help="Number of epochs, instead of the experiment's.", label="Epochs")
    ] = None
    split: Annotated[
        Path | None,
        Option(
            help="CSV with the columns dataset, case, patient, split (train or val): who is on which side. By default "
            "patients are assigned at random, in the same way each time.",
            label="Split",
            metavar="CSV",
        ),
    ] = None
