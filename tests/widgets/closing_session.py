"""A session of napari whose window is closed in the middle; run as a program by the tests, not a test itself.

python closing_session.py FOLDER DEED [DEED ...]    deeds: segment, watch, save, compare, correct

Prints the process number of the worker when it closes the window, and `closed` when napari has let go.
"""

import sys
import time
from pathlib import Path

import napari
import numpy as np
from panel_cases import make_model, make_study
from qtpy.QtCore import QTimer

from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.widgets import compare_state, correct_computer, result_files
from napari_brain_tumor.widgets.compare import CompareWidget
from napari_brain_tumor.widgets.correct import CorrectWidget
from napari_brain_tumor.widgets.segment import SegmentWidget
from napari_brain_tumor.widgets.train import TrainWidget
from napari_brain_tumor.widgets.worker import shared_worker
from napari_brain_tumor_training.run_status import watched


def say(word):
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def begin_segmentation(panel, folder):
    panel.run()
    return lambda: panel.run_controls.bar.maximum() > 0  # its first progress has come from the worker


def begin_watch(panel, folder):
    def job():
        yield Progress(1, 9, "epoch 1 of 9")

    running = watched(job(), folder / "runs" / "mine", "Mine", str)
    (folder / "runs" / "mine").mkdir(parents=True)
    next(running)
    panel.running = running  # it would end with its generator
    train = TrainWidget(panel.viewer, runs_folder=folder / "runs")
    panel.viewer.window.add_dock_widget(train, name="Train", area="right")
    return lambda: train.runs.run is not None and train.isVisible()


def begin_save(panel, folder):
    save = result_files.save_layer

    def slowly(*arguments):
        begun.append(True)
        time.sleep(2)
        return save(*arguments)

    begun = []
    result_files.save_layer = slowly
    panel.saving.save(str(folder / "saved.nii.gz"))
    return lambda: bool(begun)


def begin_comparison(panel, folder):
    compare = compare_state.compare_segmentations_job

    def slowly(*arguments, **options):
        begun.append(True)
        for done in range(100):
            time.sleep(0.05)
            yield Progress(done, 100, "slowly")
        return (yield from compare(*arguments, **options))

    begun = []
    compare_state.compare_segmentations_job = slowly
    viewer = panel.viewer
    compared = CompareWidget(viewer)
    viewer.window.add_dock_widget(compared, name="Compare", area="right")
    (other,) = viewers.add_layers(viewer, [viewer.layers[-1].as_layer_data_tuple()])
    compared.labels.tick([viewer.layers[-2], other])
    compared.compare()
    return lambda: bool(begun)


def begin_correction(panel, folder):
    def slowly(correction, *arguments):
        begun.append(True)
        time.sleep(2)
        return compute(correction, *arguments)

    def draw():
        if correct.session is not None and not drawn:
            drawn.append(True)
            correct.session.prompt_layers.strokes.paint((6, 12, 10), 1)
            correct.session.prompt_layers.take("point")
            correct.session.prompt_layers.points.add((6, 10, 10))
        return len(begun) > 0 and len(correct.session.queue.pending) == 2

    begun, drawn = [], []
    compute = correct_computer.EntryComputer.carry_out
    correct_computer.EntryComputer.carry_out = slowly
    correct = CorrectWidget(panel.viewer)
    panel.viewer.window.add_dock_widget(correct, name="Correct", area="right")
    correct.chooser.start()
    return draw


DEEDS = {
    "segment": begin_segmentation,
    "watch": begin_watch,
    "save": begin_save,
    "compare": begin_comparison,
    "correct": begin_correction,
}


def main(folder, deeds):
    viewer = napari.Viewer(show_welcome_screen=False)
    study = make_study()
    labels = to_layers.segmentation_to_layer(Segmentation(np.ones(study.grid.shape, np.uint8), study.grid, "case"))
    viewers.add_layers(viewer, [*to_layers.study_to_layers(study), labels])
    panel = SegmentWidget(viewer, target="worker_tasks:segment_slowly", models=[make_model()])
    panel.devices.asked = True  # asking loads torch in the worker, for which nobody waits here
    viewer.window.add_dock_widget(panel, name="Segment", area="right")
    viewer.layers.selection = {viewer.layers[-1]}
    begun = [DEEDS[deed](panel, folder) for deed in deeds]

    def close_when_begun():
        if all(ask() for ask in begun):
            timer.stop()
            say(shared_worker().pid)
            viewer.window._qt_window.close()

    timer = QTimer()
    timer.timeout.connect(close_when_begun)
    timer.start(50)
    napari.run()
    say("closed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
