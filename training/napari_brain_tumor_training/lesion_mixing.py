"""Paste the lesion of one patient into the brain of another, after CarveMix (Zhang 2021, arXiv:2108.06883).

A part of the donor's window is cut out along a level set of the distance to the lesion's border, sometimes inside and
sometimes outside that border, and replaces the recipient's voxels and labels. Both scans are standardised within their
brains, so their intensities are comparable. Unlike in CarveMix, the position is random, because scans are not aligned.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor_training.dataset import TrainingCase


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One sample: image `(C, *sides)`, targets `(3, *sides)`, present `(C,)`, known `(3,)`, where `(*sides)`."""

    image: npt.NDArray[Any]
    targets: npt.NDArray[Any]
    present: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    where: npt.NDArray[np.bool_] | None = None


def can_lend(lender: TrainingCase, borrower: TrainingCase) -> bool:
    """Whether the lender is another patient with all sequences and all known regions that the borrower has."""
    roles = (lender.present | ~borrower.present).all()
    regions = (lender.known | ~borrower.known).all()
    return bool(lender.files.patient != borrower.files.patient and roles and regions)


def with_lesion_of(lender: Window, borrower: Window, random: np.random.Generator) -> Window:
    """Return the borrower's window with the lender's lesion pasted in; unchanged if the lender has none.

    Parameters
    ----------
    lender, borrower : Window
        Windows of the same size.
    random : Generator
        Determines how tightly the lesion is cut out.
    """
    lesion = lender.targets[0] > 0
    if not lesion.any() or lesion.all():
        return borrower
    inside = ndimage.distance_transform_edt(lesion)
    distance = np.asarray(ndimage.distance_transform_edt(~lesion) - inside)
    depth = float(np.max(inside))
    level = random.uniform(-depth / 2, 0) if random.random() < 0.5 else random.uniform(0, depth)
    tissue = lender.image.any(axis=0) & borrower.image.any(axis=0)
    carved = (distance <= level) & tissue
    pasted = carved & borrower.present.reshape(-1, *[1] * carved.ndim)
    return replace(
        borrower,
        image=np.where(pasted, lender.image, borrower.image),
        targets=np.where(carved, lender.targets, borrower.targets),
        where=None if borrower.where is None else borrower.where | carved,
    )
