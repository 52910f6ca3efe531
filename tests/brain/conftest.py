"""A brain network that everybody understands, in place of the shipped one."""

import numpy as np
import pytest

from models_for_tests import tiny_model
from napari_brain_tumor.brain import network
from napari_brain_tumor.progress import Progress


@pytest.fixture
def given_brain(monkeypatch, tmp_path):
    """A function: from now on the network finds exactly that mask, `(X, Y, Z)` on the study's grid."""
    model = tiny_model(tmp_path / "brain-network", target="brain")[0]

    def find(mask):
        def probabilities(study, small, device="auto"):
            yield Progress(0.5, 1, "looking")
            return small.averaged(np.asarray(mask))

        monkeypatch.setattr(network, "brain_probabilities", probabilities)
        monkeypatch.setattr(network, "brain_model", lambda: model)
        monkeypatch.setattr("napari_brain_tumor.records.brain.brain_model", lambda: model)

    return find
