"""Reference labels that may be only partly known, and their encoding in one file.

A label file contains the package's classes (in the Medical Decathlon's order: 1 edema, 2 non-enhancing, 3 enhancing;
4 resection cavity). Where the label is unknown, 128 is added to the value: a draft that has not been reviewed is kept,
but neither it nor the background can be mistaken for the reference.
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
"""Added to the class of voxels whose label is unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """A label and which part of it is known.

    Parameters
    ----------
    segmentation : Segmentation
        The package's classes everywhere; `known_regions` are the regions that it defines. Where `known` is false, the
        classes are only a draft, not to be used for training or scoring.
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
        """The known slices if whole slices are known or unknown, preferably along the third axis; otherwise None."""
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
        """Number of known voxels of each class, without background."""
        counts = np.bincount(self.segmentation.data[self.known], minlength=1)
        return {int(c): int(counts[c]) for c in np.flatnonzero(counts) if c > 0}


def truth_of(
    segmentation: Segmentation,
    known: Mask | None = None,
    known_slices: Sequence[int] | KnownSlices | None = None,
) -> Truth:
    """Return the reference given by a segmentation, either everywhere or in a part.

    Parameters
    ----------
    segmentation : Segmentation
        Labels in the package's classes.
    known : (X, Y, Z) bool array, optional
        Voxels whose label is known.
    known_slices : sequence of int or KnownSlices, optional
        Slices whose labels are known, along the third axis of the array unless specified otherwise.

    Raises
    ------
    DimensionError
        If `known` is not a bool array of the labels' shape, or there is no such slice.
    LabelSchemaError
        If a value is not one of the package's classes.
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
    """Return the values of a label file, `(X, Y, Z)` uint8."""
    values: Labels = truth.segmentation.data + np.where(truth.known, np.uint8(0), np.uint8(UNKNOWN))
    return values


def decode(values: Labels) -> tuple[Labels, Mask]:
    """Return classes and known voxels from the values of a label file."""
    return values & np.uint8(UNKNOWN - 1), values < UNKNOWN


def class_names(known_regions: Sequence[str], values: Sequence[int]) -> dict[int, str]:
    """Return the names of a label's classes, as far as its known regions distinguish them."""
    complete = SCHEMAS["BraTS2024-post-treatment" if RESECTION_CAVITY in values else "MSD"].class_names
    if not known_regions or set(known_regions) == set(REGIONS):
        return complete
    cavity = {value: name for value, name in complete.items() if value == RESECTION_CAVITY}
    return class_names_of(region for region in REGIONS if region in known_regions) | cavity


def maker_of(segmentation: Segmentation) -> MadeBy:
    """Return who made a segmentation according to its provenance; a person if it has none."""
    provenance = segmentation.provenance
    if provenance.get("task") == "segment":
        model = provenance.get("model") or {}
        by: LabelMaker = "both" if provenance.get("edited_by_hand") or provenance.get("refined") else "model"
        return MadeBy(kind=by, model=model.get("name"), model_sha256=model.get("weights_sha256"))
    kind: LabelMaker = "imported" if "path" in provenance and not provenance.get("refined") else "hand"
    return MadeBy(kind=kind, source=str(provenance["path"]) if "path" in provenance else None)


def stratum(grade: str | None, label: LabelRecord) -> str:
    """Return the stratum for balancing patients: the grade if known, otherwise the innermost region present."""
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
