"""What runs is seen from every tab but its own, and each job is cancelled alone."""

import pytest

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from napari_brain_tumor.widgets.dock.jobs import RunBar, RunningJobs
from napari_brain_tumor.widgets.dock.state import JobFacts

pytestmark = pytest.mark.gui

PATIENCE_MS = 5000


def test_each_running_job_has_a_row_and_a_cancel_of_its_own(qtbot):
    jobs, cancelled = RunningJobs(), []
    bar = RunBar(jobs, lambda: "compare")
    qtbot.addWidget(bar)
    jobs.put(JobFacts("Segmenting", "slice 3 of 9", 0.5, "about 4 s left"), "segment", lambda: cancelled.append("s"))
    jobs.begin("Measuring", "", lambda: cancelled.append("m"))
    jobs.begin("Comparing", "compare", lambda: cancelled.append("c"))  # its own tab shows it
    assert bar.rows == {}  # nothing flashes
    qtbot.waitUntil(lambda: set(bar.rows) == {"Segmenting", "Measuring"}, timeout=PATIENCE_MS)
    assert not bar.isHidden()
    assert bar.rows["Segmenting"].label.text() == "Segmenting: slice 3 of 9, about 4 s left"
    assert bar.rows["Segmenting"].bar.value() == 500
    bar.rows["Measuring"].cancel_button.click()
    assert cancelled == ["m"]
    jobs.end("Segmenting")
    assert set(bar.rows) == {"Measuring"}
    jobs.end("Measuring")
    assert bar.rows == {}
    assert bar.isHidden()
