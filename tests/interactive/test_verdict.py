"""The small network that decides: as torch would compute it, and only for the evidence that it was made for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.interactive.evidence import FEATURES
from napari_brain_tumor.interactive.verdict import load_verdict, shipped_verdict


def test_verdict_computes_what_torch_computes() -> None:
    verdict = shipped_verdict()
    numbers = np.random.default_rng(0).standard_normal((70_000, len(FEATURES))).astype(np.float32)
    values = torch.from_numpy(numbers)
    for at, (weight, bias) in enumerate(zip(verdict.weights, verdict.biases, strict=True)):
        values = values @ torch.from_numpy(weight) + torch.from_numpy(bias)
        values = torch.relu(values) if at < len(verdict.weights) - 1 else torch.sigmoid(values)
    assert np.allclose(verdict(numbers), values[:, 0].numpy(), atol=1e-5)


def test_verdict_for_other_evidence_is_refused(tmp_path: Path) -> None:
    save_file({"weight0": np.zeros((3, 1), np.float32), "bias0": np.zeros(1, np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=f"expected layers for {len(FEATURES)} numbers"):
        load_verdict(tmp_path / "w.safetensors")


def test_verdict_that_is_ruined_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"w\.safetensors cannot be read"):
        load_verdict(tmp_path / "w.safetensors")
