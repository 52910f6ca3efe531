"""A correction under way, without Qt: a refiner and the labels layer that shows it, which go back and forth together.

napari's own history of the layer leads. Whatever is done, undone and redone there is read from it, by whichever key
and in whichever panel, and the refiner follows. Methods whose name begins with `compute_` touch only the refiner: they
run one after the other in another thread. All others belong to napari's thread.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_brain_tumor import __version__
from napari_brain_tumor.autosave.changes import digest_of
from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.geometry import Box
from napari_brain_tumor.interactive import (
    Action,
    Change,
    Interpolate,
    PromptFile,
    Propagate,
    Refiner,
    Step,
)
from napari_brain_tumor.interactive.prompts import (
    BORDERED,
    RULE,
    FillHoles,
    KeepLargest,
    Lasso,
    Prompt,
    RemoveIsland,
    SmoothMargin,
)
from napari_brain_tumor.interactive.propagation import propagate_slices
from napari_brain_tumor.labels import CLASS_NAMES, REGIONS, RESECTION_CAVITY, Region, class_names_of
from napari_brain_tumor.measure.volumes import REGION_NAMES
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.labels_edit import change_voxels, history_of, painted_voxels
from napari_brain_tumor.plugin.layers import KEY, SegmentationTag
from napari_brain_tumor.plugin.prompt_layers import Extent, Meaning, extent_of
from napari_brain_tumor.plugin.voxel_map import VoxelMap
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Segmentation, Study

__all__ = [
    "PLANE_NAMES",
    "Correction",
    "Entry",
    "Plane",
    "Told",
    "Voxels",
    "Work",
    "change_in_words",
    "slices_in_words",
    "tidy_step",
]

PLANE_NAMES: Final = ("axial", "coronal", "sagittal")
"""Of the slices across the layer's axes Z, Y, X."""
_DRAWN_SHARE: Final = 0.5
"""Share of a region on a slice that a hand must have painted for the slice to count as outlined."""


@dataclass(frozen=True, slots=True, eq=False)
class Voxels:
    """Voxels `(N, 3)` with the labels that they get."""

    at: npt.NDArray[np.intp]
    labels: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A region that a hand painted on one slice of the layer.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    axis, index : int
        The slice.
    voxels : int
        Of the region on that slice afterwards, whoever made them.
    """

    region: Region
    axis: int
    index: int
    voxels: int


@dataclass(slots=True, eq=False)
class Entry:
    """One change of the labels in the course of a correction.

    Parameters
    ----------
    kind : {"step", "hand", "without"}
        A prompt or an action; an edit by hand; or everything done again without one of them.
    step : Step, optional
    painted : Voxels, optional
        (x, y, z) of the scan, of an edit by hand.
    change : Change, optional
        What the refiner did; None where it had nothing to do, or has not done it yet.
    parts : tuple
        Of the step in the history of napari that shows it; empty where nothing is to be seen of it.
    extent : Extent, optional
        Where a prompt lies.
    again : tuple of Entry
        What was done again, without the one that was removed.
    refiners : tuple
        The refiner before and after, of a "without".
    dump : dict, optional
        The step as it is written into the provenance.
    seconds : float
        That computing it took.
    drawn : Drawn, optional
        What an edit by hand on one slice drew there.
    """

    kind: Literal["step", "hand", "without"]
    step: Step | None = None
    painted: Voxels | None = None
    change: Change | None = None
    parts: tuple[Any, ...] = ()
    extent: Extent | None = None
    again: "tuple[Entry, ...]" = ()
    refiners: tuple[Refiner, ...] = ()
    dump: dict[str, Any] | None = None
    seconds: float = 0.0
    drawn: Drawn | None = None

    @property
    def text(self) -> str:
        """What was done, in words."""
        match self.step:
            case None if self.kind == "without":
                return "done again without it"
            case None if self.kind == "step":
                return "carried on"
            case None:
                return "painted by hand, or by another panel"
            case Interpolate() as step:
                what = "" if step.region is None else f"{REGION_NAMES[step.region]} "
                return f"filled {what}between {len(step.slices)} slices"
            case Propagate() as step:
                return f"propagated over {abs(step.stop - step.start)} slices"
            case RemoveIsland() | KeepLargest() | FillHoles():
                return f"{self.step.kind} · {self.step.label}"
            case SmoothMargin() as step:
                return f"smooth margin {step.mm:g} mm · {step.label}"
            case prompt:
                alone = "" if prompt.around else ", this slice"
                return f"{_kind_of(prompt)} · {Meaning(prompt.label, prompt.add).text}{alone}"


def _kind_of(prompt: Prompt) -> str:
    if isinstance(prompt, Lasso) and prompt.border:
        return "outline"
    return "stroke" if prompt.kind == "painted" else prompt.kind


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Something that the refiner has to do next.

    Parameters
    ----------
    kind : {"do", "follow"}
        Whether its outcome is shown in the layer, or follows what the layer shows already.
    entry : Entry
    job : callable
        Makes the job, from what the layer's array holds when it begins.
    """

    kind: Literal["do", "follow"]
    entry: Entry
    job: Callable[[npt.NDArray[Any] | None], Job[Any]]

    @property
    def can_be_repeated(self) -> bool:
        """Whether it means the same after the labels were changed by somebody else."""
        return self.kind == "do" and self.entry.kind == "step" and self.entry.step is not None


