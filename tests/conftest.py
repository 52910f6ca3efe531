"""Fixtures for every test; builders of phantoms are in `phantoms.py`."""

import os
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real cases beside the repository; a test that needs it is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real cases (../shared/data) are not beside this repository")
    return folder
