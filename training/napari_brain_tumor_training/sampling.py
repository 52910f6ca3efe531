"""Draw random windows of prepared cases: slices for 2D networks, sub-volumes for 3D ones."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.labels import REGIONS, region_mask
from napari_brain_tumor_training.config import DataSource, TrainConfig
from napari_brain_tumor_training.dataset import TrainingCase
from napari_brain_tumor_training.lesion_mixing import Window, can_lend, with_lesion_of

Drawn = TypeVar("Drawn")


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples of one step.

    Attributes
    ----------
    images : (N, C, [Z,] Y, X) float32 array
    targets : (N, 3, [Z,] Y, X) float32 array
        Masks of WT, TC and ET; with a teacher, a mixture of these with its probabilities.
    present : (N, C) bool array
        Sequences that each sample has.
    known : (N, 3) bool array
        Regions that are known in its truth.
    where : (N, 1, [Z,] Y, X) bool array, optional
        Voxels where the truth is known; None if it is known everywhere in all samples.
    """

    images: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    present: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    where: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Slices of a case with known tumour, and slices where anything is known."""

    tumour: npt.NDArray[np.intp]
    known: npt.NDArray[np.intp]


class VolumeSampler:
    """Draw sub-volumes: a source by its share, a case uniformly or by grade, a position with or without tumour.

    If the truth of a case is known in some slices or voxels only, windows are drawn around those.

    Parameters
    ----------
    cases : sequence of TrainingCase
        Cases of the training side.
    sources : sequence of DataSource
        Define their own shares and those of the grades.
    patch : tuple of int
        Depth, height and width of the windows.
    foreground_share : float
        Share of windows drawn around tumour.
    lesion_mixing : float
        Share of windows into which another patient's lesion is pasted.
    distillation : float
        Weight of the teacher in the targets, for cases with its probabilities.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        sources: Sequence[DataSource],
        patch: tuple[int, ...],
        foreground_share: float,
        lesion_mixing: float = 0.0,
        distillation: float = 0.0,
    ) -> None:
        self._groups = [[case for case in cases if case.files.dataset == source.dataset] for source in sources]
        shares = np.array([source.share if group else 0 for source, group in zip(sources, self._groups, strict=True)])
        self._shares = shares / shares.sum()
        self._chances = [
            _chances(group, source.grade_shares) for source, group in zip(sources, self._groups, strict=True)
        ]
        self._places = {id(case): _places(case) for case in cases}
        self._lenders = [case for case in cases if case.where is None and len(self._places[id(case)].tumour)]
        self._sides = patch
        self._foreground_share = foreground_share
        self._lesion_mixing = lesion_mixing
        self._distillation = distillation

    def draw(self, size: int, random: np.random.Generator) -> Batch:
        windows = [self._sample(random) for _ in range(size)]
        images, targets, present, known = (
            np.stack([getattr(window, part) for window in windows]) for part in ("image", "targets", "present", "known")
        )
        partial = any(window.where is not None for window in windows)
        where = np.stack([_everywhere(window)[None] for window in windows]) if partial else None
        return Batch(images, targets, present, known, where)

    def _sample(self, random: np.random.Generator) -> Window:
        source = random.choice(len(self._groups), p=self._shares)
        group, chances = self._groups[source], self._chances[source]
        case = group[random.integers(len(group)) if chances is None else random.choice(len(group), p=chances)]
        tumour = len(self._places[id(case)].tumour) > 0 and random.random() < self._foreground_share
        window = self._cut(case, tumour, random)
        if self._lesion_mixing and random.random() < self._lesion_mixing:
            lenders = [lender for lender in self._lenders if can_lend(lender, case)]
            if lenders:
                lender = lenders[random.integers(len(lenders))]
                window = with_lesion_of(self._cut(lender, True, random), window, random)
        return window

    def _cut(self, case: TrainingCase, around_tumour: bool, random: np.random.Generator) -> Window:
        start = self._start(case, around_tumour, random)
        image = self._image(case, start)
        labels = _cut(case.classes, start, self._sides)
        where = None if case.where is None else _cut(case.where, start, self._sides)
        targets = np.stack([region_mask(labels, region) for region in REGIONS]).astype(np.float32)
        if case.teacher is None:
            return Window(image, targets, case.present, case.known, where)
        probabilities = _cut(case.teacher.swapaxes(0, 1), start, self._sides).astype(np.float32)
        share = np.where(case.known, np.float32(self._distillation), np.float32(1))[:, None, None, None]
        targets += share * (probabilities - targets)
        return Window(image, targets, case.present, np.ones_like(case.known), where)

    def _image(self, case: TrainingCase, start: Sequence[int]) -> npt.NDArray[np.float32]:
        return _cut(case.channels.swapaxes(0, 1), start, self._sides).astype(np.float32)

    def _start(self, case: TrainingCase, around_tumour: bool, random: np.random.Generator) -> list[int]:
        """Return the first voxel of a window; a window may extend beyond a volume smaller than itself."""
        point = self._point(case, around_tumour, random)
        start = []
        for axis, (side, length) in enumerate(zip(case.classes.shape, self._sides, strict=True)):
            low, high = min(0, side - length), max(0, side - length)
            if point is not None:
                low, high = max(low, point[axis] - length + 1), min(high, point[axis])
            start.append(int(random.integers(low, max(low, high) + 1)))
        return start

    def _point(self, case: TrainingCase, around_tumour: bool, random: np.random.Generator) -> tuple[int, ...] | None:
        """Return a voxel that the window has to include, in tumour or where the truth is known; None for any window."""
        places = self._places[id(case)]
        if around_tumour:
            z = int(random.choice(places.tumour))
            mask = case.classes[z] > 0 if case.where is None else (case.classes[z] > 0) & case.where[z]
        elif case.where is not None:
            z = int(random.choice(places.known))
            mask = case.where[z]
        else:
            return None
        pixels = np.argwhere(mask)
        y, x = pixels[random.integers(len(pixels))]
        return z, int(y), int(x)


