"""One synthetic DICOM study, and one preparation of it, for all tests of the folder."""

from pathlib import Path

import pytest

from napari_brain_tumor import prepare
from napari_brain_tumor.preparation import PreparedStudy
from napari_brain_tumor.sample.examination import write_examination


@pytest.fixture(scope="session")
def examination(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A scout, T1, T1c, T2, two FLAIRs, all moved; and the motions from the world of T1c."""
    folder = tmp_path_factory.mktemp("exam") / "patient"
    return folder, write_examination(folder)


@pytest.fixture(scope="session")
def prepared(examination: tuple[Path, dict], tmp_path_factory: pytest.TempPathFactory) -> tuple[PreparedStudy, Path]:
    """The study, and the folder in which it is kept."""
    folder = tmp_path_factory.mktemp("prepared") / "study"
    return prepare(examination[0], output=folder, device="cpu"), folder
