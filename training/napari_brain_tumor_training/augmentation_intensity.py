"""Change what samples look like: contrast, shading, noise, blur and resolution, each sequence on its own."""

from typing import Any

import torch
from monai.networks.layers.simplelayers import GaussianFilter
from torch.nn import functional

from napari_brain_tumor_training.config import AugmentationConfig

_SMOOTH: dict[int, Any] = {4: "bicubic", 5: "trilinear"}
_LINEAR: dict[int, Any] = {4: "bilinear", 5: "trilinear"}
_BLUR_SIGMA = (0.4, 1.3)
_KNOTS = (-2.5, 3.5, 7)
"""First, last and number of the grey levels at which a curve is drawn."""


def vary_intensities(images: torch.Tensor, config: AugmentationConfig, stacked: int = 1) -> torch.Tensor:
    """Change gamma, contrast, brightness and a smooth field, for each sample and channel on its own.

    Parameters
    ----------
    images : (N, C, [Z,] Y, X) float tensor
        Standardised intensities: most lie between -3 and 3.
    stacked : int
        Slices that follow each other along C; those of one sequence are changed alike.
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
    # Gamma and the field need values from 0 up: [-3, 3] is taken as [0, 1] for them.
    gamma, contrast, brightness, field = (
        part.repeat(1, stacked, *spatial) for part in (gamma, contrast, brightness, field)
    )
    unit = ((images + 3) / 6).clamp(min=0)
    varied = (unit.pow(gamma) * field * 6 - 3) * contrast + brightness
    return images + active * (varied - images)


def remap(images: torch.Tensor, probability: float, stacked: int = 1) -> torch.Tensor:
    """Images `(N, C, *sides)`, with the probability each put through a curve of grey levels of its own.

    Half of the curves rise, a quarter fall, a quarter go up and down: what is left is which tissue touches which, not
    how bright any of them is. What is exactly zero is outside, and stays it. Of `stacked` slices that follow each other
    along C, those of one sequence are changed alike.
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
    """Images `(N, C, *sides)`, with the probability blurred by a Gaussian of 0.4 to 1.3 voxels."""
    indices = _random_indices(images, probability)
    sigmas = torch.empty(len(indices)).uniform_(*_BLUR_SIGMA).tolist()
    images = images.clone() if len(indices) else images
    for index, sigma in zip(indices, sigmas, strict=True):
        images[index] = GaussianFilter(images.ndim - 2, sigma).to(images.device)(images[index][None])[0]
    return images


def lower_resolution(images: torch.Tensor, probability: float, largest: float) -> torch.Tensor:
    """Images `(N, C, *sides)`, with the probability made coarser by a factor of its own along each axis, and back."""
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
    """Images `(N, C, *sides)`, with the probability under Gaussian noise of that deviation."""
    active = torch.rand(len(images), *[1] * (images.ndim - 1)) < probability
    if not active.any():
        return images
    return images + active.to(images) * deviation * torch.randn_like(images)


def _random_indices(images: torch.Tensor, probability: float) -> list[int]:
    return [int(index) for index in torch.nonzero(torch.rand(len(images)) < probability)]
