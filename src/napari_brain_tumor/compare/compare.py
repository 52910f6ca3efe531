"""Compare segmentations of one case: every score of every pair, and what all of them have in common."""

from collections.abc import Iterator, Mapping

import numpy as np

from napari_brain_tumor.compare.inputs import describe_inputs
from napari_brain_tumor.compare.raters import Raters, gather
from napari_brain_tumor.compare.result import Agreement, PairScores
from napari_brain_tumor.compare.statistics import region_agreement, volumes_of
from napari_brain_tumor.metrics.scores import score_segmentations, target_labels
from napari_brain_tumor.progress import Job, Progress, action
from napari_brain_tumor.study import Segmentation


@action
def compare_segmentations(
    segmentations: Mapping[str, Segmentation], reference: str | None = None, *, resample: bool = False
) -> Job[Agreement]:
    """Compare two or more segmentations of one case, by people, models, or at different times.

    Parameters
    ----------
    segmentations : mapping of str to Segmentation
        By name. Only regions that all of them tell are compared.
    reference : str, optional
        The name of the one that counts as the truth: the others are scored against it. Without it, each pair is.
    resample : bool
        Whether those on other grids are resampled onto the reference's or first one's, to the nearest label, instead
        of refused.

    Returns
    -------
    Agreement
        Scores of pairs, Dice of all with all, Fleiss' kappa, volumes; on demand the slices that differ and maps.

    Raises
    ------
    ComparisonError
        If they are fewer than two, a name is empty, or the reference is none of them.
    GridMismatchError
        If they lie on different grids.
    SpacingUnknownError
        If some state the voxel size and others do not.
    LabelSchemaError
        If there is no region that all of them tell.

    Examples
    --------
    >>> found = compare_segmentations({"unet": result, "rater A": truth}, reference="rater A")  # doctest: +SKIP
    >>> found.scores_of("WT")[0].scores.dice  # doctest: +SKIP
    0.912
    >>> found.worst_slice("WT").index  # doctest: +SKIP
    74
    """
    yield Progress(0, 1, "resampling them onto one grid")
    raters = gather(segmentations, reference, resample=resample)
    pairs, scores = raters.pairs, list[PairScores]()
    for number, (first, second) in enumerate(pairs):
        yield Progress(number, len(pairs) + 1, f"{first} and {second}")
        scores.extend(_pair_scores(raters, first, second))
    yield Progress(len(pairs), len(pairs) + 1, "all together")
    return Agreement(
        raters=raters,
        scores=tuple(scores),
        regions=tuple(region_agreement(raters, region) for region in raters.regions),
        volumes=tuple(row for region in raters.regions for row in volumes_of(raters, region)),
        inputs=describe_inputs(raters.segmentations),
    )


compare_segmentations_job = compare_segmentations.job
"""`compare_segmentations` as a job: yields `Progress`, returns what it returns. Takes the same parameters."""


def _pair_scores(raters: Raters, first: str, second: str) -> Iterator[PairScores]:
    segmentation, other = raters.segmentations[first], raters.segmentations[second]
    sizes = [np.bincount(each.data.ravel(order="K"), minlength=256) for each in (segmentation, other)]
    for region, scores in score_segmentations(segmentation, other).items():
        labels = list(target_labels(region))
        yield PairScores(first, second, region, scores, *(int(size[labels].sum()) for size in sizes))
