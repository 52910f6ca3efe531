"""Batch norm for spatially constant maps that can be trained with one image at a time.

After global pooling all pixels of a map have the same value. With one image per batch, plain batch norm subtracts this
value from itself: in training the branch contributes nothing, and the running variance decays to zero, so that in
evaluation any noise is amplified by 1 / sqrt(eps), about 300 times.
"""

import torch
from torch import nn
from torch.nn import functional

from napari_brain_tumor.models.blocks import Dims

_MOMENTUM = 0.1


class _SteadyBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm that, for a single image, normalises by running statistics updated with that image.

    The running variance is the exponentially weighted variance across images rather than within one, so variation
    between images is preserved. No value in a training step can then exceed sqrt((1 - momentum) / momentum) = 3
    standard deviations. With several images, and in evaluation, it is plain batch norm; parameters and buffers are the
    same.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 (the name is that of the base class)
        """Return normalised maps `(N, C, *sides)`."""
        if not self.training or input.shape[0] > 1:
            return super().forward(input)
        self._observe(input.detach())
        # Copies, because the next step may change the statistics before this one has been differentiated.
        mean, variance = self.running_mean.clone(), self.running_var.clone()
        return functional.batch_norm(input, mean, variance, self.weight, self.bias, False, 0.0, self.eps)

    @torch.no_grad()
    def _observe(self, x: torch.Tensor) -> None:
        axes = (0, *range(2, x.ndim))
        deviation = x.to(self.running_mean.dtype) - self.running_mean.reshape(1, -1, *[1] * (x.ndim - 2))
        self.running_var.add_(_MOMENTUM * deviation.square().mean(axes)).mul_(1 - _MOMENTUM)
        self.running_mean.add_(_MOMENTUM * deviation.mean(axes))
        self.num_batches_tracked.add_(1)


class SteadyBatchNorm2d(_SteadyBatchNorm, nn.BatchNorm2d):
    """Version for maps `(N, C, Y, X)`."""


class SteadyBatchNorm3d(_SteadyBatchNorm, nn.BatchNorm3d):
    """Version for maps `(N, C, Z, Y, X)`."""


def steady_batch_norm(dims: Dims, channels: int) -> nn.Module:
    """Return the layer for maps with that number of dimensions."""
    return {2: SteadyBatchNorm2d, 3: SteadyBatchNorm3d}[dims](channels, momentum=_MOMENTUM)
