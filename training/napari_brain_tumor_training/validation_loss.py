"""The training loss on the validation side, of the same few windows after every epoch.

Training and validation loss beside each other tell whether a network learns or learns by heart. The windows are drawn
as for training, but not varied and no lesion is mixed in; the weights are the averaged ones, which are validated and
kept. It takes at most a tenth as many batches as the epoch, forward alone.
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
"""Its column in the history."""
_MOST_BATCHES: Final = 25
_SEED: Final = 20_231_113
"""Of the windows: the same for every epoch, run and recipe of the same data."""


def validation_loss(trainer: Trainer, cases: Sequence[TrainingCase]) -> Job[dict[str, float]]:
    """A job that computes the loss of the averaged weights on fixed windows of the validation cases.

    Parameters
    ----------
    trainer : Trainer
        Between two epochs; nothing of it changes.
    cases : sequence of TrainingCase
        Of the validation side.

    Returns
    -------
    dict of str to float
        The entry of the history; empty where no source with a share has validation cases.
    """
    config = trainer.config
    sampler = _sampler(config, cases)
    if sampler is None:
        return {}
    count = max(1, min(_MOST_BATCHES, trainer.plan.iterations_per_epoch // 10))
    trainer.average.eval()
    values = []
    size = trainer.plan.batch * trainer.group.size  # the windows of a run are the same with any number of processes
    for number, batch in enumerate(_batches(sampler, size, count)):
        yield Progress(number, count, f"validation loss, batch {number + 1} of {count}")
        values.append(trainer.loss_of(batch))
    return {VALIDATION_LOSS: float(np.mean(values))}


def _sampler(config: TrainConfig, cases: Sequence[TrainingCase]) -> VolumeSampler | None:
    """Draws windows as for training but for the shares of grades, which validation may have others of."""
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
