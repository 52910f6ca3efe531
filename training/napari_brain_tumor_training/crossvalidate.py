"""Cross-validation: train a network for each fold of the patients, and combine the networks into one model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.inference.device import resolve_device
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.csv_text import csv_text
from napari_brain_tumor.models.card_parts import Metrics
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.models.combination import Ensemble
from napari_brain_tumor.models.ensemble import save_ensemble
from napari_brain_tumor.progress import Job, part_of
from napari_brain_tumor_training.case_files import find_cases
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.dataset import load_cases
from napari_brain_tumor_training.fit import CACHE_FOLDER, REPORT_FILE, TrainingResult, fit
from napari_brain_tumor_training.folds import Fold, frozen_folds
from napari_brain_tumor_training.process_group import number_of_processes
from napari_brain_tumor_training.report import score_subsets, write_report
from napari_brain_tumor_training.run_state import STATE_FILE

SCORES_FILE = "crossvalidation.csv"
_SCORE_COLUMNS = ("fold", "dataset", "roles", "cases", "region", "dice")
_NOT_HELD_OUT = "Its scores are those of the single networks, each on the patients that it had not seen."


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Result of a cross-validation.

    Parameters
    ----------
    model : ModelInfo
        Ensemble of the folds' networks.
    members : tuple of ModelInfo
        The folds' networks, each scored on the patients that were held out from its training.
    metrics : tuple of Metrics
        Metrics of the members: means over all patients, each predicted by the one network not trained on them.
    """

    model: ModelInfo
    members: tuple[ModelInfo, ...]
    metrics: tuple[Metrics, ...]


def fit_fold(
    config: TrainConfig, data_root: Path, folder: Path, number: int, count: int, **options: Any
) -> Job[TrainingResult]:
    """Train the network of one fold in `<folder>/fold-<number>`, as a job.

    Folds can be trained at the same time, on several machines that share the folder: the table of folds is the same no
    matter which of them writes it.

    Parameters
    ----------
    config : TrainConfig
        The recipe.
    data_root : Path
        Folder that the recipe's paths are relative to.
    folder : Path
        Folder of the cross-validation.
    number, count : int
        Number of the fold, from 1, and number of folds.
    **options
        As in `fit`.

    Raises
    ------
    TrainingError, OutOfMemoryError, SaveError
        As in `fit`, or if the folds cannot be made.
    """
    fold = Fold(number, count, frozen_folds(config, data_root, folder, count))
    return fit(config, data_root, _fold_folder(folder, number), fold=fold, **options)


def crossvalidate(
    config: TrainConfig,
    data_root: Path,
    folder: Path,
    count: int,
    *,
    device: str = "auto",
    epochs: int | None = None,
) -> Job[CrossValidation]:
    """Train a network for each fold, score them, and write the ensemble to `<folder>/<name>`, as a job.

    Folds already finished or started in the folder are continued. If the recipe has a validation side, no fold uses it,
    and the ensemble is scored on it with every subset of sequences.

    Parameters
    ----------
    config : TrainConfig
        The recipe.
    data_root : Path
        Folder that the recipe's paths are relative to.
    folder : Path
        Folder for the table of folds, a folder per fold, the scores and the ensemble.
    count : int
        Number of folds, two or more.
    device : str
        As in `segment`.
    epochs : int, optional
        Overrides the recipe's number of epochs.

    Raises
    ------
    TrainingError, OutOfMemoryError, SaveError
        As in `fit`, or if the folds cannot be made.
    """
    if number_of_processes() > 1:
        raise TrainingError(
            "A cross-validation is not run by several processes as a whole. Train each fold with them (--fold 1, 2, "
            "...), then join the folds with one process."
        )
    members = []
    for number in range(1, count + 1):
        has_state = (_fold_folder(folder, number) / STATE_FILE).is_file()
        job = fit_fold(config, data_root, folder, number, count, device=device, resume=has_state, epochs=epochs)
        result = yield from part_of(job, (number - 1) / count, number / count, f"fold {number} of {count}")
        members.append(result.model)
    pooled = summarise_folds(members)
    _write_scores(folder / SCORES_FILE, members)
    metrics = yield from part_of(_held_out_scores(config, data_root, folder, members, device), 1, 1)
    notes = [
        f"The mean of {count} networks, each trained without other patients; {count} times slower than one.",
        *([] if metrics else [_NOT_HELD_OUT]),
    ]
    model = save_ensemble(folder / config.name, members, config.title, metrics=metrics or pooled, notes=notes)
    write_report(folder / REPORT_FILE, f"{config.title}, ensemble of {count} folds", metrics or pooled, {})
    return CrossValidation(model, tuple(members), tuple(pooled))


def summarise_folds(members: Sequence[ModelInfo]) -> list[Metrics]:
    """Return the mean Dice over the cases of all folds, for each set and subset of sequences scored in every fold."""
    groups: dict[tuple[str, tuple[str, ...]], list[Metrics]] = {}
    for member in members:
        for m in member.card.metrics:
            groups.setdefault((m.dataset, tuple(m.roles)), []).append(m)
    return [_pooled(group) for group in groups.values()]


def _pooled(metrics: Sequence[Metrics]) -> Metrics:
    means = {}
    for region in metrics[0].mean_dice:
        with_region = [m for m in metrics if region in m.mean_dice]
        means[region] = float(
            np.average([m.mean_dice[region] for m in with_region], weights=[m.cases for m in with_region])
        )
    return metrics[0].model_copy(update={"cases": sum(m.cases for m in metrics), "mean_dice": means})


def _held_out_scores(
    config: TrainConfig, data_root: Path, folder: Path, members: Sequence[ModelInfo], device: str
) -> Job[list[Metrics]]:
    """Score the ensemble on the recipe's validation side, which no fold used."""
    files = [case for case in find_cases(config, data_root) if case.split == "val"]
    cases = yield from load_cases(files, config.roles, config.preprocessing, folder / CACHE_FOLDER)
    network = Ensemble([load_network(member) for member in members])
    return (yield from score_subsets(network, config.model.dims, config.roles, cases, resolve_device(device)))


def _fold_folder(folder: Path, number: int) -> Path:
    return folder / f"fold-{number}"


def _write_scores(path: Path, members: Sequence[ModelInfo]) -> None:
    """Write a row for each fold, set, subset of sequences and region."""
    rows = (
        (number, m.dataset, "+".join(m.roles), m.cases, region, f"{value:.4f}")
        for number, member in enumerate(members, 1)
        for m in member.card.metrics
        for region, value in m.mean_dice.items()
    )
    write_text(path, csv_text(_SCORE_COLUMNS, (dict(zip(_SCORE_COLUMNS, row, strict=True)) for row in rows)))
