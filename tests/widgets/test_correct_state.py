"""A correction without a window: the refiner and the layer's own history go back and forth together."""

import threading

import numpy as np
import pytest

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from correct_cases import (
    CENTRE,
    LPS,
    SHAPE,
    carry_out,
    correction_in,
    fill_viewer,
    follow,
    holds_the_same,
    make_ball_study,
    point,
    stroke,
)
from napari.components import ViewerModel

from napari_brain_tumor import io
from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.interactive import Interpolate, Lasso, Propagate, refine
from napari_brain_tumor.plugin import from_layers, layers, to_layers, viewers
from napari_brain_tumor.plugin.labels_edit import replace_labels
from napari_brain_tumor.plugin.layers import KEY
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.widgets.correct_entries import change_in_words
from napari_brain_tumor.widgets.correct_start import obstacle, starts
from napari_brain_tumor.widgets.correct_state import Correction

X, Y, Z = CENTRE
LX, LY = SHAPE[0] - 1 - X, SHAPE[1] - 1 - Y  # of the layer, whose file is LPS


@pytest.fixture
def viewer():
    made = ViewerModel()
    fill_viewer(made)
    return made


@pytest.fixture
def correction(viewer):
    return correction_in(viewer)


def prompts_of(correction):
    return [
        stroke(correction, Z, LY, range(LX - 6, LX - 2)),
        point(correction, Z, LY, LX),
        stroke(correction, Z + 4, LY - 4, range(LX, LX + 4), "whole tumour", add=False),
        point(correction, Z - 3, LY + 2, LX - 2, "tumour core"),
    ]


def test_a_prompt_changes_the_layer_as_refine_changes_the_labels(viewer, correction):
    prompts = prompts_of(correction)
    changed = [carry_out(correction, correction.action(prompt)) for prompt in prompts]
    assert changed[0] > 20
    study = from_layers.study_from_layers({r: viewer.layers[f"case {r}"] for r in ("T1", "T1c", "T2", "FLAIR")})
    wanted = refine(study, correction.computer.start, prompts)
    np.testing.assert_array_equal(correction.refiner.labels, wanted.data)
    assert holds_the_same(correction)
    assert correction.prompts == prompts


def test_naparis_undo_and_redo_take_labels_and_prompts_back_and_forth_over_many_steps(correction):
    layer, states = correction.layer, []
    for prompt in prompts_of(correction):
        states.append(layer.data.copy())
        carry_out(correction, correction.action(prompt))
    states.append(layer.data.copy())
    visible = sum(bool(entry.parts) for entry in correction.done)
    for _ in range(visible):
        layer.undo()  # as its own key does
        follow(correction)
        assert holds_the_same(correction)
    np.testing.assert_array_equal(layer.data, states[0])
    for _ in range(visible):
        layer.redo()
        follow(correction)
        assert holds_the_same(correction)
    np.testing.assert_array_equal(layer.data, states[-1])


def test_undo_of_the_correction_takes_back_a_prompt_that_changed_nothing_alone(correction):
    carry_out(correction, correction.action(prompts_of(correction)[0]))
    after = correction.layer.data.copy()
    again = stroke(correction, Z, LY, range(LX - 6, LX - 2))
    correction.refiner.apply(again)  # settles everything around it
    correction.refiner.undo()
    nothing = stroke(correction, Z, LY, [LX - 4])
    assert carry_out(correction, correction.action(nothing)) == 0
    assert len(correction.prompts) == 2
    follow(correction, correction.undo())
    np.testing.assert_array_equal(correction.layer.data, after)
    assert len(correction.prompts) == 1
    follow(correction, correction.redo())
    assert len(correction.prompts) == 2
    follow(correction, correction.undo())
    follow(correction, correction.undo())
    assert correction.prompts == []
    assert holds_the_same(correction)


def test_nothing_is_undone_beyond_the_beginning(viewer):
    layer = viewer.layers[-1]
    layer.paint((1, 1, 1), 3)
    correction = correction_in(viewer)
    before = layer.data.copy()
    with pytest.raises(PromptError, match="nothing to undo"):
        correction.undo()
    with pytest.raises(PromptError, match="nothing to redo"):
        correction.redo()
    np.testing.assert_array_equal(layer.data, before)


