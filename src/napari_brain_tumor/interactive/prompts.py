"""Prompts with which a user corrects a segmentation, as a document that can be saved, read and replayed.

All positions are in world coordinates (RAS+ millimetres, or voxels if the files lack the spacing), so that prompts mean
the same on any slice of any view, and for scans in any axis order.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from napari_brain_tumor.errors import PromptError, UnreadableFileError
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.labels import REGIONS, Region

PromptLabel = Literal["edema", "non-enhancing", "enhancing", "whole tumour", "tumour core"]

PROMPT_LABELS: Final[dict[PromptLabel, tuple[int, ...]]] = {
    "edema": (1,),
    "non-enhancing": (2,),
    "enhancing": (3,),
    "whole tumour": (1, 2, 3),
    "tumour core": (2, 3),
}
"""The labels of prompts, and the classes that each leaves possible. `add=False` leaves all other classes possible."""

BORDERED: Final[dict[PromptLabel, Region]] = {"whole tumour": "WT", "tumour core": "TC", "enhancing": "ET"}
"""Regions that can be outlined with a border."""

RULE: Final = 6
"""Version of the rules by which prompts change labels. Other versions give other voxels.

1 until outlines limited a prompt; 2 until a network carried outlines to neighbouring slices; 3 until outlines left
similar parts beyond their ring unchanged and removals became more cautious; 4 until outlined slices taught a classifier
for the rest of the tumour; 5 until the outline network received what that classifier predicts; 6 since then.
"""

_FARTHEST: Final = 1e4
"""Largest coordinate, in millimetres or voxels; no scan extends further."""
_LAST_SLICE: Final = 100_000

Coordinate = Annotated[float, Field(ge=-_FARTHEST, le=_FARTHEST, allow_inf_nan=False)]
SliceIndex = Annotated[int, Field(ge=0, le=_LAST_SLICE)]
WorldPoint = tuple[Coordinate, Coordinate, Coordinate]
_ALL_CLASSES: Final = (0, 1, 2, 3)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Prompt(_Document):
    """Common part of all prompts: the class or region, and whether the prompt's voxels belong to it."""

    label: PromptLabel
    add: bool = True
    """False means "not this"; not whole tumour, for example, means background."""
    around: bool = True
    """Whether neighbouring slices may change as well; if False, only this slice or the prompt's own voxels do."""

    @property
    def allowed(self) -> tuple[int, ...]:
        """Classes that the prompt's voxels can still have, 0 for background."""
        values = PROMPT_LABELS[self.label]
        return values if self.add else tuple(value for value in _ALL_CLASSES if value not in values)

    def inside(self, region: Region) -> bool | None:
        """Return whether the prompt's voxels are inside a region (True), outside (False), or possibly either (None)."""
        hits = {value in REGIONS[region] for value in self.allowed}
        return hits.pop() if len(hits) == 1 else None


class Point(_Prompt):
    """A click."""

    kind: Literal["point"] = "point"
    at: WorldPoint


class Stroke(_Prompt):
    """A line drawn with a brush: all voxels with centres within `radius` of it, and those that it passes through."""

    kind: Literal["stroke"] = "stroke"
    points: Annotated[tuple[WorldPoint, ...], Field(min_length=1)]
    radius: Annotated[float, Field(ge=0, le=_FARTHEST, allow_inf_nan=False)] = 0.0


class Painted(_Prompt):
    """Voxels painted individually, given by their centres."""

    kind: Literal["painted"] = "painted"
    points: Annotated[tuple[WorldPoint, ...], Field(min_length=1)]


class Lasso(_Prompt):
    """A closed line in one plane; the prompt applies to one layer of voxels inside it.

    With `border`, the line is the border of a region on that slice, so that its surroundings in the plane are outside
    the region. Without, the line merely encloses voxels of the given label and says nothing about others. `rings` are
    further closed lines of the same drawing: beside the others, a ring encloses another part; within one, a hole.

    Raises
    ------
    ValueError
        If a border is requested for a class that is not a region (edema, non-enhancing), or with `add=False`.
    """

    kind: Literal["lasso"] = "lasso"
    points: Annotated[tuple[WorldPoint, ...], Field(min_length=3)]
    rings: tuple[Annotated[tuple[WorldPoint, ...], Field(min_length=3)], ...] = ()
    border: bool = False

    @model_validator(mode="after")
    def _borders_a_region(self) -> Self:
        if self.border and (not self.add or self.label not in BORDERED):
            meaning = self.label if self.add else f"not {self.label}"
            msg = f"only {', '.join(BORDERED)} can have a border; this one is for {meaning}. Leave `border` out"
            raise ValueError(msg)
        return self


class Box3D(_Prompt):
    """A box from corner to corner, with its sides along the world axes; flat along one axis if drawn on a slice.

    What the prompt names lies inside the box and extends nearly to its sides. With `add=False`, none of it is left
    inside.
    """

    kind: Literal["box"] = "box"
    corners: tuple[WorldPoint, WorldPoint]


Prompt = Point | Stroke | Painted | Lasso | Box3D


