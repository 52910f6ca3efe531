"""Train the network that carries an outline to the slices beside it, in sessions of a simulated user.

    python benchmarks/train_outlines.py DATA [--minutes 60] [--out runs/outlines] [--seed 0] [--resume]

DATA holds glioma3d/, lgg_tif/ and subjects.csv. Training cases are corrected from nothing, from the truth 5 mm to the
side, from the truth with uneven margins and false parts, and from results of models that OUT/starts holds (`CASE
MODEL.npz` of labels and maps, as benchmarks/interaction keeps them). After every outline the network, as it is by then,
decides what follows; what it should have decided goes into a store of the latest outlines, from which it learns.
"""

import argparse
import csv
import json
import logging
import random as python_random
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from napari_brain_tumor import open_segmentation, open_study
from napari_brain_tumor.geometry import Box, bounding_box
from napari_brain_tumor.interactive.carry import plane_of
from napari_brain_tumor.interactive.outline_network import MULTIPLE
from napari_brain_tumor.interactive.prompts import Lasso
from napari_brain_tumor.interactive.rasterise import Touched, rasterise
from napari_brain_tumor.interactive.scene import Scene
from napari_brain_tumor.interactive.section import Surroundings
from napari_brain_tumor.interactive.spread import Outlined, outline, outlined_by
from napari_brain_tumor.labels import Region, region_mask
from napari_brain_tumor.preprocessing.intensity import foreground_mask
from napari_brain_tumor.study import Study
from napari_brain_tumor.types import Float32Array, Labels, Mask
from prompting.outline_network import OutlineNetwork
from prompting.outlines import Maps, uneven_start
from prompting.simulated_user import next_prompt
from prompting.verdict import Start

logger = logging.getLogger("train_outlines")

NO_PROBABILITIES: Final = 0.3
FEWER: Final = 0.25
"""Share of sessions in which sequences are missing."""
OUTLINES: Final = 0.85
"""Share of prompts around a whole region; the others go around an error."""
SHARES: Final = 0.6
"""Share of prompts to the error with the largest share of its region, and not with the most voxels."""
STORED: Final = 300
STEPS: Final = 3
"""Steps of training after every outline."""
BATCH: Final = 2
CROP: Final = 64
LEARNING_RATE: Final = 1e-3


@dataclass(eq=False)
class Sample:
    """What the network saw around an outline, what was right, and where it decides."""

    channels: Tensor
    facts: Tensor
    truth: Tensor
    could: Tensor


class Case:
    """A training case cut to its brain."""

    def __init__(self, data: Path, dataset: str, name: str, starts: Path) -> None:
        if dataset == "glioma3d":
            whole = open_study(data / dataset / "imagesTr" / f"{name}.nii.gz")
            truth = open_segmentation(data / dataset / "labelsTr" / f"{name}.nii.gz", "MSD")
        else:
            whole, truth = open_study(data / dataset / name), open_segmentation(data / dataset / name, "LGG-binary")
        self.regions = truth.known_regions
        brain = foreground_mask([volume.T for volume in whole.sequences.values()]).T
        self._at = (bounding_box(brain | (truth.data > 0)) or Box.whole(whole.grid.shape)).slices
        box = bounding_box(brain | (truth.data > 0)) or Box.whole(whole.grid.shape)
        cut = {
            role: np.ascontiguousarray(volume[box.slices]).astype(np.float32)
            for role, volume in whole.sequences.items()
        }
        self.study = Study(cut, whole.grid.cropped(box), whole.name, brain=brain[box.slices].copy())
        self.truth = truth.data[box.slices].copy()
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
            maps: dict[Region, Float32Array] = {r: stored[r][self._at] for r in ("WT", "TC", "ET") if r in stored}  # type: ignore[misc]
            return Start(stored["labels"][self._at], Maps(maps) if maps else None)  # type: ignore[arg-type]


