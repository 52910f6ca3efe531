"""Read and write the image and label files of a case: NIfTI on the scan's own grid."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from napari_brain_tumor.dataset.duplicates import voxels_sha256
from napari_brain_tumor.dataset.index import CaseRecord
from napari_brain_tumor.dataset.truth import Truth, class_names, decode, encode
from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.io.inside import path_inside
from napari_brain_tumor.io.meaning import Meaning
from napari_brain_tumor.io.nifti import read_nifti, read_nifti_header
from napari_brain_tumor.io.volume import Volume
from napari_brain_tumor.io.write_nifti import write_nifti
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.labels import CLASS_NAMES
from napari_brain_tumor.study import FileLayout, Segmentation, Source, Study, TifSlices
from napari_brain_tumor.types import Array

_FAST: Final = 1
"""gzip level for images: files are a tenth larger than at the usual level, but written three times faster."""
_INTEGERS: Final = (np.uint8, np.int16, np.uint16, np.int32)


def image_file(case_id: str) -> str:
    """Return the relative path of a case's image."""
    return f"imagesTr/{case_id}.nii.gz"


def label_file(case_id: str, version: int) -> str:
    """Return the relative path of a case's label: first named like the image, then renamed with every change."""
    return f"labelsTr/{case_id}.nii.gz" if version == 1 else f"labelsTr/{case_id}.v{version}.nii.gz"


def image_writer(study: Study) -> Callable[[Path], None]:
    """Return a function that writes the sequences of a study as one file, in the order T1, T1c, T2, FLAIR."""
    arrays = storable(list(study.sequences.values()))
    values = arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=-1)
    return lambda path: write_nifti(values, study.grid, study.layout, path, compresslevel=_FAST)


def label_writer(truth: Truth, layout: FileLayout) -> Callable[[Path], None]:
    """Return a function that writes a label file with the scan's header and the meaning of its labels inside."""
    values = encode(truth)
    has_known_classes = set(truth.voxels) <= set(CLASS_NAMES) and truth.is_complete
    comment = Meaning.of(truth.segmentation, SCHEMAS["MSD"]).text if has_known_classes else ""
    return lambda path: write_nifti(values, truth.segmentation.grid, layout, path, comment=comment)


def storable(arrays: Sequence[Array]) -> list[Array]:
    """Convert arrays to one type supported by NIfTI: the smallest integer type that fits them all, else float32."""
    if all(array.dtype.kind in "iub" for array in arrays):
        low, high = min(int(a.min()) for a in arrays), max(int(a.max()) for a in arrays)
        for kind in _INTEGERS:
            if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
                return [array.astype(kind, copy=False) for array in arrays]
    return [array.astype(np.float32, copy=False) for array in arrays]


def read_study(folder: Path, case: CaseRecord) -> Study:
    """Read the study of a case; if it was imported from slices, its layout is that of these slices.

    Raises
    ------
    UnreadableFileError
        If the image is missing or damaged.
    DatasetError
        If its grid or number of sequences differs from the index.
    """
    path = path_inside(folder, case.image, named_by="The index")
    volumes = read_nifti(path)
    if len(volumes) != len(case.roles):
        raise DatasetError(
            f"{path} holds {len(volumes)} images, the index lists {', '.join(case.roles)}. It was changed by another "
            "program: restore the original, or remove the case and add it again."
        )
    _check_grid(volumes[0], case)
    slices = case.slices
    return Study(
        sequences={role: volume.array for role, volume in zip(case.roles, volumes, strict=True)},
        grid=volumes[0].grid,
        name=case.id,
        sources={role: Source(path, volume.channel) for role, volume in zip(case.roles, volumes, strict=True)},
        layout=volumes[0].layout if slices is None else TifSlices(slices.patient, slices.numbers),
        notes=case.notes,
    )


def image_layout(folder: Path, case: CaseRecord) -> FileLayout:
    """Return the header matrices of a case's image, for use in the header of its label."""
    return read_nifti_header(path_inside(folder, case.image, named_by="The index")).forms


def read_truth(folder: Path, case: CaseRecord) -> Truth:
    """Read the label of a case and which part of it is known.

    Raises
    ------
    UnreadableFileError
        If the label is missing or damaged.
    DatasetError
        If it is not the label described in the index.
    """
    path = path_inside(folder, case.label.file, named_by="The index")
    volume = read_nifti(path)[0]
    _check_grid(volume, case)
    if voxels_sha256(volume.array) != case.label.sha256:
        raise DatasetError(
            f"{path} is not the label recorded in the index: it was changed by another program. To keep the change, "
            "relabel the case with that file; to undo it, restore the original."
        )
    classes, known = decode(volume.array.astype(np.uint8, copy=False))
    slices = case.slices
    segmentation = Segmentation(
        data=classes,
        grid=volume.grid,
        name=case.id,
        class_names=class_names(case.label.known_regions, tuple(case.label.voxels)),
        known_regions=case.label.known_regions,
        layout=volume.layout if slices is None else TifSlices(slices.patient, slices.numbers),
        provenance={"case": case.id, "path": str(path), "label": case.label.model_dump(mode="json")},
        notes=case.notes,
    )
    return Truth(segmentation, known)


def _check_grid(volume: Volume, case: CaseRecord) -> None:
    expected = case.grid.grid
    if not volume.grid.same_place(expected):
        raise DatasetError(
            f"{volume.path} lies on {volume.grid.describe()}, the index lists {expected.describe()}. It was changed by "
            "another program: restore the original, or remove the case and add it again."
        )
