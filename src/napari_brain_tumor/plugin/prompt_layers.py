"""Layers for drawing prompts, and the conversion between their content and prompts.

Strokes are painted in a labels layer, points are placed in a points layer, boxes and lassos are drawn in a shapes
layer. All three are aligned with the layer being corrected: their coordinates are its voxels (z, y, x).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from napari.layers import Labels, Points, Shapes
from napari.utils.colormaps import DirectLabelColormap

from napari_brain_tumor.interactive.prompts import (
    BORDERED,
    PROMPT_LABELS,
    Box3D,
    Lasso,
    Painted,
    Point,
    Prompt,
    PromptLabel,
    Stroke,
)
from napari_brain_tumor.interactive.rasterise import rasterise
from napari_brain_tumor.labels import CLASS_COLORS, Region
from napari_brain_tumor.plugin.layers import PROMPTS_KEY
from napari_brain_tumor.plugin.voxel_map import VoxelMap
from napari_brain_tumor.types import Array

_NOT: Final = 10
"""Added to the label of a stroke that marks what something is not."""
_COLORS: Final[dict[PromptLabel, str]] = {
    "edema": CLASS_COLORS[1],
    "non-enhancing": CLASS_COLORS[2],
    "enhancing": CLASS_COLORS[3],
    "tumour core": "#CC79A7",
    "whole tumour": "#009E73",
}
"""Colours of the classes, and for the regions two others from Okabe and Ito's palette."""
_ORDER: Final[tuple[PromptLabel, ...]] = ("edema", "non-enhancing", "enhancing", "tumour core", "whole tumour")
_GREY: Final = 0.62
"""Share of grey in the colour of "not this"."""
_DECIMALS: Final = 3
"""Decimals of world coordinates: a thousandth of a millimetre is smaller than any voxel."""
_ELLIPSE_CORNERS: Final = 48


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of a prompt: what it labels, or what it excludes.

    Parameters
    ----------
    add : bool
        False: "not this".
    """

    label: PromptLabel = "enhancing"
    add: bool = True

    @property
    def code(self) -> int:
        """Integer in the layer of strokes."""
        return _ORDER.index(self.label) + 1 + (0 if self.add else _NOT)

    @classmethod
    def of_code(cls, code: int) -> "Meaning | None":
        """Return the meaning of an integer, as the inverse of `code`; None if it has none."""
        at = code - 1 if code < _NOT else code - 1 - _NOT
        return cls(_ORDER[at], code < _NOT) if 0 <= at < len(_ORDER) else None

    @property
    def has_border(self) -> bool:
        """Whether an outline can be its border: true for regions, not for classes between others."""
        return self.region is not None

    @property
    def region(self) -> Region | None:
        """The region that an outline encloses; None for classes between others, and for "not this"."""
        return BORDERED.get(self.label) if self.add else None

    @property
    def text(self) -> str:
        """The meaning in words."""
        return self.label if self.add else f"not {self.label}"


@dataclass(frozen=True, slots=True)
class Extent:
    """The position of a prompt in the layer: its first and last voxel (z, y, x)."""

    low: tuple[int, int, int]
    high: tuple[int, int, int]

    def slice_along(self, axis: int) -> int | None:
        """Return the slice along a layer axis that contains the whole prompt; None if it covers several."""
        return self.low[axis] if self.low[axis] == self.high[axis] else None

    @property
    def middle(self) -> tuple[int, int, int]:
        """The voxel in the middle."""
        z, y, x = ((a + b) // 2 for a, b in zip(self.low, self.high, strict=True))
        return z, y, x


def color_of(meaning: Meaning) -> tuple[float, float, float]:
    """Return the colour (red, green, blue) of a prompt, from 0 to 1: that of its class, greyed for "not"."""
    text = _COLORS[meaning.label]
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
    if meaning.add:
        return red, green, blue
    return tuple(0.5 * _GREY + channel * (1 - _GREY) for channel in (red, green, blue))  # type: ignore[return-value]


# Layers -------------------------------------------------------------------------------------------------------------


def strokes_over(labels: Labels, name: str) -> Labels:
    """Return an empty layer of strokes with the same voxels as the labels."""
    meanings = [Meaning(label, add) for add in (True, False) for label in PROMPT_LABELS]
    colors: dict[int | None, Any] = {None: "white", 0: "transparent"}
    colors |= {meaning.code: (*color_of(meaning), 1.0) for meaning in meanings}
    layer = Labels(
        np.zeros(labels.data.shape, np.uint8),
        name=name,
        colormap=DirectLabelColormap(color_dict=colors),
        features={"index": [m.code for m in meanings], "prompt": [m.text for m in meanings]},
        opacity=0.85,
        metadata={PROMPTS_KEY: "strokes"},
        **_like(labels),
    )
    layer.brush_size = 4
    return layer


def points_over_labels(labels: Labels, name: str) -> Points:
    """Return an empty layer of points over the labels."""
    layer = Points(ndim=3, name=name, size=4, border_width=0.15, **_like(labels))
    layer.metadata = {PROMPTS_KEY: "points"}
    return layer


def outlines_over(labels: Labels, name: str) -> Shapes:
    """Return an empty layer of boxes and lassos over the labels."""
    layer = Shapes(ndim=3, name=name, edge_width=0.6, **_like(labels))
    layer.metadata = {PROMPTS_KEY: "outlines"}
    return layer


def ring_over(labels: Labels, changed: Array, name: str) -> Labels:
    """Return a layer with a white ring around voxels `(Z, Y, X)`, over the labels."""
    colors: dict[int | None, Any] = {None: "white", 0: "transparent", 1: "white"}
    ring = Labels(
        changed,
        name=name,
        colormap=DirectLabelColormap(color_dict=colors),
        metadata={PROMPTS_KEY: "ring"},
        **_like(labels),
    )
    ring.contour = 1
    return ring


def _like(labels: Labels) -> dict[str, Any]:
    return {name: getattr(labels, name) for name in ("scale", "translate", "units", "axis_labels")}


# From layers to prompts ---------------------------------------------------------------------------------------------


def painted_prompt(voxels: Array, meaning: Meaning, place: VoxelMap) -> Painted:
    """Convert voxels `(N, 3)` (z, y, x) painted in the layer of strokes to a prompt."""
    return Painted(label=meaning.label, add=meaning.add, points=_plain(place.world(voxels)))


def point_prompt(coordinates: Array, meaning: Meaning, place: VoxelMap) -> Point:
    """Convert a point of the layer of points to a prompt."""
    (at,) = _plain(place.world(np.asarray(coordinates)[None]))
    return Point(label=meaning.label, add=meaning.add, at=at)


def shape_prompt(shapes: Shapes, at: int, meaning: Meaning, place: VoxelMap, *, border: bool = False) -> Prompt:
    """Convert a shape of the layer of outlines to a prompt: rectangle to box, other area to lasso, line to stroke.

    With `border`, the line around an area is the border of the region.
    """
    kind, corners = str(shapes.shape_type[at]), np.asarray(shapes.data[at])
    meaning_fields: dict[str, Any] = {"label": meaning.label, "add": meaning.add}
    if kind == "rectangle":
        return Box3D(corners=_plain(place.world([corners.min(axis=0), corners.max(axis=0)])), **meaning_fields)
    if kind in ("path", "line"):
        radius = float(shapes.edge_width[at]) / 2 * min(place.display.scale)  # half the displayed width
        return Stroke(points=_plain(place.world(corners)), radius=round(radius, _DECIMALS), **meaning_fields)
    outline = _ellipse(corners) if kind == "ellipse" else corners
    return Lasso(points=_plain(place.world(outline)), border=border, **meaning_fields)


def joined(lassos: Sequence[Lasso]) -> Lasso:
    """Combine several closed lines into one drawing, with separate parts and holes."""
    first, *others = lassos
    return first.model_copy(update={"rings": (*first.rings, *(lasso.points for lasso in others))})


def _plain(points: Array) -> Any:
    return tuple(map(tuple, np.round(points, _DECIMALS).tolist()))


def _ellipse(corners: Array) -> Array:
    middle = corners.mean(axis=0)
    across, along = (corners[1] - corners[0]) / 2, (corners[2] - corners[1]) / 2
    turn = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)[:, None]
    return np.asarray(middle + np.cos(turn) * across + np.sin(turn) * along)


# From prompts to layers ---------------------------------------------------------------------------------------------


def extent_of(prompt: Prompt, place: VoxelMap) -> Extent:
    """Return the position of a prompt in the layer, clipped to its borders."""
    voxels = np.rint(place.layer(_points_of(prompt))).astype(int)
    last = np.asarray(place.display.shape) - 1
    low, high = (np.clip(end, 0, last).tolist() for end in (voxels.min(axis=0), voxels.max(axis=0)))
    return Extent(tuple(low), tuple(high))


def _points_of(prompt: Prompt) -> Array:
    match prompt:
        case Point():
            return np.array([prompt.at])
        case Box3D():
            return np.array(prompt.corners)
        case Lasso():
            return np.concatenate([prompt.points, *prompt.rings])
        case _:
            return np.array(prompt.points)


def strokes_to_paint(prompts: Sequence[Prompt], place: VoxelMap) -> list[tuple[Array, int]]:
    """Return what the layer of strokes shows: voxels `(N, 3)` (z, y, x) of prompts and their labels, in order."""
    return [
        (_voxels_of(prompt, place), Meaning(prompt.label, prompt.add).code)
        for prompt in prompts
        if isinstance(prompt, Painted | Stroke)
    ]


def _voxels_of(prompt: Prompt, place: VoxelMap) -> Array:
    if isinstance(prompt, Stroke):
        return rasterise(prompt, place.display.viewer_grid).inside[:, ::-1]
    voxels = np.rint(place.layer(_points_of(prompt))).astype(np.intp)
    return voxels[((voxels >= 0) & (voxels < place.display.shape)).all(axis=1)]


def points_to_draw(prompts: Sequence[Prompt], place: VoxelMap) -> list[tuple[Array, Meaning]]:
    """Return what the layer of points shows: coordinates (z, y, x) and meanings of prompts."""
    return [
        (place.layer([prompt.at])[0], Meaning(prompt.label, prompt.add))
        for prompt in prompts
        if isinstance(prompt, Point)
    ]


def outlines_to_draw(prompts: Sequence[Prompt], place: VoxelMap) -> list[tuple[Array, str, Meaning]]:
    """Return what the layer of outlines shows: corners `(N, 3)` (z, y, x), shape types and meanings of prompts."""
    outlines: list[tuple[Array, str, Meaning]] = []
    for prompt in prompts:
        meaning = Meaning(prompt.label, prompt.add)
        if isinstance(prompt, Lasso):
            outlines.append((place.layer(_one_line(prompt)), "polygon", meaning))
        elif isinstance(prompt, Box3D):
            outlines.append((_rectangle(place.layer(prompt.corners)), "rectangle", meaning))
    return outlines


def _one_line(lasso: Lasso) -> Array:
    """Combine a lasso's closed lines into a single one that visits each further line and returns."""
    start = lasso.points[:1]
    further = [[*line, line[0], *start] for line in lasso.rings]
    return np.concatenate([lasso.points, *([start] if further else []), *further])


def _rectangle(corners: Array) -> Array:
    """Return the four corners of a box, in the middle slice along its shortest axis."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    thin = int(np.argmin(high - low))
    low[thin] = high[thin] = (low[thin] + high[thin]) / 2
    first, second = (axis for axis in range(3) if axis != thin)
    rectangle = np.tile(low, (4, 1))
    rectangle[1:3, first], rectangle[2:, second] = high[first], high[second]
    return rectangle
