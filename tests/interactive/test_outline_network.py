"""The network of outlines: as torch would compute it, and only for the channels that it was made for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.interactive.outline_network import (
    CHANNELS,
    FACTS,
    OutlineNetwork,
    load_outline_network,
)
from prompting.outline_network import OutlineNetwork as TrainedNetwork


@pytest.mark.parametrize("sides", [(16, 24, 8), (8, 8, 40)])
def test_network_computes_what_torch_computes(sides: tuple[int, int, int]) -> None:
    torch.manual_seed(1)
    trained = TrainedNetwork(8).eval()
    with torch.no_grad():  # norms and biases as no fresh network has them
        for parameter in trained.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    random = np.random.default_rng(0)
    volume = random.standard_normal((len(CHANNELS), *sides)).astype(np.float32)
    facts = random.standard_normal(FACTS).astype(np.float32)
    network = OutlineNetwork({name: value.numpy() for name, value in trained.state_dict().items()})
    with torch.inference_mode():
        expected = trained(torch.from_numpy(volume)[None], torch.from_numpy(facts)[None])[0].numpy()
    np.testing.assert_allclose(network(volume, facts), expected, atol=1e-4)


def test_weights_for_other_channels_are_refused(tmp_path: Path) -> None:
    save_file({"stem.weight": np.zeros((8, 24, 1, 1, 1), np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=f"24 inputs; expected {8 * len(CHANNELS)}"):
        load_outline_network(tmp_path / "w.safetensors")


def test_weights_that_are_ruined_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"w\.safetensors cannot be read"):
        load_outline_network(tmp_path / "w.safetensors")