@dataclass(frozen=True, slots=True)
class Told:
    """What the labels are like after something was computed.

    Parameters
    ----------
    digest : str
        Of the layer's labels; empty where something was painted by hand besides, or the scan is oblique and its layer
        is not told from the labels.
    known_regions : tuple of {"WT", "TC", "ET"}
    """

    digest: str
    known_regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Labels `(rows, columns)` of one slice of the layer, along one of its axes."""

    axis: int
    index: int
    labels: npt.NDArray[np.uint8]


@dataclass(slots=True, eq=False)
class Correction:
    """What is corrected, how, and what was done so far.

    Parameters
    ----------
    layer : Labels
        Shows the result.
    study : Study
    start : Segmentation or None
        What it began with, a copy; None where it began from nothing.
    probabilities : RegionProbabilities or None
        Of the network that made it.
    refiner : Refiner
    sha256 : str
        Of the labels that it began with.
    begun : mapping
        Their provenance, with the scans.
    """

    layer: Labels
    study: Study
    start: Segmentation | None
    probabilities: RegionProbabilities | None
    refiner: Refiner
    sha256: str
    begun: Mapping[str, Any]
    done: list[Entry] = field(default_factory=list)
    undone: list[Entry] = field(default_factory=list)
    writing: bool = False
    """Whether this changes the layer now, and not the user."""
    _known: dict[int, Any] = field(default_factory=dict)
    _provenance: dict[str, Any] = field(default_factory=dict)
    _fixed: int = 0
    """How many of the first entries cannot be undone any more."""
    _previewed: list[tuple[Any, Any, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._settle()
        tag = self.layer.metadata.get(KEY)
        self._provenance = dict(tag.provenance) if isinstance(tag, SegmentationTag) else {}

    @property
    def place(self) -> VoxelMap:
        """Which voxel of the scan is which of the layer."""
        return VoxelMap(Display.of(self.study.grid))

    @property
    def entries(self) -> list[Entry]:
        """What the labels of now are made of, in order."""
        entries: list[Entry] = []
        for entry in self.done:
            entries = list(entry.again) if entry.kind == "without" else [*entries, entry]
        return entries

    @property
    def prompts(self) -> list[Prompt]:
        """The prompts of now, in order."""
        steps = [entry.step for entry in self.entries]
        return [step for step in steps if step is not None and not isinstance(step, Action)]

    @property
    def file(self) -> PromptFile:
        """The correction as a document; what was painted by hand is counted, and not in it."""
        model = self._provenance.get("model")
        return PromptFile(
            case=self.study.name,
            unit=self.study.grid.unit,
            labels_sha256=self.sha256,
            model=model.get("name") if isinstance(model, dict) else None,
            edited_by_hand=sum(entry.kind == "hand" for entry in self.entries),
            steps=tuple(entry.step for entry in self.entries if entry.step is not None),
        )

    def outlined_slices(self, axis: int, region: Region) -> list[int]:
        """Slices of the layer along one of its axes on which a region was outlined by hand, or painted for the most."""
        return sorted({at for at, outlined in self._outlines(axis) if outlined == region})

    def region_to_fill(self, axis: int, preferred: Region | None = None) -> Region | None:
        """The wanted region if it was outlined along an axis, else the one outlined there last; None of none."""
        regions = [region for _, region in self._outlines(axis)]
        return preferred if preferred in regions else regions[-1] if regions else None

    def _outlines(self, axis: int) -> list[tuple[int, Region]]:
        """Slice and region of each outline, in order; strokes, points, lassos and boxes are none."""
        outlines: list[tuple[int, Region]] = []
        painted: dict[tuple[int, Region], set[tuple[int, ...]]] = {}
        for entry in self.entries:
            at = entry.extent.slice_along(axis) if entry.extent is not None else None
            if at is not None and isinstance(entry.step, Lasso) and entry.step.border:
                outlines.append((at, BORDERED[entry.step.label]))
            drawn = entry.drawn
            if drawn is not None and drawn.axis == axis and entry.painted is not None:
                own = painted.setdefault((drawn.index, drawn.region), set())
                own.update(map(tuple, entry.painted.at[_is_of(drawn.region, entry.painted.labels)].tolist()))
                if len(own) >= _DRAWN_SHARE * drawn.voxels:
                    outlines.append((drawn.index, drawn.region))
        return outlines

    # What the user asks for -----------------------------------------------------------------------------------------

    def action(self, step: Step) -> Work:
        """Carry out a prompt, or another step of a file."""
        is_prompt = not isinstance(step, Action)
        entry = Entry("step", step, extent=extent_of(step, self.place) if is_prompt else None)  # type: ignore[arg-type]
        return Work("do", entry, lambda labels: _job(lambda: self.compute_step(entry, labels)))

    def snapshot(self) -> npt.NDArray[Any] | None:
        """A copy of the layer's array: whoever writes into it without napari knowing is noticed by it.

        None for an oblique scan, whose layer does not hold what the refiner holds.
        """
        return np.array(self.layer.data) if self.place.one_to_one else None

    def fill(self, axis: int, slices: Sequence[int], region: Region | None = None) -> Work:
        """Fill between slices of the layer along one of its axes.

        Parameters
        ----------
        axis : int
        slices : sequence of int
        region : {"WT", "TC", "ET"}, optional
            Whose border follows its shapes on these slices; all regions' if not given.

        Raises
        ------
        PromptError
            If there are fewer than two, or one that the layer does not have.
        """
        last = self.layer.data.shape[axis] - 1
        numbers_shown = sorted(set(slices))
        if len(numbers_shown) < 2 or numbers_shown[0] < 0 or numbers_shown[-1] > last:
            msg = (
                f"Slices {slices_in_words(numbers_shown) or 'none'} were named; two or more of 0 to {last} are needed, "
                "and what lies between them is filled. Outline the region on a second slice, or write its number."
            )
            raise PromptError(msg)
        numbers = tuple(sorted(self.place.file_slice(axis, number) for number in numbers_shown))
        return self.action(Interpolate(axis=self.place.file_axis(axis), slices=numbers, region=region))

    def carry_on(
        self, axis: int, index: int, direction: Literal[1, -1], planes: list[Plane], halt: threading.Event
    ) -> Work:
        """Carry a slice of the layer on along one of its axes until told to stop, or until nothing is left.

        Parameters
        ----------
        axis, index
            The slice.
        direction : {1, -1}
            Towards higher or lower slices of the layer.
        planes : list of Plane
            What was found is appended, slice by slice, to be shown meanwhile.
        halt : Event
            Set to stop.
        """
        entry = Entry("step")
        return Work("do", entry, lambda _: self.compute_carried(entry, axis, index, direction, planes, halt))

    def without(self, unwanted: Entry) -> Work:
        """Do everything again without one of the entries."""
        remaining = [entry for entry in self.entries if entry is not unwanted]
        entry = Entry("without")
        return Work("do", entry, lambda _: self.compute_without(entry, remaining))

    # Undo and redo --------------------------------------------------------------------------------------------------

    def undo(self) -> list[Work]:
        """Take the last change back, in the layer's own history.

        Raises
        ------
        PromptError
            If there is none, or napari has forgotten it.
        """
        if not self.done:
            msg = "There is nothing to undo: nothing was corrected since this correction was started."
            raise PromptError(msg)
        last = history_of(self.layer).done[-1:]
        is_there = len(self.done) > self._fixed
        if is_there and not self.done[-1].parts:
            return [self._take_back()]
        if not is_there or not last or not _same(last[0], self.done[-1].parts):
            msg = (
                "How the labels were before is forgotten: napari keeps the last 100 changes of a layer, and none where "
                "its labels were replaced by others."
            )
            raise PromptError(msg)
        self._quietly(self.layer.undo)
        return self.follow()

    def redo(self) -> list[Work]:
        """Bring back what was taken back last; raises `PromptError` if there is nothing."""
        if not self.undone:
            msg = "There is nothing to redo."
            raise PromptError(msg)
        if not self.undone[-1].parts:
            return [self._bring_again()]
        self._quietly(self.layer.redo)
        return self.follow()

    def follow(self) -> list[Work]:
        """Read the layer's history: what the refiner has to do to hold what the layer shows."""
        history = history_of(self.layer)
        there = {id(part) for step in history.done for part in step}
        undone_parts = {id(part) for step in history.undone for part in step}
        works: list[Work] = []
        while any(_among(entry, undone_parts) for entry in self.done[self._fixed :]):
            works.append(self._take_back())
        while any(_among(entry, there) for entry in self.undone):
            works.append(self._bring_again())
        works += [self._painted(step) for step in self._new(history.done)]
        return works

    def forget(self, entry: Entry) -> Work:
        """Take back what was computed and is not shown."""
        return Work("follow", entry, lambda _: _job(lambda: self.compute_undo(entry)))

    def replaced(self) -> None:
        """The layer holds another array: what was done to the one before cannot be undone in it.

        What it holds is taken over before the next step is carried out.
        """
        self._fixed = len(self.done)
        self.undone.clear()

    def _take_back(self) -> Work:
        entry = self.done.pop()
        self.undone.append(entry)
        return Work("follow", entry, lambda _: _job(lambda: self.compute_undo(entry)))

    def _bring_again(self) -> Work:
        entry = self.undone.pop()
        self.done.append(entry)
        return Work("follow", entry, lambda _: _job(lambda: self.compute_redo(entry)))

    def _new(self, steps: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Steps at the end of the history that nobody told of."""
        new_steps: list[tuple[Any, ...]] = []
        for step in reversed(steps):
            if any(id(part) in self._known for part in step):
                break
            new_steps.append(step)
        return new_steps[::-1]

    def _painted(self, parts: tuple[Any, ...]) -> Work:
        voxels, labels = painted_voxels(parts, self.layer.data.shape)
        low, high = voxels.min(axis=0).tolist(), voxels.max(axis=0).tolist()
        entry = Entry("hand", painted=Voxels(voxels, labels), parts=parts, extent=Extent(tuple(low), tuple(high)))
        self._remember(parts)
        self.done.append(entry)
        self.undone.clear()
        return Work("follow", entry, lambda _: _job(lambda: self.compute_adopted(entry)))

    # The layer ------------------------------------------------------------------------------------------------------

    def show(self, entry: Entry, edit: Voxels) -> int:
        """Show in the layer what was computed, as one step of its history; how many voxels changed."""
        before = len(self._known)
        changed = self._quietly(lambda: change_voxels(self.layer, edit.at, edit.labels))
        if changed:
            self._settle()
            entry.parts = tuple(self._known.values())[before:]
        self.done.append(entry)
        self.undone.clear()
        return changed

    def preview(self, planes: Sequence[Plane]) -> None:
        """Write slices of something that is still computed, to be seen when they are next drawn.

        napari's history knows nothing of it.
        """
        for plane in planes:
            at = (*(slice(None),) * plane.axis, plane.index)
            self._previewed.append((at, self.layer.data[at].copy(), plane.labels))
            self.layer.data[at] = plane.labels

    def end_preview(self) -> None:
        """Take back what was only previewed."""
        if not self._previewed:
            return
        for at, before, previewed in reversed(self._previewed):
            still = self.layer.data[at] == previewed
            self.layer.data[at][still] = before[still]
        self._previewed.clear()
        self._quietly(self.layer.refresh)

    def record(self, state: Told) -> None:
        """Write the steps, and what the labels tell by now, into what is saved with them."""
        tag = self.layer.metadata.get(KEY)
        if not isinstance(tag, SegmentationTag):
            return
        steps = [entry.dump for entry in self.entries if entry.dump is not None]
        provenance = {key: value for key, value in tag.provenance.items() if key not in ("refined", "refinement")}
        if provenance.get("task") not in ("segment", "refine"):
            provenance = dict(self.begun) if steps else dict(self._provenance)
        earlier = list(self._provenance.get("refined", ()))
        if steps or earlier:
            provenance["refined"] = [*earlier, *steps]
            provenance["refinement"] = self._refinement()
        known = state.known_regions
        names = tag.class_names if known == tag.known_regions else {**tag.class_names, **class_names_of(known)}
        changed = replace(
            tag,
            provenance=provenance,
            refined_digest=state.digest if steps else "",
            known_regions=known,
            class_names=names,
        )
        self.layer.metadata = {**self.layer.metadata, KEY: changed}

    def _refinement(self) -> dict[str, Any]:
        """How it was corrected, as `refine` tells it."""
        prompted = [entry for entry in self.entries if entry.step is not None]
        record = {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "from_labels_sha256": self.sha256,
            "probabilities": self.probabilities is not None,
            "seconds": [round(entry.seconds, 3) for entry in prompted],
            "voxels": [entry.change.voxels if entry.change is not None else 0 for entry in prompted],
            "version": __version__,
            "rule": RULE,
            "notes": [],
        }
        first = self._provenance.get("refinement") or {}
        return record | {key: first[key] for key in ("from_labels_sha256", "probabilities") if key in first}

    def _quietly(self, act: Callable[[], Any]) -> Any:
        self.writing = True
        try:
            return act()
        finally:
            self.writing = False

    def _settle(self) -> None:
        """What the history holds now is known."""
        for step in history_of(self.layer).done:
            self._remember(step)

    def _remember(self, parts: Sequence[Any]) -> None:
        # The parts themselves are kept: another one could get the number of one that is gone.
        for part in parts:
            self._known.setdefault(id(part), part)

    # What the refiner does, in another thread -----------------------------------------------------------------------

    def compute_step(self, entry: Entry, labels: npt.NDArray[Any] | None = None) -> tuple[Voxels, Told]:
        """Carry out a step; what it changes in the layer."""
        if labels is not None:
            self.refiner.adopt(self.place.display.restore(labels).astype(np.uint8))
        assert entry.step is not None
        began = time.perf_counter()
        entry.change = self.refiner.apply(entry.step)
        entry.seconds = time.perf_counter() - began
        entry.dump = entry.step.model_dump(mode="json")
        return self._shown(entry.change), self.compute_told()

    def compute_told(self) -> Told:
        """What the labels are like now."""
        is_told = self.place.one_to_one and not any(entry.kind == "hand" for entry in self.entries)
        digest = digest_of(self.place.display.show(self.refiner.labels)).hex() if is_told else ""
        return Told(digest, self.refiner.known_regions)

    def compute_undo(self, entry: Entry) -> Told:
        """Take an entry back."""
        if entry.refiners:
            self.refiner = entry.refiners[0]
        elif entry.change is not None:
            _until(entry.change, self.refiner.undo)
        return self.compute_told()

    def compute_redo(self, entry: Entry) -> Told:
        """Bring an entry again."""
        if entry.refiners:
            self.refiner = entry.refiners[1]
        elif entry.change is not None and not _until(entry.change, self.refiner.redo):
            # Something else was carried out in between, so the refiner has forgotten it.
            labels = self.refiner.labels.copy()
            labels[entry.change.box.slices] = entry.change.after
            entry.change = self.refiner.adopt(labels)
        return self.compute_told()

    def compute_adopted(self, entry: Entry) -> Told:
        """Take over what was painted by hand; its voxels, which are the layer's, become those of the scan."""
        assert entry.painted is not None
        entry.painted = Voxels(*self.place.to_scan(entry.painted.at, entry.painted.labels))
        self._adopt(entry, self.refiner)
        entry.drawn = self._drawn(entry)
        return self.compute_told()

    def _drawn(self, entry: Entry) -> Drawn | None:
        """What an edit by hand drew, where it lies on one slice and is of one class for the most."""
        assert entry.painted is not None
        assert entry.extent is not None
        flat = [(axis, at) for axis in range(3) if (at := entry.extent.slice_along(axis)) is not None]
        labels = entry.painted.labels[np.isin(entry.painted.labels, REGIONS["WT"])]
        if not flat or not labels.size:
            return None
        axis, index = flat[0]
        region = next(
            candidate for candidate, values in REGIONS.items() if values[0] == int(np.bincount(labels).argmax())
        )
        plane = np.take(self.refiner.labels, self.place.file_slice(axis, index), self.place.file_axis(axis))
        return Drawn(region, axis, index, int(_is_of(region, plane).sum()))

    @staticmethod
    def _adopt(entry: Entry, refiner: Refiner) -> None:
        assert entry.painted is not None
        labels = refiner.labels.copy()
        labels[tuple(entry.painted.at.T)] = entry.painted.labels.astype(np.uint8)
        entry.change = refiner.adopt(labels)

    def compute_carried(
        self,
        entry: Entry,
        axis: int,
        index: int,
        direction: Literal[1, -1],
        planes: list[Plane],
        halt: threading.Event,
    ) -> Job[tuple[Voxels, Told]]:
        """Do what `carry_on` says."""
        along, start = self.place.file_axis(axis), self.place.file_slice(axis, index)
        way: Literal[1, -1] = -direction if self.place.runs_back(axis) else direction
        stop = start
        for at, plane_labels in propagate_slices(self.study, self.refiner.labels, along, start, way):
            stop = at
            plane = self._plane(axis, along, at, plane_labels)
            planes.append(plane)
            yield Progress(abs(stop - start), 0, f"slice {plane.index}")
            if halt.is_set():
                break
        if stop == start:
            msg = "There is nothing to propagate: this slice holds no labels, or the next ones no trace of them."
            raise PromptError(msg)
        entry.step = Propagate(axis=along, start=start, stop=stop)
        return self.compute_step(entry)

    def _plane(self, axis: int, along: int, at: int, plane_labels: npt.NDArray[np.uint8]) -> Plane:
        block = np.broadcast_to(np.expand_dims(plane_labels, along), self.study.grid.shape)
        index = self.place.layer_slice(axis, at)
        return Plane(axis, index, np.array(np.take(self.place.display.show(block), index, axis)))

    def compute_without(self, entry: Entry, remaining: Sequence[Entry]) -> Job[tuple[Voxels, Told]]:
        """Do the kept entries again from the beginning."""
        refiner = Refiner(self.study, self.start, self.probabilities)
        again: list[Entry] = []
        for entry_to_repeat in remaining:
            yield Progress(len(again), len(remaining), f"{len(again) + 1} of {len(remaining)}: {entry_to_repeat.text}")
            shared = {"dump": entry_to_repeat.dump, "seconds": entry_to_repeat.seconds, "drawn": entry_to_repeat.drawn}
            repeated = Entry(
                entry_to_repeat.kind,
                entry_to_repeat.step,
                entry_to_repeat.painted,
                extent=entry_to_repeat.extent,
                **shared,  # type: ignore[arg-type]
            )
            if entry_to_repeat.step is not None:
                repeated.change = refiner.apply(entry_to_repeat.step)
            else:
                self._adopt(repeated, refiner)
            again.append(repeated)
        entry.again, entry.refiners = tuple(again), (self.refiner, refiner)
        before, self.refiner = self.refiner.labels, refiner
        whole = Box.whole(before.shape)
        edit = self._differing(before, refiner.labels, whole)
        is_told = self.place.one_to_one and not any(entry_to_repeat.kind == "hand" for entry_to_repeat in again)
        digest = digest_of(self.place.display.show(refiner.labels)).hex() if is_told else ""
        return edit, Told(digest, refiner.known_regions)

    def _shown(self, change: Change) -> Voxels:
        return self._differing(change.before, change.after, change.box)

    def _differing(self, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], box: Box) -> Voxels:
        differs = before != after
        voxels = np.argwhere(differs) + np.asarray(box.start)
        return Voxels(*self.place.to_layer(voxels, after[differs]))


