"""The window is closed in the middle of everything: napari ends cleanly, and leaves nothing behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from napari_brain_tumor.io import open_segmentation

pytestmark = [
    pytest.mark.gui,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="asks for processes as POSIX does"),
]

PROGRAM = Path(__file__).with_name("closing_session.py")
COMPLAINTS = ("Traceback", "QThread", "QObject::", "already deleted", "has been deleted", "Fatal", "Segmentation fault")


def run_session(folder, *deeds):
    """What a session says that is closed in the middle of these deeds, line by line; it must end well."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONFAULTHANDLER": "1",
        "NAPARI_EXIT_ON_ERROR": "1",  # an error in a slot would only be a notification otherwise
        "BRAIN_TUMOR_HOME": str(folder / "home"),
    }
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), *deeds],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert [word for word in COMPLAINTS if word in done.stderr] == [], done.stderr
    return done.stdout.split()


def is_gone(pid, seconds=5.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_closing_amid_a_segmentation_a_watched_training_and_a_save_ends_cleanly(tmp_path):
    *_, worker, last = run_session(tmp_path, "segment", "watch", "save")
    assert last == "closed"
    assert is_gone(int(worker))
    saved = open_segmentation(tmp_path / "saved.nii.gz", "MSD")  # what was asked for is on the disk, and whole
    assert np.all(saved.data == 1)
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_closing_amid_a_comparison_ends_cleanly(tmp_path):
    assert run_session(tmp_path, "compare")[-1] == "closed"


def test_closing_amid_a_correction_whose_prompts_still_wait_ends_cleanly(tmp_path):
    *_, last = run_session(tmp_path, "correct")
    assert last == "closed"
