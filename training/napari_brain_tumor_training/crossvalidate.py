"""Train a network for every fold of the patients, and keep the networks together as one model."""

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
    """What a cross-validation gave.

    Parameters
    ----------
    model : ModelInfo
        The ensemble of the folds' networks.
    members : tuple of ModelInfo
        The folds' networks, each scored on the patients that it was not trained on.
    metrics : tuple of Metrics
        Of the members: mean over all patients, each by the one network that did not see them.
    """

    model: ModelInfo
    members: tuple[ModelInfo, ...]
    metrics: tuple[Metrics, ...]


def fit_fold(
    config: TrainConfig, data_root: Path, folder: Path, number: int, count: int, **options: Any
) -> Job[TrainingResult]:
    """Train the network of one fold in `<folder>/fold-<number>`: a job.

    Folds can be trained at the same time, on several machines that share the folder: the table of folds is the same
    whoever writes it.

    Parameters
    ----------
    config : TrainConfig
        The recipe.
    data_root : Path
        Folder that the recipe's paths are relative to.
    folder : Path
        Of the cross-validation.
    number, count : int
        Which fold, from 1, of how many.
    **options
        As for `fit`.

    Raises
    ------
    TrainingError, OutOfMemoryError, SaveError
        As for `fit`, or if the folds cannot be made.
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
    """Train a network for every fold, score them, and write the ensemble to `<folder>/<name>`: a job.

    Folds that are done or begun in the folder go on from there. Where the recipe has a validation side, no fold sees
    it, and the ensemble is scored on it with every subset of roles.

    Parameters
    ----------
    config : TrainConfig
        The recipe.
    data_root : Path
        Folder that the recipe's paths are relative to.
    folder : Path
        For the table of folds, a folder for each, the scores and the ensemble.
    count : int
        Of folds, two or more.
    device : str
        As for `segment`.
    epochs : int, optional
        Instead of the recipe's number.

    Raises
    ------
    TrainingError, OutOfMemoryError, SaveError
        As for `fit`, or if the folds cannot be made.
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
    """Mean Dice over the cases of all folds, for each set and subset of roles that every fold was scored with."""
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
    """Of the ensemble on the recipe's validation side, which no fold saw."""
    files = [case for case in find_cases(config, data_root) if case.split == "val"]
    cases = yield from load_cases(files, config.roles, config.preprocessing, folder / CACHE_FOLDER)
    network = Ensemble([load_network(member) for member in members])
    return (yield from score_subsets(network, config.model.dims, config.roles, cases, resolve_device(device)))


def _fold_folder(folder: Path, number: int) -> Path:
    return folder / f"fold-{number}"


def _write_scores(path: Path, members: Sequence[ModelInfo]) -> None:
    """A row for every fold, set, subset of roles and region."""
    rows = (
        (number, m.dataset, "+".join(m.roles), m.cases, region, f"{value:.4f}")
        for number, member in enumerate(members, 1)
        for m in member.card.metrics
        for region, value in m.mean_dice.items()
    )
    write_text(path, csv_text(_SCORE_COLUMNS, (dict(zip(_SCORE_COLUMNS, row, strict=True)) for row in rows)))
