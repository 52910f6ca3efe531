"""Fixtures for every test; builders of phantoms are in `phantoms.py`."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real cases beside the repository; a test that needs it is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real cases (../shared/data) are not beside this repository")
    return folder
