"""Reproduce a published experiment: train its networks, score them, and write one page."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.evaluation.result import Evaluation
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.progress import Job, Progress, part_of, run_job
from napari_brain_tumor.requests.reproduce import ExperimentName, ReproduceRequest
from napari_brain_tumor.workflow import versions
from napari_brain_tumor_training.case_files import find_cases
from napari_brain_tumor_training.fit import TrainingResult, fit
from napari_brain_tumor_training.reproduce.page import PAGE_FILE, write_page
from napari_brain_tumor_training.reproduce.planning import Plan, Setup, check_job, plan_job
from napari_brain_tumor_training.reproduce.scoring import score_job
from napari_brain_tumor_training.run_state import STATE_FILE

_LOCK_FILE: Final = "reproduction.lock"
_RUNS: Final = "runs"
_SCORES: Final = "scores"
_FINISHED_CASES: Final = ".scored"


@dataclass(frozen=True, slots=True, eq=False)
class Reproduction:
    """Result of a reproduction.

    Parameters
    ----------
    page : Path
        Path of the HTML page.
    plan : Plan
        Extent of the reproduction.
    evaluation : Evaluation
        Scores of the validation cases.
    results : mapping of str to TrainingResult
        Model and history of each network, by title.
    """

    page: Path
    plan: Plan
    evaluation: Evaluation
    results: Mapping[str, TrainingResult]


def reproduce(
    name: ExperimentName, data: str | os.PathLike[str], out: str | os.PathLike[str], **options: Any
) -> Reproduction:
    """Reproduce a published experiment; a second call with the same folder continues where the first stopped.

    Parameters
    ----------
    name : ExperimentName
        `unet-vs-classical`, `u2net-t1-t2`, `three-networks-lgg` or `unet3d-patches`.
    data : path-like
        Folder that contains the data. Nothing is downloaded, and the folder is not modified.
    out : path-like
        Output folder for split, networks, scores and the page.
    **options
        `budget` in minutes, `epochs`, `split` and `device`, as for `brain-tumor reproduce`.

    Raises
    ------
    OptionError
        If there is no such experiment.
    TrainingError
        If its data are missing or cannot be used, or the output folder contains another experiment.

    Examples
    --------
    >>> reproduce("three-networks-lgg", "kaggle_3m", "out", budget=30).page  # doctest: +SKIP
    PosixPath('out/reproduction.html')
    """
    return run_job(reproduce_job(ReproduceRequest(name=name, data=Path(data), **options), Path(out)))


def reproduce_job(request: ReproduceRequest, out: Path) -> Job[Reproduction]:
    """`reproduce` as a job, which can be closed at any moment."""
    setup = Setup.of(request, out)
    setup.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(setup.folder / _LOCK_FILE, timeout=0):
            return (yield from _reproduce(setup))
    except Timeout as error:
        raise TrainingError(f"Another process works in {out}. Wait for it, or choose another folder.") from error


def estimate_job(request: ReproduceRequest, scratch: Path) -> Job[Plan]:
    """Estimate the cost of a reproduction without running it, as a job; `scratch` is a temporary folder."""
    return (yield from plan_job(Setup.of(request, scratch)))


def _reproduce(setup: Setup) -> Job[Reproduction]:
    plan = yield from part_of(plan_job(setup), 0, 0.02)
    yield Progress(0.02, 1, "", plan.describe())
    plan = yield from part_of(check_job(setup, plan), 0.02, 0.1)
    results: dict[str, TrainingResult] = {}
    networks = setup.experiment.networks
    for number, network in enumerate(networks):
        folder = setup.folder / _RUNS / network.name
        config = setup.config(network, plan.schedule)
        has_state = (folder / STATE_FILE).is_file()
        job = fit(config, setup.root, folder, device=setup.request.device, resume=has_state, prepared=setup.folder)
        low, high = (0.1 + 0.7 * part / len(networks) for part in (number, number + 1))
        results[network.title] = yield from part_of(job, low, high, network.title)
    evaluation = yield from part_of(_score(setup, plan, results), 0.8, 0.98)
    evaluation.write(setup.folder / _SCORES, overwrite=True)
    page = setup.folder / PAGE_FILE
    yield Progress(0.98, 1, "writing the page")
    write_page(page, setup, plan, evaluation, results)
    return Reproduction(page, plan, evaluation, results)


def _score(setup: Setup, plan: Plan, results: Mapping[str, TrainingResult]) -> Job[Evaluation]:
    config = setup.config(setup.experiment.networks[0], plan.schedule)
    models: dict[str, ModelInfo] = {title: result.model for title, result in results.items()}
    about = {
        "experiment": setup.experiment.name,
        "plan": plan.model_dump(mode="json"),
        "weights_sha256": {title: model.card.weights_sha256 for title, model in models.items()},
        "versions": versions(),
    }
    return (
        yield from score_job(
            [case for case in find_cases(config, setup.root) if case.split == "val"],
            models,
            setup.experiment.methods,
            setup.folder / _FINISHED_CASES,
            device=setup.request.device,
            about=about,
        )
    )
