"""Fixtures for every test; builders of phantoms are in `phantoms.py`."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# No test sees, or changes, the settings of napari of whoever runs them; read once, when napari is loaded.
os.environ["NAPARI_CONFIG"] = ""

# The same examples on every machine and in every run.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True, scope="session")
def own_models_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees, or adds to, the models of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAIN_TUMOR_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True, scope="module")
def _no_collection_walks_through_the_libraries() -> None:
    """Leave out of garbage collection what lives already: most of a million objects, and napari collects often."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_disks() -> Iterator[None]:
    """Files that no power cut threatens need not reach the disk; a handle that is none is an error as ever."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: os.fstat(handle) and None)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real cases beside the repository; a test that needs it is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real cases (../shared/data) are not beside this repository")
    return folder


@pytest.fixture(scope="session")
def small_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the shipped sample in voxels of 4 mm, its files named as they are shipped."""
    from small_sample import write_small_sample

    return write_small_sample(tmp_path_factory.mktemp("small"))


@pytest.fixture
def given_brain(monkeypatch, tmp_path):
    """A function: from now on the brain network finds exactly that mask, `(X, Y, Z)` on the study's grid."""
    from models_for_tests import tiny_model
    from napari_brain_tumor.brain import network
    from napari_brain_tumor.progress import Progress

    model = tiny_model(tmp_path / "brain-network", target="brain")[0]

    def find(mask):
        def probabilities(study, small, device="auto"):
            yield Progress(0.5, 1, "looking")
            return small.averaged(np.asarray(mask))

        monkeypatch.setattr(network, "brain_probabilities", probabilities)
        monkeypatch.setattr(network, "brain_model", lambda: model)
        monkeypatch.setattr("napari_brain_tumor.records.brain.brain_model", lambda: model)

    return find
