"""Repeat a recorded correction: apply its prompts to the segmentation it started from."""

from pathlib import Path

from napari_brain_tumor.errors import BrainTumorError, RecordError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interactive.prompts import RULE
from napari_brain_tumor.interactive.refine import refine_job
from napari_brain_tumor.io import open_segmentation
from napari_brain_tumor.io.formats import TIFF
from napari_brain_tumor.labels import labels_sha256
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.progress import Job
from napari_brain_tumor.records.places import Places
from napari_brain_tumor.records.records import CorrectionRecord, SegmentRecord
from napari_brain_tumor.study import Segmentation, Study


def uses_probabilities(recorded: SegmentRecord | CorrectionRecord) -> bool:
    """Whether the prompts need the model's probabilities; assumed if the record does not say."""
    return bool(recorded.refined) and (recorded.refinement is None or recorded.refinement.probabilities)


def corrected_job(
    provenance: SegmentRecord | CorrectionRecord,
    study: Study,
    initial: Segmentation | None,
    maps: RegionProbabilities | None,
    notes: list[str],
) -> Job[Segmentation]:
    """Apply the recorded prompts to the segmentation they were made on.

    Parameters
    ----------
    initial : Segmentation or None
        The recomputed segmentation that was corrected.
    notes : list of str
        Notes on possible reasons for a difference are appended to it.
    """
    recorded = None if provenance.refinement is None else provenance.refinement.from_labels_sha256
    if initial is not None and recorded not in (None, labels_sha256(initial.data)):
        notes.append(
            "The labels to correct did not come out the same, so the prompts were applied to different labels."
        )
    rule = 1 if provenance.refinement is None else provenance.refinement.rule
    if provenance.refined and rule != RULE:
        notes.append(f"The prompts were recorded with rule {rule}; rule {RULE} of this version gives other voxels.")
    if provenance.edited_by_hand:
        notes.append("Between or after the prompts labels were edited by hand, which no record holds.")
    refined = yield from refine_job(study, initial, provenance.refined, probabilities=maps)
    if provenance.refinement is None and maps is not None and provenance.labels_sha256 != labels_sha256(refined.data):
        without = yield from refine_job(study, initial, provenance.refined)
        if provenance.labels_sha256 == labels_sha256(without.data):
            return without
    return refined


def spacing_for(path: Path, grid: Grid) -> tuple[float, float, float] | None:
    """Return the voxel size to pass when opening a label file that does not contain one, otherwise None."""
    tells_none = path.is_dir() or TIFF.fits(path)
    return grid.spacing if grid.unit == "mm" and tells_none else None


def find_start(provenance: CorrectionRecord, study: Study, places: Places) -> Segmentation:
    """Open the segmentation that was corrected, if it still contains the same labels.

    Raises
    ------
    RecordError
        If it is missing or has changed.
    """
    assert provenance.start is not None
    path = provenance.start.path
    recorded = None if provenance.refinement is None else provenance.refinement.from_labels_sha256
    there = list(places.candidates(path))
    for place in there:
        try:
            labels = open_segmentation(place, provenance.start.label_schema, spacing_mm=spacing_for(place, study.grid))
        except BrainTumorError:
            continue
        if recorded in (None, labels_sha256(labels.data)) and labels.grid.same_place(study.grid):
            return labels
    what = f"{there[0]} holds other labels than then" if there else f"{path} is not there"
    raise RecordError(
        f"The segmentation of {provenance.case} that was corrected is needed to do the correction again: {what}. "
        "Restore it, or name the folder that holds it: --data FOLDER (data=FOLDER)."
    )
