"""Sections of the page: how well each model performs with all sequences, by score, grade and data set."""

from collections.abc import Iterable, Sequence
from typing import Final

from napari_brain_tumor.labels import REGIONS
from results.bench import FULL_SET, SLICE_SET
from results.document import (
    ModelResults,
)
from results.markdown import Lines, interval, table
from results.statistics import Group, ScoreName

__all__ = ["distances", "grades", "overlap", "slices"]

_REGIONS: Final = tuple(REGIONS)


def overlap(models: Iterable[ModelResults]) -> Lines:
    """Return Dice with all sequences."""
    lines = _score_table(models, "dice", 3)
    return (
        ["## Overlap", "", f"Mean Dice over the patients of `{FULL_SET}` (95 % interval).", "", *lines] if lines else []
    )


def distances(models: Sequence[ModelResults]) -> Lines:
    """Return HD95 and lesion-wise Dice."""
    distances, lesions = _score_table(models, "hd95_mm", 1), _score_table(models, "lesionwise_dice", 3)
    if not distances:
        return []
    return [
        "## Distance and lesions",
        "",
        f"Mean HD95 in mm over the patients of `{FULL_SET}`, less is better. A region that is empty in the truth and "
        "was found empty counts 0; one that is empty on one side only counts the diagonal of the volume, some 250 to "
        "370 mm, which moves a mean over few patients far.",
        "",
        *distances,
        "",
        "Mean lesion-wise Dice (BraTS 2023): every lesion counts alike, missed and false ones count 0.",
        "",
        *lesions,
    ]


def grades(models: Iterable[ModelResults]) -> Lines:
    """Return Dice by grade."""
    rows = [
        (name, grade, str(part.patients), *(interval(part.mean(region, "dice")) for region in _REGIONS))
        for name, group in _rows(models, FULL_SET)
        for grade in sorted({case.grade for case in group.cases})
        for part in [group.where(lambda case, grade=grade: case.grade == grade)]  # type: ignore[misc]
    ]
    if not rows:
        return []
    caption = f"Mean Dice over the patients of `{FULL_SET}` by grade: high (HGG) and low (LGG)."
    return ["## By grade", "", caption, "", *table(("model", "grade", "patients", *_REGIONS), rows)]


def slices(models: Iterable[ModelResults]) -> Lines:
    """Return the whole tumour's Dice on the set of slices."""
    rows = [(name, str(group.patients), interval(group.mean("WT", "dice"))) for name, group in _rows(models, SLICE_SET)]
    if not rows:
        return []
    return [
        f"## Low-grade gliomas as TIFF slices (`{SLICE_SET}`)",
        "",
        "Mean Dice of the whole tumour, which is all that the truth tells: one number a patient over all slices at "
        "once, then the mean. The files tell no voxel size. So nothing is in mm or mL here, and, as for any user of "
        "such files, small parts are not removed.",
        "",
        *table(("model", "patients", "WT"), rows),
    ]


def _score_table(models: Iterable[ModelResults], score: ScoreName, digits: int) -> Lines:
    rows = [
        (name, str(group.patients), *(interval(group.mean(region, score), digits) for region in _REGIONS))
        for name, group in _rows(models, FULL_SET)
    ]
    return table(("model", "patients", *_REGIONS), rows) if rows else []


def _rows(models: Iterable[ModelResults], dataset: str) -> list[tuple[str, Group]]:
    """Return the name and cases of each model in a set, without and with flips."""
    blocks = [
        (name, block)
        for model in models
        for name, block in ((f"`{model.name}`", model.scores), (f"`{model.name}` with flips", model.flipped))
    ]
    return [(name, group) for name, block in blocks for group in Group.of_scores(block) if group.dataset == dataset]
