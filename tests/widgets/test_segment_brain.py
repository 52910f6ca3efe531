"""The Segment panel: what becomes of a whole head, and the outline of its brain."""

import numpy as np
import pytest
from panel_cases import make_model, make_study

from napari_brain_tumor import save_segmentation
from napari_brain_tumor.plugin import from_layers, to_layers, viewers
from napari_brain_tumor.preflight.rows import Fix
from napari_brain_tumor.widgets import segment_state as state

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")
pytestmark = pytest.mark.gui

PATIENCE_MS = 30_000


@pytest.fixture
def panel(make_napari_viewer, worker, monkeypatch):
    from napari_brain_tumor.widgets.segment import SegmentWidget

    def make(brain="middle_of"):
        monkeypatch.setattr(state, "BRAIN_TARGET", f"worker_tasks:{brain}")
        viewer = make_napari_viewer()
        study = make_study()
        viewers.add_layers(viewer, to_layers.study_to_layers(study))
        widget = SegmentWidget(viewer, worker, target="worker_tasks:segment_within", models=[make_model()])
        widget.devices.asked = True  # asking loads torch in the child
        viewer.window.add_dock_widget(widget, name="Segment", area="right")
        return viewer, widget, study

    return make


def look_at_brain(qtbot, widget):
    widget.preflight.fix_requested.emit(Fix("brain", "Show the brain's outline"))
    qtbot.waitUntil(
        lambda: not widget._fixes.brain_runner.running and widget.status_label.text() != "Finding the brain…",
        timeout=PATIENCE_MS,
    )


def run(qtbot, widget):
    widget.run_button.click()
    qtbot.waitUntil(lambda: not widget.runs.running and not widget.runner.running, timeout=PATIENCE_MS)


def choose(widget, text):
    at = widget.more.brain_box.findText(text)
    widget.more.brain_box.setCurrentIndex(at)
    widget.more.brain_box.activated.emit(at)


def test_the_brain_is_extracted_unless_the_head_is_to_be_kept(panel):
    _, widget, _ = panel()
    assert widget.choices.request.brain == "auto"
    choose(widget, "keep the whole head")
    assert widget.choices.request.brain == "keep"
    assert "keep the whole head" in widget.more.summary_label.text()
    choose(widget, "extract it from a whole head")
    assert widget.choices.request.brain == "auto"


def test_the_outline_of_the_brain_can_be_looked_at_and_chosen_as_the_brain(panel, qtbot):
    viewer, widget, study = panel()
    before = list(viewer.layers)
    viewer.layers.selection = {before[0]}
    look_at_brain(qtbot, widget)
    (outline,) = (layer for layer in viewer.layers if layer not in before)
    assert outline.name == f"{study.name} brain"
    assert outline.contour == 2
    assert viewer.layers.selection.active is before[0]
    assert "The brain was extracted" in widget.status_label.text()
    qtbot.waitUntil(lambda: widget.more.brain_box.findText(f"inside {outline.name}") > 0, timeout=PATIENCE_MS)
    choose(widget, f"inside {outline.name}")
    own = widget.choices.request.brain
    assert own.shape == study.grid.shape
    assert own.sum() == (outline.data > 0).sum()
    run(qtbot, widget)
    result = viewer.layers[-1]
    np.testing.assert_array_equal(result.data > 0, outline.data > 0)
    viewer.layers.remove(outline)
    qtbot.waitUntil(lambda: widget.choices.brain == "auto", timeout=PATIENCE_MS)


def test_where_there_is_no_brain_the_panel_says_so(panel, qtbot):
    viewer, widget, _ = panel("no_brain")
    before = list(viewer.layers)
    look_at_brain(qtbot, widget)
    assert widget.status_label.text() == "No brain was found in these scans."
    assert list(viewer.layers) == before


def test_several_studies_have_no_mask_in_common(panel, qtbot):
    _, widget, _ = panel()
    look_at_brain(qtbot, widget)
    name = next(one.name for one in widget.viewer.layers if one.name.endswith(" brain"))
    qtbot.waitUntil(lambda: widget.more.brain_box.findText(f"inside {name}") > 0, timeout=PATIENCE_MS)
    choose(widget, f"inside {name}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(widget.study_list), "ticked", property(lambda _: [object(), object()]))
        widget.run()
    assert "A brain mask belongs to one study" in widget.status_label.text()


def test_the_lines_name_the_file_of_the_mask(panel, qtbot, tmp_path):
    from napari_brain_tumor.widgets.panel_lines import label_file_of
    from napari_brain_tumor.widgets.saved_files import remember_saved

    viewer, widget, _ = panel()
    look_at_brain(qtbot, widget)
    outline = next(one for one in viewer.layers if one.name.endswith(" brain"))
    path = tmp_path / "brain.nii.gz"
    save_segmentation(from_layers.segmentation_from_layer(outline), path)
    remember_saved(outline, path, "MSD")
    assert label_file_of(outline).path == path
