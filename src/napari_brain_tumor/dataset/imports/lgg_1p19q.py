"""LGG-1p19q: T1 after contrast and T2 of each patient, with the tumour outlined on three slices.

The other slices were not annotated: their label is unknown, not background (Erickson 2017, doi:10.7937/K9/TCIA.2017.
dwehtz9v). In the file names, the contrast-enhanced sequence is called T1.
"""

import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from napari_brain_tumor.dataset.imports.found_case import FoundCase, folders_with_images
from napari_brain_tumor.io.study_folder import names_segmentation
from napari_brain_tumor.io.volume import short_name

_PATIENT = re.compile(r"^(LGG-\d+)", re.IGNORECASE)


def find_lgg_1p19q(root: Path) -> tuple[FoundCase, ...]:
    """Return the patients `LGG-<number>` in a folder that have a label, in separate folders or all in one."""
    cases = []
    for folder, images in folders_with_images(root):
        for patient, files in groupby(sorted(images, key=_patient_of), _patient_of):
            if patient and (case := _case(patient, folder, tuple(files))) is not None:
                cases.append(case)
    return tuple(cases)


def _patient_of(path: Path) -> str:
    match = _PATIENT.match(path.name) or _PATIENT.match(path.parent.name)
    return match[1].upper() if match else ""


def _case(patient: str, folder: Path, files: Iterable[Path]) -> FoundCase | None:
    roles: dict[str, str | Path | int] = {}
    label = None
    for file in files:
        rest = _PATIENT.sub("", short_name(file)).lower()
        if names_segmentation(file):
            label = file
        elif "t1" in rest:
            roles["T1c"] = file
        elif "t2" in rest:
            roles["T2"] = file
    if label is None or not roles:
        return None
    return FoundCase(patient, folder, label, roles, schema="LGG-binary", grade="LGG", known="marked")
