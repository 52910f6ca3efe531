"""A process that edits labels is killed; what it had done is there again."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qtpy.QtCore", reason="needs a Qt binding")

from killed_edits import states

from napari_brain_tumor.autosave.layer_journal import recover
from napari_brain_tumor.autosave.sessions import journals, recover_all

PROGRAM = Path(__file__).with_name("killed_edits.py")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="children are killed by SIGKILL")


def start(home, *arguments):
    command = [sys.executable, str(PROGRAM), str(home), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def expected(tmp_path, count, seed):
    return [(layer.data.copy(), mirror.automatic.copy()) for layer, mirror in states(tmp_path / "same", count, seed)]


@pytest.mark.slow
@pytest.mark.parametrize(("count", "seed"), [(60, 1)])
def test_the_last_state_is_recovered_after_a_kill_also_with_a_torn_end(tmp_path, count, seed):
    home = tmp_path / "journal"
    child = start(home, count, seed, "kill")
    _, said = child.communicate(timeout=300)
    assert child.returncode == -signal.SIGKILL, said
    ((_, found),) = recover_all(journals(home))
    labels, automatic = expected(tmp_path, count, seed)[-1]
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.automatic, automatic)
    assert found.document["name"] == "truth"

    changes = sorted(found.folder.glob("*.changes"))[-1]
    whole = changes.read_bytes()
    changes.write_bytes(whole + b"C\x40\0\0\0 torn off in the middle")
    np.testing.assert_array_equal(recover(found.folder).labels, labels)


@pytest.mark.slow
def test_killed_at_any_moment_nothing_that_was_done_is_lost(tmp_path):
    count, seed = 100, 3
    steps = expected(tmp_path, count, seed)
    child = start(tmp_path / "journal", count, seed, "kill")
    done = int(child.stdout.readline())
    deadline = time.monotonic() + 0.15
    while time.monotonic() < deadline:
        line = child.stdout.readline()
        if not line:
            break
        done = int(line)
    child.kill()
    rest = [int(line) for line in child.stdout.read().split()]
    child.wait()
    done = rest[-1] if rest else done
    ((_, found),) = recover_all(journals(tmp_path / "journal"))
    # It may have been killed between writing a change down and telling of it.
    candidates = [labels for labels, _ in steps[done : done + 2]]
    assert any(np.array_equal(found.labels, labels) for labels in candidates)
