"""What several tests of commands share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_brain_tumor import cli


@pytest.fixture
def run(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process, in the temporary folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return int(stopped.value.code or 0), out, err

    return call
