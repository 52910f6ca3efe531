"""Fit the temperatures that calibrate a network's probabilities, on validation cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from torch import nn

from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.labels import REGIONS, Region, region_mask
from napari_brain_tumor.metrics.calibration import LogitCounts, Reliability
from napari_brain_tumor.models.card_parts import Calibration
from napari_brain_tumor.models.combination import Calibrated
from napari_brain_tumor.progress import Job, Progress, run_job
from napari_brain_tumor_training.dataset import TrainingCase
from napari_brain_tumor_training.run_files import save_figure

Counts = dict[Region, LogitCounts]

_SOFTENING: Final = 4.0
"""Divisor of the logits before they become float16 probabilities, which have no values between 0.9995 and 1.

After multiplying by it again, logits up to 30 apart can be distinguished. In 3D, where windows overlap, the mean over
windows is then the mean of softened probabilities, which is nearly the same."""


def count_logits(network: nn.Module, dims: int, cases: Sequence[TrainingCase], device: torch.device) -> Job[Counts]:
    """Count the voxels of known truth in the head, by logit, for each region, as a job.

    Parameters
    ----------
    network : nn.Module
        Predicts the logits of WT, TC and ET.
    dims : {2, 3}
        Number of spatial dimensions of its input.
    """
    engine = Engine.prepare(Calibrated(network, [_SOFTENING] * len(REGIONS)), dims, device)
    counts: Counts = {}
    for number, case in enumerate(cases):
        yield Progress(number, len(cases), f"calibrating on {case.files.name}")
        channels = case.channels.swapaxes(0, 1).astype(np.float32)
        soft = run_job(engine.probabilities(channels)).astype(np.float32)
        inside = channels.any(axis=0) if case.where is None else channels.any(axis=0) & case.where
        for place, (region, known) in enumerate(zip(REGIONS, case.known, strict=True)):
            if known:
                case_counts = LogitCounts.of(_logits(soft[place][inside]), region_mask(case.classes, region)[inside])
                counts[region] = counts.get(region, LogitCounts()) + case_counts
    return counts


def calibrations(counts: Mapping[Region, LogitCounts]) -> dict[Region, Calibration]:
    """Return the temperature of each region whose calibration error it lowers.

    The temperature is the maximum-likelihood one. If a network is wrong throughout rather than too confident or too
    cautious, dividing its logits does not help: such a region is left out, and so is one that lacks voxels inside or
    outside.
    """
    by_region = {}
    for region, count in counts.items():
        temperature = count.best_temperature()
        if temperature is None:
            continue
        before, after = count.reliability().error, count.reliability(temperature).error
        if after < before:
            by_region[region] = Calibration(
                temperature=temperature, error_before=before, error_after=after, voxels=count.voxels
            )
    return by_region


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Reliability of one region before and after dividing its logits by the temperature."""

    temperature: float
    before: Reliability
    after: Reliability


def draw_reliability(
    path: Path, counts: Mapping[Region, LogitCounts], calibration: Mapping[Region, Calibration]
) -> None:
    """Plot the observed share against the probability for each region, before and after; raises `SaveError`."""
    temperatures = {region: fitted.temperature for region, fitted in calibration.items()}
    draw_panels(path, {r: Panel(t, counts[r].reliability(), counts[r].reliability(t)) for r, t in temperatures.items()})


def draw_panels(path: Path, panels: Mapping[Region, Panel]) -> None:
    """Plot the curves of all regions side by side; nothing is drawn without regions. Raises `SaveError`."""
    if not panels:
        return
    figure = Figure(figsize=(4 * len(panels), 4), dpi=100, layout="constrained")
    several = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (region, panel) in zip(several, panels.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        curves = [(panel.before, "o--", "as trained"), (panel.after, "o-", "calibrated")]
        for curve, style, label in curves[: 1 if panel.temperature == 1 else 2]:
            axes.plot(curve.probability, curve.observed, style, markersize=4, label=f"{label}, error {curve.error:.4f}")
        axes.set(
            title=f"{region}, temperature {panel.temperature:.2f}",
            xlabel="probability",
            ylabel="share of voxels in the region",
            xlim=(0, 1),
            ylim=(0, 1),
            aspect="equal",
        )
        axes.legend(fontsize=7, loc="upper left")
    save_figure(figure, path)


def _logits(
    soft: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Recover the network's logits from softened probabilities."""
    # Clip to the smallest float16 above 0 and the largest below 1.
    p = np.clip(soft, np.float32(6e-8), np.float32(1 - 2**-11))
    return np.float32(_SOFTENING) * (np.log(p) - np.log1p(-p))
