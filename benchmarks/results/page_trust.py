"""Sections of the page: calibration of the probabilities, and what is labelled as tumour where there is none."""

from collections.abc import Iterable, Sequence

from results.bench import FULL_SET
from results.document import (
    FalseVolume,
    LesionControl,
    ModelResults,
)
from results.markdown import Lines, number, table

__all__ = ["calibration", "controls", "plot_of"]


def calibration(models: Iterable[ModelResults]) -> Lines:
    """Return temperatures, errors and reliability plots."""
    measured = [(model, model.calibration) for model in models if model.calibration is not None]
    if not measured:
        return []
    head = ("model", "region", "patients", "temperature", "error before", "error after", "crossed: temperatures",
            "crossed: before", "crossed: after")  # fmt: skip
    rows = [
        (
            f"`{model.name}`",
            region,
            str(c.patients),
            number(c.temperature, 2),
            number(c.error_before, 4),
            number(c.error_after, 4),
            ", ".join(number(t, 2) for t in c.crossed_temperatures) or number(None),
            number(c.crossed_before, 4),
            number(c.crossed_after, 4),
        )
        for model, block in measured
        for region, c in block.regions.items()
    ]
    return [
        "## Calibration",
        "",
        "Whether of the voxels that get a probability of 0.7 seven in ten are tumour. The expected calibration error "
        "is the mean gap between probability and truth over 15 bins, over the voxels of the head (most of which are "
        "far from any tumour, so that it is small); logits are divided by one temperature for each region (Guo 2017, "
        "arXiv:1706.04599), the one under which the truth of the validation patients of both sets is likeliest; 1 "
        "means that none makes the error smaller. *Before* and *after* are of the same patients that it was fitted on. "
        "*Crossed* is the honest number: fitted on one half of the patients, error on the other, then the other way "
        "round, mean by voxels.",
        "",
        "A temperature does not change what is called tumour: a logit divided by it keeps its sign, so that a "
        "probability stays on its side of 0.5. Where probabilities are averaged (flips, the overlapping windows of 3D "
        "models), single voxels at the border can change; the scores on this page are with the temperatures "
        "of the cards.",
        "",
        *table(head, rows),
        "",
        *[line for model, block in measured if block.regions for line in _picture(model)],
    ]


def _picture(model: ModelResults) -> Lines:
    return [f"![Probability against the share of voxels in the region, {model.name}]({plot_of(model)})", ""]


def controls(models: Iterable[ModelResults]) -> Lines:
    """Return the volumes labelled in brains without tumour and in the two control cases."""
    measured = [(model.name, model.controls) for model in models if model.controls is not None]
    if not measured:
        return []
    first = measured[0][1]
    head = ("model", "synthetic, each", "mean", "worst", "twins, each", "mean", "worst")
    rows = [(f"`{name}`", *_volumes(c.synthetic), *_volumes(c.twins)) for name, c in measured]
    left_out = f" Left out, for their tumour reaches both sides: {', '.join(first.no_twin)}." if first.no_twin else ""
    return [
        "## Controls: where there is nothing to find",
        "",
        "Millilitres called tumour. *Synthetic* are three heads of the package's generator without a tumour. *Twins* "
        f"are validation cases of `{FULL_SET}` whose tumour lies in one hemisphere, which was replaced by the mirror "
        "image of the other across the estimated mid-sagittal plane; what the tumour pushed across stays, and the "
        f"mirrored half is a little smoother.{left_out}",
        "",
        *table(head, rows),
        "",
        "Multiple sclerosis, no tumour: mL called, in how many parts, and how much of it lies on the lesions that the "
        "case's own truth marks.",
        "",
        *_lesion_table([(name, c.sclerosis) for name, c in measured]),
        "",
        f"A glioma that enhances nowhere ({first.no_enhancing.case}): what is called enhancing is false.",
        "",
        *_lesion_table([(name, c.no_enhancing) for name, c in measured], truth="tumour"),
    ]


def _volumes(false_volumes: Sequence[FalseVolume]) -> tuple[str, str, str]:
    volumes = [volume.ml for volume in false_volumes]
    if not volumes:
        return number(None), number(None), number(None)
    return ", ".join(f"{v:.2f}" for v in volumes), f"{sum(volumes) / len(volumes):.2f}", f"{max(volumes):.2f}"


def _lesion_table(controls: Sequence[tuple[str, LesionControl]], truth: str = "lesions") -> Lines:
    classes = list(dict.fromkeys(name for _, control in controls for name in control.ml))
    head = ("model", *(f"{name} mL" for name in classes), "parts", f"on {truth} mL", f"{truth} in truth mL")
    rows = [
        (
            f"`{name}`",
            *(number(control.ml.get(kind), 2) for kind in classes),
            str(control.parts),
            number(control.on_lesions_ml, 2),
            number(control.lesions_ml, 2),
        )
        for name, control in controls
    ]
    return table(head, rows)


def plot_of(model: ModelResults) -> str:
    """Return the path of a model's reliability plot, relative to the page."""
    return f"images/reliability_{model.name}.png"
