"""The brain network supplied with the package, and its predictions for a study."""

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from napari_brain_tumor.brain.small_grid import SmallGrid, small_study
from napari_brain_tumor.inference.device import resolve_device
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.models.cards import ModelInfo, read_card
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.models.manifest import BUNDLED
from napari_brain_tumor.preprocessing.pipeline import prepare
from napari_brain_tumor.progress import Job, part_of
from napari_brain_tumor.study import Study

BRAIN_MODEL: Final = "brain"
"""Name of the checkpoint; its "whole tumour" is the brain."""


def brain_model() -> ModelInfo:
    """Return the network with its card; raises `CheckpointError` if it is missing or damaged."""
    folder = BUNDLED / BRAIN_MODEL
    card = read_card(folder)
    return ModelInfo(name=card.name, folder=folder, card=card, bundled=True)


def brain_probabilities(study: Study, small: SmallGrid, device: str = "auto") -> Job[npt.NDArray[np.float32]]:
    """Predict the probability `(X, Y, Z)` of brain on the small grid, as a job.

    Raises
    ------
    MissingRolesError
        If the study has no sequence that the network accepts.
    CheckpointError
        If the network is missing or damaged.
    """
    model = brain_model()
    prepared = prepare(small_study(study, small), model.roles, model.card.preprocessing)
    engine = _engine(model.card.weights_sha256, resolve_device(device))
    region = model.regions.index("WT")
    brain = np.zeros(prepared.mask.shape, np.float32)
    for done, side in enumerate((slice(None), slice(None, None, -1))):  # original, and mirrored left to right
        job = engine.probabilities(np.ascontiguousarray(prepared.channels[..., side]))
        values = yield from part_of(job, done / 2, (done + 1) / 2)
        brain += values[region][..., side].astype(np.float32) / 2
    brain *= prepared.mask
    return np.asarray(prepared.work.labels_to_source(brain, prepared.box), dtype=np.float32)


@lru_cache(maxsize=2)
def _engine(weights_sha256: str, device: torch.device) -> Engine:
    """Return the network for a device, in float32 as used for its validation; on so few pixels this is fast enough."""
    model = brain_model()
    assert model.card.weights_sha256 == weights_sha256
    return Engine.prepare(load_network(model), model.card.dims, device, torch.float32)
