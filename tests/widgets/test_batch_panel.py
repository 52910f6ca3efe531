"""Many cases in the window: what is listed, run, shown of each, and opened."""

import csv
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from panel_cases import make_model

from napari_brain_tumor.batch import CaseProgress, CaseRow
from napari_brain_tumor.catalogue import find_model
from napari_brain_tumor.errors import RecordError, UnreadableFileError
from napari_brain_tumor.io import save_segmentation
from napari_brain_tumor.measure.volumes import measure_volumes
from napari_brain_tumor.preflight.costs import MeasuredCost, key_of, usual_cost
from napari_brain_tumor.progress import Progress, run_job
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Segmentation
from phantoms import tumour, write_brats_case

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from napari_brain_tumor.widgets import batch_state as state
from napari_brain_tumor.widgets.worker import Stop

SHAPE = (7, 6, 5)
PATIENCE_MS = 20_000
SETTINGS = state.BatchSettings(SegmentRequest(model="threshold"), find_model("threshold"))


class Here:
    """A worker whose batch is done in this process: every case gets one label file, the last one fails."""

    def run(self, target, cases, output, model, device, **options):
        assert target == "napari_brain_tumor.batch:segment_many_job"
        return Steps(_batch(cases, output))


class Steps:
    def __init__(self, job):
        self._job = job

    def __next__(self):
        return next(self._job)

    def cancel(self):
        pass


def _batch(cases, output):
    from napari_brain_tumor.io import open_study

    rows = []
    for number, case in enumerate(cases):
        yield CaseProgress(number + 0.5, len(cases), f"{case.name}: segmenting", "", number)
        if number + 1 == len(cases):
            rows.append(CaseRow(str(case), "failed", error="It holds no scan."))
        else:
            study = open_study(case)
            labels = Segmentation(tumour(SHAPE), study.grid, case.name)
            path = Path(save_segmentation(labels, output / f"{case.name}_segmentation.nii.gz"))
            rows.append(CaseRow(str(case), "done", str(path), "threshold", measure_volumes(labels)))
        yield CaseProgress(number + 1, len(cases), case.name, "", number, rows[-1])
    return tuple(rows)


@pytest.fixture
def folder(tmp_path):
    for name in ("anna", "bert", "cora"):
        write_brats_case(tmp_path / "cohort" / name, None, SHAPE)
    return tmp_path / "cohort"


def test_places_in_one_case_are_no_setting_for_many():
    request = SegmentRequest(seeds=((1, 2, 3),), box=(0, 1, 0, 1, 0, 1), brain=np.ones((2, 2, 2), bool), flips=True)
    many = state.request_for_many(request, make_model())
    assert (many.seeds, many.box, many.brain, many.model, many.flips) == ((), None, "auto", "test", True)
    assert not state.request_for_many(request, find_model("threshold")).flips


def test_cases_are_found_and_a_folder_without_any_is_refused(folder, tmp_path):
    assert [case.name for case in state.cases_in(folder)] == ["anna", "bert", "cora"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableFileError, match="holds no case"):
        state.cases_in(tmp_path / "empty")


def test_what_lacks_is_said_before_anything_runs(folder):
    batch = state.Batch.of(state.cases_in(folder))
    assert "Choose a folder of cases" in state.obstacle_of(state.Batch(), "", "", SETTINGS)
    assert "folder for the results" in state.obstacle_of(batch, str(folder), "", SETTINGS)
    assert "among the scans" in state.obstacle_of(batch, str(folder), str(folder), SETTINGS)
    assert state.obstacle_of(batch, str(folder), str(folder / "out"), SETTINGS) == ""
    with pytest.raises(RecordError, match="Choose"):
        state.lines_of("", "", SETTINGS, skip_existing=True)
    lines = state.lines_of(str(folder), "out", SETTINGS, skip_existing=True)
    assert lines.arguments[:2] == ("segment", str(folder))
    assert "--skip-existing" in lines.arguments


