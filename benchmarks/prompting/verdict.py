"""Fit the small network that decides how far a prompt spreads (`interactive.verdict`), on simulated sessions.

A session starts from nothing or from a result that is far from perfect, and is corrected several times. At each prompt,
the voxels that could follow are sampled with their evidence, and the truth determines which of them should have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file
from scipy import ndimage
from torch import nn

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.interactive.evidence import FEATURES, Block
from napari_brain_tumor.interactive.rasterise import rasterise
from napari_brain_tumor.interactive.refiner import reach_of
from napari_brain_tumor.interactive.scene import Scene
from napari_brain_tumor.interactive.spread import ask, spread
from napari_brain_tumor.interactive.verdict import Verdict, load_verdict
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.labels import Region, region_mask
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.study import Study
from napari_brain_tumor.types import Array
from prompting.simulated_user import Habit, Measure, next_prompt

_HABITS: Final[tuple[Habit, ...]] = ("outline", "outline", "stroke", "stroke", "lasso", "point")
_MEASURES: Final[tuple[Measure, ...]] = ("share", "voxels")
_PARTS: Final = ("numbers", "follows", "weights", "prompts")
"""Fields of samples, as saved."""

_FEW: Final = 2000
"""Number of voxels of a question below which the weight of each of them increases no further."""

_RINGS_MM: Final = (4, 10, 20)
"""Within each of these distances from the prompt equally many voxels are sampled, because most voxels are far away."""


_NEVER: Final = Verdict((np.zeros((len(FEATURES), 1), np.float32),), (np.array([-30], np.float32),))
"""Predicts that nothing follows except the prompt itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """What a session starts from: labels `(X, Y, Z)`, and the probabilities that they came from, if any."""

    labels: npt.NDArray[np.uint8]
    probabilities: RegionProbabilities | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Voxels that could have followed a prompt.

    Parameters
    ----------
    numbers : (N, F) float16 array
        Evidence, in the order of `FEATURES`.
    follows : (N,) bool array
        Whether the voxel should follow according to the truth.
    weights : (N,) float32 array
        Number of voxels that each sample represents.
    prompts : (N,) int array
        Index of the question that each sample belongs to; each prompt asks one or more.
    """

    numbers: npt.NDArray[np.float16]
    follows: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.float32]
    prompts: npt.NDArray[np.intp]


def play(
    study: Study,
    truth: npt.NDArray[np.uint8],
    start: Start,
    random: np.random.Generator,
    *,
    prompts: int = 4,
    regions: Sequence[Region] = ("WT", "TC", "ET"),
    verdict: Verdict | None = None,
    most: int = 500,
) -> Samples:
    """Play one session and sample voxels that could have followed each prompt.

    Parameters
    ----------
    study : Study
    truth : (X, Y, Z) uint8 array
    start : Start
    random : Generator
        Selects the habits of the user, and the sampled voxels.
    prompts : int
    regions : sequence of {"WT", "TC", "ET"}
        Regions that the truth distinguishes.
    verdict : Verdict, optional
        Corrects the labels between prompts; by default, the truth replaces them within a random distance.
    most : int
        Number of voxels sampled in each ring around the prompt, for each question.
    """
    scene, labels = Scene(study, start.probabilities), start.labels.copy()
    answered = np.zeros(labels.shape, np.uint8)
    samples: list[Samples] = []
    for _ in range(prompts):
        habit = _HABITS[random.integers(len(_HABITS))]
        measure = _MEASURES[random.integers(len(_MEASURES))]
        prompt = next_prompt(labels, truth, study.grid, habit, regions, measure)
        if prompt is None:
            break
        touched = rasterise(prompt, study.grid)
        box = reach_of(touched, labels.shape)
        block, true = Block(scene, box), truth[box.slices]
        for question, candidates, numbers in ask(block, labels[box.slices], answered[box.slices], prompt, touched):
            if question.region in regions and len(candidates):
                should = region_mask(true[tuple(candidates.T)], question.region) == question.inside
                samples.append(_sampled(numbers, should, random, most))
        settled = answered[box.slices].copy()
        after = spread(scene, box, labels[box.slices], settled, prompt, touched, verdict or _NEVER)
        labels[box.slices] = after if verdict else _partly(after, true, touched.inside - box.start, random)
        answered[box.slices] = settled
    return joined(samples)


def joined(parts: Sequence[Samples]) -> Samples:
    """Concatenate samples, keeping the questions apart.

    Raises
    ------
    TrainingError
        If there are no samples.
    """
    if not parts:
        msg = "No prompt was given in any session: labels and truth are the same everywhere, or hold no tumour."
        raise TrainingError(msg)
    starts = np.cumsum([0, *(int(part.prompts.max(initial=-1)) + 1 for part in parts[:-1])])
    return Samples(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.follows for part in parts]),
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.prompts + at for part, at in zip(parts, starts, strict=True)]),
    )


def _sampled(numbers: Array, should: Array, random: np.random.Generator, most: int) -> Samples:
    ring = np.digitize(numbers[:, FEATURES.index("distance to the prompt")] * 10, _RINGS_MM)
    indices, weights = [], []
    for number in np.unique(ring):
        inside = np.flatnonzero(ring == number)
        some = random.choice(inside, min(most, len(inside)), replace=False)
        indices.append(some)
        weights.append(np.full(len(some), len(inside) / len(some), np.float32))
    at = np.concatenate(indices)
    zeros = np.zeros(len(at), np.intp)
    return Samples(numbers[at].astype(np.float16), should[at], np.concatenate(weights), zeros)


def _partly(after: Array, true: Array, seeds: Array, random: np.random.Generator) -> Array:
    """Return the truth within a random distance of a prompt, except for patches that keep their labels."""
    marks = np.ones(after.shape, bool)
    marks[tuple(seeds.T)] = False
    near = ndimage.distance_transform_edt(marks) < random.uniform(3, 25)
    noise = ndimage.gaussian_filter(random.standard_normal(after.shape).astype(np.float32), 3)
    return np.where(near & (noise < np.percentile(noise, 90)), true, after).astype(np.uint8)


def fit_verdict(
    samples: Samples, *, layers: Sequence[int] = (64, 32), epochs: int = 6, batch: int = 8192, seed: int = 0
) -> Verdict:
    """Fit the small network: binary cross entropy, AdamW with one cycle of the learning rate (Smith, arXiv:1708.07120).

    The weight of a question is the square root of the number of voxels that could have followed.

    Parameters
    ----------
    samples : Samples
    layers : sequence of int
        Widths of the hidden layers.
    epochs, batch, seed : int
    """
    torch.manual_seed(seed)
    numbers = samples.numbers.astype(np.float32)
    middle, width = numbers.mean(axis=0), numbers.std(axis=0) + 1e-3
    network = _network(numbers.shape[1], layers)
    inputs, targets = torch.from_numpy((numbers - middle) / width), torch.from_numpy(samples.follows.astype(np.float32))
    weights = torch.from_numpy(_weights(samples))
    steps = epochs * max(1, -(-len(numbers) // batch))
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=3e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for part in torch.split(torch.randperm(len(numbers)), batch):
            logits = network(inputs[part])[:, 0]
            loss = nn.functional.binary_cross_entropy_with_logits(logits, targets[part], reduction="none")
            optimiser.zero_grad()
            (loss * weights[part]).mean().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return _verdict(network, middle, width)


def _weights(samples: Samples) -> npt.NDArray[np.float32]:
    total = np.bincount(samples.prompts, samples.weights)
    each = samples.weights / np.sqrt(np.maximum(total, _FEW))[samples.prompts]
    weights: npt.NDArray[np.float32] = np.minimum(each / each.mean(), 20).astype(np.float32)
    return weights


def _network(inputs: int, layers: Sequence[int]) -> nn.Sequential:
    parts: list[nn.Module] = []
    for width in layers:
        parts += [nn.Dropout(0.1 if parts else 0.05), nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*parts, nn.Linear(inputs, 1))


def _verdict(network: nn.Sequential, middle: Array, width: Array) -> Verdict:
    linear = [part for part in network if isinstance(part, nn.Linear)]
    weights = [part.weight.detach().numpy().T.copy() for part in linear]
    biases = [part.bias.detach().numpy().copy() for part in linear]
    weights[0] = weights[0] / width[:, None]
    biases[0] = biases[0] - middle @ weights[0]
    return Verdict(tuple(w.astype(np.float32) for w in weights), tuple(b.astype(np.float32) for b in biases))


def save_verdict(verdict: Verdict, path: str | PathLike[str]) -> None:
    """Write the weights for `interactive.verdict.load_verdict`, atomically."""
    layers = zip(verdict.weights, verdict.biases, strict=True)
    tensors = {
        f"{kind}{at}": np.ascontiguousarray(values, dtype=np.float32)
        for at, pair in enumerate(layers)
        for kind, values in zip(("weight", "bias"), pair, strict=True)
    }
    write_atomically(Path(path), lambda place: save_file(tensors, place), lambda place: _check(place, verdict))


def _check(path: Path, verdict: Verdict) -> None:
    if not all(map(np.array_equal, load_verdict(path, len(verdict.weights[0])).weights, verdict.weights)):
        msg = "what was written does not read back the same"
        raise TrainingError(msg)


def save_samples(samples: Samples, path: str | PathLike[str]) -> None:
    """Write samples to a file, atomically."""
    tensors = {name: np.ascontiguousarray(getattr(samples, name)) for name in _PARTS}
    write_atomically(Path(path), lambda place: save_file(tensors, place), lambda place: _same_samples(place, samples))


def read_samples(path: str | PathLike[str]) -> Samples:
    """Read samples written by `save_samples`."""
    tensors = load_file(Path(path))
    return Samples(**{name: tensors[name] for name in _PARTS})


def _same_samples(path: Path, samples: Samples) -> None:
    again = read_samples(path)
    if not all(np.array_equal(getattr(again, name), getattr(samples, name)) for name in _PARTS):
        msg = "what was written does not read back the same"
        raise TrainingError(msg)