class Trainer:
    """The network, its average over the last steps, and the store of what it learns from."""

    def __init__(self, width: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.random = np.random.default_rng(seed)
        self.network = OutlineNetwork(width)
        self.average = OutlineNetwork(width)
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(self.network.parameters(), LEARNING_RATE, weight_decay=1e-4)
        self.store: deque[Sample] = deque(maxlen=STORED)
        self.steps = 0
        self.losses: deque[float] = deque(maxlen=300)
        self.truth: dict[Region, Mask] = {}

    def decide(self, around: Surroundings, masks: Mapping[Region, Mask], could: Mask) -> Float32Array:
        """What the average decides; the sample is stored."""
        region, axis = around.section.region, around.section.axis
        channels, facts = padded(around.channels(masks, Box.whole(could.shape))), torch.from_numpy(around.facts)
        sides = could.shape
        right = np.moveaxis(self.truth[region], axis, 0)
        could_be = could & (np.abs(around.before.astype(int) - 1) >= 0)
        self.store.append(
            Sample(
                channels.to(torch.bfloat16),
                facts,
                padded(right[None].astype(np.float32))[0].bool(),
                padded(could_be[None].astype(np.float32))[0].bool(),
            )
        )
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            logits = self.average(channels[None], facts[None])[0].float().numpy()
        return np.asarray(logits[tuple(slice(0, n) for n in sides)])

    def learn(self, progress: float) -> None:
        """A step from the store."""
        if len(self.store) < 8:
            return
        rate = LEARNING_RATE * (min(1.0, (self.steps + 1) / 100)) * max(0.01, 0.5 * (1 + np.cos(np.pi * progress)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        total = 0.0
        for _ in range(BATCH):
            loss = self._loss(self.store[int(self.random.integers(len(self.store)))])
            (loss / BATCH).backward()
            total += loss.item() / BATCH
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        self.losses.append(total)
        decay = min(0.998, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)

    def _loss(self, sample: Sample) -> Tensor:
        channels, truth, could = self._augmented(sample)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(channels[None], sample.facts[None])[0]
        logits = logits.float()[could]
        right = truth[could].float()
        if not len(right):
            return logits.sum()
        before = channels[4][could] > 0.5
        entropy = functional.binary_cross_entropy_with_logits(logits, right, reduction="none")
        doubtful = (right != before.float()) | (logits.detach().sigmoid() - right).abs().gt(0.2)
        weight = torch.where(doubtful, 1.0, 0.2)
        chance = logits.sigmoid()
        overlap = 2 * (chance * right).sum() + 100
        dice = 1 - overlap / (chance.sum() + right.sum() + 100)
        return (entropy * weight).sum() / (weight.sum() + 500) + dice

    def _augmented(self, sample: Sample) -> tuple[Tensor, Tensor, Tensor]:
        sides = sample.truth.shape
        starts = [int(self.random.integers(0, max(1, n - CROP + 1))) // 2 * 2 for n in sides]
        at = tuple(slice(s, s + CROP) for s in starts)
        channels, truth, could = sample.channels[(slice(None), *at)].float(), sample.truth[at], sample.could[at]
        gain = torch.from_numpy(self.random.uniform(0.85, 1.15, 4).astype(np.float32))[:, None, None, None]
        channels[:4] *= gain
        flips = [axis for axis in range(3) if self.random.random() < 0.5]
        order = [0, 1, 2] if self.random.random() < 0.5 else [0, 2, 1]
        channels = channels.flip([axis + 1 for axis in flips]).permute(0, *(axis + 1 for axis in order))
        truth, could = (part.flip(flips).permute(*order) for part in (truth, could))
        return channels.contiguous(), truth, could


def padded(channels: Float32Array) -> Tensor:
    """Channels with sides that the network takes: filled up with zeros."""
    missing = [-side % MULTIPLE for side in channels.shape[1:]]
    return torch.from_numpy(np.pad(channels, [(0, 0), *((0, n) for n in missing)]))


def play(trainer: Trainer, case: Case, progress: float) -> Iterator[None]:
    """One session; between the outlines the network learns."""
    random = trainer.random
    start = case.start(random)
    roles = case.study.roles
    if random.random() < FEWER:
        roles = tuple(r for r in roles if random.random() < 0.6) or roles[-1:]
    scene, labels = Scene(case.study.only(roles), start.probabilities), start.labels.copy()
    said, outlined = np.zeros(labels.shape, np.uint8), frozenset[Outlined]()
    reach = int(random.choice([56, 64, 72, 80]))
    for _ in range(int(random.integers(3, 9))):
        habit = "outline" if random.random() < OUTLINES else "lasso"
        measure = "share" if random.random() < SHARES else "voxels"
        prompt = next_prompt(labels, case.truth, case.study.grid, habit, case.regions, measure)  # type: ignore[arg-type]
        if prompt is None:
            return
        touched = rasterise(prompt, case.study.grid)
        plane = plane_of(touched)
        if not isinstance(prompt, Lasso) or plane is None:  # no line can be drawn: as if it were corrected otherwise
            at = touched.box().grown((3, 3, 3), labels.shape).slices
            labels[at] = case.truth[at]
            continue
        box = block_around(touched, labels.shape, reach)
        at = box.slices
        trainer.truth = {region: region_mask(case.truth[at], region) for region in ("WT", "TC", "ET")}
        settled = said[at].copy()
        after = outline(scene, box, labels[at], settled, prompt, touched, plane, outlined, trainer.decide)
        labels[at] = after if "TC" in case.regions else after > 0
        said[at] = settled
        outlined |= outlined_by(prompt, touched)
        yield


def block_around(touched: Touched, shape: Sequence[int], reach: int) -> Box:
    """The block around a prompt that may change: `reach` voxels, and always the prompt itself."""
    own = touched.box()
    start, stop = [], []
    for low, high, size in zip(own.start, own.stop, shape, strict=True):
        spare = max(reach - (high - low), 16)
        start.append(max(0, low - spare // 2))
        stop.append(min(size, high + spare - spare // 2))
    return Box(tuple(start), tuple(stop))  # type: ignore[arg-type]


def training_cases(data: Path) -> list[tuple[str, str]]:
    """Data set and name of the training patients."""
    with (data / "subjects.csv").open(newline="") as file:
        return [(row["dataset"], row["case"]) for row in csv.DictReader(file) if row["split"] == "train"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/outlines"))
    parser.add_argument("--starts", type=Path)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(arguments.width, arguments.seed)
    names = training_cases(arguments.data)
    if arguments.limit:
        names = names[:: max(1, len(names) // arguments.limit)]
    starts = arguments.starts or arguments.out / "starts"
    cases: dict[str, Case] = {}
    shuffle = python_random.Random(arguments.seed)
    began = last = time.monotonic()
    sessions = prompts = 0
    spent: dict[str, float] = {"play": 0.0, "learn": 0.0}
    while (progress := (time.monotonic() - began) / (60 * arguments.minutes)) < 1:
        glioma = shuffle.random() < 0.65
        dataset, name = shuffle.choice([row for row in names if (row[0] == "glioma3d") == glioma])
        if name not in cases:
            cases[name] = Case(arguments.data, dataset, name, starts)
        sessions += 1
        clock = time.monotonic()
        for _ in play(trainer, cases[name], progress):
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


def save(trainer: Trainer, out: Path, state: dict[str, Any]) -> None:
    """Write the averaged weights, and how far training is."""
    state = {k: round(v, 3) for k, v in state.items()} | {
        "steps": trainer.steps,
        "loss": round(float(np.mean(trainer.losses or [0])), 4),
    }
    logger.info("%s", state)
    save_file(trainer.average.state_dict(), str(out / "outline_network.safetensors"))
    with (out / "history.jsonl").open("a") as file:
        file.write(json.dumps(state) + "\n")


if __name__ == "__main__":
    main()
