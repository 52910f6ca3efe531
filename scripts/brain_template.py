"""Make the template of the method `atlas`: shares of grey matter, white matter and fluid, at 2 mm, without any tumour.

    pip install nilearn
    python scripts/brain_template.py        # writes src/napari_brain_tumor/classical/template/tissues.nii.gz

The maps are those of the ICBM 152 non-linear symmetric template of 2009 (release a) that nilearn distributes; NOTICE
has their terms. They are averaged over 2 mm voxels and rounded to fifteenths, which makes the file small.
"""

import argparse
import gzip
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from nilearn import datasets
from scipy import ndimage

LEVELS = 15
"""Steps of a share: what the template is used for needs no finer ones."""
MARGIN = 2
"""Voxels of air around the brain."""
TARGET = Path(__file__).parents[1] / "src" / "napari_brain_tumor" / "classical" / "template" / "tissues.nii.gz"


def main() -> None:
    """Average, round, crop and write."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    maps = [datasets.load_mni152_gm_template(resolution=1), datasets.load_mni152_wm_template(resolution=1)]
    grey, white = (np.clip(np.asarray(image.dataobj, dtype=np.float32), 0, 1) for image in maps)
    head = np.asarray(datasets.load_mni152_template(resolution=1).dataobj) > 0
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(head | (grey + white > 0.5), iterations=3))
    shares = np.stack([grey * brain, white * brain, np.clip(1 - grey - white, 0, 1) * brain], axis=-1)
    small, affine = _halved(shares, maps[0].affine)
    inside = np.argwhere(small.sum(axis=-1) >= 0.5)
    start = np.maximum(inside.min(axis=0) - MARGIN, 0)
    stop = np.minimum(inside.max(axis=0) + 1 + MARGIN, small.shape[:3])
    x, y, z = (slice(*ends) for ends in zip(start, stop, strict=True))
    affine[:3, 3] += 2.0 * start
    values = np.round(LEVELS * small[x, y, z]).astype(np.uint8)
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(1 / LEVELS, 0)
    image.header["descrip"] = b"ICBM 152 2009a sym: grey, white, fluid"
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(gzip.compress(image.to_bytes(), 9, mtime=0))


def _halved(shares: npt.NDArray[np.float32], affine: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], ...]:
    """Means over 2x2x2 voxels of 1 mm, and the affine of what is left."""
    x, y, z = (n // 2 * 2 for n in shares.shape[:3])
    means = shares[:x, :y, :z].reshape(x // 2, 2, y // 2, 2, z // 2, 2, -1).mean(axis=(1, 3, 5))
    moved = affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    moved[:3, 3] = (affine @ [0.5, 0.5, 0.5, 1.0])[:3]
    return means.astype(np.float32), moved


if __name__ == "__main__":
    main()
