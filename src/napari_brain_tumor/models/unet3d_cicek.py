"""3D U-Net (Cicek, Abdulkadir, Lienkamp, Brox, Ronneberger 2016, arXiv:1606.06650), in 3D and 2D."""

import torch
from torch import nn

from napari_brain_tumor.models.blocks import (
    Dims,
    convolution,
    double_convolution,
    max_pooling,
    padded_to,
    through_skips,
    up_convolution,
)


class CicekUNet(nn.Module):
    """3D U-Net: four resolutions, features doubled before each pooling, batch norm before each ReLU.

    Differences from the paper: zero padding instead of valid convolutions, so that the output has the size of the
    input; the weighted softmax is left to the loss. The paper states 19,069,955 parameters for 3 input and 3 output
    channels: this is the number of weights and biases of the convolutions, without biases in the up-convolutions.
    Including the 4,672 scales and shifts of the batch norms, this network has 19,074,627.

    Parameters
    ----------
    in_channels : int
        Number of input channels.
    out_channels : int
        Number of output maps (logits).
    dims : {2, 3}
        Number of spatial dimensions of the images.
    width : int
        Features of the very first convolution; 32 in the paper.
    levels : int
        Number of resolutions; 4 in the paper.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, dims: Dims = 3, width: int = 32, levels: int = 4
    ) -> None:
        super().__init__()
        features = [2 * width * 2**level for level in range(levels)]
        inputs = [in_channels, *features[:-1]]
        self.multiple = 2 ** (levels - 1)
        self.pool = max_pooling(dims)
        self.encoder = nn.ModuleList(
            double_convolution(dims, before, after, "batch", bias=True, middle=after // 2)
            for before, after in zip(inputs, features, strict=True)
        )
        deep, shallow = features[:0:-1], features[-2::-1]
        # Without bias, to match the number of parameters stated in the paper.
        self.up = nn.ModuleList(up_convolution(dims, below, below, bias=False) for below in deep)
        self.decoder = nn.ModuleList(
            double_convolution(dims, below + beside, beside, "batch", bias=True)
            for below, beside in zip(deep, shallow, strict=True)
        )
        self.head = convolution(dims, features[0], out_channels, size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, out_channels, [Z,] Y, X)` for images `(N, in_channels, [Z,] Y, X)` of any size."""
        x, crop = padded_to(x, self.multiple)
        x = through_skips(x, self.encoder, self.pool, self.up, self.decoder)
        logits: torch.Tensor = self.head(x)[crop]
        return logits
