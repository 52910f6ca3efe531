"""What the shell's tables say of a model or a method."""

from typing import TYPE_CHECKING, Any

from napari_brain_tumor.models.configurations import origin_of, size_of

if TYPE_CHECKING:
    from napari_brain_tumor.catalogue import Baseline
    from napari_brain_tumor.models.card_parts import Metrics
    from napari_brain_tumor.models.cards import Card, ModelInfo
    from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec


def model_cells(model: "ModelInfo") -> list[str]:
    card = model.card
    size = sum(file.stat().st_size for file in model.folder.iterdir() if file.is_file())
    return [
        model.name,
        f"{card.architecture} {card.dims}D {size_of(card.architecture, card.arguments, card.dims)}".strip(),
        _inputs(card),
        " ".join(card.regions),
        f"{card.parameters:,}",
        f"{size / 1e6:.1f} MB",
        "\n".join(map(_metrics_text, _whole_metrics(card))) or "not measured",
        card.licence,
    ]


def _whole_metrics(card: "Card") -> "list[Metrics]":
    """Those from every sequence; all, where none is. `show` tells the other subsets."""
    return [entry for entry in card.metrics if set(entry.roles) == set(card.roles)] or card.metrics


def _inputs(card: "Card") -> str:
    return " ".join(card.roles) + (" (any subset)" if card.optional_roles else "")


def baseline_cells(baseline: "Baseline") -> list[str]:
    return [
        baseline.name,
        f"{baseline.summary} {baseline.source}",
        " ".join(baseline.regions),
        "--seed x,y,z" if baseline.takes_seeds else "",
    ]


def _metrics_text(metrics: "Metrics") -> str:
    scores = " ".join(f"{region} {score:.3f}" for region, score in metrics.mean_dice.items())
    flips = ", mirrored inputs averaged" if metrics.flips else ""
    return f"{scores} ({metrics.dataset}, {metrics.cases} cases, {'+'.join(metrics.roles)}{flips})"


def card_entries(card: "Card") -> dict[str, str]:
    """The card in words, an empty text where it says nothing."""
    training = card.training
    return {
        "Name": card.name,
        "Architecture": ", ".join(filter(None, _architecture_words(card))),
        "Based on": origin_of(card.architecture),
        "For": card.purpose,
        "Parameters": f"{card.parameters:,}",
        "Inputs": _inputs(card),
        "Regions": " ".join(card.regions),
        "Preprocessing": _preprocessing_text(card.preprocessing),
        "Thresholds": _settings({region: card.threshold(region) for region in card.regions}),
        "Smallest lesion": f"{card.min_lesion_mm3:g} mm3" if card.min_lesion_mm3 else "",
        "Smallest enhancing": f"{card.min_enhancing_mm3:g} mm3" if card.min_enhancing_mm3 else "",
        "Sure of enhancing": f"{100 * card.min_sure_enhancing:g} % of it, or none is labelled"
        if card.min_sure_enhancing
        else "",
        "Sure of a tumour": f"{100 * card.min_sure_tumor:g} % of it, or none is labelled"
        if card.min_sure_tumor
        else "",
        "Trained on": f"{', '.join(training.datasets)}: {training.cases} cases, {training.epochs} epochs"
        if training
        else "",
        "Dice on validation cases": "\n".join(map(_metrics_text, card.metrics)) or "not measured",
        "Measured": "before these weights were also fitted on the validation patients" if card.refit_of else "",
        "Joins": ", ".join(f"{member.name} ({member.architecture})" for member in card.members),
        "Calibration": "\n".join(
            f"{region}: temperature {calibration.temperature:.2f}, error {calibration.error_before:.4f} before, "
            f"{calibration.error_after:.4f} after"
            for region, calibration in card.calibration.items()
        ),
        "Notes": "\n".join(card.notes),
        "Licence": card.licence,
        "Origin": card.origin,
        "SHA-256 of its source": card.source_sha256,
        "SHA-256 of its weights": card.weights_sha256,
        "Created": f"{card.created:%Y-%m-%d %H:%M}",
        "Made with": _settings(card.software),
    }


def _architecture_words(card: "Card") -> list[str]:
    size = size_of(card.architecture, card.arguments, card.dims)
    return [f"{card.architecture} {card.dims}D", size, _settings(card.arguments)]


def _preprocessing_text(spec: "PreprocessingSpec") -> str:
    low, high = spec.clip_percentiles
    scalings = {
        "zscore": "mean 0, standard deviation 1",
        "unit": "0 to 1",
        "imagenet": "0 to 1, then as for photographs",
    }
    where = {"foreground": "the brain or head", "box": "its box"}[spec.statistics]
    return (
        f"slices of {spec.plane_spacing_mm:g} mm, clipped to percentiles {low:g} to {high:g} of {where}, "
        f"scaled to {scalings[spec.scaling]}"
    )


def _settings(values: "dict[Any, Any]") -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())
