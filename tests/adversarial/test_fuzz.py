"""A share of `benchmarks/fuzz` on every run of the tests, and proof that it sees every kind of fault."""

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.errors import UnreadableFileError

FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz"
FILES = 200

NEEDS_PROC = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_damaged_files_of_every_format_open_rightly_or_are_refused(tmp_path):
    out = tmp_path / "fuzz.json"
    command = [sys.executable, str(FUZZ), "--files", str(FILES), "--seed", "5", "--limit", "60", "--out", str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    told = json.loads(out.read_text())
    assert told["faults"] == []
    assert ended.returncode == 0
    assert sum(sum(row.values()) for row in told["counts"].values()) == FILES
    assert len(told["counts"]) == 14
    # It would find nothing either if it damaged nothing, or if every case were refused.
    kinds = {
        kind: sum(row.get(kind, 0) for row in told["counts"].values()) for kind in ("same", "different", "refused")
    }
    assert min(kinds.values()) > FILES // 20


@pytest.fixture
def fuzz(monkeypatch):
    """The modules of the command."""
    monkeypatch.syspath_prepend(str(FUZZ))
    names = ("cases", "values", "editors", "mutations", "forked")
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)


def crash(case):
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(case):
    time.sleep(60)


def foreign_error(case):
    raise KeyError("a")


def take_memory(case):
    return "intact" if np.ones(200 * 2**20, np.uint8).all() else ""


def take_memory_that_stays_resident(case):
    allocator = ctypes.CDLL(None)
    for threshold in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of glibc: from the heap, and not given back
        allocator.mallopt(threshold, 2**30)
    return take_memory(case)


def change_what_lies_beside(case):
    (case.parent / "outside.raw").unlink()
    return "intact"


def refuse(case):
    raise UnreadableFileError("damaged")


@pytest.mark.parametrize(
    ("open_case", "kind"),
    [
        (crash, "crash"),
        pytest.param(hang, "hang", marks=pytest.mark.slow),
        (foreign_error, "uncaught"),
        (lambda case: "other values", "silent"),
        (lambda case: "intact", "same"),
        (refuse, "refused"),
        (change_what_lies_beside, "outside"),
        pytest.param(take_memory, "memory", marks=NEEDS_PROC),
        pytest.param(take_memory_that_stays_resident, "memory", marks=NEEDS_PROC),
    ],
)
def test_what_comes_of_a_case_is_told_apart(fuzz, open_case, kind):
    content = bytes(range(256)) * 20
    seed = fuzz["cases"].Seed("x", "x", {"a.bin": content}, open_case, checked={"a.bin": ((0, len(content)),)})
    flips = [n for n in range(60) if fuzz["forked"].mutant_of(n, 1, [seed]).words == "a.bin: bits flipped"][:2]
    found = list(fuzz["forked"].run(flips, 1, [seed], ["intact"], limit_s=0.5 if kind == "hang" else 60))
    assert [(outcome.number, outcome.kind) for outcome in found] == [(number, kind) for number in flips]


def test_the_same_number_is_the_same_case(fuzz):
    content = bytes(range(256)) * 3
    seed = fuzz["cases"].Seed("x", "x", {"a.bin": content, "b.bin": content[::-1]}, refuse)
    first, second = ([fuzz["forked"].mutant_of(n, 3, [seed]) for n in range(40)] for _ in range(2))
    assert [m.files for m in first] == [m.files for m in second]
    assert len({m.words for m in first}) > 10
