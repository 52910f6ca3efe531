"""Small networks with known behaviour, as installed checkpoints."""

from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.models.cards import Card, ModelInfo
from napari_brain_tumor.models.checkpoint import save_checkpoint
from napari_brain_tumor.models.registry import build_network
from napari_brain_tumor.study import ROLES


def card(**changes) -> Card:
    values = {
        "name": "tiny",
        "title": "Tiny",
        "architecture": "unet",
        "arguments": {"width": 4, "levels": 3},
        "dims": 2,
        "roles": list(ROLES),
        "regions": list(REGIONS),
        "parameters": 1,
        "licence": "test",
        "created": datetime(2026, 1, 1, tzinfo=UTC),
        "weights_sha256": "0" * 64,
    }
    return Card(**(values | changes))


def lively(network: nn.Module, seed: int) -> nn.Module:
    """Weights and batch norm statistics as a trained network might have them, far from their start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
                module.weight.uniform_(0.7, 1.4, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
    return network.eval()


def tiny_model(folder: Path, seed: int = 0, *, half: bool = True, **changes) -> tuple[ModelInfo, nn.Module]:
    """A checkpoint with random weights in the folder, and the network that it holds."""
    torch.manual_seed(seed)
    description = card(**changes)
    channels = len(description.roles), len(description.regions)
    network = build_network(description.architecture, *channels, description.dims, description.arguments)
    network = lively(network, seed)
    description = description.model_copy(update={"parameters": sum(p.numel() for p in network.parameters())})
    return save_checkpoint(folder, network.state_dict(), description, half=half), network
