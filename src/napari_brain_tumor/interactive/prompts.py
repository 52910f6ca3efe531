"""What a user tells a segmentation to correct it, as a document that can be saved, read and replayed.

Every place is given in world coordinates (RAS+ millimetres, or voxels where the files do not tell the spacing), so that
prompts made in any view, on any slice, of a scan in any order of axes mean the same.
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
"""What a prompt can be about, and the classes that it leaves possible. `add=False` leaves all others possible."""

BORDERED: Final[dict[PromptLabel, Region]] = {"whole tumour": "WT", "tumour core": "TC", "enhancing": "ET"}
"""Regions around which a border can be drawn."""

RULE: Final = 6
"""By which prompts change labels: 1 until outlines bound, 2 until a network carried them to the slices beside, 3 until
outlines left like parts beyond their ring alone and removals became more cautious, 4 until outlined slices taught the
rest of the tumour, 5 until that network saw what they teach, 6 since. Other rules give other voxels."""

_FARTHEST: Final = 1e4
"""Of coordinates, in millimetres or voxels: beyond it there is no scan."""
_LAST_SLICE: Final = 100_000

Coordinate = Annotated[float, Field(ge=-_FARTHEST, le=_FARTHEST, allow_inf_nan=False)]
SliceIndex = Annotated[int, Field(ge=0, le=_LAST_SLICE)]
WorldPoint = tuple[Coordinate, Coordinate, Coordinate]
_ALL_CLASSES: Final = (0, 1, 2, 3)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Prompt(_Document):
    """What all prompts tell: of which class or region, and whether its voxels belong to it or do not."""

    label: PromptLabel
    add: bool = True
    """False: "not this". Not whole tumour means background."""
    around: bool = True
    """Whether slices beside it may follow. False: this slice alone changes, or the prompt's own voxels."""

    @property
    def allowed(self) -> tuple[int, ...]:
        """Classes that its voxels can still be, 0 for background."""
        values = PROMPT_LABELS[self.label]
        return values if self.add else tuple(value for value in _ALL_CLASSES if value not in values)

    def inside(self, region: Region) -> bool | None:
        """Whether its voxels lie in a region (True), outside (False), or may do either (None)."""
        hits = {value in REGIONS[region] for value in self.allowed}
        return hits.pop() if len(hits) == 1 else None


class Point(_Prompt):
    """A click."""

    kind: Literal["point"] = "point"
    at: WorldPoint


class Stroke(_Prompt):
    """A line drawn with a brush: every voxel whose centre is within `radius` of it, and those it runs through."""

    kind: Literal["stroke"] = "stroke"
    points: Annotated[tuple[WorldPoint, ...], Field(min_length=1)]
    radius: Annotated[float, Field(ge=0, le=_FARTHEST, allow_inf_nan=False)] = 0.0


class Painted(_Prompt):
    """Voxels painted one by one, by their centres."""

    kind: Literal["painted"] = "painted"
    points: Annotated[tuple[WorldPoint, ...], Field(min_length=1)]


class Lasso(_Prompt):
    """A closed line in one plane: the voxels within it, one layer of them, are what the prompt says.

    With `border` the line is where a region ends on that slice: what lies around it, in its plane, is outside the
    region. Without, the line merely holds voxels that are what is said, and nothing is told of others. `rings` are
    further closed lines of the same drawing: one beside the others holds another part, one within them a hole.

    Raises
    ------
    ValueError
        For a border of what is no region (edema, non-enhancing), or of "not this".
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
    """A box around something, from corner to corner, its sides along the axes of the world.

    Flat along one axis when it was drawn on a slice.

    What the prompt names lies within it and reaches close to its sides. With `add=False` nothing within it is left.
    """

    kind: Literal["box"] = "box"
    corners: tuple[WorldPoint, WorldPoint]


Prompt = Point | Stroke | Painted | Lasso | Box3D


class Interpolate(_Document):
    """Fill the slices between slices that were outlined.

    `axis` is that of the scan's own file, 0 to 2; `slices` are at least two indices along it. With a `region` only the
    border of that region follows its shapes on those slices; without one, as in older files, all regions do.
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
    """Carry the labels of a slice along an axis of the scan's file, from `start` to `stop`, both included."""

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
    """An action on one region, which needs neither scans nor a network."""

    label: RegionLabel = "whole tumour"

    @property
    def region(self) -> Region:
        """The region that it is about."""
        return BORDERED[self.label]


class RemoveIsland(_OfRegion):
    """Take away the connected part of a region at a place, also where it was drawn."""

    kind: Literal["remove island"] = "remove island"
    at: WorldPoint


class KeepLargest(_OfRegion):
    """Take away all connected parts of a region but the largest, and those that were drawn."""

    kind: Literal["keep largest"] = "keep largest"


class FillHoles(_OfRegion):
    """Fill what a region encloses on all sides."""

    kind: Literal["fill holes"] = "fill holes"


class SmoothMargin(_OfRegion):
    """Smooth the margin of a region: details narrower than `mm` go; what was drawn stays."""

    kind: Literal["smooth margin"] = "smooth margin"
    mm: Annotated[float, Field(gt=0, le=20, allow_inf_nan=False)] = 2.0


Action = Interpolate | Propagate | RemoveIsland | KeepLargest | FillHoles | SmoothMargin
"""Steps that are no prompts: they say nothing of any voxel, and what prompts said holds."""

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
"""One step of a correction, in the order in which they were made."""


class PromptFile(_Document):
    """A correction as it is saved: its steps in order, and what they were made on.

    Parameters
    ----------
    case : str
        Name of the study.
    unit : {"mm", "voxel"}
        Of all coordinates.
    labels_sha256 : str, optional
        Of the labels that the first step met (`labels.labels_sha256`).
    model : str, optional
        What made those labels.
    edited_by_hand : int
        How many changes were made by hand between the steps; they are not among them.
    steps : tuple of Step
    """

    format: Literal["napari-brain-tumor prompts"] = "napari-brain-tumor prompts"
    version: Literal[1, 2, 3, 4, 5, 6] = RULE
    """`RULE` of when it was recorded."""
    case: str = ""
    unit: Literal["mm", "voxel"] = "mm"
    labels_sha256: str | None = None
    model: str | None = None
    edited_by_hand: Annotated[int, Field(ge=0)] = 0
    steps: tuple[Step, ...] = ()


_FILE: Final = TypeAdapter(PromptFile)
_STEPS: Final = TypeAdapter(tuple[Step, ...])


def read_prompts(path: str | PathLike[str]) -> PromptFile:
    """Read a correction that `save_prompts` wrote; a bare JSON list of steps is read too.

    Raises
    ------
    PromptError
        If there is no such file, or it holds something else; the message names the first wrong entry.
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
    """Write a correction as JSON, whole or not at all.

    Raises
    ------
    SaveError
        If it cannot be written.
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
