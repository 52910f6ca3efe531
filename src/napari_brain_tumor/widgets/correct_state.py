"""A correction without Qt: a refiner and the labels layer that shows it, kept in step with each other.

napari's own history of the layer is authoritative. Whatever is done, undone or redone there, by any key or panel, is
read from it, and the refiner follows in another thread (`EntryComputer`).
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_brain_tumor import __version__
from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.interactive import Action, Interpolate, PromptFile, Refiner, Step
from napari_brain_tumor.interactive.prompts import RULE, Prompt
from napari_brain_tumor.labels import Region, class_names_of
from napari_brain_tumor.plugin.labels_edit import change_voxels, history_of, painted_voxels
from napari_brain_tumor.plugin.layers import KEY, segmentation_tag
from napari_brain_tumor.plugin.prompt_layers import Extent, extent_of
from napari_brain_tumor.plugin.voxel_map import VoxelMap
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Study
from napari_brain_tumor.widgets.correct_computer import EntryComputer
from napari_brain_tumor.widgets.correct_entries import (
    Entry,
    LabelState,
    Plane,
    Voxels,
    Work,
    outlines_along,
    prompts_of,
    slices_in_words,
)


@dataclass(slots=True, eq=False)
class Correction:
    """What is being corrected, how, and what has been done so far.

    Parameters
    ----------
    layer : Labels
        The layer that shows the result.
    computer : EntryComputer
        Holds the study, the labels at the start, and the refiner.
    sha256 : str
        Hash of the labels at the start.
    begun : mapping
        Their provenance, with the scans.
    """

    layer: Labels
    computer: EntryComputer
    sha256: str
    begun: Mapping[str, Any]
    done: list[Entry] = field(default_factory=list)
    undone: list[Entry] = field(default_factory=list)
    writing: bool = False
    """Whether the layer is currently being changed by this object rather than by the user."""
    _known: dict[int, Any] = field(default_factory=dict)
    _provenance: dict[str, Any] = field(default_factory=dict)
    _fixed: int = 0
    """How many of the first entries can no longer be undone."""
    _previewed: list[tuple[Any, Any, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._settle()
        tag = segmentation_tag(self.layer)
        self._provenance = dict(tag.provenance) if tag is not None else {}

    @property
    def study(self) -> Study:
        """The scans."""
        return self.computer.study

    @property
    def refiner(self) -> Refiner:
        """Holds the labels on the scan's grid."""
        return self.computer.refiner

    @property
    def place(self) -> VoxelMap:
        """Maps voxels of the scan to voxels of the layer."""
        return self.computer.place

    @property
    def class_names(self) -> dict[int, str]:
        """Names of the layer's classes; for example, class 1 is not edema if only the whole tumour was segmented."""
        tag = segmentation_tag(self.layer)
        return dict(tag.class_names) if tag is not None else {}

    @property
    def entries(self) -> list[Entry]:
        """The entries that the current labels result from, in order."""
        entries: list[Entry] = []
        for entry in self.done:
            entries = list(entry.again) if entry.kind == "without" else [*entries, entry]
        return entries

    @property
    def prompts(self) -> list[Prompt]:
        """The prompts that the current labels result from, in order."""
        return prompts_of(self.entries)

    @property
    def file(self) -> PromptFile:
        """The correction as a document; manual edits are only counted, not stored in it."""
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
        """Return the slices across an axis of the layer on which a region was outlined or mostly painted by hand."""
        return sorted({at for at, outlined in outlines_along(self.entries, axis) if outlined == region})

    def region_to_fill(self, axis: int, preferred: Region | None = None) -> Region | None:
        """Return the preferred region if it was outlined across an axis, else the one outlined last, or None."""
        regions = [region for _, region in outlines_along(self.entries, axis)]
        return preferred if preferred in regions else regions[-1] if regions else None

    # User requests --------------------------------------------------------------------------------------------------

    def action(self, step: Step) -> Work:
        """Apply a prompt, or another step of a file."""
        is_prompt = not isinstance(step, Action)
        entry = Entry("step", step, extent=extent_of(step, self.place) if is_prompt else None)  # type: ignore[arg-type]
        return Work("do", entry, lambda labels: _job(lambda: self.computer.carry_out(entry, labels)))

    def snapshot(self) -> npt.NDArray[Any] | None:
        """Return a copy of the layer's array, so that changes written without napari's knowledge are noticed.

        None for an oblique scan, whose layer does not hold the same voxels as the refiner.
        """
        return np.array(self.layer.data) if self.place.one_to_one else None

    def fill(self, axis: int, slices: Sequence[int], region: Region | None = None) -> Work:
        """Fill between slices across one axis of the layer.

        Parameters
        ----------
        region : {"WT", "TC", "ET"}, optional
            Region whose border follows its shapes on these slices; if not given, that of all regions.

        Raises
        ------
        PromptError
            If fewer than two slices are given, or one that the layer does not have.
        """
        last = self.layer.data.shape[axis] - 1
        numbers_shown = sorted(set(slices))
        if len(numbers_shown) < 2 or numbers_shown[0] < 0 or numbers_shown[-1] > last:
            msg = (
                f"Slices {slices_in_words(numbers_shown) or 'none'} were given; two or more of 0 to {last} are needed, "
                "and what lies between them is filled. Outline the region on a second slice, or type its number."
            )
            raise PromptError(msg)
        numbers = tuple(sorted(self.place.file_slice(axis, number) for number in numbers_shown))
        return self.action(Interpolate(axis=self.place.file_axis(axis), slices=numbers, region=region))

    def carry_on(
        self, axis: int, index: int, direction: Literal[1, -1], planes: list[Plane], halt: threading.Event
    ) -> Work:
        """Propagate a slice across one axis of the layer until told to stop, or until nothing is left.

        Parameters
        ----------
        axis, index
            Axis and index of the slice.
        direction : {1, -1}
            Towards higher or lower slices of the layer.
        planes : list of Plane
            Results are appended slice by slice, to be shown in the meantime.
        halt : Event
            Set to stop.
        """
        entry = Entry("step")
        return Work("do", entry, lambda _: self.computer.propagate(entry, axis, index, direction, planes, halt))

    def without(self, unwanted: Entry) -> Work:
        """Redo everything without one of the entries."""
        remaining = [entry for entry in self.entries if entry is not unwanted]
        entry = Entry("without")
        return Work("do", entry, lambda _: self.computer.do_without(entry, remaining))

    # Undo and redo --------------------------------------------------------------------------------------------------

    def undo(self) -> list[Work]:
        """Undo the last change, in the layer's own history.

        Raises
        ------
        PromptError
            If there is none, or napari no longer remembers it.
        """
        if not self.done:
            msg = "There is nothing to undo: nothing has been corrected since this correction began."
            raise PromptError(msg)
        last = history_of(self.layer).done[-1:]
        is_there = len(self.done) > self._fixed
        if is_there and not self.done[-1].parts:
            return [self._take_back()]
        if not is_there or not last or not _same(last[0], self.done[-1].parts):
            msg = (
                "The earlier labels are no longer known: napari keeps the last 100 changes of a layer, and none once "
                "its labels have been replaced."
            )
            raise PromptError(msg)
        self._quietly(self.layer.undo)
        return self.follow()

    def redo(self) -> list[Work]:
        """Redo what was undone last; raises `PromptError` if there is nothing to redo."""
        if not self.undone:
            msg = "There is nothing to redo."
            raise PromptError(msg)
        if not self.undone[-1].parts:
            return [self._bring_again()]
        self._quietly(self.layer.redo)
        return self.follow()

    def follow(self) -> list[Work]:
        """Read the layer's history, and return what the refiner has to do to match the layer."""
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
        """Undo what was computed but is not shown."""
        return Work("follow", entry, lambda _: _job(lambda: self.computer.undo(entry)))

    def replaced(self) -> None:
        """Handle the layer's array having been replaced: earlier changes cannot be undone in the new one.

        Its contents are adopted before the next step is applied.
        """
        self._fixed = len(self.done)
        self.undone.clear()

    def _take_back(self) -> Work:
        entry = self.done.pop()
        self.undone.append(entry)
        return Work("follow", entry, lambda _: _job(lambda: self.computer.undo(entry)))

    def _bring_again(self) -> Work:
        entry = self.undone.pop()
        self.done.append(entry)
        return Work("follow", entry, lambda _: _job(lambda: self.computer.redo(entry)))

    def _new(self, steps: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return the steps at the end of the history that have not been recorded yet."""
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
        return Work("follow", entry, lambda _: _job(lambda: self.computer.adopt(entry)))

    # The layer ------------------------------------------------------------------------------------------------------

    def show(self, entry: Entry, edit: Voxels) -> int:
        """Show a computed entry in the layer, as one step of its history; return the number of changed voxels."""
        before = len(self._known)
        changed = self._quietly(lambda: change_voxels(self.layer, edit.at, edit.labels))
        if changed:
            self._settle()
            entry.parts = tuple(self._known.values())[before:]
        self.done.append(entry)
        self.undone.clear()
        return changed

    def preview(self, planes: Sequence[Plane]) -> None:
        """Write slices of an unfinished computation into the layer, visible when they are next drawn.

        They do not enter napari's history.
        """
        for plane in planes:
            at = (*(slice(None),) * plane.axis, plane.index)
            self._previewed.append((at, self.layer.data[at].copy(), plane.labels))
            self.layer.data[at] = plane.labels

    def end_preview(self) -> None:
        """Remove what was only previewed."""
        if not self._previewed:
            return
        for at, before, previewed in reversed(self._previewed):
            still = self.layer.data[at] == previewed
            self.layer.data[at][still] = before[still]
        self._previewed.clear()
        self._quietly(self.layer.refresh)

    def record(self, state: LabelState) -> None:
        """Update the layer's metadata with the steps and the current state of the labels, to be saved with them."""
        tag = segmentation_tag(self.layer)
        if tag is None:
            return
        entries = self.entries
        steps = [entry.dump for entry in entries if entry.dump is not None]
        painted = any(entry.kind == "hand" for entry in entries)
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
            refined_digest=state.digest if steps and not painted else "",
            known_regions=known,
            class_names=names,
        )
        self.layer.metadata = {**self.layer.metadata, KEY: changed}

    def _refinement(self) -> dict[str, Any]:
        """Describe the correction in the format of `refine`."""
        prompted = [entry for entry in self.entries if entry.step is not None]
        record = {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "from_labels_sha256": self.sha256,
            "probabilities": self.computer.probabilities is not None,
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
        """Mark everything in the current history as known."""
        for step in history_of(self.layer).done:
            self._remember(step)

    def _remember(self, parts: Sequence[Any]) -> None:
        # The parts themselves are kept, because the id of a deleted one can be reused.
        for part in parts:
            self._known.setdefault(id(part), part)


def _job(act: Callable[[], Any]) -> Job[Any]:
    yield Progress(0, 0)
    return act()


def _same(parts: Sequence[Any], others: Sequence[Any]) -> bool:
    return {id(part) for part in parts} == {id(part) for part in others}


def _among(entry: Entry, parts: set[int]) -> bool:
    return any(id(part) in parts for part in entry.parts)