class SliceSampler(VolumeSampler):
    """Draw windows of slices: sub-volumes of depth one, without that axis; `patch` is height and width.

    With `neighbours`, images include this many slices on each side, stacked as by `models.neighbours`.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        sources: Sequence[DataSource],
        patch: tuple[int, ...],
        foreground_share: float,
        lesion_mixing: float = 0.0,
        distillation: float = 0.0,
        *,
        neighbours: int = 0,
    ) -> None:
        super().__init__(cases, sources, (1, *patch), foreground_share, lesion_mixing, distillation)
        self._neighbours = neighbours

    def _cut(self, case: TrainingCase, around_tumour: bool, random: np.random.Generator) -> Window:
        flat = super()._cut(case, around_tumour, random)
        where = None if flat.where is None else flat.where[0]
        return replace(flat, targets=flat.targets[:, 0], where=where)

    def _image(self, case: TrainingCase, start: Sequence[int]) -> npt.NDArray[np.float32]:
        depth = 2 * self._neighbours + 1
        slab = _cut(case.channels.swapaxes(0, 1), [start[0] - self._neighbours, *start[1:]], (depth, *self._sides[1:]))
        return slab.swapaxes(0, 1).reshape(-1, *self._sides[1:]).astype(np.float32)


def sampler_for(config: TrainConfig, cases: Sequence[TrainingCase]) -> VolumeSampler:
    """Return the sampler of a recipe."""
    mixing, teaching = config.augmentation.lesion_mixing, config.distillation.weight if config.distillation else 0.0
    arguments = (cases, config.sources, config.patch, config.foreground_share, mixing, teaching)
    if config.model.dims == 3:
        return VolumeSampler(*arguments)
    return SliceSampler(*arguments, neighbours=config.model.neighbours)


def draw_ahead(draw: Callable[[int], Drawn], numbers: Iterable[int], ahead: int = 2) -> Iterator[Drawn]:
    """Yield `draw(number)` for each number in order, drawing the next few in a thread ahead of time."""
    waiting: deque[Future[Drawn]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="sampler") as pool:
        for number in numbers:
            waiting.append(pool.submit(draw, number))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _places(case: TrainingCase) -> _Places:
    tumour = case.classes > 0 if case.where is None else (case.classes > 0) & case.where
    known = np.arange(len(tumour)) if case.where is None else np.flatnonzero(case.where.any(axis=(1, 2)))
    if not len(known):
        msg = f"{case.files.name}: no voxel of the truth is known, so nothing can be learned from it. Leave it out."
        raise TrainingError(msg)
    return _Places(np.flatnonzero(tumour.any(axis=(1, 2))), known)


def _everywhere(window: Window) -> npt.NDArray[np.bool_]:
    return np.ones(window.targets.shape[1:], dtype=np.bool_) if window.where is None else window.where


def _chances(group: Sequence[TrainingCase], shares: dict[str, float]) -> npt.NDArray[np.float64] | None:
    """Return the probability of drawing each case if grades have shares; None if all are equally likely."""
    if not shares or not group:
        return None
    grades = Counter(case.files.grade for case in group)
    if set(grades) != set(shares) or min(shares.values()) <= 0:
        listed = ", ".join(f"{grade or 'no grade'} ({number})" for grade, number in sorted(grades.items()))
        msg = (
            f"{group[0].files.dataset} has cases of {listed}; grade_shares names {', '.join(sorted(shares))}. "
            "Give every grade of the training cases a share above zero, and no other."
        )
        raise TrainingError(msg)
    weights = [shares[case.files.grade] / grades[case.files.grade] for case in group]
    return np.array([weight / sum(weights) for weight in weights])


def _cut(array: npt.NDArray[Any], start: Sequence[int], size: Sequence[int]) -> npt.NDArray[Any]:
    """Return a window of the last axes, with zeros where it extends beyond the array."""
    leading = array.shape[: array.ndim - len(size)]
    result = np.zeros((*leading, *size), dtype=array.dtype)
    source: list[slice] = []
    target: list[slice] = []
    for first, length, side in zip(start, size, array.shape[len(leading) :], strict=True):
        low, high = max(0, first), min(side, first + length)
        source.append(slice(low, high))
        target.append(slice(low - first, high - first))
    whole = [slice(None)] * len(leading)
    result[tuple(whole + target)] = array[tuple(whole + source)]
    return result
