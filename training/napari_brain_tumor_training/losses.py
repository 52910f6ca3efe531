"""Losses over regions with partial truth: unknown regions, slices and voxels do not contribute."""

from collections.abc import Callable

import torch
from monai.losses.boundary_loss import BoundaryLoss
from monai.losses.dice import DiceLoss, GeneralizedDiceLoss
from monai.losses.focal_loss import FocalLoss
from monai.losses.tversky import TverskyLoss
from torch import nn
from torch.nn import functional

from napari_brain_tumor.models.outputs import supervised_outputs
from napari_brain_tumor_training.config import LossConfig


class PartialRegionLoss(nn.Module):
    """The loss of a recipe, over the voxels and regions that are known in each sample.

    In region terms, prediction and truth are set to zero where the truth is unknown, which adds nothing to their sums.
    Voxel terms are averaged over known voxels. The default is Dice over the batch (`batch=True` in MONAI), with 1 added
    to numerator and denominator so that samples without tumour have a small influence, plus binary cross entropy.

    Parameters
    ----------
    config : LossConfig, optional
        Terms and their weights.
    """

    def __init__(self, config: LossConfig | None = None) -> None:
        super().__init__()
        self.config = config or LossConfig()
        self._region = _REGION_TERMS[self.config.region](self.config)
        self._focal = FocalLoss(gamma=self.config.focal_gamma, reduction="none")
        self._distances = BoundaryLoss()

    def forward(
        self, logits: torch.Tensor, targets: torch.Tensor, known: torch.Tensor, fraction: float = 1.0
    ) -> torch.Tensor:
        """Return the loss of logits against targets.

        Parameters
        ----------
        logits, targets : (N, R, *sides) tensor
        known : (N, R) bool tensor, or one that broadcasts to (N, R, *sides)
            Where the targets are known.
        fraction : float
            Share of the training completed so far, for the boundary term.
        """
        if known.ndim == 2:
            known = known.reshape(*known.shape, *[1] * (logits.ndim - 2))
        if not known.any():
            return logits.sum() * 0
        mask = known.to(logits)
        config = self.config
        loss = torch.zeros((), device=logits.device)
        if config.region_weight:
            loss = loss + config.region_weight * self._region_term(logits, targets, mask)
        if config.voxel_weight:
            loss = loss + config.voxel_weight * _known_mean(self._voxel_term(logits, targets), mask)
        if config.boundary_weight:
            distances = self._distances.compute_distance_map(targets)
            boundary = _known_mean(torch.sigmoid(logits) * distances, mask)
            loss = loss + config.boundary_weight * fraction * boundary
        return loss

    def _region_term(self, logits: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the mean over known regions (and over samples, if each counts separately)."""
        is_known = mask.flatten(2).any(dim=2)
        if self.config.region == "generalised":
            is_known = is_known.any(dim=1)
        if self.config.per == "batch":
            is_known = is_known.any(dim=0)
        masked = torch.sigmoid(logits) * mask, targets * mask
        # The complement of a masked array is not masked, so it needs the mask itself.
        values: torch.Tensor = self._region(*masked, *([mask] if self.config.region == "tanimoto" else []))
        weights = is_known.to(logits)
        return (values.reshape(weights.shape) * weights).sum() / weights.sum()

    def _voxel_term(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self.config.voxel == "focal":
            focal: torch.Tensor = self._focal(logits, targets)
            return focal
        return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


class TanimotoLoss(nn.Module):
    """One minus the Tanimoto coefficient with complement, from ResUNet-a (Diakogiannis 2020, arXiv:1904.00592, eq. 4).

    The coefficient of a region, sum(p t) / sum(p^2 + t^2 - p t), is averaged with that of the background. The class
    weights of the paper cancel because each region has its own coefficient.

    Parameters
    ----------
    smooth : float
        Added to numerator and denominator.
    batch : bool
        Whether sums run over all samples.
    """

    def __init__(self, smooth: float = 1e-5, *, batch: bool = True) -> None:
        super().__init__()
        self._smooth = smooth
        self._batch = batch

    def forward(
        self, probabilities: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor | float = 1.0
    ) -> torch.Tensor:
        """Return losses `(R,)`, or `(N, R)` without `batch`; inputs `(N, R, *sides)` are 0 outside the mask."""
        likeness = self._coefficient(probabilities, targets)
        return 1 - (likeness + self._coefficient(mask - probabilities, mask - targets)) / 2

    def _coefficient(self, p: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        axes = ([0] if self._batch else []) + list(range(2, p.ndim))
        both = (p * t).sum(axes)
        return (both + self._smooth) / ((p.square() + t.square()).sum(axes) - both + self._smooth)


def weighted_outputs(network: nn.Module, images: torch.Tensor, supervision: str) -> list[tuple[float, torch.Tensor]]:
    """Return all outputs to be trained with their weights, the final one first; see `models.outputs`."""
    if supervision == "none":
        return [(1.0, network(images))]
    outputs = supervised_outputs(network, images)
    if supervision == "published":
        return outputs
    weights = [1.0 if supervision == "equal" else 0.5**level for level in range(len(outputs))]
    total = 1.0 if supervision == "equal" else sum(weights)
    return [(weight / total, logits) for weight, (_, logits) in zip(weights, outputs, strict=True)]


def _known_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (values * mask).sum() / mask.expand_as(values).sum()


def _dice(config: LossConfig) -> nn.Module:
    loss: nn.Module = DiceLoss(
        squared_pred=config.denominators == "squared",
        batch=config.per == "batch",
        reduction="none",
        smooth_nr=config.smooth,
        smooth_dr=config.smooth,
    )
    return loss


def _generalised(config: LossConfig) -> nn.Module:
    loss: nn.Module = GeneralizedDiceLoss(
        batch=config.per == "batch", reduction="none", smooth_nr=config.smooth, smooth_dr=config.smooth
    )
    return loss


def _tversky(config: LossConfig) -> nn.Module:
    loss: nn.Module = TverskyLoss(
        alpha=config.false_positives,
        beta=config.false_negatives,
        batch=config.per == "batch",
        reduction="none",
        smooth_nr=config.smooth,
        smooth_dr=config.smooth,
    )
    return loss


_REGION_TERMS: dict[str, Callable[[LossConfig], nn.Module]] = {
    "dice": _dice,
    "generalised": _generalised,
    "tversky": _tversky,
    "tanimoto": lambda config: TanimotoLoss(config.smooth, batch=config.per == "batch"),
}
