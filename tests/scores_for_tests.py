"""Rows of scores with the numbers that a test wants."""

from dataclasses import fields

from napari_brain_tumor.metrics.compare import CaseScores
from napari_brain_tumor.metrics.scores import MaskScores


def mask_scores(**values) -> MaskScores:
    """Scores that are undefined but for the given ones; Dice and IoU always have a value."""
    return MaskScores(**({field.name: None for field in fields(MaskScores)} | {"dice": 0.5, "iou": 1 / 3} | values))


def row(case: str, model: str, dice: float, region: str = "WT", **changes) -> CaseScores:
    scores = mask_scores(dice=dice, **changes.pop("scores", {}))
    return CaseScores(
        **({"case": case, "model": model, "region": region, "truth_voxels": 9, "predicted_voxels": 9} | changes),
        scores=scores,
    )
