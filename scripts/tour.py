"""Walk through the whole story in napari as a user does, with a picture of every step.

`python scripts/tour.py FOLDER [CASE]`: open a case by dropping it, look at the checks before a run, segment, look
around, correct with the brush, undo, correct with an outline, undo, measure, save, read back, compare with
another model, keep the case in a curated data set, and look at what training asks. Without CASE the
sample that ships. Under Xvfb: `make tour`.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari_driver import TourError, Window, choose_file, choose_plugin, private_settings, show_in_panel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QWidget
from scipy import ndimage
from skimage.measure import find_contours

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.sample import sample_case_folder
from napari_brain_tumor.widgets.layout import layout_of

__all__ = ["Tour", "sample_without_truth"]


def sample_without_truth(folder: Path) -> Path:
    """The sample's four scans as an examination of somebody's patient."""
    case = folder / "patient7"
    case.mkdir(parents=True)
    for file in sorted(sample_case_folder().glob("*.nii.gz")):
        if "_seg" not in file.name:
            shutil.copy(file, case / file.name.replace("synthetic_glioma", "patient7"))
    return case


class Tour:
    """The steps, each of which needs those before it.

    Parameters
    ----------
    window : Window
    case : Path
        Anything that the plugin opens when it is dropped.
    work : Path
        Folder for what is saved.
    seen : callable
        Gets the name of what is on the screen now, to take a picture of it.
    """

    def __init__(self, window: Window, case: Path, work: Path, seen: Callable[[str], object]) -> None:
        self.window, self.viewer, self.case, self.work, self.seen = window, window.viewer, case, work, seen
        self.segment: Any = None
        self.saved = work / "corrected.nii.gz"
        self.dataset = work / "gliomas"

    def run(self) -> None:
        """All steps."""
        for step in (
            self.open_by_drop,
            self.check_before,
            self.run_model,
            self.look_around,
            self.correct,
            self.undo,
            self.correct_with_an_outline,
            self.measure,
            self.save,
            self.read_back,
            self.compare,
            self.curate,
            self.plan_training,
        ):
            step()
        if "torch" in sys.modules:
            raise TourError("torch was loaded in napari's process; it belongs in the worker process.")

    def open_by_drop(self) -> None:
        """Drop the case on the window and answer napari's question who shall open it."""
        self.seen("empty window")
        before = len(self.viewer.layers)
        ask = choose_plugin("Brain Tumor", lambda: self.seen("choose reader"))
        with self._asked_or_not(ask):
            self.window.drop(self.case)
        self.window.wait("layers of the dropped case", lambda: len(self.viewer.layers) > before)
        self.window.settle(1)
        self._answer_offer()
        self.seen("case opened")

    def _answer_offer(self) -> None:
        """Where the plugin offers to be the default reader: not now."""
        for one in self.window.qt.findChildren(QWidget):
            if type(one).__name__ == "ReaderOffer" and one.isVisible():
                self.seen("offered as default reader")
                self.window.click(one.later_button)
                self.window.wait("the answered offer to go", lambda one=one: not _is_seen(one))

    def check_before(self) -> None:
        """Open the dock, and its table of checks where it is folded."""
        self.segment = self.window.panel("segment")
        self.window.wait("a case that can be run", lambda: self.segment.run_button.isEnabled())
        self.seen("segment panel")
        checks = _part(self.segment, "preflight", "checks")
        toggle = None if checks is None else _part(checks, "toggle")
        if toggle is None:
            return
        self.window.settle(3)  # the checks are made in another thread
        if not toggle.isChecked():
            self.window.click(toggle)
            self.window.settle(1)
        self.seen("checks before the run")
        self.window.click(toggle)

    def run_model(self) -> None:
        """Run the model that is chosen, and look at the progress on the way."""
        count = len(self.viewer.layers)
        self.window.click(self.segment.run_button)
        bar = self.segment.run_controls.bar
        self.window.wait("progress", lambda: bar.value() > 0 or len(self.viewer.layers) > count)
        self.seen("running")
        self.window.wait("the segmentation", lambda: len(self.viewer.layers) > count)
        self.window.wait("its volumes", lambda: bool(self.segment.result.volumes.texts()))
        self.result = self.viewer.layers[-1]
        if not np.any(self.result.data):
            raise TourError(f"The model found no tumour in {self.case.name}: there is nothing to correct.")
        self.seen("segmented")
        self._look_at_doubt()

    def _look_at_doubt(self) -> None:
        """Where the panel leads to doubtful places, go to the first."""
        here = self.viewer.dims.point
        for button in self.segment.findChildren(QAbstractButton):
            if "doubtful" in button.text().replace("&", "").lower() and button.isVisible() and button.isEnabled():
                self.window.click(button)
                self.window.settle(1)
                self.seen("doubtful place")
                self.viewer.dims.point = here
                return

    def look_around(self) -> None:
        """Next scan by key, four views, surfaces in 3D."""
        shift, dock = Qt.KeyboardModifier.ShiftModifier, self.window.dock
        shown = self._shown_scans()
        self.window.key(Qt.Key.Key_J)
        if len(self.segment.choices.sequences) > 1 and self._shown_scans() == shown:
            raise TourError("The key J did not show the next scan.")
        self.window.key(Qt.Key.Key_J, shift)
        self.window.click(dock.head.layout_button)
        self.window.wait("four views", lambda: layout_of(self.viewer) is not None)
        self.window.key(Qt.Key.Key_G, shift)
        pane = layout_of(self.viewer).surfaces
        self.window.wait("surfaces", lambda: len(pane.model.layers) > 1)
        self.window.settle(1.5)
        self.seen("four views")
        self.window.key(Qt.Key.Key_D, shift)
        self.window.settle(1.5)
        self.seen("surfaces")
        self.window.key(Qt.Key.Key_D, shift)
        self.window.click(dock.head.layout_button)
        self.window.wait("the canvas again", lambda: layout_of(self.viewer) is None)

    def _shown_scans(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers if isinstance(layer, Image) and layer.visible]

    def correct(self) -> None:
        """Paint with napari's own brush at the edge of the tumour."""
        layer = self.result
        self.viewer.layers.selection = {layer}
        layer.selected_label, layer.mode, layer.brush_size = 3, "paint", 5
        self.before = np.array(layer.data)
        self.window.stroke(_line_beside(layer, self.viewer))
        painted = np.count_nonzero(layer.data != self.before)
        if not painted:
            raise TourError("The stroke with the brush changed no voxel.")
        self.after = np.array(layer.data)
        self.window.settle(1)
        self.seen("corrected")

    def undo(self) -> None:
        """Ctrl+Z takes the stroke back, Ctrl+Shift+Z brings it again."""
        control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
        self.window.key(Qt.Key.Key_Z, control)
        if not np.array_equal(self.result.data, self.before):
            raise TourError("Ctrl+Z did not take the stroke back.")
        self.seen("undone")
        self.window.key(Qt.Key.Key_Z, control | shift)
        if not np.array_equal(self.result.data, self.after):
            raise TourError("Ctrl+Shift+Z did not bring the stroke again.")

    def correct_with_an_outline(self) -> None:
        """Draw where the whole tumour ends on this slice; the volume around follows, undo takes it back."""
        panel = self.window.panel("correct")
        self.window.wait("layers of prompts", lambda: panel.session is not None)
        self.window.settle(1)
        panel.controls.tools.choose_class("whole tumour")
        self.window.click(panel.controls.tools.tool_buttons["outline"])
        before = np.array(self.result.data)
        self.window.stroke(_line_around(self.result, self.viewer))
        self.window.wait("what follows the outline", lambda: not np.array_equal(self.result.data, before))
        self.window.wait("an end of the computation", lambda: not panel.session.queue.pending)
        self.window.settle(1)
        self.seen("corrected with an outline")
        self.window.click(panel.controls.undo_button)
        self.window.wait("the labels as before", lambda: np.array_equal(self.result.data, before))
        self.window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
        self.window.wait("the correction again", lambda: not np.array_equal(self.result.data, before))
        self.window.panel("segment")
        self.window.wait("the end of the correction", lambda: panel.session is None)

    def measure(self) -> None:
        """Volumes, lesions, and the diameters of the largest as lines."""
        panel = self.window.panel("measure")
        self.window.wait("diameters", lambda: panel.shapes is not None and len(panel.shapes.data) > 0)
        panel.go_to("ET 1" if np.any(self.result.data == 3) else "WT 1")
        self.window.settle(1.5)
        self.seen("measured")
        self.window.panel("segment")
        if panel.shapes is not None:
            raise TourError("The lines stayed in the picture when their tab was left.")

    def compare(self) -> None:
        """Another model on the same scans, and where both differ."""
        count = len(self.viewer.layers)
        segment = self.window.panel("segment")
        names = [getattr(segment.model_box.itemData(at), "name", "") for at in range(segment.model_box.count())]
        segment.model_box.setCurrentIndex(names.index("u2netp"))
        self.window.wait("another model that can be run", segment.run_button.isEnabled)
        self.window.click(segment.run_button)
        self.window.wait("the other segmentation", lambda: len(self.viewer.layers) > count)
        other = self.viewer.layers[-1]
        other.name = "u2netp"
        self.window.settle(1)
        panel = self.window.panel("compare")
        panel.labels.tick([self.result, other])
        self.window.wait("labels to compare", panel.compare_button.isEnabled)
        self.window.click(panel.compare_button)
        self.window.wait("scores", lambda: panel.compared is not None)
        self.window.wait("the difference", lambda: not panel.differences.legend_label.isHidden())
        self.window.settle(2)
        self.seen("compared")
        self.window.panel("segment")
        for layer in self.viewer.layers[count:]:
            self.viewer.layers.remove(layer)
        self.result.visible = True

    def save(self) -> None:
        """Save through the file dialog."""
        self.segment = self.window.panel("segment")
        self.window.wait("a label to save", self.segment.saving.button.isEnabled)
        with self.window.answering(choose_file(self.saved)):
            self.window.click(self.segment.saving.button)
        self.window.wait("the saved file", lambda: "aved" in self.segment.saving.label.text())
        if not self.saved.is_file():
            raise TourError(self.segment.saving.label.text())
        show_in_panel(self.segment.saving.label)
        self.seen("saved")

    def read_back(self) -> None:
        """The file holds what was painted: opened by a drop, it is the same picture, voxel by voxel."""
        count = len(self.viewer.layers)
        with self._asked_or_not(choose_plugin("Brain Tumor")):
            self.window.drop(self.saved)
        self.window.wait("the saved labels", lambda: len(self.viewer.layers) > count)
        again = self.viewer.layers[-1]
        if not np.array_equal(again.data, self.result.data):
            raise TourError("The saved labels, dropped on the window, are not those that were saved.")
        self.seen("read back")
        self.viewer.layers.remove(again)

    def curate(self) -> None:
        """Make a data set, add the case to it as accepted, and open it from there."""
        panel = self.window.panel("data")
        folder = self.dataset
        folder.parent.mkdir(parents=True, exist_ok=True)  # the dialog names a new folder in it
        with self.window.answering(choose_file(folder)):
            self.window.click(panel.chooser.new_button)
        self.window.wait("an empty data set", lambda: panel.dataset is not None)
        self.window.dock.page("data").bar.setCurrentIndex(1)
        page = panel.add
        page.label_box.setCurrentIndex(page.label_box.findText(self.result.name))
        self.window.type(page.patient_edit, "patient 7")
        page.state_box.setCurrentIndex(page.state_box.findData("accepted"))
        self.seen("add to a data set")
        self.window.click(page.add_button)
        self.window.wait("the case in the data set", lambda: bool(panel.review.table.rows))
        self.window.dock.page("data").bar.setCurrentIndex(0)
        (case,) = CuratedDataset(folder).cases(state="accepted")
        if case.label.made_by.kind != "both":
            raise TourError(
                f"The label that a model made and a brush corrected counts as made by {case.label.made_by}."
            )
        case_id = case.id
        panel.cases.open_case(case_id)
        self.window.wait("the case from the data set", lambda: panel.cases.case_id == case_id)
        self.window.settle(1)
        self.seen("curated")

    def plan_training(self) -> None:
        """Choose the data set to train on; with one case it says what is lacking, and nothing is started."""
        self.window.panel("data")
        self.window.dock.page("data").bar.setCurrentIndex(3)
        panel = self.window.dock.page("data").training()
        self.window.type(panel.form.source_edit, os.path.relpath(self.dataset))
        self.window.wait("the chosen data set", lambda: panel.form.choices.source)
        if not (panel.form.start_button.isEnabled() or panel.form.notes_label.text()):
            raise TourError("Training neither starts nor says what is lacking.")
        self.seen("training planned")

    @contextmanager
    def _asked_or_not(self, answer: Callable[[Any], bool]) -> Iterator[None]:
        """Answer napari's dialog; where this plugin is the only one or the preferred one, none opens."""
        try:
            with self.window.answering(answer):
                yield
        except TourError as silence:
            if "none opened" not in str(silence):
                raise


