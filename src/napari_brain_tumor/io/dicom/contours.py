"""Contours of a mask slice by slice, as closed curves; each hole is joined to its outline by a narrow channel."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import approximate_polygon, find_contours

from napari_brain_tumor.types import Float64Array, Mask

Points = Float64Array

_STRAIGHT: Final = 1e-6
"""Points that lie within this distance of a straight line, in pixels, are left out."""


def closed_contours(mask: Mask) -> list[Points]:
    """Return the contours of a slice, each closed without repeating its first point.

    Contours run half-way between the centres of pixels inside and outside, so that they contain exactly the centres of
    the mask's pixels. Pixels that touch only at a corner are separate. Holes are cut out by the keyhole technique
    (DICOM PS3.3, C.8.8.6.3): outline and hole form one curve, connected by a channel of zero width.

    Parameters
    ----------
    mask : (A, B) bool array

    Returns
    -------
    list of (N, 2) float64 arrays
        Positions along both axes in pixels, with the centre of the first pixel at (0, 0); islands within a hole are
        separate contours.
    """
    parts, count = ndimage.label(mask)
    boxes = ndimage.find_objects(parts)
    return [_outline(parts[box] == number, box) for number, box in zip(range(1, count + 1), boxes, strict=True)]


def _outline(part: Mask, box: Any) -> Points:
    corner = np.array([side.start for side in box], dtype=np.float64)
    padded = np.pad(part, 1).astype(np.float64)
    # "low": background is connected across corners, foreground is not, as in the labelling of the parts.
    curves = [approximate_polygon(curve, _STRAIGHT)[:-1] for curve in find_contours(padded, 0.5, fully_connected="low")]
    curves.sort(key=lambda curve: -abs(_area(curve)))
    joined: Points = _joined(curves[0], curves[1:]) + corner - 1
    return joined


def _area(curve: Points) -> float:
    after = np.roll(curve, -1, axis=0)
    return float((curve[:, 0] * after[:, 1] - curve[:, 1] * after[:, 0]).sum() / 2)


def _joined(outer: Points, holes: Sequence[Points]) -> Points:
    """Join an outline and its holes into one curve, entering and leaving each hole at its closest point."""
    for hole in holes:
        distances, nearest = cKDTree(outer).query(hole)
        start = int(np.argmin(distances))
        at = int(np.asarray(nearest)[start])
        around = np.roll(hole, -start, axis=0)
        outer = np.concatenate([outer[: at + 1], around, around[:1], outer[at:]])
    return outer
