"""Losses over regions where the truth may be partial."""

import torch
from monai.losses.dice import DiceLoss
from torch import nn
from torch.nn import functional

__all__ = ["PartialRegionLoss"]


class PartialRegionLoss(nn.Module):
    """Soft Dice over the batch plus binary cross entropy, of the regions that each sample knows.

    The Dice of a region sums over all samples that know it (`batch=True` in MONAI), with 1 added above and below,
    so that samples without tumour pull gently; the cross entropy is the mean over known voxels.
    """

    def __init__(self) -> None:
        super().__init__()
        self._dice = DiceLoss(batch=True, reduction="none", smooth_nr=1.0, smooth_dr=1.0)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Loss of logits `(N, R, *sides)` against targets of the same shape; `known` is `(N, R)`."""
        weights = known.to(logits).reshape(*known.shape, *[1] * (logits.ndim - 2))
        regions = known.any(dim=0).to(logits)
        if not regions.any():
            return logits.sum() * 0
        dice = self._dice(torch.sigmoid(logits) * weights, targets * weights).reshape(-1)
        entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none") * weights
        mean_entropy = entropy.sum() / (weights.expand_as(logits).sum())
        loss: torch.Tensor = (dice * regions).sum() / regions.sum() + mean_entropy
        return loss
