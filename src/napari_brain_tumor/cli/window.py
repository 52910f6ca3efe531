"""A window of napari in a process of its own: this one must not load Qt."""

import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from napari_brain_tumor.interpreter import module_command, safe_environment

WINDOW_MODULE: Final = "napari_brain_tumor.widgets.show"
"""What `python -m` runs there."""

_QT_BINDINGS: Final = ("PyQt6", "PySide6", "PyQt5")
_SECONDS_TO_FAIL: Final = 6.0
"""A window that cannot open says so within this time."""


def why_no_window(environment: Mapping[str, str], platform: str = sys.platform) -> str | None:
    """Why napari cannot open a window here, or None where it can."""
    on_desktop = platform in ("darwin", "win32") or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    if not on_desktop:
        return "there is no display"
    if not any(importlib.util.find_spec(name) for name in _QT_BINDINGS):
        return 'no Qt binding is installed (pip install "napari-brain-tumor[all]")'
    return None


def open_window(case: Path, segmentation: Path, log: Path) -> str | None:
    """Open napari in a process of its own, which stays when this one ends; return its last words if it failed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            module_command(WINDOW_MODULE, str(case), str(segmentation)),
            env=safe_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        code = process.wait(timeout=_SECONDS_TO_FAIL)
    except subprocess.TimeoutExpired:
        return None
    words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"{words[-1] if words else 'no message'} (exit code {code}, see {log})" if code else None
