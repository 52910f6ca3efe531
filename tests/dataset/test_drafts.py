import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.dataset import MadeBy
from napari_brain_tumor.dataset.drafts import (
    Draft,
    DraftRecord,
    draft_path,
    forget_draft,
    keep_draft,
    read_draft,
)
from napari_brain_tumor.errors import UnreadableFileError

ENDLESS_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_drafts import make_draft
from napari_brain_tumor.dataset.drafts import keep_draft
value = 0
while True:
    value = value % 100 + 1
    keep_draft(Path(sys.argv[1]), make_draft(value))
    print(value, flush=True)
"""


def make_draft(value=1, shape=(12, 40, 40)):
    """A draft with a block of the value, as many voxels wide as the value tells."""
    labels = np.zeros(shape, np.uint8)
    labels[3:9, 5:30, 7:22] = value
    base = MadeBy(kind="model", model="unet", model_sha256="a" * 64)
    record = DraftRecord(case="p1", label_sha256="b" * 64, base=base, made_at=datetime(2026, 1, 1, tzinfo=UTC))
    return Draft(record, labels)


def test_draft_comes_back_as_it_was(tmp_path):
    keep_draft(tmp_path, make_draft(2))
    found = read_draft(tmp_path, "p1")
    np.testing.assert_array_equal(found.labels, make_draft(2).labels)
    assert found.record == make_draft(2).record
    assert draft_path(tmp_path, "p1").stat().st_size < 3000


def test_draft_of_nothing_but_background_is_kept_too(tmp_path):
    keep_draft(tmp_path, make_draft(0))
    assert read_draft(tmp_path, "p1").labels.shape == (12, 40, 40)
    assert not read_draft(tmp_path, "p1").labels.any()


def test_forgotten_draft_is_gone_and_may_be_forgotten_again(tmp_path):
    keep_draft(tmp_path, make_draft())
    forget_draft(tmp_path, "p1")
    forget_draft(tmp_path, "p1")
    assert read_draft(tmp_path, "p1") is None


def test_damaged_draft_is_told(tmp_path):
    keep_draft(tmp_path, make_draft())
    draft_path(tmp_path, "p1").write_bytes(b"PK half a file")
    with pytest.raises(UnreadableFileError, match="is damaged"):
        read_draft(tmp_path, "p1")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("after_s", [0.0, 0.013, 0.031])
def test_killed_writer_leaves_a_whole_draft(tmp_path, after_s):
    writer = subprocess.Popen(
        [sys.executable, "-c", ENDLESS_WRITER, str(tmp_path), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert writer.stdout.readline() == "1\n"
    time.sleep(after_s)
    writer.send_signal(signal.SIGKILL)
    told = [1, *map(int, writer.stdout.read().split())]
    writer.wait()
    found = read_draft(tmp_path, "p1").labels
    value = int(found.max())
    assert value in (told[-1], told[-1] % 100 + 1)  # the last one that was told, or the one under way
    np.testing.assert_array_equal(found, make_draft(value).labels)
