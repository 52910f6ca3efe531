"""The Measure panel's logic: layers that belong together, lines and what an edit of them means."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from panel_cases import SHAPE, make_study

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_segmentation, save_segmentation
from napari_brain_tumor.measure.diameters import Bidimensional
from napari_brain_tumor.measure.examination import Examination, measure_study, redrawn
from napari_brain_tumor.measure.settings import MeasureSettings
from napari_brain_tumor.plugin import drawing, layers
from napari_brain_tumor.plugin.to_layers import segmentation_to_layer, study_to_layers
from napari_brain_tumor.plugin.viewers import add_layers
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.widgets import diameter_lines
from napari_brain_tumor.widgets import measure_state as state
from phantoms import tilt

pytestmark = pytest.mark.gui


def block(grid: Grid | None = None, name: str = "case") -> Segmentation:
    """An enhancing block of 14 x 12 x 8 voxels in an edema, one voxel wider."""
    grid = grid or make_study().grid
    data = np.zeros(grid.shape, np.uint8)
    data[2:18, 5:19, 1:11] = 1
    data[3:17, 6:18, 2:10] = 3
    return Segmentation(data, grid, name)


def shown(grid: Grid | None = None) -> tuple[Labels, Examination]:
    """A layer of the block, and what is measured of it."""
    labels = layers.layer_of(segmentation_to_layer(block(grid)))
    return labels, measure_study(block(grid))


def _no_worker(*arguments):
    raise AssertionError("nothing here needs the worker process")


def diameters_of(examination: Examination) -> list[Bidimensional]:
    return [lesion.diameters for lesion in examination.lesions if lesion.diameters is not None]


GRIDS = {
    "upright": Grid(SHAPE, np.diag([-1.0, -1.0, 2.0, 1.0])),
    "sagittal": Grid(SHAPE, np.array([[0, 0, 3.0, 4], [0, -1.0, 0, 5], [1.5, 0, 0, 6], [0, 0, 0, 1]])),
    "oblique": Grid(SHAPE, np.block([[tilt(12.0) * [1.0, 1.0, 2.0], np.array([[3.0], [4], [5]])], [0, 0, 0, 1]])),
}


@pytest.mark.parametrize("name", ["upright", "sagittal"])
def test_lines_lie_in_the_layer_where_they_were_measured_in_the_world(name: str) -> None:
    labels, examination = shown(GRIDS[name])
    shapes = diameter_lines.new_lines_layer(examination, labels)
    assert shapes is not None
    expected = [[line.start, line.stop] for pair in diameters_of(examination) for line in (pair.long, pair.short)]
    assert np.allclose(drawing.world_lines(shapes, labels), expected, atol=1e-3)
    ends = [np.asarray([shapes.data_to_world(end) for end in line])[:, ::-1] for line in shapes.data]
    assert np.allclose(ends, expected, atol=1e-3)
    assert list(shapes.features["text"]) == ["ET 1", "", "WT 1", ""]


@pytest.mark.parametrize("name", GRIDS)
def test_lines_lie_on_one_slice_of_the_layer_for_napari_shows_no_others(name: str) -> None:
    labels, examination = shown(GRIDS[name])
    shapes = diameter_lines.new_lines_layer(examination, labels)
    assert shapes is not None
    for at, found in enumerate(diameters_of(examination)):
        cut = 2 - diameter_lines.shown_axis(found, examination.grid)
        levels = np.array([line[:, cut] for line in shapes.data[2 * at : 2 * at + 2]])
        assert np.allclose(levels, np.rint(levels[0, 0]), atol=1e-4)


def test_a_line_that_is_moved_on_an_oblique_grid_is_measured_on_the_slice_of_the_file() -> None:
    labels, examination = shown(GRIDS["oblique"])
    shapes = diameter_lines.new_lines_layer(examination, labels)
    assert shapes is not None
    before = examination.lesions[0].diameters
    assert before is not None
    # Halved on what is shown: halved on the file's slice too.
    data = shapes.data
    data[0][1] = (data[0][0] + data[0][1]) / 2
    shapes.data = data
    after = diameter_lines.hand_drawn(examination, shapes, labels).lesions[0].diameters
    assert after is not None
    assert after.long.length_mm == pytest.approx(before.long.length_mm / 2, rel=1e-4)
    assert after.short == before.short
    assert np.allclose(
        examination.grid.voxels([after.long.start, after.long.stop])[:, after.axis], after.index, atol=1e-3
    )


def test_lines_that_nobody_moved_leave_the_examination_exactly_as_it_was() -> None:
    labels, examination = shown()
    shapes = diameter_lines.new_lines_layer(examination, labels)
    assert shapes is not None
    assert diameter_lines.hand_drawn(examination, shapes, labels).lesions == examination.lesions


def test_a_moved_end_changes_length_product_and_judgement_of_its_lesion_alone() -> None:
    labels, examination = shown()
    shapes = diameter_lines.new_lines_layer(examination, labels)
    assert shapes is not None
    before = examination.lesions[0].diameters
    assert before is not None
    data = shapes.data
    data[0][1] = data[0][0] + [0, 3, 4]  # 5 mm
    shapes.data = data
    found = diameter_lines.hand_drawn(examination, shapes, labels)
    after = found.lesions[0].diameters
    assert after is not None
    assert after.by_hand
    assert {round(after.long_mm, 3), round(after.short_mm, 3)} == {5.0, round(before.short.length_mm, 3)}
    assert after.product_mm2 == pytest.approx(5 * before.short.length_mm, rel=1e-4)
    assert examination.lesions[0].measurable
    assert found.lesions[0].reason == "not measurable: one diameter is less than 10 mm"
    assert found.lesions[1:] == examination.lesions[1:]


def test_a_longer_line_can_make_a_lesion_measurable() -> None:
    labels, examination = shown()
    examination = replace(examination, settings=MeasureSettings(measurable_mm=11))
    shapes = diameter_lines.new_lines_layer(examination, labels)
    assert shapes is not None
    data = shapes.data
    data[0], data[1] = np.array([[5, 1, 1], [5, 15, 1]]), np.array([[5, 8, 1], [5, 8, 15]])
    shapes.data = data
    lesion = diameter_lines.hand_drawn(examination, shapes, labels).lesions[0]
    assert lesion.measurable
    assert lesion.diameters is not None
    assert lesion.diameters.long_mm == pytest.approx(14)


def test_an_angle_that_is_not_right_is_told() -> None:
    labels, examination = shown()
    shapes = diameter_lines.new_lines_layer(examination, labels)
    assert shapes is not None
    data = shapes.data
    data[0], data[1] = np.array([[5, 5, 5], [5, 5, 15]]), np.array([[5, 0, 5], [5, 10, 10]])
    shapes.data = data
    found = diameter_lines.hand_drawn(examination, shapes, labels)
    assert "The lines meet at 63°: not perpendicular." in state.lesion_details(found.lesions[0], found)
    assert "perpendicular" not in state.lesion_details(examination.lesions[0], examination)


def test_a_line_that_was_taken_away_leaves_the_computed_ones_and_is_told() -> None:
    labels, examination = shown()
    shapes = diameter_lines.new_lines_layer(examination, labels)
    assert shapes is not None
    shapes.selected_data = {1}
    shapes.remove_selected()
    assert diameter_lines.hand_drawn(examination, shapes, labels).lesions == examination.lesions
    assert (
        diameter_lines.surplus_text(shapes, labels, examination)
        == "A line of ET 1 was deleted: the computed one is used."
    )


def test_other_shapes_count_for_nothing_and_are_told() -> None:
    labels, examination = shown()
    shapes = diameter_lines.new_lines_layer(examination, labels)
    assert shapes is not None
    shapes.add(np.array([[5, 1, 1], [5, 9, 9]]), shape_type="line")
    shapes.add(np.array([[5, 1, 1], [5, 1, 9], [5, 9, 9], [5, 9, 1]]), shape_type="rectangle")
    assert diameter_lines.hand_drawn(examination, shapes, labels).lesions == examination.lesions
    assert diameter_lines.surplus_text(shapes, labels, examination) == "2 more shapes were drawn; they are ignored."


def test_drawing_anew_brings_all_lines_back() -> None:
    labels, examination = shown()
    shapes = diameter_lines.new_lines_layer(examination, labels)
    assert shapes is not None
    before = shapes.data
    shapes.selected_data = {0, 2}
    shapes.remove_selected()
    diameter_lines.draw(shapes, labels, examination)
    assert np.allclose(shapes.data, before, atol=1e-5)
    assert list(shapes.features["line"]) == ["long", "short"] * 2
    assert diameter_lines.surplus_text(shapes, labels, examination) == ""


def test_without_millimetres_there_are_no_lines() -> None:
    grid = Grid(SHAPE, np.eye(4), "voxel")
    labels, examination = shown(grid)
    assert diameter_lines.new_lines_layer(examination, labels) is None
    assert not diameter_lines.has_lines(examination)
    assert all("mm" not in cell for lesion in examination.lesions for cell in state.lesion_cells(lesion))


def test_the_scans_of_labels_are_those_of_their_case() -> None:
    viewer = ViewerModel()
    for name in ("one", "two"):
        add_layers(viewer, study_to_layers(make_study(name, ("T1", "FLAIR"))))
    add_layers(viewer, [segmentation_to_layer(block(name="one"))])
    labels = viewer.layers[-1]
    found = state.scans_of(labels, viewer.layers)
    assert {role: layer.name for role, layer in found.items()} == {"T1": "one T1", "FLAIR": "one FLAIR"}
    assert {role: layer.name for role, layer in state.midline_scan(found).items()} == {"FLAIR": "one FLAIR"}
    assert state.scans_text(found) == "The midline is found in FLAIR."


def test_labels_without_a_scan_have_none_and_are_told_what_that_means() -> None:
    viewer = ViewerModel()
    add_layers(viewer, study_to_layers(make_study(spacing=(1, 1, 3))))
    add_layers(viewer, [segmentation_to_layer(block())])
    assert state.scans_of(viewer.layers[-1], viewer.layers) == {}
    assert "not assessable" in state.scans_text({})


def test_measuring_layers_gives_what_measuring_the_files_gives() -> None:
    labels, examination = shown(GRIDS["oblique"])
    found = run_job(state.measure_steps(layers.copied_view(labels), [], {}, MeasureSettings(), _no_worker))
    assert found.lesions == examination.lesions
    assert found.volumes == examination.volumes


def test_a_whole_head_is_measured_in_the_worker_process_unless_it_is_to_be_kept() -> None:
    labels, examination = shown()
    scans = {"FLAIR": layers.view(layers.layer_of(study_to_layers(make_study(roles=("FLAIR",)))[0]))}
    asked = []

    def in_worker(target, segmentation, study, settings):
        asked.append((target, study.roles, settings.brain))
        return examination
        yield

    def found(brain, scans=scans):
        settings = MeasureSettings(brain=brain)
        return run_job(state.measure_steps(layers.copied_view(labels), [], scans, settings, in_worker))

    assert found("auto") is examination
    assert asked == [("napari_brain_tumor.measure.examination:measure_study_job", ("FLAIR",), "auto")]
    assert found("keep").midline is not None
    stripped = make_study(roles=("FLAIR",))
    stripped.sequences["FLAIR"][:8] = 0
    brain = {"FLAIR": layers.view(layers.layer_of(study_to_layers(stripped)[0]))}
    assert found("auto", brain).midline is not None
    assert found("auto", {}).midline is None
    assert len(asked) == 1  # only the whole head needed the process


def test_what_is_painted_meanwhile_is_not_measured() -> None:
    labels, examination = shown()
    seen = layers.copied_view(labels)
    labels.data[:] = 0
    assert run_job(state.measure_steps(seen, [], {}, MeasureSettings(), _no_worker)).lesions == examination.lesions


def test_the_cells_of_a_lesion_tell_sizes_and_that_lines_are_by_hand() -> None:
    _, examination = shown()
    lesion = examination.lesions[0]
    assert lesion.diameters is not None
    hand = replace(lesion, diameters=replace(lesion.diameters, by_hand=True))
    length = f"{lesion.diameters.long_mm:.1f} × {lesion.diameters.short_mm:.1f} mm"
    assert state.lesion_cells(lesion)[:3] == ("ET 1", "2.69 mL", length)
    assert state.lesion_cells(hand)[2] == f"{length} ✎"
    where = f"Measured on axial slice {lesion.diameters.index} of the file; seen on 8 slices."
    assert where in state.lesion_details(lesion, examination)


def test_code_says_that_lines_moved_by_hand_are_not_in_it(tmp_path: Path) -> None:
    path = save_segmentation(block(), tmp_path / "case_seg.nii.gz", "MSD")
    segmentation = open_segmentation(path, "MSD")
    labels = layers.layer_of(segmentation_to_layer(segmentation))
    examination = measure_study(segmentation)
    assert state.lines_of_panel(labels, {}, MeasureSettings(), examination).notes == ()
    lesion = examination.lesions[0]
    assert lesion.diameters is not None
    moved = redrawn(examination, {lesion.title: (lesion.diameters.short, lesion.diameters.long)})
    (note,) = state.lines_of_panel(labels, {}, MeasureSettings(), moved).notes
    assert note.startswith("The lines of ET 1 were moved by hand")
