"""Spatial augmentation: flips, and a single resampling for rotation, scaling and elastic deformation.

MONAI resamples once for every transformation, and cannot deform batches of volumes on a GPU.
"""

from typing import Any

import torch
from torch.nn import functional

from napari_brain_tumor_training.config import AugmentationConfig

_SMOOTH: dict[int, Any] = {2: "bicubic", 3: "trilinear"}


def flip(images: torch.Tensor, masks: torch.Tensor, probability: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mirror each sample of images and masks `(N, ., *sides)` along each axis with this probability."""
    for axis in range(2, images.ndim):
        flipped = torch.rand(len(images)) < probability
        if flipped.any():
            flipped = flipped.reshape(-1, *[1] * (images.ndim - 1)).to(images.device)
            images = torch.where(flipped, images.flip(axis), images)
            masks = torch.where(flipped, masks.flip(axis), masks)
    return images, masks


def warp(images: torch.Tensor, masks: torch.Tensor, config: AugmentationConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate, scale and deform images (linear) and masks (nearest) `(N, ., *sides)`; zeros fill in from outside."""
    moved = torch.rand(len(images)) < config.affine_probability
    bent = torch.rand(len(images)) < config.elastic_probability
    warped = torch.nonzero(moved | bent).flatten()
    if not len(warped):
        return images, masks
    sides = images.shape[2:]
    matrices = torch.where(moved[:, None, None], _affine(len(images), sides, config), _identity(len(images), sides))
    places = functional.affine_grid(matrices[warped], [len(warped), 1, *sides], align_corners=False)
    if bent.any():
        places = places + bent[warped].reshape(-1, *[1] * (images.ndim - 1)) * _bending(len(warped), sides, config)
    places, warped = places.to(images), warped.to(images.device)
    images, masks = images.clone(), masks.clone()
    images[warped] = functional.grid_sample(images[warped], places, mode="bilinear", align_corners=False)
    masks[warped] = functional.grid_sample(masks[warped], places, mode="nearest", align_corners=False)
    return images, masks


def _identity(count: int, sides: torch.Size) -> torch.Tensor:
    return torch.eye(len(sides), len(sides) + 1).expand(count, -1, -1)


def _affine(count: int, sides: torch.Size, config: AugmentationConfig) -> torch.Tensor:
    """Return matrices `(N, dims, dims + 1)` for `affine_grid`, from positions in the result to those in the sample."""
    low, high = config.scale
    turns = _rotations(count, len(sides), config) / torch.empty(count, 1, 1).uniform_(low, high)
    # Rotations are in voxels, while the coordinates of `affine_grid` are in half side lengths, x first.
    half = torch.tensor(sides[::-1]) / 2
    matrices = turns * half[None, None, :] / half[None, :, None]
    return functional.pad(matrices, (0, 1))


def _rotations(count: int, dims: int, config: AugmentationConfig) -> torch.Tensor:
    """Return rotation matrices `(N, dims, dims)`, as exponentials of skew-symmetric matrices, with x as first axis."""
    turn = torch.deg2rad(torch.empty(count).uniform_(-1, 1) * config.rotation_degrees)
    zero = torch.zeros(count)
    if dims == 2:
        flat: torch.Tensor = torch.linalg.matrix_exp(torch.stack([zero, turn, -turn, zero], 1).reshape(-1, 2, 2))
        return flat
    tilts = torch.deg2rad(torch.empty(2, count).uniform_(-1, 1) * config.tilt_degrees)
    x, y = tilts
    skew = torch.stack([zero, -turn, y, turn, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    matrices: torch.Tensor = torch.linalg.matrix_exp(skew)
    return matrices


def _bending(count: int, sides: torch.Size, config: AugmentationConfig) -> torch.Tensor:
    """Return elastic displacements `(N, *sides, dims)` in half side lengths, x first."""
    dims = len(sides)
    coarse = torch.randn(count, dims, *[config.elastic_points] * dims) * config.elastic
    smooth = functional.interpolate(coarse, sides, mode=_SMOOTH[dims], align_corners=True)
    return smooth.movedim(1, -1) / (torch.tensor(sides[::-1]) / 2)
