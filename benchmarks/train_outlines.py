"""Train the network that carries an outline to the slices beside it, in sessions of a simulated user.

    python benchmarks/train_outlines.py DATA [--minutes 75] [--out runs/outlines] [--seed 0]

DATA holds glioma3d/, lgg_tif/ and subjects.csv. Training cases are corrected from nothing, from the truth 5 mm to the
side, from the truth with uneven margins and false parts, and from results of models that OUT/starts holds (`CASE
MODEL.npz` of labels and maps, as benchmarks/interaction keeps them). After every outline the network, as it is by then,
decides what follows; what it should have decided goes into a store of the latest outlines, from which it learns.
"""

import argparse
import json
import logging
import random as python_random
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.torch import save_file

from napari_brain_tumor.interactive.outline_network import NETWORK_FILE
from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.study import Study
from napari_brain_tumor.types import Float32Array, Labels
from prompting.cases import brain_box, cases, opened
from prompting.outline_training import LEARNING_RATE, OutlineTrainer, play
from prompting.outlines import Maps, uneven_start
from prompting.verdict import Start

logger = logging.getLogger("train_outlines")

NO_PROBABILITIES: Final = 0.3
GLIOMAS: Final = 0.65
"""Share of sessions with glioma3d; the others with LGG."""
STEPS: Final = 3
"""Steps of training after every outline."""


class Case:
    """A training case cut to its brain."""

    def __init__(self, data: Path, dataset: str, name: str, starts: Path) -> None:
        whole, truth, self.regions = opened(data, dataset, name)
        brain, box = brain_box(whole, truth)
        self._at = box.slices
        cut = {
            role: np.ascontiguousarray(volume[box.slices]).astype(np.float32)
            for role, volume in whole.sequences.items()
        }
        self.study = Study(cut, whole.grid.cropped(box), whole.name, brain=brain[box.slices].copy())
        self.truth = truth[box.slices].copy()
        self._starts = starts

    def start(self, random: np.random.Generator) -> Start:
        """What a session begins with."""
        kind = random.choice(["nothing", "uneven", "shifted", "model"], p=[0.22, 0.28, 0.08, 0.42])
        files = sorted(self._starts.glob(f"{self.study.name} *.npz"))
        if kind == "nothing":
            start = Start(np.zeros_like(self.truth))
        elif kind == "shifted":
            start = Start(self._shifted(random))
        elif kind == "uneven" or not files:
            start = uneven_start(self.truth, self.study.grid, random)
        else:
            start = self._of_model(files[random.integers(len(files))])
        labels = start.labels if len(self.regions) > 1 else (start.labels > 0).astype(np.uint8)
        return Start(labels, None if random.random() < NO_PROBABILITIES else start.probabilities)

    def _shifted(self, random: np.random.Generator) -> Labels:
        axis = int(np.argmin(self.study.grid.spacing)) if random.random() < 0.5 else 0
        step = round(random.uniform(2, 7) / self.study.grid.spacing[axis]) * int(random.choice([-1, 1]))
        return np.roll(self.truth, step, axis=axis)

    def _of_model(self, file: Path) -> Start:
        with np.load(file) as stored:
            maps: dict[Region, Float32Array] = {r: stored[r][self._at] for r in REGIONS if r in stored}
            return Start(stored["labels"][self._at], Maps(maps) if maps else None)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/outlines"))
    parser.add_argument("--starts", type=Path)
    parser.add_argument("--start", type=Path, help="weights to go on from; of channels that they lack, zeros")
    parser.add_argument("--rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    trainer = OutlineTrainer(arguments.width, arguments.seed, arguments.start, arguments.rate)
    names = list(cases(arguments.data, "train"))
    if arguments.limit:
        names = names[:: max(1, len(names) // arguments.limit)]
    starts = arguments.starts or arguments.out / "starts"
    held: dict[str, Case] = {}
    shuffle = python_random.Random(arguments.seed)
    began = last = time.monotonic()
    sessions = prompts = 0
    spent: dict[str, float] = {"play": 0.0, "learn": 0.0}
    while (progress := (time.monotonic() - began) / (60 * arguments.minutes)) < 1:
        glioma = shuffle.random() < GLIOMAS
        dataset, name = shuffle.choice([row for row in names if (row[0] == "glioma3d") == glioma])
        if name not in held:
            held[name] = Case(arguments.data, dataset, name, starts)
        sessions += 1
        clock = time.monotonic()
        for _ in play(trainer, held[name]):
            prompts += 1
            spent["play"] += time.monotonic() - clock
            clock = time.monotonic()
            for _ in range(STEPS):
                trainer.learn(progress)
            spent["learn"] += time.monotonic() - clock
            clock = time.monotonic()
        if time.monotonic() - last > 120:
            last = time.monotonic()
            save(trainer, arguments.out, {"sessions": sessions, "prompts": prompts, "progress": progress, **spent})
    save(trainer, arguments.out, {"sessions": sessions, "prompts": prompts, "progress": 1.0, **spent})


def save(trainer: OutlineTrainer, out: Path, state: dict[str, Any]) -> None:
    """Write the averaged weights, and how far training is."""
    state = {k: round(v, 3) for k, v in state.items()} | {
        "steps": trainer.steps,
        "loss": round(float(np.mean(trainer.losses or [0])), 4),
    }
    logger.info("%s", state)
    halved = {name: value.half().contiguous() for name, value in trainer.average.state_dict().items()}
    save_file(halved, str(out / NETWORK_FILE))
    with (out / "history.jsonl").open("a") as file:
        file.write(json.dumps(state) + "\n")


if __name__ == "__main__":
    main()
