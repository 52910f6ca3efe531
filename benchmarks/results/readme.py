"""The results table of the README, with one row for each model."""

import re
from typing import Final

from napari_brain_tumor.labels import REGIONS
from results.bench import FULL_SET, SLICE_SET
from results.document import ModelResults, Results, Scores
from results.markdown import number, table
from results.statistics import Group

__all__ = ["with_table"]

_NOTHING: Final = "Not measured yet."


def with_table(readme: str, results: Results | None) -> str:
    """Return the README with the text between `<!-- results -->` and `<!-- /results -->` replaced."""
    models = [] if results is None else list(results.models.values())
    rows = "\n".join(_model_table(models) if models else [_NOTHING])
    return re.sub(r"(<!-- results -->\n).*?(<!-- /results -->)", lambda m: f"{m[1]}{rows}\n{m[2]}", readme, flags=re.S)


def _model_table(models: list[ModelResults]) -> list[str]:
    head = ("model", "parameters", *REGIONS, "with flips", f"WT of `{SLICE_SET}`", "seconds", "memory MiB")
    return table(head, [_row(model) for model in models])


def _row(model: ModelResults) -> tuple[str, ...]:
    full, slices, flipped = (
        _means(model.scores, FULL_SET),
        _means(model.scores, SLICE_SET),
        _means(model.flipped, FULL_SET),
    )
    cost = model.cost
    return (
        f"`{model.name}`",
        number(None) if model.parameters is None else f"{model.parameters / 1e6:.2f} M",
        *(number(full.get(region)) for region in REGIONS),
        " / ".join(number(flipped[region]) for region in REGIONS if region in flipped) or number(None),
        number(slices.get("WT")),
        number(None if cost is None else cost.plain.seconds, 1),
        number(None if cost is None else cost.plain.peak_mb - cost.imported_mb, 0),
    )


def _means(block: Scores | None, dataset: str) -> dict[str, float]:
    by_group = (group.means("dice") for group in Group.of_scores(block) if group.dataset == dataset)
    return {str(region): value for means in by_group for region, value in means.items()}
