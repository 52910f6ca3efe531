"""Check whether labels look like a tumour, and describe anything implausible.

The limits are well beyond the values in the reference segmentations of 33 volumes of gliomas and 22 whole heads: at
most 16 % of the brain, 10 % at its rim and 21 parts, and at least 61 % bright on FLAIR or T2.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from napari_brain_tumor.geometry import Grid, bounding_box, to_ras
from napari_brain_tumor.postprocessing.components import count_parts
from napari_brain_tumor.preprocessing.intensity import background_value, foreground_mask
from napari_brain_tumor.study import Role, Study
from napari_brain_tumor.types import Array, Mask

_BRIGHT: Final[tuple[Role, ...]] = ("FLAIR", "T2")
"""Sequences on which tumour and edema are bright."""
_RIM_MM: Final = 4.0
_SIDE: Final = 128
"""Number of voxels along an axis that is enough to estimate shares."""
_FEW_SLICES: Final = 16
"""A slab with fewer slices may lie entirely within a large tumour, or end inside it."""

_LARGEST_SHARE: Final = {False: 0.35, True: 0.2}
"""Largest plausible share of the brain (False) or of a whole head (True)."""
_LARGEST_SHARE_OF_SLAB: Final = 0.6
_MOST_AT_RIM: Final = 0.6
_LARGEST_CUT: Final = 0.7
_MOST_PARTS: Final = 60
_LEAST_BRIGHT: Final = 0.4


@dataclass(frozen=True, slots=True)
class Appearance:
    """Measures of what a segmentation looks like.

    Parameters
    ----------
    share : float
        Share of the brain, or of the head if not skull-stripped, that is labelled as tumour.
    at_rim : float
        Share of the tumour within 4 mm of the outside, measured in axial slices.
    cut : float
        Area of the tumour in the lowest or uppermost axial slice, as a share of its largest area.
    parts : int
        Number of separate parts.
    bright : float or None
        Share of the tumour that is brighter than the median of the brain, on FLAIR or T2, whichever is higher; None
        if there is neither.
    """

    share: float
    at_rim: float
    cut: float
    parts: int
    bright: float | None


def doubts_about(study: Study, labels: Array, *, in_box: bool = False) -> list[str]:
    """Describe what makes a segmentation implausible, in a sentence or two per finding; empty if it is plausible.

    Parameters
    ----------
    labels : (X, Y, Z) array
        Labels on the study's grid, 0 outside the tumour.
    in_box : bool
        Whether the tumour was searched for only within a box.
    """
    if not labels.any():
        where = "within the box" if in_box else "in these scans"
        return [f"No tumour was found {where}. That does not prove that there is none: look at the scans."]
    whole_head = study.brain is None and any(background_value(volume) is None for volume in study.sequences.values())
    doubts = _against(appearance_of(study, labels), whole_head, is_slab=min(study.grid.shape) < _FEW_SLICES)
    return [f"The result is doubtful: {text}." for text in doubts]


def _against(appearance: Appearance, whole_head: bool, *, is_slab: bool) -> list[str]:
    most = _LARGEST_SHARE_OF_SLAB if is_slab else _LARGEST_SHARE[whole_head]
    checks = {
        f"{appearance.share:.0%} of the {'head' if whole_head else 'brain'} is labelled as tumour": appearance.share
        > most,
        f"{appearance.at_rim:.0%} of the tumour lies along the surface of the brain": appearance.at_rim > _MOST_AT_RIM,
        f"it consists of {appearance.parts} separate parts": appearance.parts > _MOST_PARTS,
        "the scan ends where the tumour is large, part of which may lie outside": not is_slab
        and appearance.cut > _LARGEST_CUT,
    }
    if appearance.bright is not None:
        text = f"only {appearance.bright:.0%} of the tumour is brighter than the brain's median on FLAIR or T2"
        checks[text] = appearance.bright < _LEAST_BRIGHT
    return [text for text, applies in checks.items() if applies]


def appearance_of(study: Study, labels: Array) -> Appearance:
    """Measure what non-empty labels look like; takes a few hundredths of a second."""
    full = _axial(study.grid, labels)
    steps = [max(1, -(-n // _SIDE)) for n in full.shape]
    thin = tuple(slice(None, None, step) for step in steps)
    volumes = {role: np.ascontiguousarray(_axial(study.grid, volume)[thin]) for role, volume in study.sequences.items()}
    tumour = full[thin] > 0
    known = None if study.brain is None else _axial(study.grid, study.brain)[thin]
    brain = (foreground_mask(list(volumes.values())) if known is None else known) | tumour
    ras = to_ras(study.grid).target.spacing
    spacing = ras[1] * steps[1], ras[0] * steps[2]
    sections = np.array([np.count_nonzero(plane) for plane in full])
    box = bounding_box(full)
    assert box is not None
    count = max(1, int(tumour.sum()))  # a tiny tumour may fall between the sampled voxels
    bright = [_bright_share(volumes[role], tumour, brain) for role in _BRIGHT if role in volumes]
    return Appearance(
        share=count / max(1, int(brain.sum())),
        at_rim=_count_at_rim(tumour, brain, spacing) / count,
        cut=float(max(sections[0], sections[-1]) / sections.max()),
        parts=count_parts(full[box.slices]),
        bright=max(bright) if bright and tumour.any() else None,
    )


def _axial(grid: Grid, array: Array) -> Array:
    """Return the array as `(Z, Y, X)`, from foot to head."""
    return to_ras(grid).apply(array).transpose(2, 1, 0)


def _count_at_rim(tumour: Mask, brain: Mask, spacing: tuple[float, float]) -> int:
    reach, count = _RIM_MM + min(spacing) / 2, 0
    for plane in np.flatnonzero(tumour.any(axis=(1, 2))):
        depth = ndimage.distance_transform_edt(np.pad(brain[plane], 1), sampling=spacing)[1:-1, 1:-1]
        count += int(np.count_nonzero(tumour[plane] & (depth <= reach)))
    return count


def _bright_share(volume: Array, tumour: Mask, brain: Mask) -> float:
    return float(np.mean(volume[tumour] > np.median(volume[brain]))) if tumour.any() else 0.0
