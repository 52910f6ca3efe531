"""The cases that are corrected in sessions: their list, and each case opened and cropped to its brain."""

import csv
from collections.abc import Iterator
from pathlib import Path

from napari_brain_tumor import open_segmentation, open_study
from napari_brain_tumor.geometry import Box, bounding_box
from napari_brain_tumor.labels import Region
from napari_brain_tumor.preprocessing.intensity import foreground_mask
from napari_brain_tumor.study import Study
from napari_brain_tumor.types import Labels, Mask


def cases(data: Path, split: str = "val") -> Iterator[tuple[str, str]]:
    """Yield the data set and name of each case on one side of the split."""
    with (data / "subjects.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == split:
                yield row["dataset"], row["case"]


def opened(data: Path, dataset: str, case: str) -> tuple[Study, Labels, tuple[Region, ...]]:
    """Open a case: the study, its truth, and the regions that the truth distinguishes."""
    if dataset == "glioma3d":
        study = open_study(data / dataset / "imagesTr" / f"{case}.nii.gz")
        truth = open_segmentation(data / dataset / "labelsTr" / f"{case}.nii.gz", "MSD")
    else:
        study, truth = open_study(data / dataset / case), open_segmentation(data / dataset / case, "LGG-binary")
    return study, truth.data, truth.known_regions


def brain_box(study: Study, truth: Labels) -> tuple[Mask, Box]:
    """Return the brain or head, and the box around it and the truth, so that simulated users never look at air."""
    brain = foreground_mask([volume.T for volume in study.sequences.values()]).T
    return brain, bounding_box(brain | (truth > 0)) or Box.whole(study.grid.shape)
