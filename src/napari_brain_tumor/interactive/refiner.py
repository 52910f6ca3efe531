"""A correction in progress: the labels, the prompts that changed them, and undo and redo."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from napari_brain_tumor.errors import GridMismatchError, PromptError
from napari_brain_tumor.geometry import Box, bounding_box
from napari_brain_tumor.interactive.interpolation import interpolate_slices
from napari_brain_tumor.interactive.outline_network import shipped_outline_network
from napari_brain_tumor.interactive.prompts import (
    Action,
    FillHoles,
    Interpolate,
    KeepLargest,
    Lasso,
    Prompt,
    PromptFile,
    Propagate,
    RemoveIsland,
    SmoothMargin,
    Step,
)
from napari_brain_tumor.interactive.propagation import propagate
from napari_brain_tumor.interactive.rasterise import Touched, rasterise
from napari_brain_tumor.interactive.scene import Scene
from napari_brain_tumor.interactive.spread import Outlined, apply_prompt, as_said, outlined_by
from napari_brain_tumor.interactive.threads import single_threaded
from napari_brain_tumor.interactive.tidy import Tidying, tidied
from napari_brain_tumor.interactive.tissue import classifier
from napari_brain_tumor.interactive.verdict import shipped_verdict
from napari_brain_tumor.labels import EDEMA, ENHANCING, NON_ENHANCING, REGIONS, RESECTION_CAVITY, Region, labels_sha256
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.types import Labels

REACH_VOXELS: Final = 96
"""Edge length, in voxels, of the block around a prompt within which labels may change."""

UNDO_STEPS: Final = 100
"""Number of changes that can be undone; each stores the block that it changed, at most 3.5 MB for a typical prompt."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """The changes made by a step, with everything that is needed to undo it.

    Parameters
    ----------
    step : Step or None
        None for edits made by hand.
    box : Box
        The smallest block that contains all changes; a single voxel if nothing changed.
    before, after : (X, Y, Z) uint8 array
        Labels of that block.
    said_before, said_after : (X, Y, Z) uint8 array
        What prompts and manual edits have settled in that block: a bit for each class that is still possible, 0 where
        nothing was settled.
    outlined_before, outlined_after : set of (region, axis, index)
        Slices of the scan on which regions had been outlined.
    """

    step: Step | None
    box: Box
    before: Labels
    after: Labels
    said_before: Labels
    said_after: Labels
    outlined_before: frozenset[Outlined] = frozenset()
    outlined_after: frozenset[Outlined] = frozenset()

    @property
    def voxels(self) -> int:
        """Number of labels that changed."""
        return int((self.before != self.after).sum())


class Refiner:
    """Correct a segmentation prompt by prompt; the last `UNDO_STEPS` steps can be undone and redone.

    Parameters
    ----------
    study : Study
        A study with any of the sequences.
    segmentation : Segmentation, optional
        The segmentation to correct, on the study's grid; if not given, the correction starts without labels.
    probabilities : RegionProbabilities, optional
        Probabilities of the network that made the segmentation (`segment_with_probabilities`). Prompts then spread
        more accurately.

    Raises
    ------
    GridMismatchError
        If the segmentation is not on the study's grid.

    Notes
    -----
    What a prompt settles at a voxel is kept: later prompts elsewhere never change it, only a later prompt at the same
    voxel does. An outlined slice therefore stays as outlined, inside and around the line. A prompt changes what it
    names, and whatever follows from the nesting of regions: what is not whole tumour is not core either. Its effect
    extends over no more than half of `REACH_VOXELS` in each direction and never beyond a slice that was outlined
    before. With `around=False` only the prompt's own voxels change.
    """

    def __init__(
        self,
        study: Study,
        segmentation: Segmentation | None = None,
        probabilities: RegionProbabilities | None = None,
    ) -> None:
        if segmentation is not None and not segmentation.grid.same_place(study.grid):
            msg = (
                f"The segmentation lies on {segmentation.grid.describe()}; the study {study.name} on "
                f"{study.grid.describe()}. Prompts are compared with the scans voxel by voxel. If both are from "
                "the same examination, resample the segmentation first: geometry.resample(segmentation.data, "
                "segmentation.grid, study.grid, nearest=True) gives its labels on the study's grid."
            )
            raise GridMismatchError(msg)
        self.study = study
        start = None if segmentation is None else segmentation.data
        self._labels: Labels = np.zeros(study.grid.shape, np.uint8) if start is None else start.copy()
        self._said: Labels = np.zeros(study.grid.shape, np.uint8)
        self._outlined: frozenset[Outlined] = frozenset()
        self._scene = Scene(study, probabilities)
        self._start_sha256 = labels_sha256(self._labels)
        self._model = None if segmentation is None else _model_of(segmentation)
        self._started_with: tuple[Region, ...] = tuple(REGIONS) if segmentation is None else segmentation.known_regions
        self._settled: list[_Made] = []
        self._done: deque[Change] = deque()
        self._undone: list[Change] = []

    @property
    def labels(self) -> Labels:
        """Current classes `(X, Y, Z)`, as a read-only view."""
        view = self._labels.view()
        view.flags.writeable = False
        return view

    @property
    def steps(self) -> tuple[Step, ...]:
        """The prompts and actions applied so far, in order."""
        return tuple(entry.step for entry in self._made if entry.step is not None)

    @property
    def prompts(self) -> PromptFile:
        """The correction as a document: its steps, and the labels they started from."""
        return PromptFile(
            case=self.study.name,
            unit=self.study.grid.unit,
            labels_sha256=self._start_sha256,
            model=self._model,
            edited_by_hand=sum(entry.step is None for entry in self._made),
            steps=self.steps,
        )

    @property
    def known_regions(self) -> tuple[Region, ...]:
        """Regions that the labels distinguish: those known at the start, and those added by prompts or by hand."""
        known = {*self._started_with, *(region for entry in self._made for region in entry.tells)}
        return tuple(region for region in REGIONS if region in known)

    @property
    def _made(self) -> list["_Made"]:
        return [*self._settled, *map(_Made.of, self._done)]

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone change to redo."""
        return bool(self._undone)

    def prepare(self) -> None:
        """Analyse the scans and load the networks now, so that the first prompt does not have to wait for it."""
        nowhere = Box((0, 0, 0), (1, 1, 1))
        self._scene.intensities(nowhere)
        for region in REGIONS:
            self._scene.prior(region, nowhere)
        shipped_verdict()
        shipped_outline_network()
        classifier()

    def apply(self, step: Step) -> Change:
        """Apply a prompt or an action.

        Returns
        -------
        Change
            `change.after` contains the new labels of `change.box`.

        Raises
        ------
        PromptError
            If it touches no voxel of the scan, lies outside the brain, or names slices that the scan does not have.
            Nothing is changed then.
        """
        return self._commit(self.preview(step))

    def preview(self, step: Step) -> Change:
        """Return what `apply` would change, without changing anything; same parameters and errors."""
        return self._action(step) if isinstance(step, Action) else self._prompted(step)

    def adopt(self, labels: Labels) -> Change | None:
        """Take over labels that were edited by hand; edited voxels are kept like those of a prompt.

        Returns
        -------
        Change or None
            None if nothing differs.

        Raises
        ------
        GridMismatchError
            If the labels do not have the study's shape.
        """
        if labels.shape != self._labels.shape:
            msg = f"The labels have shape {labels.shape}; the study has {self._labels.shape}. Resample them first."
            raise GridMismatchError(msg)
        edited = labels != self._labels
        box = bounding_box(edited)
        if box is None:
            return None
        after = labels[box.slices].astype(np.uint8)
        allowed = self._said[box.slices].copy()
        allowed[edited[box.slices]] = np.left_shift(1, after[edited[box.slices]]).astype(np.uint8)
        return self._commit(self._change(None, box, after, allowed))

    def undo(self) -> Change | None:
        """Undo the last change and return it; None if there is none."""
        if not self._done:
            return None
        change = self._done.pop()
        self._write(change.box, change.before, change.said_before)
        self._outlined = change.outlined_before
        self._undone.append(change)
        return change

    def redo(self) -> Change | None:
        """Redo the change that was undone last and return it; None if there is none."""
        if not self._undone:
            return None
        change = self._undone.pop()
        self._write(change.box, change.after, change.said_after)
        self._outlined = change.outlined_after
        self._done.append(change)
        return change

    def _commit(self, change: Change) -> Change:
        self._write(change.box, change.after, change.said_after)
        self._outlined = change.outlined_after
        self._done.append(change)
        self._undone.clear()
        if len(self._done) > UNDO_STEPS:
            self._settled.append(_Made.of(self._done.popleft()))
        return change

    def _write(self, box: Box, labels: Labels, allowed: Labels) -> None:
        self._labels[box.slices] = labels
        self._said[box.slices] = allowed

    def _change(
        self, step: Step | None, box: Box, after: Labels, allowed: Labels, outlined: frozenset[Outlined] | None = None
    ) -> Change:
        """Return the change, cropped to the voxels that it affects."""
        before, said_before = self._labels[box.slices], self._said[box.slices]
        inner = bounding_box((before != after) | (said_before != allowed)) or Box((0, 0, 0), (1, 1, 1))
        labels = before[inner.slices].copy(), after[inner.slices].copy()
        marks = said_before[inner.slices].copy(), allowed[inner.slices].copy()
        now = self._outlined if outlined is None else outlined
        return Change(step, _within(box, inner), *labels, *marks, self._outlined, now)

    def _prompted(self, step: Prompt) -> Change:
        touched = rasterise(step, self.study.grid)
        self._check_within_brain(step, touched)
        box = reach_of(touched, self._labels.shape)
        allowed = self._said[box.slices].copy()
        with single_threaded():
            after = apply_prompt(self._scene, box, self._labels[box.slices], allowed, step, touched, self._outlined)
        after = _as_known(after, {*self.known_regions, *_told_by(step)})
        return self._change(step, box, after, allowed, self._outlined | outlined_by(step, touched))

    def _check_within_brain(self, step: Prompt, touched: Touched) -> None:
        """Reject prompts outside the brain; labels that are there by mistake can still be removed."""
        at = tuple(touched.inside.T)
        if self._scene.brain[at].any() or (not step.add and self._labels[at].any()):
            return
        msg = (
            f"The {_name_of(step)} ({'' if step.add else 'not '}{step.label}) lies outside the brain, where there can "
            "be no tumour. Nothing was changed; draw it on the brain."
        )
        raise PromptError(msg)

    def _action(self, step: Action) -> Change:
        if isinstance(step, RemoveIsland | KeepLargest | FillHoles | SmoothMargin):
            return self._tidied(step)
        self._check_slices(step)
        if isinstance(step, Interpolate):
            after = interpolate_slices(self._labels, self.study.grid, step.axis, step.slices, step.region)
            after = np.where(after != self._labels, _as_known(after, self.known_regions), after)
        else:
            after = propagate(self.study, self._labels, step.axis, step.start, step.stop)
        return self._change(step, Box.whole(self.study.grid.shape), as_said(after, self._said), self._said)

    def _tidied(self, step: Tidying) -> Change:
        """Apply a tidying action; only removing a clicked island may override what prompts have settled."""
        after = tidied(self._labels, self._said, self.study.grid, step)
        after = np.where(after != self._labels, _as_known(after, self.known_regions), after)
        said = self._said
        if isinstance(step, RemoveIsland):
            said = said.copy()
            gone = after != self._labels
            said[gone] = np.left_shift(1, after[gone]).astype(np.uint8)
        return self._change(step, Box.whole(self.study.grid.shape), after, said)

    def _check_slices(self, step: Interpolate | Propagate) -> None:
        last = max(step.slices) if isinstance(step, Interpolate) else max(step.start, step.stop)
        if last >= self._labels.shape[step.axis]:
            msg = (
                f"There is no slice {last} along axis {step.axis}; the scan has {self._labels.shape[step.axis]} slices "
                f"there ({self.study.grid.describe()}), counted from 0 in the order of its file. Choose one of them."
            )
            raise PromptError(msg)


