"""Values that describe the course of a correction: steps, manual edits, what they changed, and their wording."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.interactive import Action, Change, Interpolate, Propagate, Refiner, Step
from napari_brain_tumor.interactive.prompts import (
    BORDERED,
    FillHoles,
    KeepLargest,
    Lasso,
    Prompt,
    RemoveIsland,
    SmoothMargin,
)
from napari_brain_tumor.labels import CLASS_NAMES, REGIONS, RESECTION_CAVITY, Region
from napari_brain_tumor.measure.volumes import REGION_NAMES
from napari_brain_tumor.plugin.prompt_layers import Extent, Meaning
from napari_brain_tumor.progress import Job

PLANE_NAMES: Final = ("axial", "coronal", "sagittal")
"""Names of the slices across the layer's axes Z, Y, X."""
_DRAWN_SHARE: Final = 0.5
"""Share of a region on a slice that must have been painted by hand for the slice to count as outlined."""


@dataclass(frozen=True, slots=True, eq=False)
class Voxels:
    """Voxels `(N, 3)` with their new labels."""

    at: npt.NDArray[np.intp]
    labels: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A region painted by hand on one slice of the layer.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    axis, index : int
        Axis and index of the slice.
    voxels : int
        Size of the region on that slice afterwards, including voxels that were not painted by hand.
    """

    region: Region
    axis: int
    index: int
    voxels: int


@dataclass(slots=True, eq=False)
class Entry:
    """One change of the labels during a correction.

    Parameters
    ----------
    kind : {"step", "hand", "without"}
        A prompt or an action; a manual edit; or all steps redone without one of them.
    painted : Voxels, optional
        For a manual edit, with (x, y, z) of the scan.
    change : Change, optional
        What the refiner did; None if there was nothing to do, or it has not been applied yet.
    parts : tuple
        Parts of the step in napari's history that shows it; empty if it changed nothing visible.
    extent : Extent, optional
        Location of a prompt.
    again : tuple of Entry
        For "without": the entries that were redone, without the removed one.
    refiners : tuple
        For "without": the refiner before and after.
    dump : dict, optional
        The step as written to the provenance.
    seconds : float
        Computing time.
    drawn : Drawn, optional
        What a manual edit on one slice drew there.
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
        """Description of what was done."""
        match self.step:
            case None if self.kind == "without":
                return "replayed without it"
            case None if self.kind == "step":
                return "propagated"
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
    """The next task for the refiner.

    Parameters
    ----------
    kind : {"do", "follow"}
        Whether its result is to be shown in the layer ("do"), or it catches up with what the layer shows ("follow").
    job : callable
        Creates the job, given the contents of the layer's array when it starts.
    """

    kind: Literal["do", "follow"]
    entry: Entry
    job: Callable[[npt.NDArray[Any] | None], Job[Any]]

    @property
    def can_be_repeated(self) -> bool:
        """Whether it still has the same meaning after the labels were changed otherwise."""
        return self.kind == "do" and self.entry.kind == "step" and self.entry.step is not None


@dataclass(frozen=True, slots=True)
class LabelState:
    """State of the labels after a computation.

    Parameters
    ----------
    digest : str
        Hash of the layer's labels; empty for an oblique scan, whose layer is not a one-to-one copy of its labels.
    known_regions : tuple of {"WT", "TC", "ET"}
    """

    digest: str
    known_regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Labels `(rows, columns)` of one slice of the layer, across one of its axes."""

    axis: int
    index: int
    labels: npt.NDArray[np.uint8]


def is_of_region(region: Region, labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which of these labels belong to a region."""
    return np.isin(labels, REGIONS[region])


def prompts_of(entries: Sequence[Entry]) -> list[Prompt]:
    """Return the prompts among the entries, in order."""
    steps = [entry.step for entry in entries]
    return [step for step in steps if step is not None and not isinstance(step, Action)]


def outlines_along(entries: Sequence[Entry], axis: int) -> list[tuple[int, Region]]:
    """Return slice and region of each outline across one axis of the layer, in order.

    Slices that were outlined, or mostly painted by hand; strokes, points, lassos and boxes do not count.
    """
    outlines: list[tuple[int, Region]] = []
    painted: dict[tuple[int, Region], set[tuple[int, ...]]] = {}
    for entry in entries:
        at = entry.extent.slice_along(axis) if entry.extent is not None else None
        if at is not None and isinstance(entry.step, Lasso) and entry.step.border:
            outlines.append((at, BORDERED[entry.step.label]))
        drawn = entry.drawn
        if drawn is not None and drawn.axis == axis and entry.painted is not None:
            own = painted.setdefault((drawn.index, drawn.region), set())
            own.update(map(tuple, entry.painted.at[is_of_region(drawn.region, entry.painted.labels)].tolist()))
            if len(own) >= _DRAWN_SHARE * drawn.voxels:
                outlines.append((drawn.index, drawn.region))
    return outlines


def sentence_of(entry: Entry) -> str:
    """Return what was done, as the beginning of a sentence."""
    return f"{entry.text[:1].upper()}{entry.text[1:]}"


def change_in_words(change: Change, class_names: Mapping[int, str] = CLASS_NAMES) -> str:
    """Describe what a step changed: from which class to which, in how many voxels and over how many slices of the file.

    Empty if it changed nothing.
    """
    names = {0: "background", RESECTION_CAVITY: "cavity", **CLASS_NAMES, **class_names}
    differs = change.before != change.after
    if not differs.any():
        return ""
    pairs, counts = np.unique(np.stack([change.before[differs], change.after[differs]]), axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    changes = [f"{names[pairs[0, at]]} to {names[pairs[1, at]]} {counts[at]}" for at in order.tolist()]
    slices = min(int(differs.any(axis=tuple({0, 1, 2} - {axis})).sum()) for axis in range(3))
    return f"{', '.join(changes)}, on {slices} slice{'s'[: slices != 1]}"


def tidy_step(kind: str, region: Region, mm: float, place: Any = None) -> Step:
    """Return the step that removes an island at a world position, keeps the largest part, fills holes or smooths."""
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


def slices_in_words(slices: Sequence[int]) -> str:
    """Format slice numbers as they are displayed and typed: `"60, 66, 72"`."""
    return ", ".join(map(str, slices))
