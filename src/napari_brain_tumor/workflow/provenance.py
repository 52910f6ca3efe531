"""Provenance of a segmentation: its inputs, settings, software versions and timings."""

import platform
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.brain.extraction import ExtractedBrain
from napari_brain_tumor.io.source_files import changes_since_read, describe_sources
from napari_brain_tumor.labels import REGIONS, Region, class_names_of, labels_sha256
from napari_brain_tumor.postprocessing.plausibility import doubts_about
from napari_brain_tumor.preprocessing.pipeline import Prepared
from napari_brain_tumor.preprocessing.world_box import WorldBox
from napari_brain_tumor.study import Segmentation

NOT_FOR_CLINICAL_USE = "For research only. Not a medical device, not for clinical use."


class Clock:
    """Measure the duration of consecutive steps in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, step: str) -> None:
        """Record the time since the previous step under this step's name."""
        now = time.monotonic()
        self.seconds[step] = round(now - self._last, 3)
        self._last = now


def recorded_segmentation(
    extracted: ExtractedBrain,
    prepared: Prepared,
    data: npt.NDArray[np.uint8],
    regions: Collection[Region],
    *,
    record: Mapping[str, Any],
    settings: Mapping[str, Any],
    box: WorldBox | None,
    seconds: Mapping[str, float],
    notes: Sequence[str],
) -> Segmentation:
    """Return the segmentation with its provenance; `record` describes the model and the device."""
    study = extracted.study
    doubts = doubts_about(study, data, in_box=box is not None)
    return Segmentation(
        data,
        study.grid,
        name=study.name,
        class_names=class_names_of(regions),
        known_regions=tuple(region for region in REGIONS if region in regions),
        layout=study.layout,
        provenance={
            "task": "segment",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "case": study.name,
            "inputs": describe_sources(study.sources),
            "roles": list(study.roles),
            **({"resampled": list(study.resampled)} if study.resampled else {}),
            **({"preparation": dict(study.preparation)} if study.preparation else {}),
            "grid": {"shape": list(study.grid.shape), "affine": study.grid.affine.tolist(), "unit": study.grid.unit},
            **record,
            "settings": {
                **settings,
                **({} if box is None else {"box": list(box)}),
                **({} if extracted.setting is None else {"brain": extracted.setting}),
            },
            "seconds": {**extracted.seconds, **seconds},
            "working_shape": list(prepared.mask.shape),
            **({"brain": dict(extracted.record)} if extracted.record else {}),
            "labels_sha256": labels_sha256(data),
            "versions": versions(),
            "doubts": doubts,
            "notes": [*doubts, *study.notes, *extracted.notes, *notes, *changes_since_read(study.sources)],
            "warning": NOT_FOR_CLINICAL_USE,
        },
        notes=study.notes,
    )


def versions() -> dict[str, str]:
    """Return the versions of this package, Python and the libraries that affect the numerical results."""
    installed = {"python": platform.python_version()}
    for name in ("napari-brain-tumor", "torch", "numpy", "nibabel", "SimpleITK", "tifffile"):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed
