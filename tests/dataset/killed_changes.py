"""Changes to a data set that are killed on the way; run as a program by the tests, not a test itself.

python killed_changes.py points FOLDER OPERATION WORK   one killed child per file-system call, each on its own copy
python killed_changes.py random FOLDER SEED TIMES       children killed after a random time, all on one data set
python killed_changes.py add FOLDER PREFIX COUNT        add cases, without being killed
"""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from dataset_cases import SHAPE, add_case, make_label, make_study

from kill_points import kill_at
from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.errors import BrainTumorError


def other_label():
    classes = np.zeros(SHAPE, np.uint8)
    classes[2:5, 2:5, 2:5] = 2
    return make_label(make_study(), classes)


OPERATIONS: dict[str, Callable[[CuratedDataset], Any]] = {
    "add": lambda dataset: add_case(dataset, "new", patient="newcomer", split="val"),
    "relabel": lambda dataset: dataset.relabel("first", other_label()),
    "remove": lambda dataset: dataset.remove("first"),
    "review": lambda dataset: dataset.review("first", "rejected", "blurred"),
}


def in_child(work: Callable[[], Any]) -> int:
    """Process id of a child that does the work and exits with 0."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return child


def kill_at_every_point(folder: Path, operation: str, work: Path) -> None:
    for point in range(1, 200):
        copy = work / f"{point:03d}"
        shutil.copytree(folder, copy)

        def change(copy: Path = copy, point: int = point) -> None:
            kill_at(point)
            OPERATIONS[operation](CuratedDataset(copy))

        _, status = os.waitpid(in_child(change), 0)
        if os.WIFEXITED(status):
            sys.exit(0 if os.WEXITSTATUS(status) == 0 else f"the change failed by itself at point {point}")
    sys.exit("the change never came to its end")


def kill_at_random(folder: Path, seed: int, times: int) -> None:
    chance = random.Random(seed)
    for turn in range(times):

        def change(turn: int = turn) -> None:
            dataset = CuratedDataset(folder)
            for step in range(50):
                name = f"t{turn}s{step}"
                add_case(dataset, name, seed=1000 * turn + step)
                dataset.relabel(name, other_label())
                if step % 3 == 2:
                    dataset.remove(name)

        child = in_child(change)
        time.sleep(chance.uniform(0.0, 0.4))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def add_many(folder: Path, prefix: str, count: int) -> None:
    dataset = CuratedDataset(folder)
    for k in range(count):
        # The patients are the same for all that add at one time.
        add_case(dataset, f"{prefix}{k}", seed=1000 * ord(prefix) + k, patient=f"patient {k // 2}")
        if k % 3 == 2:
            dataset.remove(f"{prefix}{k}")


def relabel_often(folder: Path, count: int) -> None:
    dataset = CuratedDataset(folder)
    for k in range(count):
        dataset.relabel("first", other_label() if k % 2 == 0 else make_label(make_study()))


if __name__ == "__main__":
    mode, place, *rest = sys.argv[1:]
    try:
        if mode == "points":
            kill_at_every_point(Path(place), rest[0], Path(rest[1]))
        elif mode == "random":
            kill_at_random(Path(place), int(rest[0]), int(rest[1]))
        elif mode == "relabel":
            relabel_often(Path(place), int(rest[0]))
        else:
            add_many(Path(place), rest[0], int(rest[1]))
    except BrainTumorError as error:
        sys.exit(str(error))
