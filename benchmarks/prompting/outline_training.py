"""Sessions of a simulated user with outlines, and the network that learns from them what follows beside a slice."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from napari_brain_tumor.geometry import Box
from napari_brain_tumor.interactive.carry import plane_of
from napari_brain_tumor.interactive.outline_network import CHANNELS, MULTIPLE
from napari_brain_tumor.interactive.prompts import Lasso
from napari_brain_tumor.interactive.rasterise import rasterise
from napari_brain_tumor.interactive.refiner import reach_of
from napari_brain_tumor.interactive.scene import Scene
from napari_brain_tumor.interactive.section import Surroundings
from napari_brain_tumor.interactive.spread import Outlined, outline, outlined_by
from napari_brain_tumor.labels import REGIONS, Region, region_mask
from napari_brain_tumor.study import Study
from napari_brain_tumor.types import Float32Array, Labels, Mask
from prompting.outline_network import OutlineNetwork
from prompting.simulated_user import next_prompt
from prompting.verdict import Start

FEWER: Final = 0.25
"""Share of sessions in which sequences are missing."""
OUTLINES: Final = 0.85
"""Share of prompts around a whole region; the others go around an error."""
SHARES: Final = 0.6
"""Share of prompts to the error with the largest share of its region, and not with the most voxels."""
REACHES: Final = (56, 64, 72, 80)
"""Voxels a side of the blocks, those of a session all alike."""
LEAST_AROUND: Final = 16
"""Voxels of a block that a prompt leaves over, where it is as large as the block."""
STORED: Final = 300
"""The latest outlines, from which is learned."""
BATCH: Final = 2
CROP: Final = 64
LEARNING_RATE: Final = 1e-3
DECAY: Final = 0.998
"""Of the average over the steps, which decides in the sessions and is kept."""


class TrainingCase(Protocol):
    """What a session needs of a case."""

    study: Study
    truth: Labels
    regions: tuple[Region, ...]

    def start(self, random: np.random.Generator) -> Start:
        """What a session begins with."""
        ...


@dataclass(eq=False)
class Sample:
    """What the network saw around an outline, what was right, and where it decides."""

    channels: Tensor
    facts: Tensor
    truth: Tensor
    could: Tensor


class OutlineTrainer:
    """The network, its average over the last steps, and the store of what it learns from.

    Parameters
    ----------
    width : int
        Features of the network's first level.
    seed : int
    start : Path, optional
        Weights to go on from, which may have been made for fewer channels and facts.
    rate : float
        The highest learning rate.
    """

    def __init__(self, width: int, seed: int, start: Path | None = None, rate: float = LEARNING_RATE) -> None:
        torch.manual_seed(seed)
        self.rate = rate
        self.random = np.random.default_rng(seed)
        self.network = OutlineNetwork(width)
        if start is not None:
            self.network.load_state_dict(_widened(load_file(start), self.network))
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
        self.store.append(
            Sample(
                channels.to(torch.bfloat16),
                facts,
                padded(right[None].astype(np.float32))[0].bool(),
                padded(could[None].astype(np.float32))[0].bool(),
            )
        )
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            logits = self.average(channels[None], facts[None])[0].float().numpy()
        return np.asarray(logits[tuple(slice(0, n) for n in sides)])

    def learn(self, progress: float) -> None:
        """A step from the store."""
        if len(self.store) < 8:
            return
        rate = self.rate * (min(1.0, (self.steps + 1) / 100)) * max(0.01, 0.5 * (1 + np.cos(np.pi * progress)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        total = 0.0
        for _ in range(BATCH):
            loss = self._loss(self.store[int(self.random.integers(len(self.store)))])
            torch.autograd.backward(loss / BATCH)
            total += loss.item() / BATCH
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        self.losses.append(total)
        decay = min(DECAY, (1 + self.steps) / (10 + self.steps))
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
            return torch.sum(logits)
        before = channels[CHANNELS.index("region before")][could] > 0.5
        entropy = functional.binary_cross_entropy_with_logits(logits, right, reduction="none")
        doubtful = (right != before.float()) | (logits.detach().sigmoid() - right).abs().gt(0.2)
        weight = torch.where(doubtful, 1.0, 0.2)
        chance = logits.sigmoid()
        overlap = 2 * (chance * right).sum() + 100
        dice = 1 - overlap / (chance.sum() + right.sum() + 100)
        return torch.add((entropy * weight).sum() / (weight.sum() + 500), dice)

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


def _widened(weights: Mapping[str, Tensor], network: OutlineNetwork) -> dict[str, Tensor]:
    """Weights with zeros for the inputs of the network that they know nothing of, which are its last ones."""
    widened: dict[str, Tensor] = {}
    for name, own in network.state_dict().items():
        widened[name] = torch.zeros_like(own)
        value = weights[name].float()
        widened[name][tuple(map(slice, value.shape))] = value
    return widened


def padded(channels: Float32Array) -> Tensor:
    """Channels with sides that the network takes: filled up with zeros."""
    missing = [-side % MULTIPLE for side in channels.shape[1:]]
    return torch.from_numpy(np.pad(channels, [(0, 0), *((0, n) for n in missing)]))


def play(trainer: OutlineTrainer, case: TrainingCase) -> Iterator[None]:
    """One session; between the outlines the network learns."""
    random = trainer.random
    start = case.start(random)
    roles = case.study.roles
    if random.random() < FEWER:
        roles = tuple(r for r in roles if random.random() < 0.6) or roles[-1:]
    scene, labels = Scene(case.study.only(roles), start.probabilities), start.labels.copy()
    said, outlined = np.zeros(labels.shape, np.uint8), frozenset[Outlined]()
    reach = int(random.choice(REACHES))
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
        box = reach_of(touched, labels.shape, reach, LEAST_AROUND)
        at = box.slices
        trainer.truth = {region: region_mask(case.truth[at], region) for region in REGIONS}
        settled = said[at].copy()
        after = outline(scene, box, labels[at], settled, prompt, touched, plane, outlined, trainer.decide)
        labels[at] = after if "TC" in case.regions else after > 0
        said[at] = settled
        outlined |= outlined_by(prompt, touched)
        yield