@dataclass(frozen=True, slots=True)
class _Made:
    """What is kept of a change permanently: its step (None for manual edits), and the regions that it makes known."""

    step: Step | None
    tells: frozenset[Region]

    @classmethod
    def of(cls, change: Change) -> "_Made":
        if change.step is not None:
            return cls(change.step, _told_by(change.step))
        return cls(None, _told_of(change.after[change.before != change.after].tolist()))


def _told_by(step: Step) -> frozenset[Region]:
    """Return the regions that a prompt makes known: marking tumour core, for instance, implies that it is known."""
    if isinstance(step, Action) or not step.add:
        return frozenset()
    return _told_of([min(step.allowed)])


def _told_of(classes: Iterable[int]) -> frozenset[Region]:
    """Return the regions implied by these classes; classes increase from the outermost region to the innermost."""
    innermost = max((value for value in classes if value != RESECTION_CAVITY), default=0)
    return frozenset(region for region, values in REGIONS.items() if values[0] <= innermost)


def _as_known(labels: Labels, known: Iterable[Region]) -> Labels:
    """Replace classes of unknown regions by the class of the innermost known region around them."""
    known_regions = set(known)
    core = labels.copy()
    if "ET" not in known_regions:
        core[core == ENHANCING] = NON_ENHANCING
    if "TC" not in known_regions and "WT" in known_regions:
        core[core == NON_ENHANCING] = EDEMA
    return core


