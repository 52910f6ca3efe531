"""A correction under way: what undo, redo, edits by hand and later prompts leave as it was."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_brain_tumor.errors import GridMismatchError, PromptError
from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.interactive import (
    Box3D,
    Change,
    Interpolate,
    Lasso,
    Point,
    PromptFile,
    Propagate,
    Refiner,
    Stroke,
    refiner,
)
from napari_brain_tumor.interactive.prompts import PROMPT_LABELS
from napari_brain_tumor.interactive.rasterise import rasterise
from napari_brain_tumor.labels import labels_sha256
from napari_brain_tumor.study import Segmentation, Study
from phantoms import affine, ball, brain, tilt

SHAPE = (30, 28, 24)
GRID = Grid(SHAPE, affine(tilt(9), (1.0, 1.0, 1.5)))


@pytest.fixture(scope="module")
def study():
    inside = ball(SHAPE, (15, 14, 12), 6)
    images = {role: brain(SHAPE, seed) + 400 * inside for seed, role in enumerate(("T1c", "FLAIR"))}
    return Study(images, GRID, "phantom")


def start_of(classes=True):
    data = ball(SHAPE, (15, 14, 12), 5).astype(np.uint8)
    if classes:
        data[ball(SHAPE, (15, 14, 12), 3)] = 2
        data[15, 14, 12] = 3
    return data


def segmentation(data=None, **options):
    return Segmentation(start_of() if data is None else data, GRID, "phantom", **options)


def world(*voxels):
    return GRID.world(voxels).tolist()


def stroke(*voxels, label="enhancing", radius=1.5, add=True):
    return Stroke(label=label, points=world(*voxels), radius=radius, add=add)


VOXELS = st.tuples(*(st.integers(n * 3 // 10, n * 7 // 10) for n in SHAPE))  # within the brain
LABELS = st.sampled_from(sorted(PROMPT_LABELS))


def _lasso(label, middle, radius):
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    places = np.array(middle) + radius * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    return Lasso(label=label, points=GRID.world(places).tolist())


STEPS = st.one_of(
    st.builds(lambda label, at, add: Point(label=label, at=world(at)[0], add=add), LABELS, VOXELS, st.booleans()),
    st.builds(
        lambda label, a, b, radius, add: stroke(a, b, label=label, radius=radius, add=add),
        LABELS,
        VOXELS,
        VOXELS,
        st.sampled_from([0.0, 1.0, 2.5]),
        st.booleans(),
    ),
    st.builds(_lasso, LABELS, VOXELS, st.floats(1, 6)),
    st.builds(lambda label, a, b: Box3D(label=label, corners=tuple(world(a, b))), LABELS, VOXELS, VOXELS),
    st.builds(
        lambda axis, slices: Interpolate(axis=axis, slices=tuple(slices)),
        st.integers(0, 2),
        st.lists(st.integers(0, 23), min_size=2, max_size=4, unique=True),
    ),
)
HAND = st.builds(lambda at, value: (at, value), VOXELS, st.integers(0, 3))
ACTS = st.lists(st.one_of(STEPS, HAND), min_size=1, max_size=5)


def carry_out(made: Refiner, act) -> Change | None:
    if not isinstance(act, tuple):
        return made.apply(act)
    (x, y, z), value = act
    edited = made.labels.copy()
    edited[x : x + 2, y : y + 2, z] = value
    return made.adopt(edited)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_undoing_and_redoing_all_restores_every_state_exactly(study, acts):
    made = Refiner(study, segmentation())
    states, files = [made.labels.copy()], [made.prompts]
    said = [made._said.copy()]
    for act in acts:
        before = made.labels.copy()
        change = carry_out(made, act)
        if change is None:
            continue
        outside = np.ones(SHAPE, bool)
        outside[change.box.slices] = False
        np.testing.assert_array_equal(made.labels[outside], before[outside])
        np.testing.assert_array_equal(made.labels[change.box.slices], change.after)
        np.testing.assert_array_equal(before[change.box.slices], change.before)
        assert change.voxels == np.count_nonzero(made.labels != before)
        states.append(made.labels.copy())
        said.append(made._said.copy())
        files.append(made.prompts)
    for at in range(len(states) - 2, -1, -1):
        assert made.undo() is not None
        np.testing.assert_array_equal(made.labels, states[at])
        np.testing.assert_array_equal(made._said, said[at])
        assert made.prompts == files[at]
    assert made.undo() is None
    for at in range(1, len(states)):
        assert made.redo() is not None
        np.testing.assert_array_equal(made.labels, states[at])
        np.testing.assert_array_equal(made._said, said[at])
        assert made.prompts == files[at]
    assert made.redo() is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=STEPS, second=STEPS)
def test_voxels_keep_what_an_earlier_prompt_said_unless_said_anew(study, first, second):
    if isinstance(first, Interpolate) or isinstance(second, Interpolate):
        return
    made = Refiner(study, segmentation())
    made.apply(first)
    told = rasterise(first, GRID)
    if told.sure:
        assert np.isin(made.labels[tuple(told.inside.T)], first.allowed).all()
    made.apply(second)
    again = rasterise(second, GRID)
    anew = {tuple(one) for one in np.concatenate([again.inside, again.around]).tolist()}
    kept = np.array([one for one in told.inside.tolist() if tuple(one) not in anew], int).reshape(-1, 3)
    if told.sure:
        assert np.isin(made.labels[tuple(kept.T)], first.allowed).all()
    if again.sure:
        assert np.isin(made.labels[tuple(again.inside.T)], second.allowed).all()


def test_replaying_the_steps_gives_the_same_labels(study):
    made = Refiner(study, segmentation())
    for step in (stroke((10, 14, 12)), stroke((20, 20, 12), label="edema"), Interpolate(axis=2, slices=(8, 12, 16))):
        made.apply(step)
    again = Refiner(study, segmentation())
    for step in made.steps:
        again.apply(step)
    np.testing.assert_array_equal(again.labels, made.labels)


def test_a_new_step_after_undo_leaves_nothing_to_redo(study):
    made = Refiner(study)
    made.apply(stroke((10, 14, 12)))
    made.undo()
    assert (made.can_undo, made.can_redo) == (False, True)
    made.apply(stroke((20, 14, 12)))
    assert (made.can_undo, made.can_redo) == (True, False)
    assert made.steps == (stroke((20, 14, 12)),)


def test_a_refused_step_changes_nothing(study):
    made = Refiner(study, segmentation())
    made.apply(stroke((10, 14, 12)))
    made.undo()
    before = made.labels.copy()
    for step in (
        Point(label="edema", at=(900, 0, 0)),
        Interpolate(axis=2, slices=(0, 24)),
        Propagate(axis=0, start=2, stop=30),
        Propagate(axis=2, start=0, stop=3),
    ):
        with pytest.raises(PromptError):
            made.apply(step)
    np.testing.assert_array_equal(made.labels, before)
    assert (made.can_undo, made.can_redo) == (False, True)


def test_edits_by_hand_stay_and_are_counted_not_recorded(study):
    made = Refiner(study, segmentation())
    assert made.adopt(made.labels.copy()) is None
    edited = made.labels.copy()
    edited[3:6, 3:6, 12] = 2
    change = made.adopt(edited)
    assert change.box == Box((3, 3, 12), (6, 6, 13))
    made.apply(stroke((4, 9, 12), label="enhancing", radius=3))
    assert (made.labels[3:6, 3:6, 12] == 2).all()
    file = made.prompts
    assert (len(file.steps), file.edited_by_hand, file.case) == (1, 1, "phantom")
    assert file.labels_sha256 == labels_sha256(start_of())
    with pytest.raises(GridMismatchError, match="shape"):
        made.adopt(edited[1:])


def test_only_the_last_changes_can_be_undone_and_all_steps_are_kept(study, monkeypatch):
    monkeypatch.setattr(refiner, "UNDO_STEPS", 3)
    made = Refiner(study, segmentation())
    steps = tuple(stroke((8 + 2 * at, 14, 12), radius=0.0) for at in range(5))
    for step in steps:
        made.apply(step)
    assert made.steps == steps
    assert [made.undo().step for _ in range(3)] == list(steps[:1:-1])
    assert made.undo() is None
    assert made.steps == steps[:2]
    for _ in range(3):
        made.redo()
    assert made.prompts == PromptFile(case="phantom", labels_sha256=labels_sha256(start_of()), steps=steps)


def test_a_change_holds_no_more_than_what_changed(study):
    made = Refiner(study)
    change = made.apply(Point(label="edema", at=world((15, 14, 12))[0]))
    everything = (change.before != change.after) | (change.said_before != change.said_after)
    for axis in range(3):
        other = tuple(a for a in range(3) if a != axis)
        assert everything.any(other)[[0, -1]].all()
    assert change.before.base is None
    nothing = made.apply(Interpolate(axis=0, slices=(0, 1)))
    assert (nothing.voxels, nothing.box.shape) == (0, (1, 1, 1))


@pytest.mark.parametrize(
    ("label", "known"),
    [
        ("whole tumour", ("WT",)),
        ("edema", ("WT",)),
        ("tumour core", ("WT", "TC")),
        ("non-enhancing", ("WT", "TC")),
        ("enhancing", ("WT", "TC", "ET")),
    ],
)
def test_of_a_whole_tumour_mask_prompts_tell_what_they_name_and_no_more(study, label, known):
    whole = segmentation(start_of(classes=False), known_regions=("WT",), class_names={1: "whole tumour"})
    made = Refiner(study, whole)
    made.apply(stroke((15, 14, 12), label=label, add=False))
    assert made.known_regions == ("WT",)
    assert set(np.unique(made.labels)) <= {0, 1}
    made.apply(stroke((18, 14, 12), label=label))
    assert made.known_regions == known
    assert made.labels.max() <= len(known)
    made.undo()
    assert made.known_regions == ("WT",)
    edited = made.labels.copy()
    edited[15, 14, 12] = 2
    made.adopt(edited)
    assert made.known_regions == ("WT", "TC")


def test_a_segmentation_on_another_grid_is_refused_with_what_helps(study):
    other = Segmentation(np.zeros((4, 4, 4), np.uint8), Grid((4, 4, 4), np.eye(4)))
    with pytest.raises(GridMismatchError, match=r"geometry\.resample\(segmentation\.data"):
        Refiner(study, other)


def test_the_labels_cannot_be_written_to_and_the_start_is_left_alone(study):
    begun = segmentation()
    made = Refiner(study, begun)
    made.apply(stroke((10, 14, 12)))
    np.testing.assert_array_equal(begun.data, start_of())
    with pytest.raises(ValueError, match="read-only"):
        made.labels[0, 0, 0] = 1


def test_propagation_and_interpolation_are_steps_like_others(study):
    data = np.zeros(SHAPE, np.uint8)
    data[..., 12] = ball(SHAPE, (15, 14, 12), 6)[..., 12]
    made = Refiner(study, segmentation(data))
    change = made.apply(Propagate(axis=2, start=12, stop=14))
    assert change.box.start[2] >= 13
    assert change.box.stop[2] <= 15
    assert made.labels[15, 14, 13] > 0
    made.undo()
    np.testing.assert_array_equal(made.labels, data)


@pytest.mark.parametrize("label", sorted(PROMPT_LABELS))
@pytest.mark.parametrize("add", [True, False])
def test_a_prompt_changes_nothing_but_what_it_names(study, label, add):
    labels = ball(SHAPE, (15, 14, 12), 9).astype(np.uint8)
    labels[ball(SHAPE, (15, 14, 12), 6)] = 2
    labels[ball(SHAPE, (15, 14, 12), 3)] = 3
    refining = Refiner(study, segmentation(labels))
    change = refining.apply(stroke((15, 4, 12), (15, 18, 12), label=label, add=add, radius=1))
    changed = change.before != change.after
    assert changed.any()
    named = PROMPT_LABELS[label]
    joins, leaves = (np.isin(part[changed], named) for part in (change.after, change.before))
    assert (joins & ~leaves).all() if add else (leaves & ~joins).all()


def test_prompts_outside_the_brain_are_refused_unless_they_take_away_what_lies_there():
    images = {"FLAIR": np.where(ball(SHAPE, (15, 14, 12), 10), brain(SHAPE, 0), 0).astype(np.float32)}
    refining = Refiner(Study(images, GRID, "phantom"), segmentation())
    before = refining.labels.copy()
    outside = stroke((1, 1, 1), (4, 1, 1), radius=0)
    with pytest.raises(PromptError, match=r"outside the brain.*draw it on the brain"):
        refining.apply(outside)
    with pytest.raises(PromptError, match="outside the brain"):
        refining.apply(Point(label="edema", at=world((1, 1, 1))[0], add=False))
    np.testing.assert_array_equal(refining.labels, before)
    assert not refining.can_undo
    edited = before.copy()
    edited[1:5, 1, 1] = 3
    refining.adopt(edited)
    refining.apply(stroke((1, 1, 1), (4, 1, 1), radius=0, add=False))
    assert not (refining.labels[1:5, 1, 1] == 3).any()
    assert refining.apply(stroke((1, 14, 12), (15, 14, 12), radius=0)).voxels > 0  # part of it lies within
