"""The network that carries an outline to neighbouring slices, for training; `interactive.outline_network` runs it."""

from typing import Final

import torch
from torch import Tensor, nn

from napari_brain_tumor.interactive.outline_network import CHANNELS, FACTS

FOLD: Final = 2


class _Block(nn.Module):
    """Two convolutions with group norm before each ReLU, and a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(inputs, outputs, 3, padding=1, bias=False)
        self.first_norm = nn.GroupNorm(4, outputs)
        self.second = nn.Conv3d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.GroupNorm(4, outputs)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv3d(inputs, outputs, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        inner = torch.relu(self.first_norm(self.first(features)))
        return torch.relu(self.second_norm(self.second(inner)) + self.shortcut(features))


class OutlineNetwork(nn.Module):
    """Predict the logits of a region in the block around an outline.

    Parameters
    ----------
    width : int
        Number of features at the first of three levels; the others have twice and four times as many.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        folded = len(CHANNELS) * FOLD**3
        self.stem = nn.Conv3d(folded, width, 1)
        self.facts = nn.Linear(FACTS, width)
        self.down = nn.ModuleList([nn.Conv3d(width * n, 2 * width * n, 2, stride=2) for n in (1, 2)])
        self.encoder = nn.ModuleList([_Block(width * n, width * n) for n in (1, 2, 4)])
        self.up = nn.ModuleList([nn.ConvTranspose3d(2 * width * n, width * n, 2, stride=2) for n in (2, 1)])
        self.decoder = nn.ModuleList([_Block(2 * width * n, width * n) for n in (2, 1)])
        self.head = nn.Conv3d(width + folded, FOLD**3, 1)

    def forward(self, volume: Tensor, facts: Tensor) -> Tensor:
        """Return logits `(B, D, H, W)` for channels `(B, C, D, H, W)` and facts `(B, F)`; sides are multiples of 8."""
        folded = _fold(volume)
        features = torch.relu(self.stem(folded) + self.facts(facts)[:, :, None, None, None])
        skips: list[Tensor] = []
        for level, encoder in enumerate(self.encoder):
            features = encoder(features)
            if level < len(self.down):
                skips.append(features)
                features = self.down[level](features)
        for up, decoder in zip(self.up, self.decoder, strict=True):
            features = decoder(torch.cat([up(features), skips.pop()], dim=1))
        return _unfold(self.head(torch.cat([features, folded], dim=1)))


def _fold(volume: Tensor) -> Tensor:
    batch, channels, *sides = volume.shape
    d, h, w = (side // FOLD for side in sides)
    cubes = volume.reshape(batch, channels, d, FOLD, h, FOLD, w, FOLD)
    return cubes.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, channels * FOLD**3, d, h, w)


def _unfold(folded: Tensor) -> Tensor:
    batch, _, d, h, w = folded.shape
    cubes = folded.reshape(batch, FOLD, FOLD, FOLD, d, h, w).permute(0, 4, 1, 5, 2, 6, 3)
    return cubes.reshape(batch, d * FOLD, h * FOLD, w * FOLD)
