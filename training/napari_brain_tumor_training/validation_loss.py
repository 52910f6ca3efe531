"""The training loss on the validation side, computed on the same few windows after every epoch.

Comparing training and validation loss shows whether a network generalises or memorises. The windows are drawn as in
training, but without augmentation and lesion mixing; the weights are the averaged ones, which are also validated and
kept. It uses at most a tenth of the epoch's number of batches, and only the forward pass.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.dataset import TrainingCase
from napari_brain_tumor_training.sampling import Batch, VolumeSampler, draw_ahead, sampler_for
from napari_brain_tumor_training.trainer import Trainer

VALIDATION_LOSS: Final = "validation loss"
"""Column of the loss in the history."""
_MOST_BATCHES: Final = 25
_SEED: Final = 20_231_113
"""Seed of the windows: the same for all epochs, runs and recipes on the same data."""


def validation_loss(trainer: Trainer, cases: Sequence[TrainingCase]) -> Job[dict[str, float]]:
    """Compute the loss of the averaged weights on fixed windows of the validation cases, as a job.

    Parameters
    ----------
    trainer : Trainer
        A trainer between two epochs; it is not modified.
    cases : sequence of TrainingCase
        Cases of the validation side.

    Returns
    -------
    dict of str to float
        Entry for the history; empty if no source with a share has validation cases.
    """
    config = trainer.config
    sampler = _sampler(config, cases)
    if sampler is None:
        return {}
    count = max(1, min(_MOST_BATCHES, trainer.plan.iterations_per_epoch // 10))
    trainer.average.eval()
    values = []
    size = trainer.plan.batch * trainer.group.size  # the same windows for any number of processes
    for number, batch in enumerate(_batches(sampler, size, count)):
        yield Progress(number, count, f"validation loss, batch {number + 1} of {count}")
        values.append(trainer.loss_of(batch))
    return {VALIDATION_LOSS: float(np.mean(values))}


def _sampler(config: TrainConfig, cases: Sequence[TrainingCase]) -> VolumeSampler | None:
    """Return a sampler as in training, but without shares of grades, which may not suit the validation side."""
    datasets = {case.files.dataset for case in cases}
    sources = [
        source.model_copy(update={"grade_shares": {}})
        for source in config.sources
        if source.dataset in datasets and source.share > 0
    ]
    if not sources:
        return None
    plain = config.augmentation.model_copy(update={"lesion_mixing": 0.0})
    return sampler_for(config.model_copy(update={"sources": sources, "augmentation": plain}), cases)


def _batches(sampler: VolumeSampler, size: int, count: int) -> Iterator[Batch]:
    return draw_ahead(lambda number: sampler.draw(size, np.random.default_rng([_SEED, number])), range(count))
