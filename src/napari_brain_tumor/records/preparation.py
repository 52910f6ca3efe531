"""Repeat a recorded preparation, to recompute labels made from it or to compare it with the record."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from napari_brain_tumor.brain.extraction import BrainChoice
from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.io import open_image, open_sources
from napari_brain_tumor.io.read_study import open_source_volumes
from napari_brain_tumor.preparation.assembly import assembled_job
from napari_brain_tumor.preparation.pipeline import prepare_volumes_job
from napari_brain_tumor.preparation.prepared import PreparedStudy
from napari_brain_tumor.preparation.records import PreparationRecord
from napari_brain_tumor.progress import Job, part_of
from napari_brain_tumor.records.places import Places, find_sources
from napari_brain_tumor.records.records import PreparedRecord
from napari_brain_tumor.records.report import Replay
from napari_brain_tumor.study import Role, Source, Study

_TOLERATED_MM: Final = 0.5
"""Distance by which registrations may differ between processors or numbers of threads."""


@dataclass(frozen=True, slots=True)
class PreparationDifferences:
    """Differences between a recomputed preparation and the record.

    Parameters
    ----------
    moved_mm : mapping of role to float
        Largest displacement of a corner of the study, for each sequence.
    same_values : bool
        Whether every voxel of every sequence has the recorded value.
    """

    moved_mm: Mapping[Role, float]
    same_values: bool

    @property
    def verdict(self) -> Literal["identical", "within precision", "different"]:
        """Whether the preparations are identical, equal within precision, or different."""
        if self.same_values:
            return "identical"
        return "within precision" if max(self.moved_mm.values()) <= _TOLERATED_MM else "different"

    def lines(self) -> list[str]:
        """Describe the differences in words."""
        far = ", ".join(f"{role} {distance:.2f} mm" for role, distance in self.moved_mm.items())
        return [f"Corners of the study lie at most this far from where they were: {far}."]


def replay_preparation_job(record: PreparedRecord, places: Places, *, device: str | None = None) -> Job[Replay]:
    """Prepare a recorded examination again, including registration, as a job that returns the `Replay`.

    Raises
    ------
    RecordError
        If a series has changed.
    """
    sources = find_sources(record.inputs, places, record.case)
    volumes = open_source_volumes(sources)
    chosen = device or "auto"
    job = prepare_volumes_job(volumes, record.case, record.settings, _brain(record, places), chosen)
    prepared = yield from part_of(job, 0.05, 0.98)
    return Replay(
        kind="prepare",
        record=record.path,
        preparation=_compared(record, prepared),
        used={role: source.path for role, source in sources.items()},
        device=chosen,
    )


def prepared_again_job(
    record: PreparationRecord, sources: Mapping[Role, Source], places: Places, device: str
) -> Job[Study]:
    """Rebuild the study that was segmented from the recorded transforms, as a job.

    Raises
    ------
    RecordError
        If its brain mask is not available.
    """
    if record.from_files:
        study = open_sources(sources, record.case)
        if record.brain_mask is not None:
            mask = places.labels(record.brain_mask.path, record.brain_mask.sha256, "The brain mask")
            study = replace(study, brain=open_image(mask)[0][1] != 0)
        return replace(study, preparation=record.model_dump(mode="json", exclude_none=True))
    there = {role: place.place(role) for role, place in record.places.items()}
    job = assembled_job(
        open_source_volumes(sources),
        there,
        record.reference,
        record.case,
        record.settings,
        _brain(record, places),
        device,
    )
    return (yield from job).study


def _brain(record: PreparationRecord, places: Places) -> BrainChoice:
    if record.settings.brain != "mask":
        return record.settings.brain
    if record.brain is None or record.brain.path is None:
        raise RecordError(
            f"{record.case} was prepared with a brain mask that was only in memory, so it cannot be prepared again. "
            "Save the mask as a file, and prepare the examination with that: brain=FILE."
        )
    return places.labels(record.brain.path, record.brain.sha256, "The brain mask")


def _compared(record: PreparedRecord, prepared: PreparedStudy) -> PreparationDifferences:
    grid = record.grid.grid
    corners = grid.world(np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1).T)
    moved = {}
    for role, place in record.places.items():
        before, now = place.place(role).transform, prepared.transforms[role]
        moved[role] = float(np.linalg.norm(before.apply(corners) - now.apply(corners), axis=1).max())
    return PreparationDifferences(moved, dict(record.arrays_sha256) == prepared.study.preparation["arrays_sha256"])
