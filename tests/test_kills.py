"""A small share of `benchmarks/kills.py`: programs that are killed lose nothing and leave nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[1] / "benchmarks" / "kills.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="children are forked and killed by SIGKILL")
def test_nothing_is_lost_and_nothing_is_left_after_a_kill():
    command = [sys.executable, str(PROGRAM), "--kills", "7", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = done.stdout.splitlines()
    assert len(rows) == 8
    assert all(int(row[28:35]) == 1 for row in rows[1:])
