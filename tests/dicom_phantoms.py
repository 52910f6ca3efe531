"""DICOM studies of noise, built tag by tag."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from phantoms import noise

ROOT = "1.2.826.0.1.3680043.2.1125"
MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
STUDY = f"{ROOT}.9"

AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)

_NATIVE = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
}


def dataset(plane: npt.NDArray, syntax: str = "explicit", packed: bytes | None = None, **tags) -> FileDataset:
    """A slice of values `(rows, columns)`; tags by keyword, None for one to leave out.

    `packed` are its pixels compressed, in the transfer syntax `syntax`.
    """
    plane = np.asarray(plane)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = _NATIVE.get(syntax, syntax)
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    known = {
        "SOPClassUID": MR,
        "SOPInstanceUID": f"{ROOT}.7.{tags.get('InstanceNumber', 1)}",
        "Modality": "MR",
        "SeriesDescription": "AX FLAIR",
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": f"{ROOT}.1",
        "StudyDate": "20240301",
        "ImagePositionPatient": [-30.0, 12.0, 70.0],
        "ImageOrientationPatient": list(AXIAL),
        "PixelSpacing": [1.25, 0.5],
        "SliceThickness": 5,
        "Rows": plane.shape[-2],
        "Columns": plane.shape[-1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8 * plane.dtype.itemsize,
        "BitsStored": 8 * plane.dtype.itemsize,
        "HighBit": 8 * plane.dtype.itemsize - 1,
        "PixelRepresentation": int(plane.dtype.kind == "i"),
    } | tags
    for keyword, value in known.items():
        if value is not None:
            setattr(data, keyword, list(value) if isinstance(value, tuple) else value)
    meta.MediaStorageSOPClassUID = data.SOPClassUID
    meta.MediaStorageSOPInstanceUID = known["SOPInstanceUID"]
    if packed is not None:
        data.PixelData = encapsulate([packed or b"\0\0"])
        data["PixelData"].VR = "OB"
    else:
        order = plane.astype(plane.dtype.newbyteorder(">" if syntax == "big" else "<"))
        content = order.tobytes()
        data.PixelData = content + b"\0" * (len(content) % 2)
        data["PixelData"].VR = "OW"
    return data


def write(path: Path, plane: npt.NDArray, syntax: str = "explicit", packed: bytes | None = None, **tags) -> Path:
    """Write one slice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = dataset(plane, syntax, packed, **tags)
    if syntax == "big":  # pydicom refuses to guess that the pixels were swapped already
        data.set_original_encoding(False, False)
    data.save_as(path, enforce_file_format=True)
    return path


def write_stack(folder: Path, array: npt.NDArray, *, uid: str = "1", step=(0.0, 0.0, 6.0), first=(-30, 12, 70), **tags):
    """A series of the slices of `(X, Y, Z)`: each `step` further than the one before, named 000.dcm and so on."""
    for k in range(array.shape[2]):
        position = (np.asarray(first, float) + k * np.asarray(step, float)).tolist()
        own = {
            "SOPInstanceUID": f"{ROOT}.{uid}.{k + 1}",
            "SeriesInstanceUID": f"{ROOT}.{uid}",
            "InstanceNumber": k + 1,
            "ImagePositionPatient": position,
        }
        write(folder / f"{k:03}.dcm", array[:, :, k].T, **(own | tags))
    return array


def write_series(
    folder: Path, description: str = "AX FLAIR", count: int = 5, seed: int = 0, uid: str = "1", **tags
) -> npt.NDArray[np.int16]:
    """A DICOM series of slices, written in an order that is not that of their positions, as scanners do."""
    array = noise((7, 6, count), seed)
    array[5, 1, 3] = 999
    for number, k in enumerate(np.random.default_rng(3).permutation(count)):
        write(
            folder / f"IM{number:04d}.dcm",
            np.ascontiguousarray(array[:, :, k].T),
            **{
                "SeriesDescription": description,
                "SOPInstanceUID": f"{ROOT}.{uid}.{k + 1}",
                "SeriesInstanceUID": f"{ROOT}.{uid}",
                "ImagePositionPatient": [-30, 12, 70 + 6.0 * k],
                "InstanceNumber": int(k) + 1,
                "SliceThickness": 6,
                **tags,
            },
        )
    return array


def write_enhanced(path: Path, planes, frames, shared=None, **tags) -> Path:
    """A multi-frame file: `frames` are dicts with `position`, and perhaps `orientation`, `stack`, `echo`, `temporal`,
    `scale` (slope and intercept), `kind`, `indices`; `shared` the same for all of them."""
    planes = np.asarray(planes)
    pointers = tags.pop("pointers", (0x00209056, 0x00209057, 0x00209128))
    left_out = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
    own = {"SOPClassUID": ENHANCED_MR, "NumberOfFrames": len(planes), "InstanceNumber": 1}
    data = dataset(planes, **(dict.fromkeys(left_out) | own | tags))
    data.SharedFunctionalGroupsSequence = Sequence([_groups({"measures": (5.0, (1.25, 0.5)), **(shared or {})})])
    data.PerFrameFunctionalGroupsSequence = Sequence([_groups(frame) for frame in frames])
    if any("indices" in frame for frame in frames):
        items = []
        for pointer in pointers:
            item = Dataset()
            item.DimensionIndexPointer = pointer
            items.append(item)
        data.DimensionIndexSequence = Sequence(items)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


_GROUPS = {
    "position": ("PlanePositionSequence", ("ImagePositionPatient",)),
    "orientation": ("PlaneOrientationSequence", ("ImageOrientationPatient",)),
    "measures": ("PixelMeasuresSequence", ("SliceThickness", "PixelSpacing")),
    "echo": ("MREchoSequence", ("EffectiveEchoTime",)),
    "scale": ("PixelValueTransformationSequence", ("RescaleSlope", "RescaleIntercept")),
    "stack": ("FrameContentSequence", ("StackID",)),
    "temporal": ("FrameContentSequence", ("TemporalPositionIndex",)),
    "indices": ("FrameContentSequence", ("DimensionIndexValues",)),
    "kind": ("MRImageFrameTypeSequence", ("FrameType",)),
}


def _groups(frame: dict) -> Dataset:
    groups = Dataset()
    for what, value in frame.items():
        sequence, keywords = _GROUPS[what]
        if sequence not in groups:
            setattr(groups, sequence, Sequence([Dataset()]))
        values = value if len(keywords) > 1 else (value,)
        for keyword, one in zip(keywords, values, strict=True):
            setattr(getattr(groups, sequence)[0], keyword, list(one) if isinstance(one, tuple) else one)
    return groups
