"""The supplied tumour-free template: shares of grey matter, white matter and fluid in voxels of 2 mm."""

import gzip
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

import nibabel
import numpy as np

from napari_brain_tumor.types import Float32Array

TISSUES: Final = ("grey matter", "white matter", "fluid")
"""Tissues in the order of the template's first axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """Shares of tissues in an average brain, from the ICBM 152 non-linear symmetric template of 2009.

    Parameters
    ----------
    shares : (3, Z, Y, X) float32 array
        From 0 to 1, of `TISSUES`; Z from foot to head, Y to the front, X to the right. They add up to 1 in the brain.
    spacing_mm : float
        Voxel size, the same along all axes.
    """

    shares: Float32Array
    spacing_mm: float


@lru_cache(maxsize=1)
def tissue_template() -> Template:
    """Load the package's template, which was made by `scripts/brain_template.py`; see NOTICE for its terms."""
    packed = (files(__name__) / "tissues.nii.gz").read_bytes()
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(packed))
    values = np.asarray(image.dataobj, dtype=np.float32)
    shares = np.ascontiguousarray(values.transpose(3, 2, 1, 0))
    shares.setflags(write=False)  # the array is cached and shared
    return Template(shares, float(image.header.get_zooms()[0]))