def test_rows_say_what_became_of_each_case():
    batch = state.Batch.of([Path("anna"), Path("bert"), Path("cora")])
    failed = CaseRow("bert", "failed", error="It holds no scan.")
    after = batch.after([CaseProgress(1, 3, number=1, row=failed), CaseProgress(1.2, 3, number=2)])
    assert [state.row_texts(after, at, running=True)["state"] for at in range(3)] == ["", "failed", "running…"]
    assert state.row_texts(after, 1, running=False)["note"] == "It holds no scan."
    assert state.row_texts(after, 2, running=False)["state"] == ""
    assert state.summary(after) == "1 failed, 2 not started."


def test_a_cancelled_batch_leaves_its_table(folder, tmp_path):
    stop, steps = Stop(), deque()
    cases = state.cases_in(folder)
    job = state.batch_job(Here(), stop, cases, tmp_path / "out", SETTINGS, skip_existing=True, steps=steps)
    next(job)
    assert isinstance(next(job), Progress)
    stop.request()
    job.close()
    with (tmp_path / "out" / state.TABLE).open(newline="") as file:
        assert [(Path(row["case"]).name, row["status"]) for row in csv.DictReader(file)] == [("anna", "done")]


def test_the_first_guess_of_the_time_is_what_a_case_took_before():
    model = make_model()
    key, family = key_of(model)
    cost = MeasuredCost(
        method=key, family=family, parameters=1, device="cpu", machine="here", voxels=9, seconds=2, network_seconds=3
    )
    assert usual_cost(model, "auto", [cost], SegmentRequest()).seconds == 5
    assert usual_cost(model, "auto", [cost], SegmentRequest(flips=True)).seconds == 14
    assert usual_cost(model, "cuda:0", [cost], SegmentRequest()) is None


def test_finished_cases_open_with_their_result(folder, tmp_path):
    steps = deque()
    cases = state.cases_in(folder)
    rows = run_job(state.batch_job(Here(), Stop(), cases, tmp_path, SETTINGS, skip_existing=True, steps=steps))
    assert [row.status for row in rows] == ["done", "done", "failed"]
    assert [kind for _, _, kind in state.open_finished(rows[0], cases[0])] == ["image"] * 4 + ["labels"]
    assert [kind for _, _, kind in state.open_finished(rows[2], cases[2])] == ["image"] * 4


@pytest.mark.gui
def test_a_folder_is_segmented_and_a_case_opened_with_a_double_click(make_napari_viewer, qtbot, folder, tmp_path):
    from napari_brain_tumor.widgets.batch import BatchWidget

    viewer = make_napari_viewer()
    panel = BatchWidget(viewer, lambda: SETTINGS, Here())
    qtbot.addWidget(panel)
    with qtbot.waitSignal(panel.look_runner.finished, timeout=PATIENCE_MS):
        panel.show_folder(str(folder))
    assert panel.output == f"{folder}_segmentations"
    panel.choose_output(str(tmp_path / "out"))
    with qtbot.waitSignal(panel.runner.finished, timeout=PATIENCE_MS):
        panel.run_button.click()
        assert panel.run_button.isHidden()
        assert not panel.cancel_button.isHidden()
    states = [panel.table.item(at, 1).text() for at in range(3)]
    assert states == ["done", "done", "failed"]
    assert float(panel.table.item(0, 2).text()) >= 0
    assert panel.table.item(2, 5).text() == "It holds no scan."
    assert panel.status_label.text() == "Done: 2 segmented, 1 failed."
    with qtbot.waitSignal(panel.case_wanted, timeout=PATIENCE_MS) as first:
        panel.table.itemActivated.emit(panel.table.item(1, 0))
    assert len(viewer.layers) == 5
    with qtbot.waitSignal(panel.case_wanted, timeout=PATIENCE_MS) as second:
        panel.table.itemActivated.emit(panel.table.item(1, 0))
    assert len(viewer.layers) == 5
    assert second.args == first.args
