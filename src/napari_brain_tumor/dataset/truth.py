"""Labels that may be known in part only, and how one file holds them.

A label file holds our classes (Medical Decathlon's order: 1 edema, 2 non-enhancing, 3 enhancing; 4 resection cavity).
Where the truth is not known, 128 is added to what stands there: a draft that was not looked at yet is kept, and nobody
takes it, or the background, for truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from napari_brain_tumor.dataset.index import KnownSlices, LabelMaker, LabelRecord, MadeBy
from napari_brain_tumor.errors import DatasetError, DimensionError, GridMismatchError, LabelSchemaError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.labels import REGIONS, RESECTION_CAVITY, Region, class_names_of, label_values
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.types import Labels, Mask

UNKNOWN: Final = 128
"""Added to the class of a voxel whose label is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """A label and which part of it is true.

    Parameters
    ----------
    segmentation : Segmentation
        Our classes everywhere; its `known_regions` are the regions that it tells. Where `known` is false the classes
        are a draft and nothing to learn from or to score against.
    known : (X, Y, Z) bool array
        Voxels whose label is known.
    """

    segmentation: Segmentation
    known: Mask

    def __post_init__(self) -> None:
        if self.known.shape != self.segmentation.data.shape or self.known.dtype != np.bool_:
            raise DimensionError(
                f"The known voxels are {self.known.dtype} of shape {self.known.shape}; expected a bool array of the "
                f"labels' shape {self.segmentation.data.shape}."
            )

    @property
    def is_complete(self) -> bool:
        """Whether every voxel is known."""
        return bool(self.known.all())

    @property
    def known_slices(self) -> KnownSlices | None:
        """The known slices where whole slices are known or unknown, the third axis asked first; else None."""
        if self.is_complete:
            return None
        for axis in (2, 1, 0):
            others = tuple(a for a in range(3) if a != axis)
            whole, some = self.known.all(axis=others), self.known.any(axis=others)
            if np.array_equal(whole, some):
                return KnownSlices(axis=axis, numbers=tuple(int(k) for k in np.flatnonzero(whole)))
        return None

    @property
    def voxels(self) -> dict[int, int]:
        """How many known voxels each class has, background left out."""
        counts = np.bincount(self.segmentation.data[self.known], minlength=1)
        return {int(c): int(counts[c]) for c in np.flatnonzero(counts) if c > 0}


def truth_of(
    segmentation: Segmentation,
    known: Mask | None = None,
    known_slices: Sequence[int] | KnownSlices | None = None,
) -> Truth:
    """The truth that a segmentation tells, everywhere or in a part.

    Parameters
    ----------
    segmentation : Segmentation
        Our classes.
    known : (X, Y, Z) bool array, optional
        Voxels whose label is known.
    known_slices : sequence of int or KnownSlices, optional
        Slices, along the third axis of the array if not said otherwise, whose labels are known.

    Raises
    ------
    DimensionError
        If `known` is not a bool array of the labels' shape, or there is no such slice.
    LabelSchemaError
        If a value is none of our classes.
    DatasetError
        If nothing is known.
    """
    _check_classes(segmentation)
    mask = np.ones(segmentation.data.shape, dtype=bool) if known is None else np.asarray(known)
    truth = Truth(segmentation, mask)
    if known_slices is not None:
        truth = Truth(segmentation, mask & _slices_mask(segmentation.data.shape, known_slices))
    if not truth.known.any():
        msg = f"No voxel of {segmentation.name} is known: name the slices or voxels that are labelled."
        raise DatasetError(msg)
    return truth


def check_same_grid(study_name: str, segmentation: Segmentation, grid: Grid) -> None:
    """Raise `GridMismatchError` if a label does not lie on the grid of its scan."""
    if not segmentation.grid.same_place(grid):
        raise GridMismatchError(
            f"The label of {study_name} lies on {segmentation.grid.describe()}, the scan on {grid.describe()}. "
            "A label lies on the grid of its scan: save or resample it there first."
        )


def encode(truth: Truth) -> Labels:
    """The values of a label file, `(X, Y, Z)` uint8."""
    values: Labels = truth.segmentation.data + np.where(truth.known, np.uint8(0), np.uint8(UNKNOWN))
    return values


def decode(values: Labels) -> tuple[Labels, Mask]:
    """Classes and known voxels of the values of a label file."""
    return values & np.uint8(UNKNOWN - 1), values < UNKNOWN


def class_names(known_regions: Sequence[str], values: Sequence[int]) -> dict[int, str]:
    """Names of the classes of a label, as far as it tells them."""
    complete = SCHEMAS["BraTS2024-post-treatment" if RESECTION_CAVITY in values else "MSD"].class_names
    if not known_regions or set(known_regions) == set(REGIONS):
        return complete
    cavity = {value: name for value, name in complete.items() if value == RESECTION_CAVITY}
    return class_names_of(region for region in REGIONS if region in known_regions) | cavity


def maker_of(segmentation: Segmentation) -> MadeBy:
    """Who made a segmentation, as far as its provenance tells; somebody's hand where it tells nothing."""
    provenance = segmentation.provenance
    if provenance.get("task") == "segment":
        model = provenance.get("model") or {}
        by: LabelMaker = "both" if provenance.get("edited_by_hand") or provenance.get("refined") else "model"
        return MadeBy(kind=by, model=model.get("name"), model_sha256=model.get("weights_sha256"))
    kind: LabelMaker = "imported" if "path" in provenance and not provenance.get("refined") else "hand"
    return MadeBy(kind=kind, source=str(provenance["path"]) if "path" in provenance else None)


def stratum(grade: str | None, label: LabelRecord) -> str:
    """What patients are balanced by: the grade where it is known, else the innermost region that is there."""
    if grade:
        return f"grade {grade}"
    present = [region for region in reversed(REGIONS) if region in label.known_regions and _is_present(label, region)]
    if present:
        return f"{present[0]} of {'/'.join(label.known_regions)}"
    return "no tumour" if label.known_regions else "unknown"


def _is_present(label: LabelRecord, region: Region) -> bool:
    return any(label.voxels.get(value) for value in REGIONS[region])


def _check_classes(segmentation: Segmentation) -> None:
    unknown = sorted(label_values(segmentation.data) - {0, 1, 2, 3, RESECTION_CAVITY})
    if unknown:
        raise LabelSchemaError(
            f"{segmentation.name} holds {unknown}; a data set uses the classes 1 edema, 2 non-enhancing, 3 enhancing, "
            "4 resection cavity. Open the file with its schema: open_segmentation(path, schema=...)."
        )


def _slices_mask(shape: tuple[int, ...], known: Sequence[int] | KnownSlices) -> Mask:
    slices = known if isinstance(known, KnownSlices) else KnownSlices(numbers=tuple(int(k) for k in known))
    count = shape[slices.axis]
    wrong = [k for k in slices.numbers if not 0 <= k < count]
    if wrong:
        raise DimensionError(
            f"The labels have slices 0 to {count - 1} along axis {slices.axis}; the labelled slices are given as "
            f"{wrong}."
        )
    mask = np.zeros(shape, dtype=bool)
    mask[(slice(None),) * slices.axis + (list(slices.numbers),)] = True
    return mask
