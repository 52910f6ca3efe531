"""Train the network that carries outlines to neighbouring slices, in sessions of a simulated user."""

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
"""Share of sessions with missing sequences."""
OUTLINES: Final = 0.85
"""Share of prompts that outline a whole region; the others outline an error."""
SHARES: Final = 0.6
"""Share of prompts for the error that is largest relative to its region; the others are for the one of most voxels."""
REACHES: Final = (56, 64, 72, 80)
"""Edge lengths of blocks in voxels; constant within a session."""
LEAST_AROUND: Final = 16
"""Smallest margin in voxels, of both sides together, by which a block exceeds a prompt."""
STORED: Final = 300
"""Number of most recent outlines that are stored for training."""
BATCH: Final = 2
CROP: Final = 64
LEARNING_RATE: Final = 1e-3
DECAY: Final = 0.998
"""Decay of the weights' moving average, which decides in the sessions and is what is saved."""


class TrainingCase(Protocol):
    """Interface of a case for sessions."""

    study: Study
    truth: Labels
    regions: tuple[Region, ...]

    def start(self, random: np.random.Generator) -> Start:
        """Return what a session starts from."""
        ...


@dataclass(eq=False)
class Sample:
    """The network's input around an outline, the truth, and where the network decides."""

    channels: Tensor
    facts: Tensor
    truth: Tensor
    could: Tensor


class OutlineTrainer:
    """The network in training, the moving average of its weights, and the stored samples.

    Parameters
    ----------
    width : int
        Number of features at the network's first level.
    seed : int
    start : Path, optional
        Weights to start from; they may be for fewer channels and facts.
    rate : float
        Highest learning rate.
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

    def decide(self, around: Surroundings, masks: Mapping[Region, Mask]) -> Float32Array:
        """Return the decision of the averaged network, and store the sample."""
        region, axis, could = around.section.region, around.section.axis, around.candidates
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
        """Take a training step on the stored samples."""
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
    """Extend weights with zeros for additional inputs of the network, which are its last ones."""
    widened: dict[str, Tensor] = {}
    for name, own in network.state_dict().items():
        widened[name] = torch.zeros_like(own)
        value = weights[name].float()
        widened[name][tuple(map(slice, value.shape))] = value
    return widened


def padded(channels: Float32Array) -> Tensor:
    """Pad channels with zeros to sides that the network accepts."""
    missing = [-side % MULTIPLE for side in channels.shape[1:]]
    return torch.from_numpy(np.pad(channels, [(0, 0), *((0, n) for n in missing)]))


def play(trainer: OutlineTrainer, case: TrainingCase) -> Iterator[None]:
    """Play one session, with training steps between the outlines."""
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
        if not isinstance(prompt, Lasso) or plane is None:  # no outline possible: as if corrected by other means
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
