"""The network of outlines learns in sessions of a simulated user."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interactive.outline_network import load_outline_network
from napari_brain_tumor.study import Study
from prompting.outline_training import OutlineTrainer, play
from prompting.outlines import uneven_start
from prompting.verdict import Start

SHAPE = (36, 32, 28)


class Phantom:
    """Shells within shells in a head, bright on FLAIR."""

    def __init__(self) -> None:
        grid = Grid(SHAPE, np.eye(4))
        far = np.linalg.norm(np.indices(SHAPE) - np.reshape([18, 16, 14], (3, 1, 1, 1)), axis=0)
        self.truth = ((far < 10).astype(np.uint8) + (far < 7) + (far < 4)).astype(np.uint8)
        noise = np.random.default_rng(0).standard_normal(SHAPE)
        flair = (5 + np.array([0, 3, 2, 2.5])[self.truth] + 0.3 * noise).astype(np.float32)
        self.study = Study({"FLAIR": flair * (far < 14)}, grid, brain=far < 14)
        self.regions = ("WT", "TC", "ET")

    def start(self, random: np.random.Generator) -> Start:
        if random.random() < 0.5:
            return Start(np.zeros_like(self.truth))
        return uneven_start(self.truth, self.study.grid, random)


@pytest.mark.slow
def test_the_network_learns_from_sessions_and_its_weights_are_read(tmp_path: Path) -> None:
    trainer, phantom = OutlineTrainer(width=8, seed=0), Phantom()
    while len(trainer.store) < 10:
        for _ in play(trainer, phantom):
            pass
    first = trainer.store[0]
    trainer.store.clear()
    trainer.store.extend([first] * 8)
    for _ in range(60):
        trainer.learn(0.0)
    losses = list(trainer.losses)
    assert np.mean(losses[-8:]) < 0.85 * np.mean(losses[:8])
    sample = first
    assert sample.truth.shape == sample.could.shape == sample.channels.shape[1:]
    save_file({name: value.half() for name, value in trainer.average.state_dict().items()}, tmp_path / "w.safetensors")
    network = load_outline_network(tmp_path / "w.safetensors")
    logits = network(sample.channels.float().numpy(), sample.facts.numpy())
    assert logits.shape == sample.truth.shape
    assert np.isfinite(logits).all()
