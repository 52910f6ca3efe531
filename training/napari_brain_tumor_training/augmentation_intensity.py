"""Intensity augmentation: contrast, shading, noise, blur and resolution, independently for each sequence."""

from typing import Any

import torch
from monai.networks.layers.simplelayers import GaussianFilter
from torch.nn import functional

from napari_brain_tumor_training.config import AugmentationConfig

_SMOOTH: dict[int, Any] = {4: "bicubic", 5: "trilinear"}
_LINEAR: dict[int, Any] = {4: "bilinear", 5: "trilinear"}
_BLUR_SIGMA = (0.4, 1.3)
_KNOTS = (-2.5, 3.5, 7)
"""First grey level, last grey level and number of levels at which a curve is defined."""


def vary_intensities(images: torch.Tensor, config: AugmentationConfig, stacked: int = 1) -> torch.Tensor:
    """Change gamma, contrast and brightness and multiply by a smooth field, independently per sample and channel.

    Parameters
    ----------
    images : (N, C, [Z,] Y, X) float tensor
        Standardised intensities, mostly between -3 and 3.
    stacked : int
        Number of neighbouring slices along C; all slices of a sequence are changed alike.
    """
    spatial = [1] * (images.ndim - 2)
    channels = images.shape[1] // stacked
    shape = (images.shape[0], channels, *spatial)
    active = (torch.rand(shape[0], 1, *spatial) < config.intensity_probability).to(images)
    gamma = torch.exp(torch.empty(shape).uniform_(-1, 1) * config.gamma).to(images)
    contrast = torch.exp(torch.empty(shape).uniform_(-1, 1) * config.contrast).to(images)
    brightness = (torch.empty(shape).uniform_(-1, 1) * config.brightness).to(images)
    coarse = (torch.randn(*shape[:2], *[4] * len(spatial)) * config.bias_field).to(images)
    field = torch.exp(functional.interpolate(coarse, images.shape[2:], mode=_SMOOTH[images.ndim], align_corners=True))
    # Gamma and the field need non-negative values, so [-3, 3] is mapped to [0, 1] for them.
    gamma, contrast, brightness, field = (
        part.repeat(1, stacked, *spatial) for part in (gamma, contrast, brightness, field)
    )
    unit = ((images + 3) / 6).clamp(min=0)
    varied = (unit.pow(gamma) * field * 6 - 3) * contrast + brightness
    return images + active * (varied - images)


def remap(images: torch.Tensor, probability: float, stacked: int = 1) -> torch.Tensor:
    """Map the grey levels of images `(N, C, *sides)` through a random curve each, with this probability.

    Half of the curves rise, a quarter fall, and a quarter go up and down. The images then still show which tissues are
    adjacent, but not how bright any tissue is. Values of exactly zero are outside the head, and are kept. With
    `stacked` neighbouring slices along C, all slices of a sequence are changed alike.
    """
    channels = images.shape[1] // stacked
    pairs = torch.nonzero(torch.rand(len(images), channels) < probability)
    if not len(pairs):
        return images
    first, last, number = _KNOTS
    heights = torch.rand(len(pairs), number) * (last - first) + first
    kind = torch.rand(len(pairs), 1)
    rising = heights.sort(dim=1).values
    heights = torch.where(kind < 0.5, rising, torch.where(kind < 0.75, rising.flip(1), heights)).to(images)
    images = images.clone()
    for (sample, channel), curve in zip(pairs.tolist(), heights, strict=True):
        image = images[sample, channel::channels]
        place = ((image - first) / (last - first) * (number - 1)).clamp(0, number - 1 - 1e-4)
        low = place.long()
        images[sample, channel::channels] = torch.where(
            image == 0, 0, torch.lerp(curve[low], curve[low + 1], place - low)
        )
    return images


def blur(images: torch.Tensor, probability: float) -> torch.Tensor:
    """Blur images `(N, C, *sides)` with a Gaussian of 0.4 to 1.3 voxels, with this probability."""
    indices = _random_indices(images, probability)
    sigmas = torch.empty(len(indices)).uniform_(*_BLUR_SIGMA).tolist()
    images = images.clone() if len(indices) else images
    for index, sigma in zip(indices, sigmas, strict=True):
        images[index] = GaussianFilter(images.ndim - 2, sigma).to(images.device)(images[index][None])[0]
    return images


def lower_resolution(images: torch.Tensor, probability: float, largest: float) -> torch.Tensor:
    """Downsample images `(N, C, *sides)` by a random factor per axis and back, with this probability."""
    indices = _random_indices(images, probability)
    factors = torch.empty(len(indices), images.ndim - 2).uniform_(1, largest).tolist()
    images = images.clone() if len(indices) else images
    sides = images.shape[2:]
    for index, factor in zip(indices, factors, strict=True):
        fewer = [max(1, round(side / f)) for side, f in zip(sides, factor, strict=True)]
        coarse = functional.interpolate(images[index][None], fewer, mode="area")
        images[index] = functional.interpolate(coarse, sides, mode=_LINEAR[images.ndim], align_corners=False)[0]
    return images


def add_noise(images: torch.Tensor, probability: float, deviation: float) -> torch.Tensor:
    """Add Gaussian noise of this standard deviation to images `(N, C, *sides)`, with this probability."""
    active = torch.rand(len(images), *[1] * (images.ndim - 1)) < probability
    if not active.any():
        return images
    return images + active.to(images) * deviation * torch.randn_like(images)


def _random_indices(images: torch.Tensor, probability: float) -> list[int]:
    return [int(index) for index in torch.nonzero(torch.rand(len(images)) < probability)]
