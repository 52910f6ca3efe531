"""The template laid onto a brain: an affine map, then a gentle deformation that departures do not pull.

Both minimise the squared difference between the scan and what the template's tissues lead to expect, in all sequences
at once, with the brightness of the tissues fitted anew in every step. Voxels count less the farther they depart
(Geman and McClure's weights), so that a tumour neither stretches the template nor changes what is expected. The affine
map is found by Gauss-Newton steps (after Ashburner 1997, doi:10.1006/nimg.1997.0290), the deformation by such steps
within Gaussian windows (Lucas and Kanade 1981, IJCAI 81:674).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.classical.scan import FloatArray, Mask, Scan, Spacing
from napari_brain_tumor.classical.template import Template, tissue_template

__all__ = ["TemplateFit", "fit_template"]

Matrix = npt.NDArray[np.float64]

_COARSE_MM: Final = 6.0
_FINE_MM: Final = 3.0
_BLUR: Final = 0.5
"""Deviation of the blur of scan and template before they are sampled, in voxels of the level."""
_COARSE_STEPS: Final = 25
_FINE_STEPS: Final = 15
_PITCHES: Final = (-0.25, 0.0, 0.25)
"""Radians by which the head may be nodding where the search begins."""
_SHIFTS_MM: Final = (-30.0, -15.0, 0.0, 15.0, 30.0)
"""Beginnings along Z for a brain of which the scan shows a part only."""
_CUT_AREA: Final = 0.3
"""Area of the first or last slice, as a share of the largest, from which the brain goes on beyond the scan."""
_OUTLINE: Final = 4.0
"""Weight of the brain's outline against one sequence."""
_TUKEY: Final = 2.5
"""Deviations from which a voxel counts for a quarter."""
_RIDGE: Final = 1e-3
_WINDOW_MM: Final = 10.0
_STEPS: Final = 12
_MOST_MM: Final = 15.0
"""That anything is deformed by."""
_STIFF: Final = 0.05
"""Against motion where nothing has an edge."""


@dataclass(frozen=True, slots=True, eq=False)
class TemplateFit:
    """The template as it lies on a brain.

    Parameters
    ----------
    shares : (3, Z, Y, X) float32 array
        Of the template's tissues at the voxels of the scan, 0 where the template has no brain.
    overlap : float
        Dice of the brain and the template's, after the affine map alone.
    explained : float
        Share of the variance of the scan within the brain that the tissues account for, in the best sequence.
    scales : tuple of float
        By how much the template is stretched along its own axes to lie on the brain, the least and the most.
    """

    shares: FloatArray
    overlap: float
    explained: float
    scales: tuple[float, float]
