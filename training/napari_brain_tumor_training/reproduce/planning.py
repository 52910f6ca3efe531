"""The plan of a reproduction: measured costs, extent, and sides of patients; stored so that it can be resumed."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from napari_brain_tumor.errors import BrainTumorError, SaveError, TrainingError
from napari_brain_tumor.evaluation.case_work import scores_of_case
from napari_brain_tumor.evaluation.cases import Case
from napari_brain_tumor.inference.device import resolve_device
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.json_file import write_document
from napari_brain_tumor.progress import Job, Progress, part_of, run_job
from napari_brain_tumor.requests.reproduce import ReproduceRequest
from napari_brain_tumor.study import Role
from napari_brain_tumor.workflow import segment_job
from napari_brain_tumor_training.case_files import LEFT_OUT, CaseFiles, find_cases
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.config_parts import Section
from napari_brain_tumor_training.dataset import TrainingCase, load_cases, prepare_case
from napari_brain_tumor_training.estimate import estimate_cost
from napari_brain_tumor_training.fit import CACHE_FOLDER
from napari_brain_tumor_training.reproduce.data import DataSet, Side, SplitCase, chosen, find_data, sides, split_csv
from napari_brain_tumor_training.reproduce.experiment import Experiment, ExperimentNetwork, experiment_named
from napari_brain_tumor_training.reproduce.schedule import Costs, Schedule, shortened
from napari_brain_tumor_training.starting_weights import network_for

PLAN_FILE: Final = "plan.json"
SPLIT_FILE: Final = "split.csv"


class Plan(Section):
    """The extent of a reproduction, and the reasons for it.

    Attributes
    ----------
    request : dict
        The original request.
    whole, schedule : Schedule
        Schedules of the full experiment and of this reproduction.
    costs : Costs
        Measured costs by which the schedule was shortened.
    missing : tuple of str
        Data sets of the experiment that were not found.
    refused : dict of str to str
        Cases that cannot be used, with the reasons.
    is_checked : bool
        Whether every case has been read.
    """

    request: dict[str, Any]
    whole: Schedule
    schedule: Schedule
    costs: Costs
    missing: tuple[str, ...] = ()
    refused: dict[str, str] = Field(default_factory=dict)
    is_checked: bool = False

    @property
    def minutes(self) -> float:
        """Expected duration."""
        return self.schedule.seconds(self.costs) / 60

    @property
    def is_shortened(self) -> bool:
        """Whether less than the full experiment is carried out."""
        return self.schedule != self.whole

    def describe(self) -> str:
        """Describe the numbers of cases, epochs and minutes in words."""
        part, whole = self.schedule, self.whole
        minutes = f"about {_count(round(self.minutes), 'minute')}" if self.minutes >= 1 else "less than a minute"
        words = (
            f"{_count(part.training_cases, 'case')} for training, {part.validation_cases} for validation; "
            f"{_count(part.epochs, 'epoch')} of {_count(part.iterations_per_epoch, 'step')}; {minutes} on this machine"
        )
        if not self.is_shortened:
            return f"{words}."
        return (
            f"{words}. The whole experiment has {whole.training_cases} and {whole.validation_cases} cases and "
            f"{whole.epochs} epochs of {whole.iterations_per_epoch} steps; it would take about "
            f"{whole.seconds(self.costs) / 60:.0f} minutes."
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s'[: number != 1]}"


@dataclass(frozen=True, slots=True)
class Setup:
    """A reproduction before it starts: experiment, request, data and output folder."""

    experiment: Experiment
    request: ReproduceRequest
    sets: tuple[DataSet, ...]
    root: Path
    folder: Path

    @classmethod
    def of(cls, request: ReproduceRequest, folder: Path) -> "Setup":
        """Find the data for a request; raises `TrainingError` if they are missing."""
        experiment = experiment_named(request.name)
        root = Path(os.path.abspath(request.data))
        return cls(experiment, request, find_data(experiment, root), root, folder.absolute())

    def config(self, network: ExperimentNetwork, schedule: Schedule | None = None) -> TrainConfig:
        """Return the recipe of a network, for the full experiment or for a schedule."""
        sources = tuple(data_set.source(self.root, self.experiment.brain) for data_set in self.sets)
        config = self.experiment.config_of(network, sources, self.folder / SPLIT_FILE)
        if schedule is None:
            return config
        names = ("epochs", "iterations_per_epoch")
        plan = config.optimisation.model_copy(update={name: getattr(schedule, name) for name in names})
        return config.model_copy(update={"optimisation": plan, "validate_every": schedule.validate_every})

    def configs(self) -> list[TrainConfig]:
        """Return the recipes of all networks."""
        return [self.config(network) for network in self.experiment.networks]

    def cases(self) -> tuple[SplitCase, ...]:
        """Return every case with its side."""
        return sides(self.experiment, self.sets, self.request.split)

    @property
    def missing(self) -> tuple[str, ...]:
        """Titles of the data sets that were not found."""
        present = {data_set.data.dataset for data_set in self.sets}
        return tuple(data.title for data in self.experiment.data if data.dataset not in present)

    def recorded(self) -> dict[str, Any]:
        """Return the request, with an absolute path of the data folder."""
        return {**self.request.recorded(), "data": str(self.root)}


def plan_job(setup: Setup) -> Job[Plan]:
    """Return the plan stored in the folder, or measure a new one and store it there, as a job.

    Raises
    ------
    TrainingError
        If the folder contains another reproduction, or the data cannot be used.
    """
    earlier = _read(setup)
    if earlier is not None:
        return earlier
    cases = setup.cases()
    counts = {side: sum(case.split == side for case in cases) for side in ("train", "val")}
    optimisation = setup.configs()[0].optimisation
    whole = Schedule(
        training_cases=counts["train"],
        validation_cases=counts["val"],
        epochs=optimisation.epochs,
        iterations_per_epoch=optimisation.iterations_per_epoch,
    )
    write_text(setup.folder / SPLIT_FILE, split_csv(cases))
    costs = yield from _costs_job(setup)
    schedule = whole.model_copy(update={"epochs": setup.request.epochs or whole.epochs})
    if setup.request.budget is not None:
        schedule = shortened(schedule, costs, setup.request.budget)
    write_text(setup.folder / SPLIT_FILE, split_csv(chosen(cases, schedule.training_cases, schedule.validation_cases)))
    plan = Plan(request=setup.recorded(), whole=whole, schedule=schedule, costs=costs, missing=setup.missing)
    _write(setup, plan)
    return plan


def check_job(setup: Setup, plan: Plan) -> Job[Plan]:
    """Read and prepare every case of the plan, leaving out those that cannot be used, as a job.

    Raises
    ------
    TrainingError
        If too few cases are left; the message contains the reasons.
    """
    if plan.is_checked:
        return plan
    configs = list(_distinct(setup.configs()))
    files = [case for case in find_cases(configs[0], setup.root) if case.split != LEFT_OUT]
    refused: dict[str, str] = {}
    for number, case in enumerate(files):
        yield Progress(number, len(files), f"reading {case.name}")
        for config in configs:
            reason = _refusal(case, config, setup.folder / CACHE_FOLDER)
            if reason:
                refused[f"{case.dataset} {case.name}"] = reason
                break
    used = [case for case in files if f"{case.dataset} {case.name}" not in refused]
    if {case.split for case in used} != {"train", "val"}:
        reasons = "\n".join(f"{name}: {reason}" for name, reason in refused.items())
        msg = f"Too few cases of {setup.root} can be used: each side needs one. What was refused:\n{reasons}"
        raise TrainingError(msg)
    usable = {(case.dataset, case.name) for case in used}
    rows = []
    for case in find_cases(configs[0], setup.root):
        side: Side = "train" if case.split == "train" else "val"
        if (case.dataset, case.name) not in usable:
            side = "left out"
        rows.append(SplitCase(case.dataset, case.name, case.patient, side, case.grade))
    write_text(setup.folder / SPLIT_FILE, split_csv(rows))
    checked = plan.model_copy(update={"refused": refused, "is_checked": True})
    _write(setup, checked)
    return checked


def _refusal(case: CaseFiles, config: TrainConfig, cache: Path) -> str:
    """Return the reason why a case cannot be used for a recipe; empty if it can."""
    try:
        (prepared,) = run_job(load_cases([case], config.roles, config.preprocessing, cache))
    except SaveError:
        raise
    except TrainingError as error:
        return str(error)
    return "" if prepared.present.any() else f"it has none of {', '.join(config.roles)}"


def _distinct(configs: Sequence[TrainConfig]) -> Iterator[TrainConfig]:
    """Yield one recipe for each choice of sequences."""
    seen_roles: set[tuple[Role, ...]] = set()
    for config in configs:
        if config.roles not in seen_roles:
            seen_roles.add(config.roles)
            yield config


def _costs_job(setup: Setup) -> Job[Costs]:
    """Measure the cost of a case and a step of each network, as a job."""
    configs, device = setup.configs(), setup.request.device
    count = len(configs) + len(setup.experiment.methods) + 2
    yield Progress(0, count, "measuring how long a case takes to read")
    case, reading = _first_case(setup, configs)
    step, network = 0.0, 0.0
    for number, config in enumerate(configs, 1):
        yield Progress(number, count, f"measuring a step of {config.name}")
        step += estimate_cost(config, device).seconds_per_step
        network += _forward_seconds(config, case, device)
    scoring = yield from part_of(_scoring_seconds(setup, case.files), (len(configs) + 1) / count, 1)
    return Costs(reading=reading, step=step, network=network, scoring=scoring)


def _first_case(setup: Setup, configs: Sequence[TrainConfig]) -> tuple[TrainingCase, float]:
    """Return the first usable training case, and the seconds to prepare it for all recipes."""
    problem: TrainingError | None = None
    for files in find_cases(configs[0], setup.root):
        if files.split != "train":
            continue
        began = time.perf_counter()
        try:
            prepared = [prepare_case(files, config.roles, config.preprocessing) for config in _distinct(configs)]
        except TrainingError as error:
            problem = error
            continue
        return prepared[0], time.perf_counter() - began
    raise problem or TrainingError(f"{setup.root} has no case for training.")


def _forward_seconds(config: TrainConfig, case: TrainingCase, device: str) -> float:
    engine = Engine.prepare(network_for(config), config.model.dims, resolve_device(device))
    channels = case.channels.swapaxes(0, 1).astype("float32")
    if len(channels) != len(config.roles):  # prepared for other sequences
        channels = channels[:1].repeat(len(config.roles), axis=0)
    began = time.perf_counter()
    run_job(engine.probabilities(channels))
    return time.perf_counter() - began


def _scoring_seconds(setup: Setup, files: CaseFiles) -> Job[float]:
    """Return the seconds to open a case, run the methods without weights on it, and score all results."""
    methods, networks = setup.experiment.methods, setup.experiment.networks
    began = time.perf_counter()
    opened = files.open()
    for number, method in enumerate(methods):
        yield Progress(number, len(methods) + 1, f"measuring {method}")
        try:
            run_job(segment_job(opened.study, method, brain=files.brain))
        except BrainTumorError:
            continue  # will be refused later as well, with the reason
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    scores_of_case(Case(files.image, files.name), "", opened.truth, opened.truth, None)
    return seconds + (time.perf_counter() - began) * (len(methods) + len(networks))


def _read(setup: Setup) -> Plan | None:
    """Return the plan stored in the folder; None if there is none, an error if it is for another request."""
    path = setup.folder / PLAN_FILE
    try:
        plan = Plan.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise TrainingError(f"{path} cannot be read: {error}. Choose another folder, or remove this one.") from error
    if plan.request != setup.recorded():
        raise TrainingError(
            f"{setup.folder} holds another reproduction: {_words(plan.request)}. This time {_words(setup.recorded())} "
            "was requested. Choose another folder."
        )
    return plan


def _words(request: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in request.items())


def _write(setup: Setup, plan: Plan) -> None:
    write_document(setup.folder / PLAN_FILE, plan)
