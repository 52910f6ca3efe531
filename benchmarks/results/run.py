"""Measure models block by block, save each block when it is finished, and update the model cards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor.catalogue import Baseline, find_model
from napari_brain_tumor.classical.registry import BASELINES
from napari_brain_tumor.errors import CheckpointError, TrainingError
from napari_brain_tumor.models.card_parts import Metrics
from napari_brain_tumor.models.cards import Card, ModelInfo, list_models
from napari_brain_tumor.models.checkpoint import write_card
from napari_brain_tumor.progress import Job, Progress, part_of
from napari_brain_tumor.study import Role
from results.bench import Bench
from results.calibration import as_calibration
from results.document import (
    BLOCKS,
    RESULTS_FILE,
    BlockName,
    ModelResults,
    Results,
    read_results,
    write_results,
)
from results.measure import block_job
from results.statistics import Group, dice_by_subset
from results.subject import TYPICAL, Subject

__all__ = ["DEFINITION", "as_metrics", "measured_results", "subjects_named"]

DEFINITION: Final = (
    "Through segment with the card's postprocessing; sequences that are not named were dropped before anything was "
    "prepared; mean over patients, both empty Dice 1 and HD95 0, one empty 0 and the diagonal of the volume."
)


def subjects_named(names: Sequence[str]) -> list[Subject]:
    """Return the models and methods of these names or folders; without names, all that are shipped.

    Raises
    ------
    ModelNotFoundError, CheckpointError
        If one does not exist or is invalid, or was fitted on the validation patients.
    """
    if names:
        models = [find_model(name) for name in names]
        for model in models:
            if earlier := _refit_of(model):
                msg = (
                    f"{model.name} was fitted on the validation patients too: its scores of these say nothing. "
                    f"Name the folder of the weights that were measured before; their SHA-256 is {earlier}."
                )
                raise CheckpointError(msg)
        return [*map(Subject, models)]
    shipped = [model for model in list_models() if model.bundled and not _refit_of(model)]
    return [*map(Subject, shipped), *map(Subject, BASELINES.values())]


def _refit_of(model: ModelInfo | Baseline) -> str:
    return model.card.refit_of if isinstance(model, ModelInfo) else ""


def measured_results(
    subjects: Sequence[Subject],
    bench: Bench,
    folder: Path,
    *,
    blocks: Sequence[BlockName] = BLOCKS,
    update_cards: bool = False,
) -> Job[Results]:
    """Measure everything not yet measured with the same weights, settings, cases and split, as a job.

    The document is written after every block, so that an interrupted run continues with the next block.

    Parameters
    ----------
    subjects : sequence of Subject
        Models to measure; entries of other models are kept.
    bench : Bench
        Data and device of the measurement.
    folder : Path
        Folder of `results.json`.
    blocks : sequence of str
        Blocks to measure; other blocks are kept. The description of each model is updated in any case.
    update_cards : bool
        Write temperatures and metrics to the cards of trained models, temperatures before anything is scored.

    Raises
    ------
    TrainingError
        If the document contains other models measured with another split or other cases, or `update_cards` is requested
        for a part of the cases.
    CheckpointError
        If a temperature would change the labels of a model that has thresholds other than 0.5.
    """
    path = folder / RESULTS_FILE
    results = _initial_results(read_results(path), subjects, bench, path)
    if update_cards:
        _check_cards(subjects, bench)
    for number, subject in enumerate(subjects):
        job = _model_job(subject, bench, results, path, blocks, update_cards=update_cards)
        low, high = number / len(subjects), (number + 1) / len(subjects)
        results = yield from part_of(job, low, high, subject.method.name)
    yield Progress(1, 1, "")
    return results


def as_metrics(entry: ModelResults, roles: Sequence[Role]) -> list[Metrics]:
    """Return the metrics for a model's card: with all sequences that a case has, with flips, and for each subset."""
    metrics: list[Metrics] = []
    for block, flips in ((entry.scores, False), (entry.flipped, True)):
        for group in Group.of_scores(block):
            metrics.append(
                Metrics(
                    dataset=group.dataset,
                    roles=list(roles),
                    cases=group.patients,
                    mean_dice=group.means("dice"),
                    mean_hd95_mm=group.means("hd95_mm"),
                    flips=flips,
                    definition=DEFINITION,
                    **_kind(group.dataset),
                )
            )
    return metrics + [
        Metrics(
            dataset=dataset,
            roles=list(subset),
            cases=count,
            mean_dice=dice,
            definition=DEFINITION,
            **_kind(dataset),
        )
        for (dataset, subset), (count, dice) in dice_by_subset(entry).items()
        if set(subset) != set(roles)
    ]


def _kind(dataset: str) -> dict[str, Any]:
    """Return the properties of a set's scans for its `Metrics`."""
    traits = TYPICAL[dataset]
    return {"whole_head": traits.whole_head, "thickness_mm": traits.thickness_mm}


def _model_job(
    subject: Subject, bench: Bench, results: Results, path: Path, blocks: Sequence[BlockName], *, update_cards: bool
) -> Job[Results]:
    names = [name for name in subject.blocks if name in blocks]
    for number, name in enumerate(names):
        entry = subject.described(results.models.get(subject.method.name))
        earlier = entry.block(name)
        if earlier is None or earlier.key != subject.key(name, bench):
            job = block_job(name, subject, bench)
            block = yield from part_of(job, number / len(names), (number + 1) / len(names), name)
            entry = entry.model_copy(update={name: block})
        if results.models.get(entry.name) != entry:
            results = results.with_model(entry)
            write_results(results, path)
        if update_cards and name == "calibration" and entry.calibration is not None:
            subject = _with_card(subject, calibration=as_calibration(entry.calibration))
    if update_cards and isinstance(subject.method, ModelInfo) and names:
        _with_card(subject, metrics=as_metrics(results.models[subject.method.name], subject.method.roles))
    return results


def _with_card(subject: Subject, **changes: object) -> Subject:
    info = subject.method
    assert isinstance(info, ModelInfo)
    card = Card.model_validate(info.card.model_copy(update=changes).model_dump())
    return subject if card == info.card else Subject(write_card(info, card))


def _initial_results(earlier: Results | None, subjects: Sequence[Subject], bench: Bench, path: Path) -> Results:
    fresh = Results(split=bench.split, limit=bench.limit)
    if earlier is None or (earlier.split, earlier.limit) == (fresh.split, fresh.limit):
        return earlier or fresh
    others = sorted(set(earlier.models) - {subject.method.name for subject in subjects})
    if others:
        msg = (
            f"{path} holds {', '.join(others)} on {_sides(earlier)}; this is {_sides(fresh)}. One page tells of one "
            "split: measure those models too, or choose another folder with --output."
        )
        raise TrainingError(msg)
    return fresh


def _sides(results: Results) -> str:
    cases = "all cases" if results.limit is None else f"{results.limit} cases of each set"
    return f"{cases} of the split {results.split.sha256[:12]}"


def _check_cards(subjects: Sequence[Subject], bench: Bench) -> None:
    if bench.limit is not None:
        msg = "Cards tell of all validation cases. Leave --limit out, or --update-cards."
        raise TrainingError(msg)
    for subject in subjects:
        card = subject.card
        moved = {} if card is None else {region: t for region, t in card.thresholds.items() if t != 0.5}
        if moved:
            listed = ", ".join(f"{region} from {threshold}" for region, threshold in moved.items())
            msg = (
                f"{subject.method.name} calls voxels {listed} on. A temperature keeps what is called only at 0.5: "
                "leave "
                "out --update-cards, or the thresholds of the card."
            )
            raise CheckpointError(msg)
