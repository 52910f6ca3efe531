"""Section of the page: how well each model performs with some of the sequences."""

from collections.abc import Iterable
from typing import Final

from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.study import ROLES
from napari_brain_tumor_training.report import role_subsets
from results.bench import FULL_SET, SLICE_SET
from results.document import (
    ModelResults,
)
from results.markdown import Lines, number, table
from results.statistics import dice_by_subset

__all__ = ["subsets"]

_REGIONS: Final = tuple(REGIONS)


def subsets(models: Iterable[ModelResults]) -> Lines:
    """Return a table of all subsets for each model."""
    measured = [model for model in models if model.subsets is not None]
    if not measured:
        return []
    lines = [
        "## From some of the sequences",
        "",
        "Mean Dice over the patients who have those sequences, without flips. The others were taken away before "
        "anything was prepared, brain mask included: this is what someone who never had them gets. Without T1c the "
        "enhancing class and the core are not promised. Proper subsets were computed in bfloat16 where the processor "
        "has it, which changes 0.1 to 0.5 % of the tumour's labels.",
    ]
    for model in measured:
        lines += ["", f"### `{model.name}`", "", *_subset_table(model)]
    return lines


def _subset_table(model: ModelResults) -> Lines:
    """Return mean Dice for each subset of sequences, the full set first; the last column is for the set of slices."""
    dice = dice_by_subset(model)
    subsets = [subset for subset in role_subsets(ROLES) if any(subset == roles for _, roles in dice)]
    rows = []
    for subset in subsets:
        _, full = dice.get((FULL_SET, subset), (0, {}))
        patients, other = dice.get((SLICE_SET, subset), (0, {}))
        last = f"{other['WT']:.3f} ({patients})" if "WT" in other else number(None)
        rows.append((", ".join(subset), *(number(full.get(region)) for region in _REGIONS), last))
    return table(("sequences", *_REGIONS, f"WT of `{SLICE_SET}` (patients)"), rows)
