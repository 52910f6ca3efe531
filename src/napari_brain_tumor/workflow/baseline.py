"""Segment with a method without weights."""

from napari_brain_tumor.brain.extraction import ExtractedBrain
from napari_brain_tumor.catalogue import Baseline
from napari_brain_tumor.classical.run import find_regions_job, scan_of, seeds_in_scan
from napari_brain_tumor.postprocessing.region_probabilities import SizeRules, labels_from_masks
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec, prepare, restore
from napari_brain_tumor.preprocessing.world_box import check_box, inside_box
from napari_brain_tumor.progress import Job, Progress, part_of
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import ROLES, Segmentation
from napari_brain_tumor.workflow.provenance import Clock, recorded_segmentation
from napari_brain_tumor.workflow.voxels import allowed_voxels, smallest_part, smoothed


def baseline_job(extracted: ExtractedBrain, baseline: Baseline, request: SegmentRequest) -> Job[Segmentation]:
    """Segment a study with a method without weights, as a job; the study must have the sequences it needs."""
    study = extracted.study
    box = None if request.box is None else check_box(request.box, study.grid)
    clock = Clock()
    yield Progress(0.1, 1, "finding the brain")
    prepared = prepare(study, ROLES, PreprocessingSpec())
    inside, _ = allowed_voxels(prepared, box)
    scan = scan_of(study, prepared)
    voxels = seeds_in_scan(request.seeds, prepared, scan)
    clock.lap("prepare")
    yield Progress(0.3, 1, f"running {baseline.name}")
    result = yield from part_of(find_regions_job(baseline, scan, voxels), 0.3, 0.95)
    masks = {region: mask & inside for region, mask in result.masks.items()}
    if request.smooth_mm:
        masks = {r: smoothed(mask, inside, prepared, request.smooth_mm) >= 0.5 for r, mask in masks.items()}
    clock.lap("method")
    yield Progress(0.95, 1, "resampling the result to the scan's grid")
    smallest = smallest_part(baseline, request)
    data = restore(labels_from_masks(masks, prepared.work.grid, SizeRules(smallest)), prepared)
    if box is not None:
        data *= inside_box(study.grid, box)
    if study.brain is not None:
        data *= study.brain
    clock.lap("finish")
    yield Progress(0.98, 1, "recording how it was made")
    recorded = {name: value for name, value in request.recorded().items() if name not in SegmentRequest.of_networks()}
    model = {"name": baseline.name, "method": baseline.summary, "source": baseline.source}
    return recorded_segmentation(
        extracted,
        prepared,
        data,
        tuple(masks),
        record={"model": model, "device": "cpu"},
        settings={"seeds": [], **recorded, "min_lesion_mm3": smallest},
        box=box,
        seconds=clock.seconds,
        notes=[*result.notes, *baseline.notes_without(study.roles)],
    )
