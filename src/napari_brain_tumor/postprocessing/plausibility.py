"""Whether labels look like a tumour at all, and in words what speaks against it.

The limits lie far beyond the truths of 33 gliomas in volumes and of 22 in whole heads: at most 16 % of the brain, 10 %
at its rim, 21 parts, at least 61 % bright on FLAIR or T2.
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
"""Voxels along an axis that suffice to judge shares."""
_FEW_SLICES: Final = 16
"""A slab of fewer may run through the middle of a large tumour, and end within it."""

_LARGEST_SHARE: Final = {False: 0.35, True: 0.2}
"""Of the brain, or of a whole head."""
_LARGEST_SHARE_OF_SLAB: Final = 0.6
_MOST_AT_RIM: Final = 0.6
_LARGEST_CUT: Final = 0.7
_MOST_PARTS: Final = 60
_LEAST_BRIGHT: Final = 0.4


@dataclass(frozen=True, slots=True)
class Appearance:
    """What a segmentation looks like.

    Parameters
    ----------
    share : float
        Of the brain, or of the head where the skull was left, that is called tumour.
    at_rim : float
        Share of the tumour that lies within 4 mm of the outside, in its axial slice.
    cut : float
        Section of the tumour in the lowest or uppermost axial slice, as a share of its greatest section.
    parts : int
        That do not touch each other.
    bright : float or None
        Share of the tumour that is brighter than the median of the brain, on FLAIR or T2, whichever has more; None
        where there is neither.
    """

    share: float
    at_rim: float
    cut: float
    parts: int
    bright: float | None


def doubts_about(study: Study, labels: Array, *, in_box: bool = False) -> list[str]:
    """What speaks against a segmentation, a sentence or two each, for its notes; nothing where it is plausible.

    Parameters
    ----------
    labels : (X, Y, Z) array
        On the study's grid, 0 outside the tumour.
    in_box : bool
        Whether the tumour was looked for in a box only.
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
    """Measure what labels that are not empty look like; some hundredths of a second."""
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
    count = max(1, int(tumour.sum()))  # a speck may fall between the voxels that are looked at
    bright = [_bright_share(volumes[role], tumour, brain) for role in _BRIGHT if role in volumes]
    return Appearance(
        share=count / max(1, int(brain.sum())),
        at_rim=_count_at_rim(tumour, brain, spacing) / count,
        cut=float(max(sections[0], sections[-1]) / sections.max()),
        parts=count_parts(full[box.slices]),
        bright=max(bright) if bright and tumour.any() else None,
    )


def _axial(grid: Grid, array: Array) -> Array:
    """`(Z, Y, X)`, from foot to head."""
    return to_ras(grid).apply(array).transpose(2, 1, 0)


def _count_at_rim(tumour: Mask, brain: Mask, spacing: tuple[float, float]) -> int:
    reach, count = _RIM_MM + min(spacing) / 2, 0
    for plane in np.flatnonzero(tumour.any(axis=(1, 2))):
        depth = ndimage.distance_transform_edt(np.pad(brain[plane], 1), sampling=spacing)[1:-1, 1:-1]
        count += int(np.count_nonzero(tumour[plane] & (depth <= reach)))
    return count


def _bright_share(volume: Array, tumour: Mask, brain: Mask) -> float:
    return float(np.mean(volume[tumour] > np.median(volume[brain]))) if tumour.any() else 0.0