def _is_of(region: Region, labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.isin(labels, REGIONS[region])


def change_in_words(change: Change) -> str:
    """What a step changed: which class became which in how many voxels, and over how many slices of the file.

    Empty where it changed nothing.
    """
    differs = change.before != change.after
    if not differs.any():
        return ""
    pairs, counts = np.unique(np.stack([change.before[differs], change.after[differs]]), axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    changes = [f"{_class_name(pairs[0, at])} to {_class_name(pairs[1, at])} {counts[at]}" for at in order.tolist()]
    slices = min(int(differs.any(axis=tuple({0, 1, 2} - {axis})).sum()) for axis in range(3))
    return f"{', '.join(changes)}, on {slices} slice{'s'[: slices != 1]}"


def tidy_step(kind: str, region: Region, mm: float, place: Any = None) -> Step:
    """The step that removes an island at a place of the world, keeps the largest part, fills holes or smooths."""
    (label,) = (name for name, name_of_region in BORDERED.items() if name_of_region == region)
    label_field: dict[str, Any] = {"label": label}
    match kind:
        case "remove island":
            return RemoveIsland(at=tuple(np.round(np.asarray(place, float), 3).tolist()), **label_field)
        case "keep largest":
            return KeepLargest(**label_field)
        case "fill holes":
            return FillHoles(**label_field)
        case _:
            return SmoothMargin(mm=mm, **label_field)


def _class_name(value: int) -> str:
    return {0: "background", RESECTION_CAVITY: "cavity", **CLASS_NAMES}.get(int(value), str(value))


def slices_in_words(slices: Sequence[int]) -> str:
    """Numbers of slices as they are shown and written: `"60, 66, 72"`."""
    return ", ".join(map(str, slices))


def _job(act: Callable[[], Any]) -> Job[Any]:
    yield Progress(0, 0)
    return act()


def _until(change: Change, step: Callable[[], Change | None]) -> bool:
    """Undo or redo up to that change; whether it was found. What was adopted on the way is noticed again later."""
    while (change_found := step()) is not None:
        if change_found is change:
            return True
    return False


def _same(parts: Sequence[Any], others: Sequence[Any]) -> bool:
    return {id(part) for part in parts} == {id(part) for part in others}


def _among(entry: Entry, parts: set[int]) -> bool:
    return any(id(part) in parts for part in entry.parts)