def _part(panel: QWidget, *names: str) -> Any:
    """The first attribute of these names that is a visible widget."""
    found = (getattr(panel, name, None) for name in names)
    return next((one for one in found if isinstance(one, QWidget) and one.isVisible()), None)


def _is_seen(widget: QWidget) -> bool:
    """Whether a widget is still there and shown."""
    try:
        return widget.isVisible()
    except RuntimeError:  # Qt has deleted it
        return False


def _line_beside(layer: Any, viewer: Any) -> list[tuple[float, ...]]:
    """World points of a short stroke over the border of the labels in the slice that is shown."""
    at = [round(one) for one in layer.world_to_data(viewer.dims.point)]
    rows, columns = np.nonzero(layer.data[at[0]])
    if not rows.size:
        raise TourError("The slice that is shown has no labels to correct.")
    row = int(np.median(rows))
    right = int(columns[rows == row].max())
    return [tuple(layer.data_to_world((at[0], row + down, right + 1 + abs(down) // 3))) for down in range(-9, 10, 3)]


def _line_around(layer: Any, viewer: Any) -> list[tuple[float, ...]]:
    """World points of a closed line a little outside the labels of the slice that is shown."""
    at = [round(one) for one in layer.world_to_data(viewer.dims.point)]
    shown = ndimage.binary_dilation(
        ndimage.binary_closing(np.pad(layer.data[at[0]] > 0, 12), iterations=8), iterations=2
    )
    flat = max(find_contours(shown.astype(float), 0.5), key=len)[::6] - 12
    return [tuple(layer.data_to_world((at[0], row, column))) for row, column in flat]


def main() -> None:
    """Take the tour and number its pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the pictures")
    parser.add_argument("case", type=Path, nargs="?", help="folder or file of an examination; the sample if not given")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tour-") as scratch:
        work, folder = Path(scratch), chosen.folder.resolve()
        case = chosen.case.resolve() if chosen.case is not None else sample_without_truth(work)
        os.chdir(work)
        private_settings(work)
        pictures: list[Path] = []
        window = Window(chosen.theme)

        def seen(name: str) -> None:
            path = folder / f"{len(pictures) + 1:02d}_{name.replace(' ', '_')}.png"
            pictures.append(window.picture(path))
            print(path)

        Tour(window, case, work, seen).run()
        window.close()


if __name__ == "__main__":
    main()
