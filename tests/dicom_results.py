"""Segmentations of DICOM phantoms of every kind of stack, as a run would leave them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from dicom_phantoms import AXIAL, CORONAL, ENHANCED_MR, ROOT, SAGITTAL, dataset, write_enhanced, write_stack
from napari_brain_tumor import open_study
from napari_brain_tumor.io.source_files import describe_sources
from napari_brain_tumor.labels import class_names_of, labels_sha256
from napari_brain_tumor.study import Segmentation, Study
from phantoms import noise

SHAPE = (13, 11, 9)
STEP = 3.5
FRAME_OF_REFERENCE = f"{ROOT}.500"
TAGS = {
    "FrameOfReferenceUID": FRAME_OF_REFERENCE,
    "SeriesNumber": 4,
    "PatientID": "P-17",
    "PatientName": "Phantom^One",
    "StudyID": "7",
    "StudyTime": "101500",
    "AccessionNumber": "A1",
}


def _turned(about_x: float, about_z: float) -> tuple[float, ...]:
    """Directions of a row and a column of slices that are tilted twice."""
    c, s, d, e = np.cos(about_z), np.sin(about_z), np.cos(about_x), np.sin(about_x)
    return (c, s, 0.0, -s * d, c * d, e)


ORIENTATIONS = {
    "axial": AXIAL,
    "coronal": CORONAL,
    "sagittal": SAGITTAL,
    "oblique": _turned(0.3, 0.2),
    "oblique coronal": tuple(np.array([[1, 0, 0], [0, np.sin(0.2), -np.cos(0.2)]]).ravel()),
}


def step_of(orientation, sideways=0.0):
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    return STEP * np.cross(row, column) + sideways * row


def write_source(folder: Path, kind: str, **tags) -> Path:
    """A FLAIR of noise: a plain stack, an enhanced file, or one of a file with two stacks; returns its folder."""
    values = noise(SHAPE, 3)
    orientation = ORIENTATIONS.get(kind, ORIENTATIONS["oblique"])
    step = step_of(orientation, sideways=0.8 if kind == "tilted" else 0.0)
    if not kind.startswith("enhanced"):
        write_stack(folder, values, step=tuple(step), ImageOrientationPatient=orientation, **(TAGS | tags))
        return folder
    order = np.random.default_rng(1).permutation(SHAPE[2])
    places = [(np.array([-30.0, 12.0, 70.0]) + k * step).tolist() for k in order]
    frames = [{"position": place, "kind": ("ORIGINAL", "PRIMARY", "M", "NONE")} for place in places]
    planes = [values[:, :, k].T for k in order]
    if kind == "enhanced with two stacks":  # a phase image of each slice stands before the slice
        phases = [frame | {"kind": ("DERIVED", "PRIMARY", "P", "NONE")} for frame in frames]
        frames = [frame for pair in zip(phases, frames, strict=True) for frame in pair]
        planes = [plane for one in planes for plane in (one // 2, one)]
    where = {"orientation": orientation} if kind != "enhanced with own orientations" else {}
    if not where:
        frames = [frame | {"orientation": orientation} for frame in frames]
    write_enhanced(folder / "one.dcm", np.array(planes), frames, where, **(TAGS | tags))
    return folder


def tumour(shape=SHAPE) -> np.ndarray:
    """All three classes, off the middle, with a hole in the edema of one slice and an island in the hole."""
    labels = np.zeros(shape, np.uint8)
    labels[2:11, 2:9, 2:7] = 1
    labels[4:9, 4:8, 3:6] = 2
    labels[5:7, 4:6, 3:5] = 3
    labels[3:10, 3:8, 6] = 0
    labels[5:8, 5:7, 6] = 1
    labels[0, 10, 8] = 1
    return labels


def result_of(study: Study, labels=None, *, regions=("WT", "TC", "ET"), **provenance) -> Segmentation:
    """A result of `unet` on a study."""
    data = tumour(study.grid.shape) if labels is None else labels
    told = {
        "task": "segment",
        "inputs": describe_sources(study.sources),
        "model": {"name": "unet", "architecture": "unet", "weights_sha256": "ab" * 32},
        "versions": {"napari-brain-tumor": "1.2.3"},
        "labels_sha256": labels_sha256(data),
        "settings": {"flips": True},
    }
    return Segmentation(data, study.grid, study.name, class_names_of(regions), regions, study.layout, told | provenance)


def made(tmp_path: Path, kind: str = "oblique", **changes) -> Segmentation:
    """The result for a source of that kind, which lies in `tmp_path / "source"`."""
    source = write_source(tmp_path / "source", kind)
    series = {"FLAIR": "4.2"} if kind == "enhanced with two stacks" else None
    return replace(result_of(open_study(source, series=series)), **changes)


__all__ = ["ENHANCED_MR", "dataset", "made", "result_of", "tumour", "write_source"]
