"""Processing of many cases: one after another, in several processes or on a cluster, with the same events."""

from napari_brain_tumor.executors.choice import open_executor
from napari_brain_tumor.executors.pool import PoolExecutor, fitting_jobs
from napari_brain_tumor.executors.serial import SerialExecutor
from napari_brain_tumor.executors.work import Advanced, CaseWork, Event, Executor, Finished, Started

__all__ = [
    "Advanced",
    "CaseWork",
    "Event",
    "Executor",
    "Finished",
    "PoolExecutor",
    "SerialExecutor",
    "Started",
    "fitting_jobs",
    "open_executor",
]
