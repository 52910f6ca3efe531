"""Compare segmentations of one case: scores of every pair, and agreement of all of them."""

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
    """Compare two or more segmentations of one case, made by people or models or at different times.

    Parameters
    ----------
    segmentations : mapping of str to Segmentation
        Segmentations by name. Only regions that all of them define are compared.
    reference : str, optional
        Name of the segmentation used as the reference, against which the others are scored. If not given, every pair
        is scored.
    resample : bool
        Whether to resample segmentations on other grids, by nearest neighbour, to that of the reference or the first
        one, instead of raising an error.

    Returns
    -------
    Agreement
        Scores of pairs, Dice between all of them, Fleiss' kappa and volumes; on request also differing slices and maps.

    Raises
    ------
    ComparisonError
        If there are fewer than two, a name is empty, or the reference is not one of them.
    GridMismatchError
        If they lie on different grids.
    SpacingUnknownError
        If only some of them have a known voxel size.
    LabelSchemaError
        If there is no region that all of them define.

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
"""`compare_segmentations` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


def _pair_scores(raters: Raters, first: str, second: str) -> Iterator[PairScores]:
    segmentation, other = raters.segmentations[first], raters.segmentations[second]
    sizes = [np.bincount(each.data.ravel(order="K"), minlength=256) for each in (segmentation, other)]
    for region, scores in score_segmentations(segmentation, other).items():
        labels = list(target_labels(region))
        yield PairScores(first, second, region, scores, *(int(size[labels].sum()) for size in sizes))