class Interpolate(_Document):
    """Interpolate the slices between outlined slices.

    `axis` is an axis of the scan's file, 0 to 2; `slices` are at least two indices along it. With a `region`, only its
    border is interpolated; without one, as in older files, the borders of all regions are.
    """

    kind: Literal["interpolate"] = "interpolate"
    axis: Annotated[int, Field(ge=0, le=2)]
    slices: Annotated[tuple[SliceIndex, ...], Field(min_length=2)]
    region: Region | None = None

    @model_validator(mode="after")
    def _has_something_between(self) -> Self:
        if len(set(self.slices)) < 2:
            msg = f"only slice {self.slices[0]} is given; interpolation needs at least two different slices"
            raise ValueError(msg)
        return self


class Propagate(_Document):
    """Propagate the labels of a slice along an axis of the scan's file, from `start` to `stop` inclusive."""

    kind: Literal["propagate"] = "propagate"
    axis: Annotated[int, Field(ge=0, le=2)]
    start: SliceIndex
    stop: SliceIndex

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if self.start == self.stop:
            msg = f"start and stop are both slice {self.start}; propagation needs two different slices"
            raise ValueError(msg)
        return self


RegionLabel = Literal["whole tumour", "tumour core", "enhancing"]


class _OfRegion(_Document):
    """An action on one region that uses neither scans nor a network."""

    label: RegionLabel = "whole tumour"

    @property
    def region(self) -> Region:
        """The region that the action applies to."""
        return BORDERED[self.label]


class RemoveIsland(_OfRegion):
    """Remove the connected part of a region at a position, even if it was drawn."""

    kind: Literal["remove island"] = "remove island"
    at: WorldPoint


class KeepLargest(_OfRegion):
    """Remove all connected parts of a region except the largest and those that were drawn."""

    kind: Literal["keep largest"] = "keep largest"


class FillHoles(_OfRegion):
    """Fill the holes that a region encloses on all sides."""

    kind: Literal["fill holes"] = "fill holes"


class SmoothMargin(_OfRegion):
    """Smooth the margin of a region, removing details narrower than `mm`; what was drawn is kept."""

    kind: Literal["smooth margin"] = "smooth margin"
    mm: Annotated[float, Field(gt=0, le=20, allow_inf_nan=False)] = 2.0


Action = Interpolate | Propagate | RemoveIsland | KeepLargest | FillHoles | SmoothMargin
"""Steps that are not prompts: they settle no voxels, and respect what prompts have settled."""

Step = Annotated[
    Point
    | Stroke
    | Painted
    | Lasso
    | Box3D
    | Interpolate
    | Propagate
    | RemoveIsland
    | KeepLargest
    | FillHoles
    | SmoothMargin,
    Field(discriminator="kind"),
]
"""One step of a correction."""


class PromptFile(_Document):
    """A correction as saved to a file: its steps in order, and the labels that they were applied to.

    Parameters
    ----------
    case : str
        Name of the study.
    unit : {"mm", "voxel"}
        Unit of all coordinates.
    labels_sha256 : str, optional
        Hash of the labels before the first step (`labels.labels_sha256`).
    model : str, optional
        The model that made those labels.
    edited_by_hand : int
        Number of manual edits between the steps; the edits themselves are not included.
    steps : tuple of Step
    """

    format: Literal["napari-brain-tumor prompts"] = "napari-brain-tumor prompts"
    version: Literal[1, 2, 3, 4, 5, 6] = RULE
    """`RULE` at the time of recording."""
    case: str = ""
    unit: Literal["mm", "voxel"] = "mm"
    labels_sha256: str | None = None
    model: str | None = None
    edited_by_hand: Annotated[int, Field(ge=0)] = 0
    steps: tuple[Step, ...] = ()


_FILE: Final = TypeAdapter(PromptFile)
_STEPS: Final = TypeAdapter(tuple[Step, ...])


def read_prompts(path: str | PathLike[str]) -> PromptFile:
    """Read a correction written by `save_prompts`, or a plain JSON list of steps.

    Raises
    ------
    PromptError
        If there is no such file, or its content is invalid; the message names the first invalid entry.
    """
    path = Path(path)
    try:
        document = read_json(path)
    except UnreadableFileError as error:
        msg = f"{error} Expected a JSON file of prompts, as save_prompts writes it."
        raise PromptError(msg) from error
    except ValueError as error:
        msg = f"{path} is not JSON ({error}). Expected a file of prompts, as save_prompts writes it."
        raise PromptError(msg) from error
    try:
        if isinstance(document, list):
            return PromptFile(steps=_STEPS.validate_python(document))
        return _FILE.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        msg = (
            f"{path}: {place}: {first['msg']}. Expected prompts (point, stroke, painted, lasso, box, interpolate, "
            "propagate, remove island, keep largest, fill holes, smooth margin) under 'steps', as save_prompts writes "
            "them."
        )
        raise PromptError(msg) from error


def save_prompts(prompts: PromptFile | Sequence[Step], path: str | PathLike[str]) -> Path:
    """Write a correction as JSON, atomically.

    Raises
    ------
    SaveError
        If the file cannot be written.
    """
    record = prompts if isinstance(prompts, PromptFile) else PromptFile(steps=tuple(prompts))
    text = record.model_dump_json(indent=1, exclude_none=True) + "\n"
    target = Path(path)
    write_atomically(target, lambda place: place.write_text(text, "utf-8"), lambda place: _check(place, record))
    return target


def _check(path: Path, record: PromptFile) -> None:
    if read_prompts(path) != record:
        msg = "the file does not read back as it was written"
        raise PromptError(msg)
