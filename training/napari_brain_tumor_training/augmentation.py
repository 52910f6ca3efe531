"""Vary samples: geometry, noise and blur through Kornia, intensities per sequence, and sequences taken away."""

import torch
from kornia import augmentation as kornia
from kornia.constants import DataKey, Resample
from torch import nn
from torch.nn import functional

from napari_brain_tumor_training.config import AugmentationConfig

__all__ = ["Augmentation", "drop_roles", "vary_intensities"]


class Augmentation(nn.Module):
    """Random variation of a batch; draws from torch's global generator.

    Parameters
    ----------
    config : AugmentationConfig
        How strong and how often.
    """

    def __init__(self, config: AugmentationConfig) -> None:
        super().__init__()
        self._config = config
        self._geometry = kornia.AugmentationSequential(
            kornia.RandomHorizontalFlip(p=config.flip_probability),
            kornia.RandomVerticalFlip(p=config.flip_probability),
            kornia.RandomAffine(config.rotation_degrees, scale=config.scale, p=config.affine_probability),
            data_keys=[DataKey.INPUT, DataKey.MASK],
            extra_args={DataKey.MASK: {"resample": Resample.NEAREST, "align_corners": None}},
        )
        self._quality = kornia.AugmentationSequential(
            kornia.RandomGaussianBlur((5, 5), (0.4, 1.3), p=config.blur_probability),
            kornia.RandomGaussianNoise(std=config.noise, p=config.noise_probability),
            data_keys=[DataKey.INPUT],
        )

    @torch.no_grad()
    def forward(
        self, images: torch.Tensor, targets: torch.Tensor, present: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Varied images `(N, C, Y, X)` and targets `(N, 3, Y, X)`; `present` `(N, C)` tells which roles there are."""
        images, targets = self._geometry(images, targets)
        inside = images != 0
        images = vary_intensities(images, self._config)
        images = self._quality(images) * inside
        keep = drop_roles(present, self._config.role_dropout)
        return images * keep[:, :, None, None], targets


def vary_intensities(images: torch.Tensor, config: AugmentationConfig) -> torch.Tensor:
    """Change gamma, contrast, brightness and a smooth field, for each sample and channel on its own.

    Parameters
    ----------
    images : (N, C, Y, X) float tensor
        Standardised intensities: most lie between -3 and 3.
    """
    shape = (*images.shape[:2], 1, 1)
    active = (torch.rand(shape[0], 1, 1, 1) < config.intensity_probability).to(images)
    gamma = torch.exp(torch.empty(shape).uniform_(-1, 1) * config.gamma)
    contrast = torch.exp(torch.empty(shape).uniform_(-1, 1) * config.contrast)
    brightness = torch.empty(shape).uniform_(-1, 1) * config.brightness
    coarse = torch.randn(*images.shape[:2], 4, 4) * config.bias_field
    field = torch.exp(functional.interpolate(coarse, images.shape[2:], mode="bicubic", align_corners=True))
    # Gamma and the field need values from 0 up: [-3, 3] is taken as [0, 1] for them.
    unit = ((images + 3) / 6).clamp(min=0)
    varied = (unit.pow(gamma) * field * 6 - 3) * contrast + brightness
    return images + active * (varied - images)


def drop_roles(present: torch.Tensor, probability: float) -> torch.Tensor:
    """Which roles are kept `(N, C)`, as floats: with the probability a random part is dropped, never all."""
    keep = present & (torch.rand(present.shape) < 0.5)
    order = torch.rand(present.shape).masked_fill(~present, -1)
    rescue = functional.one_hot(order.argmax(dim=1), present.shape[1]).bool()
    keep |= rescue & ~keep.any(dim=1, keepdim=True)
    dropped = torch.rand(len(present), 1) < probability
    return torch.where(dropped, keep, present).float()
