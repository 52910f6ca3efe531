"""Whole tumour by deviation from a tumour-free template (after Prastawa 2004, Medical Image Analysis 8:275).

The template's tissues are registered to the brain (`template_fit`). The intensities expected from them in each sequence
are fitted to the scan itself, and each voxel's deviation is expressed as a signed z-score (`departure`). Tumour is
brighter than expected on FLAIR and T2 and darker on T1.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from scipy import ndimage

from napari_brain_tumor.classical.departure import departures
from napari_brain_tumor.classical.enhancing import with_enhancing
from napari_brain_tumor.classical.method import MethodResult
from napari_brain_tumor.classical.parts import depth_in_slices, distance_in_slices, fill_slices
from napari_brain_tumor.classical.scan import Scan, Voxel, clipped_brightness, smooth
from napari_brain_tumor.classical.template_fit import LEAST_OVERLAP, TemplateFit, fit_template_job
from napari_brain_tumor.labels import Region
from napari_brain_tumor.progress import Job, Progress, part_of, run_job
from napari_brain_tumor.study import Role
from napari_brain_tumor.types import Float32Array, Mask

_WEIGHTS: Final[Mapping[Role, float]] = {"FLAIR": 1.0, "T2": 0.5, "T1": -0.4}
"""Weights of the sequences' deviations in their sum; negative if tumour is dark. These numbers
and those below were chosen on 13 brains of training patients."""
_RANGE: Final = (-4.0, 6.0)
"""Deviations are clipped to this range, beyond which they carry no more information."""
_NOISE_MM: Final = 1.5
_REGION_MM: Final = 5.0
"""Standard deviation of the Gaussian used for finding regions; it suppresses misaligned sulci and small vessels."""
_LEAST_PEAKS: Final = {True: 1.5, False: 2.2}
"""Smallest peak of a region in robust deviations, with and without FLAIR; higher without, as fluid is bright on T2.

Tumours of training patients reached 1.7 with FLAIR alone, 3.2 with FLAIR, T2 and T1, 3.6 with T2 alone; lesions of
multiple sclerosis 1.1, 1.0 and 1.5.
"""
_PEAK_SHARE: Final = 0.6
"""Smallest peak of further regions, as a fraction of the highest one."""
_BORDER: Final = 0.4
"""Level of the border, as a fraction of the highest region's peak."""
_LEVELS: Final = (1.0, 2.0)
"""Range of the border's level, in robust deviations."""
_BRIDGE_MM: Final = 2.0
"""Half the width of bridges that are cut off."""
_LEAST_ML: Final = 0.2
"""Smallest volume of the interior of a region."""
_NO_FIT: Final = "The template could not be registered to this brain, so no tumour was searched for."


def find_regions(scan: Scan, seeds: Sequence[Voxel] = ()) -> Mapping[Region, Mask]:
    """Find voxels that deviate from the template as tumour does, in regions of plausible size."""
    return run_job(find_regions_job(scan, seeds)).masks


def find_regions_job(scan: Scan, seeds: Sequence[Voxel] = ()) -> Job[MethodResult]:
    """Run `find_regions` as a job; its notes report a poor fit of the template."""
    fit = yield from part_of(fit_template_job(scan), 0, 0.8)
    if fit is None:
        return MethodResult(with_enhancing(scan, np.zeros_like(scan.brain)), (_NO_FIT,))
    yield Progress(0.8, 1, "finding what deviates from the template")
    whole = _regions(scan, _departure(scan, fit))
    return MethodResult(with_enhancing(scan, whole), _notes(fit))


def _notes(fit: TemplateFit) -> tuple[str, ...]:
    if fit.trusted:
        return ()
    note = (
        f"The template fits this brain poorly (overlap {fit.overlap:.2f}, at least {LEAST_OVERLAP} is expected): "
        "check the result with care. Is it a whole brain, the right way up, and is the skull removed?"
    )
    return (note,)


def _departure(scan: Scan, fit: TemplateFit) -> Float32Array:
    """Combine the deviations of all sequences `(Z, Y, X)`, positive for tumour, in robust deviations of the brain."""
    _ = scan.bright  # raises for a scan without FLAIR and T2
    scores = departures(scan, fit.shares)
    total = sum(
        weight * np.clip(np.sign(weight) * scores[role], *_RANGE) * np.sign(weight)
        for role, weight in _WEIGHTS.items()
        if role in scores
    )
    return clipped_brightness(np.asarray(total, dtype=np.float32), scan.brain)


def _regions(scan: Scan, departure: Float32Array) -> Mask:
    """Find regions that stand out over several millimetres, and extend them to their border."""
    spacing = scan.spacing_mm
    above = smooth(departure, scan.brain, spacing, _NOISE_MM)
    # Not normalised by the brain mask, so that its rim, where the template fits worst, has less influence.
    height = smooth(above, np.ones_like(scan.brain), spacing, _REGION_MM)
    peak = float(height[scan.brain].max())
    tumour = scan.brain & (above > np.clip(_BORDER * peak, *_LEVELS))
    inside = depth_in_slices(tumour, spacing) > _BRIDGE_MM
    parts, count = ndimage.label(inside)
    numbers = np.arange(1, count + 1)
    heights = ndimage.maximum(height, parts, numbers)
    volumes = ndimage.sum_labels(inside, parts, numbers) * np.prod(spacing) / 1000
    large_parts = numbers[
        (heights >= max(_LEAST_PEAKS["FLAIR" in scan.channels], _PEAK_SHARE * peak)) & (volumes >= _LEAST_ML)
    ]
    around = distance_in_slices(np.isin(parts, large_parts), spacing) <= _BRIDGE_MM + 1
    return fill_slices(tumour & around) & scan.brain