def test_painting_by_hand_in_between_is_adopted_and_undone_in_its_turn(correction):
    layer = correction.layer
    first, second = prompts_of(correction)[:2]
    carry_out(correction, correction.action(first))
    between = layer.data.copy()
    layer.brush_size = 3
    with layer.block_history():
        layer.paint((5, 10, 10), 3)
        layer.paint((5, 12, 10), 2)
    follow(correction)
    assert holds_the_same(correction)
    carry_out(correction, correction.action(second))
    assert [entry.kind for entry in correction.entries] == ["step", "hand", "step"]
    for _ in range(2):
        follow(correction, correction.undo())
    np.testing.assert_array_equal(layer.data, between)
    for _ in range(2):
        follow(correction, correction.redo())
    assert layer.data[5, 12, 10] == 2
    assert holds_the_same(correction)


def test_a_prompt_elsewhere_leaves_what_was_painted_by_hand(correction):
    layer = correction.layer
    layer.brush_size = 1
    layer.paint((Z, LY, LX - 5), 3)
    follow(correction)
    carry_out(correction, correction.action(stroke(correction, Z, LY + 1, range(LX - 6, LX - 2))))
    assert layer.data[Z, LY, LX - 5] == 3


def test_labels_that_another_panel_put_in_are_adopted(correction):
    carry_out(correction, correction.action(prompts_of(correction)[0]))
    replace_labels(correction.layer, np.zeros(correction.layer.data.shape, np.uint8))
    follow(correction)
    assert holds_the_same(correction)
    assert not correction.refiner.labels.any()


def test_what_was_written_into_the_array_is_noticed_before_the_next_prompt(correction):
    carry_out(correction, correction.action(prompts_of(correction)[0]))
    correction.layer.data[2:4, 5:9, 5:9] = 2
    carry_out(correction, correction.action(prompts_of(correction)[1]))
    assert holds_the_same(correction)
    follow(correction, correction.undo())
    carry_out(correction, correction.action(prompts_of(correction)[2]))
    assert holds_the_same(correction)
    assert (correction.layer.data[2:4, 5:9, 5:9] == 2).all()


def test_filling_and_going_on_speak_of_the_same_slices_as_the_layer(correction):
    low, high = Z - 4, Z + 4
    for z in (low, high):
        block = np.array([(z, y, x) for y in range(8, 14) for x in range(8, 14)])
        correction.layer.data_setitem(tuple(block.T), 3)
    follow(correction)
    assert correction.region_to_fill(0) == "ET"
    assert correction.outlined_slices(0, "ET") == [low, high]
    assert correction.outlined_slices(0, "WT") == correction.outlined_slices(1, "ET") == []
    assert carry_out(correction, correction.fill(0, [low, high], "ET")) > 0
    assert (correction.layer.data[low : high + 1, 9:13, 9:13] == 3).all()
    assert isinstance(correction.entries[-1].step, Interpolate)
    assert correction.outlined_slices(0, "ET") == [low, high]  # a third one between them refines the fill
    assert holds_the_same(correction)
    follow(correction, correction.undo())
    assert not (correction.layer.data[Z, 9:13, 9:13] == 3).any()


