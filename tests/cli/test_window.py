from pathlib import Path

import pytest

from napari_brain_tumor.cli import window
from napari_brain_tumor.cli.window import open_window, why_no_window


@pytest.mark.parametrize(
    ("environment", "platform", "opens"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
        ({}, "win32", True),
    ],
)
def test_a_window_opens_only_where_there_is_a_display(
    environment: dict[str, str], platform: str, opens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert (why_no_window(environment, platform) is None) is opens


def test_no_qt_binding_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install" in (why_no_window({"DISPLAY": ":0"}, "linux") or "")


def test_a_window_that_cannot_open_gives_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "WINDOW_MODULE", "napari_brain_tumor.no_such_module")
    words = open_window(tmp_path, tmp_path, tmp_path / "napari.log")
    assert words is not None
    assert "no_such_module" in words
    assert "exit code 1" in words
