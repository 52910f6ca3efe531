"""What is done in the course of a correction, as values: steps, edits by hand, what they changed, and their words."""

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
    """Something that the refiner has to do next.

    Parameters
    ----------
    kind : {"do", "follow"}
        Whether its outcome is shown in the layer, or follows what the layer shows already.
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
class LabelState:
    """What the labels are like after something was computed.

    Parameters
    ----------
    digest : str
        Of the layer's labels; empty where the scan is oblique and its layer is not told from the labels.
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


def is_of_region(region: Region, labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which of these labels belong to a region."""
    return np.isin(labels, REGIONS[region])


def prompts_of(entries: Sequence[Entry]) -> list[Prompt]:
    """The prompts among what was done, in order."""
    steps = [entry.step for entry in entries]
    return [step for step in steps if step is not None and not isinstance(step, Action)]


def outlines_along(entries: Sequence[Entry], axis: int) -> list[tuple[int, Region]]:
    """Slice of the layer and region of each outline along one of its axes, in order.

    Outlined by hand, or painted for the most; strokes, points, lassos and boxes are none.
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
    """What was done, as the beginning of a sentence."""
    return f"{entry.text[:1].upper()}{entry.text[1:]}"


def change_in_words(change: Change, class_names: Mapping[int, str] = CLASS_NAMES) -> str:
    """What a step changed: which class became which in how many voxels, and over how many slices of the file.

    Empty where it changed nothing.
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


def slices_in_words(slices: Sequence[int]) -> str:
    """Numbers of slices as they are shown and written: `"60, 66, 72"`."""
    return ", ".join(map(str, slices))