def _name_of(prompt: Prompt) -> str:
    return "outline" if isinstance(prompt, Lasso) and prompt.border else prompt.kind


def _model_of(segmentation: Segmentation) -> str | None:
    model = segmentation.provenance.get("model")
    return str(model["name"]) if isinstance(model, Mapping) and "name" in model else None


def _within(outer: Box, inner: Box) -> Box:
    """Convert a box given relative to another box to a box on the whole grid."""
    start = tuple(a + b for a, b in zip(outer.start, inner.start, strict=True))
    stop = tuple(a + b for a, b in zip(outer.start, inner.stop, strict=True))
    return Box(start, stop)  # type: ignore[arg-type]


def reach_of(touched: Touched, shape: Iterable[int], reach: int = REACH_VOXELS, least: int = 8) -> Box:
    """Return the block that a prompt may change: `reach` voxels wide, or the prompt's extent plus `least` if larger."""
    own = touched.box()
    start, stop = [], []
    for low, high, size in zip(own.start, own.stop, shape, strict=True):
        spare = max(reach - (high - low), least)
        begin = max(0, low - spare // 2)
        end = min(size, high + spare - spare // 2)
        start.append(begin)
        stop.append(end)
    return Box(tuple(start), tuple(stop))  # type: ignore[arg-type]