def outline(correction, z, radius, label, centre=(LY, LX)):
    """A line around a disc on an axial slice of the layer."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    places = np.stack([np.full(40, z), centre[0] + radius * np.sin(turn), centre[1] + radius * np.cos(turn)], axis=1)
    return Lasso(label=label, border=True, points=tuple(map(tuple, correction.place.world(places).tolist())))


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_slices_that_a_stroke_touched_are_no_keys_for_filling(correction):
    for z in (Z - 3, Z + 3):
        carry_out(correction, correction.action(outline(correction, z, 4, "enhancing")))
    for z in (Z - 2, Z, Z + 1):  # one voxel of it each: as keys they would pull the region together
        carry_out(correction, correction.action(stroke(correction, z, LY, [LX], label="enhancing")))
    carry_out(correction, correction.action(point(correction, Z - 1, LY, LX)))
    carry_out(correction, correction.action(stroke(correction, Z + 2, LY + 7, [LX], label="edema")))
    correction.layer.brush_size = 1
    correction.layer.paint((Z - 1, LY + 1, LX), 3)  # one voxel of many is no drawing of the region either
    follow(correction)
    assert correction.region_to_fill(0, "ET") == "ET"
    assert correction.outlined_slices(0, "ET") == [Z - 3, Z + 3]
    carry_out(correction, correction.fill(0, [Z - 3, Z + 3], "ET"))
    y, x = np.mgrid[: correction.layer.data.shape[1], : correction.layer.data.shape[2]]
    disc = np.hypot(y - LY, x - LX) <= 4
    for z in range(Z - 2, Z + 3):
        assert dice(correction.layer.data[z] == 3, disc) > 0.9


def test_filling_one_region_leaves_the_others(correction):
    for z in (Z - 3, Z + 3):
        carry_out(correction, correction.action(outline(correction, z, 4, "enhancing")))
    before = correction.layer.data.copy()
    carry_out(correction, correction.fill(0, [Z - 3, Z + 3], "ET"))
    after = correction.layer.data
    changed = after != before
    assert changed.any()
    assert set(np.unique(after[changed])) <= {2, 3}
    assert set(np.flatnonzero(changed.any(axis=(1, 2)))) <= set(range(Z - 2, Z + 3))


def test_what_was_drawn_between_stays_when_slices_are_filled(correction):
    for z in (Z - 3, Z + 3):
        carry_out(correction, correction.action(outline(correction, z, 4, "enhancing")))
    carry_out(correction, correction.action(stroke(correction, Z, LY, [LX - 1, LX, LX + 1], "enhancing", add=False)))
    carry_out(correction, correction.fill(0, [Z - 3, Z + 3], "ET"))
    assert (correction.layer.data[Z, LY, LX - 1 : LX + 2] != 3).all()
    assert (correction.layer.data[Z, LY + 2, LX - 1 : LX + 2] == 3).all()


def test_a_prompt_tells_what_became_of_which_class(correction):
    work = correction.action(stroke(correction, Z, LY, range(LX - 4, LX + 4), label="enhancing"))
    carry_out(correction, work)
    change = work.entry.change
    words = change_in_words(change)
    assert set(np.unique(change.after[change.after != change.before])) == {3}
    count = int(((change.before == 1) & (change.after == 3)).sum())
    assert f"edema to enhancing {count}" in words
    assert f"whole tumour to enhancing {count}" in change_in_words(change, {1: "whole tumour"})
    assert words.endswith(("slice", "slices"))


def test_a_prompt_in_the_air_is_refused(correction):
    before = correction.layer.data.copy()
    for step in (stroke(correction, 1, 1, range(1, 6)), point(correction, 1, 1, 1)):
        with pytest.raises(PromptError, match="outside the brain"):
            carry_out(correction, correction.action(step))
    np.testing.assert_array_equal(correction.layer.data, before)
    correction.layer.data[1, 1, 1:6] = 1  # as somebody's brush may leave it
    carry_out(correction, correction.action(stroke(correction, 1, 1, range(1, 6), label="whole tumour", add=False)))
    assert not correction.layer.data[1, 1, 1:6].any()


@pytest.mark.parametrize("slices", [[4], [], [4, 4], [3, 300]])
def test_slices_that_cannot_be_filled_are_refused_in_words(correction, slices):
    with pytest.raises(PromptError, match="two or more of 0 to 29"):
        correction.fill(0, slices)


@pytest.mark.parametrize(("axis", "direction"), [(0, 1), (0, -1), (1, 1), (2, -1)])
def test_carrying_on_stops_when_told_and_goes_the_way_that_is_seen(correction, axis, direction):
    middle = (Z, LY, LX)[axis]
    layer, planes, halt = correction.layer, [], threading.Event()
    section = np.moveaxis(layer.data, axis, 0)[middle].any()
    assert section or axis == 2
    if axis == 2:
        middle = LX + 3
    work = correction.carry_on(axis, middle, direction, planes, halt)
    job = work.job(correction.snapshot())
    next(job)
    next(job)
    halt.set()
    with pytest.raises(StopIteration) as ended:
        next(job)
    before = layer.data.copy()
    correction.preview(planes)
    assert [plane.index for plane in planes] == [middle + direction, middle + 2 * direction]
    shown = layer.data.copy()
    correction.end_preview()
    np.testing.assert_array_equal(layer.data, before)
    edit, _ = ended.value.value
    correction.show(work.entry, edit)
    np.testing.assert_array_equal(layer.data, shown)
    assert isinstance(work.entry.step, Propagate)
    assert holds_the_same(correction)


def test_carrying_on_an_empty_slice_is_refused(correction):
    with pytest.raises(PromptError, match="nothing to propagate"):
        run_job(correction.carry_on(0, 0, 1, [], threading.Event()).job(None))


def test_doing_without_a_prompt_is_as_if_it_was_never_drawn_and_is_undone_by_one_key(correction):
    prompts = prompts_of(correction)
    for prompt in prompts:
        carry_out(correction, correction.action(prompt))
    with_all = correction.layer.data.copy()
    unwanted = correction.entries[0]
    carry_out(correction, correction.without(unwanted))
    assert correction.prompts == prompts[1:]
    wanted = refine(correction.study, correction.computer.start, prompts[1:])
    np.testing.assert_array_equal(correction.refiner.labels, wanted.data)
    assert holds_the_same(correction)
    carry_out(correction, correction.action(stroke(correction, Z, LY + 3, range(LX - 6, LX - 3))))
    for _ in range(2):
        follow(correction, correction.undo())
    np.testing.assert_array_equal(correction.layer.data, with_all)
    assert correction.prompts == prompts
    follow(correction, correction.undo())
    assert holds_the_same(correction)
    for _ in range(2):
        follow(correction, correction.redo())
    assert correction.prompts == prompts[1:]
    assert holds_the_same(correction)


def test_prompts_are_saved_with_the_labels_and_painting_by_hand_is_told(correction, tmp_path):
    prompts = prompts_of(correction)[:2]
    for prompt in prompts:
        carry_out(correction, correction.action(prompt))
    io.save_segmentation(from_layers.segmentation_from_layer(correction.layer), tmp_path / "a.nii.gz", "MSD")
    told = io.open_segmentation(tmp_path / "a.nii.gz", "MSD").provenance
    saved = from_layers.segmentation_from_layer(correction.layer)
    assert [step["kind"] for step in saved.provenance["refined"]] == ["painted", "point"]
    assert "edited_by_hand" not in saved.provenance
    assert told["path"]
    follow(correction, correction.undo())
    assert len(from_layers.segmentation_from_layer(correction.layer).provenance["refined"]) == 1
    correction.layer.paint((2, 3, 3), 1)
    follow(correction)
    assert from_layers.segmentation_from_layer(correction.layer).provenance["edited_by_hand"]
    for _ in range(2):
        follow(correction, correction.undo())
    plain = from_layers.segmentation_from_layer(correction.layer).provenance
    assert "refined" not in plain
    assert "edited_by_hand" not in plain


def test_the_file_of_prompts_names_what_they_were_made_on(correction):
    prompts = prompts_of(correction)[:2]
    for prompt in prompts:
        carry_out(correction, correction.action(prompt))
    found = correction.file
    assert (found.case, found.unit, found.labels_sha256) == ("case", "mm", correction.sha256)
    assert list(found.steps) == prompts


def test_a_hidden_layer_is_corrected_too(correction):
    correction.layer.visible = False
    assert carry_out(correction, correction.action(prompts_of(correction)[0])) > 20
    correction.layer.undo()
    follow(correction)
    assert holds_the_same(correction)
    assert correction.prompts == []


def test_a_correction_begins_from_nothing_and_where_the_voxel_size_is_not_known():
    viewer = ViewerModel()
    study = make_ball_study(affine=np.diag([1.0, 1, 1, 1]), unit="voxel")
    viewers.add_layers(viewer, to_layers.study_to_layers(study))
    (only,) = starts(viewer.layers)
    assert only.layer is None
    assert "new segmentation" in only.text
    from napari_brain_tumor.widgets.correct_start import begin_job

    begun = run_job(begin_job(only, viewer.layers))
    layer = viewer.add_layer(layers.layer_of(begun.new_layer))
    correction = begun.correction_of(layer)
    changed = carry_out(correction, correction.action(stroke(correction, Z, Y, range(X - 4, X + 5))))
    assert changed > 20
    assert holds_the_same(correction)
    assert correction.file.unit == "voxel"


def test_an_oblique_scan_is_corrected_on_its_own_grid():
    turn = LPS.copy()
    turn[:2, :2] = [[-np.cos(0.2), np.sin(0.2)], [-np.sin(0.2), -np.cos(0.2)]]
    viewer = ViewerModel()
    layer = fill_viewer(viewer, make_ball_study(affine=turn))
    correction = correction_in(viewer)
    assert not correction.place.one_to_one
    start = layer.data.copy()
    middle = np.rint(correction.place.layer([correction.study.grid.world((X + 4, Y, Z))])[0]).astype(int)
    carry_out(correction, correction.action(stroke(correction, *middle[:2], range(middle[2] - 2, middle[2] + 3))))
    shown = correction.place.display.show(correction.refiner.labels, nearest=True)
    assert (layer.data[tuple(middle)], shown[tuple(middle)]) == (1, 1)
    assert np.mean(layer.data == shown) > 0.995
    layer.undo()
    follow(correction)
    np.testing.assert_array_equal(layer.data, start)


def test_labels_from_a_file_whose_axes_run_in_another_order_are_corrected():
    viewer, study = ViewerModel(), make_ball_study()
    viewers.add_layers(viewer, to_layers.study_to_layers(study))
    from napari_brain_tumor.geometry import to_ras

    turn = to_ras(study.grid)
    other = Segmentation(np.ascontiguousarray(turn.apply(np.ones(SHAPE, np.uint8))), turn.target, "case")
    viewers.add_layers(viewer, [to_layers.segmentation_to_layer(other)])
    correction = correction_in(viewer)
    assert carry_out(correction, correction.action(point(correction, Z, LY, LX))) > 0
    assert holds_the_same(correction)


def test_labels_painted_from_scratch_over_a_scan_can_be_corrected_and_tell_their_prompts(viewer):
    scan = viewer.layers[0]
    empty = np.zeros(scan.data.shape, np.uint8)
    viewer.add_labels(empty, scale=scan.scale, translate=scan.translate, units=scan.units, name="mine")
    chosen = starts(viewer.layers)[0]
    assert chosen.text == "mine"
    correction = correction_in(viewer)
    carry_out(correction, correction.action(stroke(correction, Z, LY, range(LX - 3, LX + 3))))
    assert correction.layer.metadata[KEY].provenance["refined"]


def test_what_is_needed_is_said_where_nothing_can_be_corrected():
    viewer = ViewerModel()
    assert "Open a case first" in obstacle(viewer.layers)
    viewer.add_image(np.zeros((4, 5, 6)), name="something")
    assert "Open…" in obstacle(viewer.layers)
    viewer.add_labels(np.zeros((4, 5, 6), np.uint8))
    assert starts(viewer.layers) == []
    viewer.add_image(np.random.default_rng(0).normal(size=(4, 5, 6)), name="t1")
    assert obstacle(viewer.layers) == ""


def test_entries_speak_in_words(correction):
    assert isinstance(correction, Correction)
    assert correction.action(prompts_of(correction)[2]).entry.text == "stroke · not whole tumour"
    assert correction.action(Interpolate(axis=2, slices=(1, 5, 9))).entry.text == "filled between 3 slices"
    assert correction.action(Propagate(axis=2, start=9, stop=4)).entry.text == "propagated over 5 slices"
