"""Section of the page: time and memory of each model."""

from collections.abc import Sequence
from statistics import median

from results.bench import FULL_SET
from results.document import (
    Machine,
    ModelResults,
    Scores,
)
from results.markdown import Lines, number, table

__all__ = ["time_and_memory"]


def time_and_memory(models: Sequence[ModelResults]) -> Lines:
    """Return a table with a row for each model, and the machines."""
    measured = [model for model in models if model.cost is not None or model.scores is not None]
    if not measured:
        return []
    head = (
        "model", "parameters", "weights MB", "load s",
        "s, median", "s, worst", "s, median, flips", "s, worst, flips",
        "full size s", "full size s, flips", "memory MiB", "memory MiB, flips",
    )  # fmt: skip
    machines = {
        _machine(block.machine): None for m in measured for block in (m.scores, m.flipped, m.cost) if block is not None
    }
    return [
        "## Time and memory",
        "",
        f"Seconds from the opened case to its labels, without loading the model, over the cases of `{FULL_SET}` (cut "
        "to the brain); *full size* is one 240x240x155 case in a fresh process, whose peak of memory is given less "
        "what the imports alone take: the case, the loaded model and all that is in between. The methods without "
        "weights have neither parameters nor flips. Seconds over the cases are those of the scored runs: where other "
        "work ran on the machine, they are too long.",
        "",
        *table(head, [_time_row(model) for model in measured]),
        "",
        *[f"Measured on {machine}." for machine in machines],
    ]


def _time_row(model: ModelResults) -> tuple[str, ...]:
    cost = model.cost
    runs = (None, None) if cost is None else (cost.plain, cost.flipped)
    return (
        f"`{model.name}`",
        number(None) if model.parameters is None else f"{model.parameters / 1e6:.2f} M",
        number(model.weights_mb, 1),
        number(cost.load_seconds if cost is not None and model.trained else None, 1),
        *_seconds(model.scores),
        *_seconds(model.flipped),
        *(number(None if run is None else run.seconds, 1) for run in runs),
        *(number(None if run is None or cost is None else run.peak_mb - cost.imported_mb, 0) for run in runs),
    )


def _seconds(block: Scores | None) -> tuple[str, str]:
    seconds = [case.seconds for case in block.cases if case.dataset == FULL_SET] if block is not None else []
    return number(median(seconds) if seconds else None, 1), number(max(seconds, default=None), 1)


def _machine(machine: Machine) -> str:
    features = f" ({', '.join(machine.features)})" if machine.features else ""
    threads = f"{machine.cores} cores, {machine.threads} threads"
    software = f"torch {machine.torch}, Python {machine.python}"
    return f"{machine.processor}{features}, {threads}; device {machine.device}; {software}"
