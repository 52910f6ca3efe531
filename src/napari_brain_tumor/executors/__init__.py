"""Work on many cases: one after the other, in several processes, or on a cluster; the same events whichever it is."""

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
