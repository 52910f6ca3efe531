"""What is exported of an open case, and where it goes."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from panel_cases import make_study

from napari_brain_tumor.plugin import layers, to_layers, viewers
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import Segmentation

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from napari_brain_tumor.widgets.dock.exports import EXPORTS, export_steps
from napari_brain_tumor.widgets.questions import target_of
from napari_brain_tumor.widgets.worker import Stop

PATIENCE_MS = 20_000


class Here:
    """A worker whose jobs are done in this process."""

    def run(self, target, *arguments, **options):
        module, _, name = target.partition(":")
        return Steps(getattr(import_module(module), name), arguments, options)


class Steps:
    def __init__(self, function, arguments, options):
        self._call = function, arguments, options
        self._job = None

    def __iter__(self):
        return self

    def __next__(self):
        if self._job is None:
            function, arguments, options = self._call
            outcome = function(*arguments, **options)
            if not hasattr(outcome, "send"):
                raise StopIteration(outcome)
            self._job = outcome
        return next(self._job)

    def cancel(self):
        pass


def marked(study):
    labels = np.zeros(study.grid.shape, np.uint8)
    labels[4:12, 5:13, 3:9] = 3
    return Segmentation(labels, study.grid, "case segmentation")


def opened():
    study = make_study(roles=("T1c", "FLAIR"))
    scans = [layers.layer_of(data) for data in to_layers.study_to_layers(study)]
    labels = layers.layer_of(to_layers.segmentation_to_layer(marked(study)))
    return {layer.metadata[layers.KEY].role: layers.view(layer) for layer in scans}, layers.view(labels)


def export(kind, path):
    scans, labels = opened()
    return run_job(export_steps(Stop(), kind, scans, labels, (), path, Here(), role="FLAIR"))


@pytest.mark.parametrize(
    ("kind", "name", "begins"),
    [("figure", "a.png", b"\x89PNG"), ("film", "a.gif", b"GIF8"), ("numbers", "a.csv", b"case")],
)
def test_files_are_written(kind, name, begins, tmp_path):
    path = tmp_path / name
    assert export(kind, path) == f"Saved {path}."
    assert path.read_bytes().startswith(begins)
    export(kind, path)  # the dialog has asked; once more replaces it


def test_surfaces_are_one_file_a_region(tmp_path):
    export("surfaces", tmp_path / "a.stl")
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.suffix == ".stl")


def test_numbers_for_the_clipboard_are_apart_by_tabs():
    text = export("copied numbers", None)
    header, first, *_ = text.splitlines()
    assert header.split("\t")[0] == "case"
    assert first.split("\t")[0] == "case segmentation"


def test_a_name_without_a_known_suffix_gets_the_usual_one():
    assert target_of("x/a.svg", EXPORTS["figure"].suffixes) == Path("x/a.svg")
    assert target_of("x/a.v2", EXPORTS["figure"].suffixes) == Path("x/a.v2.png")
    assert EXPORTS["film"].file_filter == "Film through the slices (*.gif *.mp4)"


@pytest.mark.gui
def test_the_menu_offers_files_only_with_labels_and_copies_what_is_in_sight(make_napari_viewer, qtbot):
    from qtpy.QtWidgets import QApplication, QMenu, QWidget

    from napari_brain_tumor.widgets.dock.export_menu import ExportMenu
    from napari_brain_tumor.widgets.study_queue import OpenStudy

    viewer, parent, menu = make_napari_viewer(), QWidget(), QMenu()
    for widget in (parent, menu):
        qtbot.addWidget(widget)
    study = make_study(roles=("T1c", "FLAIR"))
    scans = viewers.add_layers(viewer, to_layers.study_to_layers(study))
    case = OpenStudy.of({layer.metadata[layers.KEY].role: layer for layer in scans}), None
    exports = ExportMenu(viewer, lambda: case, parent, Here)
    exports.fill(menu)
    assert [action.isEnabled() for action in menu.actions() if not action.isSeparator()] == [False] * 5 + [True]
    (labels,) = viewers.add_layers(viewer, [to_layers.segmentation_to_layer(marked(study))])
    case = case[0], labels
    exports.fill(menu)
    assert all(action.isEnabled() for action in menu.actions())
    with qtbot.waitSignal(exports.runner.finished, timeout=PATIENCE_MS):
        exports.ask("copied numbers")
    assert QApplication.clipboard().text().startswith("case\t")
    exports.copy_picture()
    assert QApplication.clipboard().pixmap().width() > 50
