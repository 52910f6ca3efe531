"""`refine`: a correction from a script, as the panel and the shell do it."""

from collections.abc import Sequence
from typing import Any

from napari_brain_tumor.interactive.prompts import PromptFile, Step
from napari_brain_tumor.interactive.refiner import Refiner
from napari_brain_tumor.labels import labels_sha256
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.progress import Job, Progress, run_job
from napari_brain_tumor.study import Segmentation, Study

__all__ = ["refine", "refine_job"]


def refine(
    study: Study,
    segmentation: Segmentation | None = None,
    prompts: PromptFile | Sequence[Step] = (),
    *,
    probabilities: RegionProbabilities | None = None,
) -> Segmentation:
    """Correct a segmentation with prompts, in their order.

    Parameters
    ----------
    study : Study
    segmentation : Segmentation, optional
        On the study's grid; without one, correction begins from nothing.
    prompts : PromptFile or sequence of Step
        Strokes, points, lassos, boxes; interpolations and propagations between them.
    probabilities : RegionProbabilities, optional
        Of the network that made the segmentation, from `segment_with_probabilities`.

    Returns
    -------
    Segmentation
        On the study's grid; its provenance holds the prompts.

    Raises
    ------
    GridMismatchError
        If the segmentation does not lie on the study's grid.
    PromptError
        If a prompt touches no voxel of the scan.
    """
    return run_job(refine_job(study, segmentation, prompts, probabilities=probabilities))


def refine_job(
    study: Study,
    segmentation: Segmentation | None = None,
    prompts: PromptFile | Sequence[Step] = (),
    *,
    probabilities: RegionProbabilities | None = None,
) -> Job[Segmentation]:
    """Do what `refine` does, as a job that tells how far it is; arguments and errors as there."""
    steps = prompts.steps if isinstance(prompts, PromptFile) else tuple(prompts)
    refiner = Refiner(study, segmentation, probabilities)
    for count, step in enumerate(steps):
        yield Progress(count, len(steps), f"{step.kind} {count + 1} of {len(steps)}")
        refiner.apply(step)
    return _result(refiner, segmentation)


def _result(refiner: Refiner, segmentation: Segmentation | None) -> Segmentation:
    study, data = refiner.study, refiner.labels.copy()
    earlier: dict[str, Any] = dict(segmentation.provenance) if segmentation is not None else {}
    provenance = {
        **earlier,
        "refined": [step.model_dump(mode="json") for step in refiner.steps],
        "labels_sha256": labels_sha256(data),
    }
    if segmentation is not None:
        return Segmentation(
            data,
            study.grid,
            segmentation.name,
            segmentation.class_names,
            segmentation.known_regions,
            segmentation.layout,
            provenance,
        )
    return Segmentation(data, study.grid, study.name, layout=study.layout, provenance=provenance)
