"""Sections of the page that frame the numbers: definitions, patients, targets, and how to reproduce them."""

from collections.abc import Iterable, Sequence

from napari_brain_tumor.metrics.compare import SAMPLES
from napari_brain_tumor.metrics.scores import DEFINITIONS
from napari_brain_tumor.models.cards import list_models
from results.document import (
    RESULTS_FILE,
    Experiment,
    ModelResults,
    Results,
)
from results.markdown import Lines, number, table
from results.targets import targets_of

__all__ = ["definitions", "experiments", "head", "reproduce", "split", "targets"]


def head(results: Results, *, review: str | None) -> Lines:
    """Return the title, the purpose of the page and the terms used."""
    lines = [
        "# Results of the shipped models",
        "",
        f"Written by `benchmarks/measure_models.py` from [{RESULTS_FILE}]({RESULTS_FILE}), which holds every case; not "
        "by hand. For research only: not a medical device, not for clinical use.",
        "",
        "WT is the whole tumour, TC its core (all but edema), ET what enhances. Dice runs from 0 to 1, more is better. "
        "Every number is of whole volumes, segmented as a user gets them: the defaults of `brain-tumor segment`, with "
        "the postprocessing that the model's card says. *With flips* is the option `--flips`.",
        "",
        "**These are validation cases, not unseen ones.** No weight was fitted on them, but choices were made on them: "
        "which epoch's weights are kept, the shares of an ensemble's members, the temperatures. The numbers favour the "
        "models by an unknown, probably small amount; no set was kept back that decided nothing.",
    ]
    if results.limit is not None:
        lines += ["", f"**A trial: only {results.limit} validation case(s) of each set were measured.**"]
    refits = [f"`{model.name}`" for model in list_models() if model.bundled and model.card.refit_of]
    if refits:
        lines += ["", f"The weights of {', '.join(refits)} that ship saw all patients, after these were measured."]
    if review is not None:
        lines += ["", f"What is right and wrong in five cases, slice by slice: [{review}]({review})."]
    return lines


def targets(results: Results) -> Lines:
    """Return the targets together with the measured values."""
    rows_of_targets = targets_of(results)
    if not rows_of_targets:
        return []
    head = ("target", "model", "wanted", "measured", "")
    rows = [
        (t.what, t.model, t.goal, number(t.measured, t.digits), "met" if t.met else "not met") for t in rows_of_targets
    ]
    return [
        "## Targets",
        "",
        "Mean Dice over patients from every sequence, without flips. First the model that is used when none is named, "
        "then the others.",
        "",
        *table(head, rows),
    ]


def split(results: Results) -> Lines:
    """Return the numbers of patients on each side."""
    sides_record = results.split
    rows = [
        (f"`{name}`", str(sides.get("train", 0)), str(sides.get("val", 0)))
        for name, sides in sides_record.patients.items()
    ]
    together = ("together", str(sides_record.together.get("train", 0)), str(sides_record.together.get("val", 0)))
    return [
        "## The split",
        "",
        "Patients, not slices or scans, are on one side or the other, across both sets: some are in both. Weights "
        "were fitted on the training side alone. The temperatures (see Calibration) were fitted on the validation "
        "side; which epoch's weights are kept and the shares of ensembles were chosen on it.",
        "",
        *table(("set", "patients to train on", "patients to validate on"), [*rows, together]),
        "",
        f"SHA-256 of the table of sides: `{sides_record.sha256}`.",
    ]


def experiments(ideas: Sequence[Experiment]) -> Lines:
    """Return the improvement from each training idea."""
    if not ideas:
        return []
    names = list(dict.fromkeys(name for experiment in ideas for name in (*experiment.gained, *experiment.without)))
    rows = [
        (
            experiment.idea,
            experiment.setting,
            *(_gain(experiment, name) for name in names),
            str(experiment.cases),
            number(experiment.minutes, 0),
            experiment.note,
        )
        for experiment in ideas
    ]
    return [
        "## What helped",
        "",
        "Mean Dice with the idea, and in brackets by how much that is more than without it, all else alike; LGG is the "
        "whole tumour of `lgg_tif`. Minutes are those of training, on one core beside other work. What another seed "
        "alone does is chance: no smaller difference of another row says anything.",
        "",
        *table(("idea", "setting", *names, "cases", "minutes", "note"), rows),
    ]


def _gain(experiment: Experiment, name: str) -> str:
    if name not in experiment.gained:
        return number(None)
    if name not in experiment.without:
        return number(experiment.gained[name])
    return f"{experiment.gained[name]:.3f} ({experiment.gained[name] - experiment.without[name]:+.3f})"


def definitions(models: Iterable[ModelResults]) -> Lines:
    """Return definitions of all numbers."""
    posted = [
        f"- `{m.name}` removes parts of the tumour under {m.min_lesion_mm3:g} mm³"
        + (f", parts under {100 * m.min_lesion_share:g} % of the largest one" if m.min_lesion_share else "")
        + (f" and takes enhancement under {m.min_enhancing_mm3:g} mm³ in all for none" if m.min_enhancing_mm3 else "")
        + (
            f", or where it is sure of less than {100 * m.min_sure_enhancing:g} % of it."
            if m.min_sure_enhancing
            else "."
        )
        + (
            f" Where it is sure of less than {100 * m.min_sure_tumor:g} % of a tumour, with a FLAIR, it labels none."
            if m.min_sure_tumor
            else ""
        )
        for m in models
    ]
    return [
        "## What the numbers are",
        "",
        f"- Dice: {DEFINITIONS['dice']}",
        f"- HD95: {DEFINITIONS['hd95_mm']}",
        f"- Lesion-wise Dice: {DEFINITIONS['lesionwise_dice']}",
        "- Means are over patients: several cases of one patient count as their mean. In brackets the 95 % percentile "
        f"interval of the mean, patients drawn {SAMPLES} times with replacement. It tells how much other patients "
        "would move the number, not how much another training run would.",
        "- Seconds are wall-clock, without loading the model. Memory is the peak of the process (VmHWM on Linux, "
        "elsewhere ru_maxrss) less its peak after the imports; on a GPU it is the memory of the host, not the GPU's.",
        *posted,
    ]


def reproduce(results: Results) -> Lines:
    """Return the command, and the hashes of the weights."""
    names = ",".join(results.models)
    return [
        "## Reproduce",
        "",
        "```sh",
        f"python benchmarks/measure_models.py ../shared/data --models {names} --output docs",
        "python benchmarks/measure_models.py --render --output docs  # page and pictures again, without the data",
        "```",
        "",
        "What was measured with the same weights, settings and split is not measured again; move `results.json` away "
        "to begin anew. Weights, by SHA-256:",
        "",
        *[f"- `{model.name}`: `{model.weights_sha256}`" for model in results.models.values() if model.weights_sha256],
    ]
