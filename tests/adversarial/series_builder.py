"""DICOM slices with known pixels and places, and a check that every voxel was opened where it belongs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

AXIAL = (1.0, 0, 0, 0, 1, 0)
SAGITTAL = (0.0, 1, 0, 0, 0, -1)
CORONAL = (1.0, 0, 0, 0, 0, -1)
ROOT = "1.2.826.0.1.3680043.2.1125.5"


@dataclass
class Slice:
    """One slice: pixels (rows, columns), position of the first pixel and directions of row and column (LPS mm)."""

    pixels: Any
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] = AXIAL
    spacing: tuple[float, float] = (1.5, 0.75)
    """Between rows, between columns."""
    tags: dict[str, Any] = field(default_factory=dict)

    def worlds(self) -> np.ndarray:
        """RAS millimetres of every pixel, (rows, columns, 3)."""
        along_row, down = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        rows, columns = np.indices(self.pixels.shape)
        place = np.array(self.position) + columns[..., None] * self.spacing[1] * along_row
        return (place + rows[..., None] * self.spacing[0] * down) * (-1, -1, 1)


def stack(count=10, step=4.0, *, seed=0, start=(-9.0, -12.0, -20.0), orientation=AXIAL, shift=(0, 0, 0), **tags):
    """Slices of noise along the normal of their orientation, each moved by `shift` against the one before."""
    rng = np.random.default_rng(seed)
    normal = np.cross(orientation[:3], orientation[3:])
    return [
        Slice(
            rng.integers(1, 4000, (16, 24)),
            tuple(np.array(start) + k * (step * normal + np.array(shift))),
            orientation,
            tags={"InstanceNumber": k + 1, **tags},
        )
        for k in range(count)
    ]


def dataset_of(part: Slice, instance: str, series: str = "1") -> Dataset:
    """The DICOM data set of a slice; its tags come last."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.{series}.{instance}"
    data.StudyInstanceUID, data.SeriesInstanceUID = f"{ROOT}.9", f"{ROOT}.{series}"
    data.FrameOfReferenceUID, data.PatientID, data.PatientName = f"{ROOT}.8", "X1", "X^Y"
    data.Modality, data.SeriesDescription, data.SeriesNumber = "MR", "AX FLAIR", series
    data.SliceThickness = 4
    data.PixelSpacing = list(part.spacing)
    if part.position is not None:
        data.ImagePositionPatient = [round(float(x), 6) for x in part.position]
        data.ImageOrientationPatient = [round(float(x), 9) for x in part.orientation]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = part.pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.PixelData = part.pixels.astype("<u2").tobytes()
    for name, value in part.tags.items():
        setattr(data, name, value)
    return data


def write(folder: Path, slices, *, series: str = "1", prefix: str = "IM") -> list[Path]:
    """A file for each slice, named in an order that is not that of the positions."""
    folder.mkdir(parents=True, exist_ok=True)
    names = np.random.default_rng(7).permutation(len(slices))
    paths = [folder / f"{prefix}{series}_{name:03}.dcm" for name in names]
    for k, (part, path) in enumerate(zip(slices, paths, strict=True)):
        dataset_of(part, str(part.tags.get("InstanceNumber", k + 1)) + f".{sum(map(ord, prefix))}", series).save_as(
            path, enforce_file_format=True
        )
    return paths


def lies_right(study, slices, *, atol=1e-6) -> bool:
    """Whether the study holds just those slices, every pixel where it lies in the world."""
    values = next(iter(study.sequences.values()))
    if study.grid.unit != "mm" or values.size != sum(part.pixels.size for part in slices):
        return False
    for part in slices:
        voxels = study.grid.voxels(part.worlds().reshape(-1, 3))
        index = np.rint(voxels).astype(int)
        inside = (index >= 0).all() and (index < values.shape).all()
        if not inside or np.abs(voxels - index).max() > 0.05:
            return False
        if not np.allclose(values[tuple(index.T)], part.pixels.ravel(), atol=atol):
            return False
    return True
