"""Export the weights of a run as a checkpoint with a model card."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.models.card_parts import Calibration, Metrics, TrainingRecord
from napari_brain_tumor.models.cards import Card, ModelInfo
from napari_brain_tumor.models.checkpoint import save_checkpoint
from napari_brain_tumor.models.registry import build_network
from napari_brain_tumor_training.config import TrainConfig


def export_checkpoint(
    config: TrainConfig,
    weights: dict[str, torch.Tensor],
    folder: Path,
    *,
    cases: int,
    split_sha256: str,
    epochs: int,
    weights_of_epoch: int | None = None,
    metrics: Sequence[Metrics] = (),
    calibration: Mapping[Region, Calibration] | None = None,
) -> ModelInfo:
    """Write a training run as a checkpoint folder.

    Parameters
    ----------
    config : TrainConfig
        The run's recipe; its settings are recorded in the card.
    weights : dict of str to Tensor
        State of the network.
    folder : Path
        Checkpoint folder; replaced if it exists.
    cases : int
        Number of training cases.
    split_sha256 : str
        Hash of the split file.
    epochs : int
        Number of completed epochs.
    weights_of_epoch : int, optional
        Epoch that the weights are from; the last one if not given.
    metrics : sequence of Metrics
        Metrics on the validation side.
    calibration : mapping of region to Calibration, optional
        Temperatures fitted on the validation side.
    """
    network = build_network(
        config.model.architecture, len(config.roles), len(REGIONS), config.model.dims, config.model.arguments
    )
    settings = config.model_dump(
        mode="json", exclude={"name", "title", "seed", "notes", "licence", "preprocessing", "output"}
    )
    settings["weights_of_epoch"] = epochs if weights_of_epoch is None else weights_of_epoch
    card = Card(
        name=folder.name,
        title=config.title,
        architecture=config.model.architecture,
        arguments=config.model.arguments,
        dims=config.model.dims,
        roles=list(config.roles),
        regions=list(REGIONS),
        preprocessing=config.preprocessing,
        min_lesion_mm3=config.min_lesion_mm3,
        min_lesion_share=config.min_lesion_share,
        min_enhancing_mm3=config.min_enhancing_mm3,
        min_sure_enhancing=config.min_sure_enhancing,
        min_sure_tumor=config.min_sure_tumor,
        thickest_slices_mm=config.thickest_slices_mm,
        target=config.target,
        brain_only=config.brain_only,
        min_extent_mm=config.min_extent_mm,
        parameters=sum(p.numel() for p in network.parameters()),
        training=TrainingRecord(
            datasets=[source.dataset for source in config.sources],
            cases=cases,
            split_sha256=split_sha256,
            epochs=epochs,
            seed=config.seed,
            settings=settings,
        ),
        metrics=list(metrics),
        calibration=dict(calibration or {}),
        notes=list(config.notes),
        licence=config.licence,
        created=datetime.now(UTC),
        software={
            "python": platform.python_version(),
            **{name: version(name) for name in ("napari-brain-tumor", "torch", "monai")},
        },
        weights_sha256="0" * 64,
    )
    return save_checkpoint(folder, weights, card)
