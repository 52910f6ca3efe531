"""Random augmentation of samples: geometry, appearance, and which sequences are present."""

import torch
from torch import nn
from torch.nn import functional

from napari_brain_tumor_training.augmentation_geometry import flip, warp
from napari_brain_tumor_training.augmentation_intensity import (
    add_noise,
    blur,
    lower_resolution,
    remap,
    vary_intensities,
)
from napari_brain_tumor_training.config import AugmentationConfig

__all__ = ["vary_intensities"]


class Augmentation(nn.Module):
    """Random augmentation of a batch of slices or sub-volumes, on the device that holds them.

    Parameters are drawn from torch's global generator on the CPU, noise from the generator of the device.

    Parameters
    ----------
    config : AugmentationConfig
        Strength and probability of each kind of augmentation.
    """

    def __init__(self, config: AugmentationConfig) -> None:
        super().__init__()
        self._config = config

    @torch.no_grad()
    def forward(
        self, images: torch.Tensor, masks: torch.Tensor, present: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return augmented images and masks.

        Parameters
        ----------
        images : (N, C, [Z,] Y, X) tensor
            Images; slices with neighbours are `(N, (2 n + 1) C, Y, X)`, stacked as by `models.neighbours`.
        masks : (N, M, [Z,] Y, X) tensor
            Anything that moves with the images: targets, and masks of where they are known.
        present : (N, C) bool tensor
            Sequences that each sample has.
        """
        config = self._config
        images, masks = flip(images, masks, config.flip_probability)
        images, masks = warp(images, masks, config)
        inside = images != 0
        stacked = images.shape[1] // present.shape[1]
        images = remap(images, config.remap_probability, stacked)
        images = vary_intensities(images, config, stacked)
        images = lower_resolution(images, config.low_resolution_probability, config.low_resolution)
        images = blur(images, config.blur_probability)
        images = add_noise(images, config.noise_probability, config.noise) * inside
        keep = drop_roles(present, config.role_dropout).repeat(1, stacked)
        if stacked > 1:
            keep = keep * drop_neighbours(len(images), stacked, config.neighbour_dropout).repeat_interleave(
                present.shape[1], dim=1
            )
        keep = keep.to(images)
        return images * keep.reshape(*keep.shape, *[1] * (images.ndim - 2)), masks


def drop_neighbours(count: int, stacked: int, probability: float) -> torch.Tensor:
    """Return which stacked slices to keep `(N, stacked)`, as floats: all, or with this probability only the middle."""
    keep = torch.ones(count, stacked)
    alone = torch.rand(count) < probability
    keep[alone] = functional.one_hot(torch.tensor(stacked // 2), stacked).float()
    return keep


def drop_roles(present: torch.Tensor, probability: float) -> torch.Tensor:
    """Return which sequences to keep `(N, C)`, as floats: at this probability a random subset, but never none."""
    present = present.cpu()
    keep = present & (torch.rand(present.shape) < 0.5)
    order = torch.rand(present.shape).masked_fill(~present, -1)
    rescue = functional.one_hot(order.argmax(dim=1), present.shape[1]).bool()
    keep |= rescue & ~keep.any(dim=1, keepdim=True)
    dropped = torch.rand(len(present), 1) < probability
    return torch.where(dropped, keep, present).float()
