"""Outlines bind: what is drawn on a slice stays, what lies between follows, and nothing else changes."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interactive import (
    FillHoles,
    KeepLargest,
    Lasso,
    Propagate,
    Refiner,
    RemoveIsland,
    SmoothMargin,
    Stroke,
)
from napari_brain_tumor.interactive.interpolation import interpolate_slices
from napari_brain_tumor.interactive.prompts import Prompt, PromptFile, read_prompts, save_prompts
from napari_brain_tumor.interactive.rasterise import rasterise
from napari_brain_tumor.interactive.refine import check_prompts, refine
from napari_brain_tumor.labels import Region, labels_sha256, region_mask
from napari_brain_tumor.study import Role, Segmentation, Study
from prompting.simulated_user import next_prompt

SHAPE = (48, 44, 40)
CENTRE = np.array([24, 22, 20])
GRID = Grid(SHAPE, np.diag([1.0, 1.0, 1.5, 1.0]))
WHERE = np.indices(SHAPE)
LABEL: dict[Region, Any] = {"WT": "whole tumour", "TC": "tumour core", "ET": "enhancing"}
STARTS = ("nothing", "shifted", "too large", "half", "noise")
Labels = npt.NDArray[np.uint8]


def far_from(point: npt.ArrayLike) -> npt.NDArray[np.float64]:
    steps = (WHERE - np.reshape(point, (3, 1, 1, 1))) * np.reshape([1, 1, 1.5], (3, 1, 1, 1))
    return np.sqrt((steps**2).sum(axis=0))


def truth_of(stretch: float = 1.0) -> Labels:
    """Shell within shell, leaning with the slices, so that no two slices are alike."""
    steps = (WHERE - np.reshape(CENTRE, (3, 1, 1, 1))) * np.reshape([stretch, 1, 1.5], (3, 1, 1, 1))
    steps[0] = steps[0] + 0.25 * (WHERE[2] - CENTRE[2])
    far = np.sqrt((steps**2).sum(axis=0))
    return ((far < 14).astype(np.uint8) + (far < 9) + (far < 5.5)).astype(np.uint8)


TRUTH = truth_of()


def study_of(roles: tuple[Role, ...] = ("T1", "T1c", "T2", "FLAIR"), seed: int = 3) -> Study:
    random = np.random.default_rng(seed)
    brain = far_from([24, 22, 20]) < 24
    step = {"FLAIR": (0, 3, 2.2, 2), "T2": (0, 2.5, 2.5, 2), "T1c": (0, -0.3, -0.6, 4), "T1": (0, -0.6, -1.6, -1.2)}
    sequences = {}
    for role in roles:
        tissue = 6 + np.array(step[role])[TRUTH] + 0.35 * random.standard_normal(SHAPE)
        sequences[role] = (tissue * brain).astype(np.float32)
    return Study(sequences, GRID)


STUDY = study_of()


def start_of(name: str) -> Segmentation | None:
    random = np.random.default_rng(5)
    made = {
        "shifted": np.roll(TRUTH, 5, axis=0),
        "too large": ((far_from(CENTRE) < 19).astype(np.uint8) + (far_from(CENTRE) < 12) + (far_from(CENTRE) < 8)),
        "half": np.where(WHERE[2] < 20, TRUTH, 0),
        "noise": np.where(far_from(CENTRE) < 22, random.integers(0, 4, SHAPE), 0),
    }
    return None if name == "nothing" else Segmentation(made[name].astype(np.uint8), GRID)


def outline_of(mask: npt.NDArray[np.bool_], axis: int, index: int, region: Region, **options: Any) -> Lasso | None:
    """A line between the voxels of a region on a slice and those around it; None where there are hardly any."""
    from skimage.measure import find_contours

    section = np.take(mask, index, axis)
    if section.sum() < 5:
        return None
    line = max(find_contours(np.pad(section, 1).astype(float), 0.5), key=len)[:-1] - 1
    points = GRID.world(np.insert(line, axis, index, axis=1))
    return Lasso(label=LABEL[region], points=points.tolist(), border=True, **options)


def dice(labels: Labels, region: Region) -> float:
    mine, true = region_mask(labels, region), region_mask(TRUTH, region)
    return 2 * float((mine & true).sum()) / float(mine.sum() + true.sum())


SLICES = st.tuples(st.sampled_from(["WT", "TC", "ET"]), st.integers(0, 2), st.integers(-6, 6))
MANY = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def drawn(places: list[tuple[Region, int, int]]) -> list[tuple[Region, int, int, Lasso]]:
    found = []
    for region, axis, off in places:
        index = int(CENTRE[axis]) + off
        prompt = outline_of(region_mask(TRUTH, region), axis, index, region)
        if prompt is not None:
            found.append((region, axis, index, prompt))
    return found


@pytest.mark.slow
@MANY
@given(start=st.sampled_from(STARTS), places=st.lists(SLICES, min_size=1, max_size=5))
def test_every_outlined_slice_is_what_was_drawn_whatever_comes_after(
    start: str, places: list[tuple[Region, int, int]]
) -> None:
    made = Refiner(STUDY, start_of(start))
    done: list[tuple[Region, int, int]] = []
    for region, axis, index, prompt in drawn(places):
        made.apply(prompt)
        done.append((region, axis, index))
        for one, along, at in done:
            mine = np.take(region_mask(made.labels, one), at, along)
            true = np.take(region_mask(TRUTH, one), at, along)
            np.testing.assert_array_equal(mine, true)


@pytest.mark.slow
@MANY
@given(start=st.sampled_from(STARTS), axis=st.integers(0, 2), region=st.sampled_from(["WT", "TC", "ET"]))
def test_an_outline_changes_nothing_past_slices_outlined_before(start: str, axis: int, region: Region) -> None:
    made = Refiner(STUDY, start_of(start))
    middle = int(CENTRE[axis])
    for index in (middle - 4, middle + 4):
        prompt = outline_of(region_mask(TRUTH, region), axis, index, region)
        if prompt is None:
            return
        made.apply(prompt)
    before = region_mask(made.labels, region).copy()
    prompt = outline_of(region_mask(TRUTH, region), axis, middle, region)
    assert prompt is not None
    made.apply(prompt)
    changed = np.flatnonzero(
        np.moveaxis(before != region_mask(made.labels, region), axis, 0).reshape(SHAPE[axis], -1).any(axis=1)
    )
    assert ((changed > middle - 4) & (changed < middle + 4)).all()


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("roles", "regions"), [(("T1", "T1c", "T2", "FLAIR"), ("WT", "TC", "ET")), (("FLAIR",), ("WT",))]
)
def test_a_simulated_user_gets_closer_with_every_outline(
    start: str, roles: tuple[Role, ...], regions: tuple[Region, ...]
) -> None:
    study = study_of(roles)
    made = Refiner(study, start_of(start))
    scores = [[dice(made.labels, region) for region in regions]]
    for _ in range(8):
        prompt = next_prompt(made.labels, TRUTH, GRID, "outline", regions)
        if prompt is None:
            break
        made.apply(prompt)
        scores.append([dice(made.labels, region) for region in regions])
    assert np.diff(np.mean(scores, axis=1)).min() > -0.02, np.round(scores, 3)
    assert np.min(scores[-1]) > 0.9, np.round(scores, 3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_between_outlines_the_result_is_no_worse_than_shape_interpolation(axis: int) -> None:
    noise = Study({"FLAIR": np.random.default_rng(0).uniform(1, 2, SHAPE).astype(np.float32)}, GRID)
    made, plain = Refiner(noise), np.zeros(SHAPE, np.uint8)
    slices = [int(CENTRE[axis]) + off for off in (-6, 6, 0)]
    for index in slices:
        prompt = outline_of(region_mask(TRUTH, "WT"), axis, index, "WT")
        assert prompt is not None
        made.apply(prompt)
        np.moveaxis(plain, axis, 0)[index] = np.take(TRUTH > 0, index, axis)
    plain = interpolate_slices(plain, GRID, axis, slices, "WT")
    at = [slice(None)] * 3
    at[axis] = slice(min(slices), max(slices) + 1)
    true = TRUTH[tuple(at)] > 0
    wrong = [(one[tuple(at)] > 0) != true for one in (made.labels, plain)]
    assert wrong[0].sum() <= 1.35 * wrong[1].sum() + 0.01 * true.sum()


@pytest.mark.parametrize("label", ["whole tumour", "tumour core", "enhancing"])
def test_this_slice_alone_changes_this_slice_alone(label: Any) -> None:
    region = next(one for one, name in LABEL.items() if name == label)
    made = Refiner(STUDY, start_of("shifted"))
    before = made.labels.copy()
    prompt = outline_of(region_mask(TRUTH, region), 2, 20, region, around=False)
    assert prompt is not None
    made.apply(prompt)
    changed = (before != made.labels).any(axis=(0, 1))
    assert np.flatnonzero(changed).tolist() == [20]
    np.testing.assert_array_equal(region_mask(made.labels, region)[..., 20], region_mask(TRUTH, region)[..., 20])


def test_a_stroke_on_this_slice_alone_changes_its_own_voxels_alone() -> None:
    made = Refiner(STUDY)
    stroke = Stroke(label="edema", points=GRID.world([CENTRE]).tolist(), radius=2, around=False)
    made.apply(stroke)
    own = np.zeros(SHAPE, np.uint8)
    own[tuple(rasterise(stroke, GRID).inside.T)] = 1
    np.testing.assert_array_equal(made.labels, own)


@pytest.mark.slow
@MANY
@given(places=st.lists(SLICES, min_size=1, max_size=3), start=st.sampled_from(STARTS))
def test_a_preview_is_what_is_done_and_does_nothing(start: str, places: list[tuple[Region, int, int]]) -> None:
    made = Refiner(STUDY, start_of(start))
    for *_, prompt in drawn(places):
        before = made.labels.copy()
        shown = made.preview(prompt)
        np.testing.assert_array_equal(made.labels, before)
        assert not made.steps or made.steps[-1] is not prompt
        change = made.apply(prompt)
        assert shown.box == change.box
        np.testing.assert_array_equal(shown.after, change.after)
        outside = np.ones(SHAPE, bool)
        outside[change.box.slices] = False
        np.testing.assert_array_equal(made.labels[outside], before[outside])


@pytest.mark.slow
@MANY
@given(places=st.lists(SLICES, min_size=2, max_size=4), start=st.sampled_from(STARTS))
def test_undo_and_redo_bring_back_what_binds_too(start: str, places: list[tuple[Region, int, int]]) -> None:
    prompts = [prompt for *_, prompt in drawn(places)]
    made = Refiner(STUDY, start_of(start))
    states = [made.labels.copy()]
    for prompt in prompts:
        made.apply(prompt)
        states.append(made.labels.copy())
    for state in states[-2::-1]:
        made.undo()
        np.testing.assert_array_equal(made.labels, state)
    for prompt, state in zip(prompts, states[1:], strict=True):  # drawn anew: nothing is left of the first time
        made.apply(prompt)
        np.testing.assert_array_equal(made.labels, state)


def test_a_part_outlined_before_stays_when_one_beside_it_is_outlined() -> None:
    near = (far_from([18, 22, 20]) < 4).astype(np.uint8)
    other = (far_from([29, 22, 20]) < 4).astype(np.uint8)
    made = Refiner(STUDY)
    for mask in (near, other):
        prompt = outline_of(mask > 0, 2, 20, "WT", around=False)
        assert prompt is not None
        made.apply(prompt)
    np.testing.assert_array_equal(made.labels[..., 20] > 0, (near | other)[..., 20] > 0)


def test_a_slice_that_is_carried_on_stops_at_nothing_that_was_drawn() -> None:
    made = Refiner(STUDY, start_of("too large"))
    for index in (20, 25):
        prompt = outline_of(TRUTH > 0, 2, index, "WT", around=False)
        assert prompt is not None
        made.apply(prompt)
    made.apply(Propagate(axis=2, start=20, stop=28))
    np.testing.assert_array_equal(made.labels[..., 25] > 0, TRUTH[..., 25] > 0)
    assert (made.labels[..., 22] > 0).any()


def test_an_outline_drawn_anew_on_its_slice_holds() -> None:
    made = Refiner(STUDY)
    for mask in (far_from(CENTRE) < 12, far_from(CENTRE) < 7):
        prompt = outline_of(mask, 2, 20, "WT")
        assert prompt is not None
        made.apply(prompt)
    np.testing.assert_array_equal(made.labels[..., 20] > 0, (far_from(CENTRE) < 7)[..., 20])


def test_a_prompt_in_the_air_is_refused() -> None:
    made = Refiner(STUDY)
    points = GRID.world([[1, 1, 1], [4, 1, 1], [4, 4, 1], [1, 4, 1]]).tolist()
    with pytest.raises(PromptError, match="outside the brain"):
        made.apply(Lasso(label="whole tumour", points=points, border=True))
    assert not made.labels.any()


def with_islands() -> Labels:
    labels = TRUTH.copy()
    labels[far_from([10, 10, 8]) < 3] = 1
    labels[tuple(CENTRE)] = 0
    return labels


def test_a_clicked_island_goes_and_nothing_else() -> None:
    labels = with_islands()
    made = Refiner(STUDY, Segmentation(labels, GRID))
    made.apply(RemoveIsland(at=tuple(GRID.world([10, 10, 8]).tolist())))
    np.testing.assert_array_equal(made.labels, np.where(far_from([10, 10, 8]) < 3, 0, labels))
    with pytest.raises(PromptError, match="no whole tumour at"):
        made.apply(RemoveIsland(at=tuple(GRID.world([10, 10, 8]).tolist())))


def test_the_largest_part_stays_and_so_does_what_was_drawn() -> None:
    labels = with_islands()
    made = Refiner(STUDY, Segmentation(labels, GRID))
    made.apply(KeepLargest())
    np.testing.assert_array_equal(made.labels, np.where(far_from([10, 10, 8]) < 3, 0, labels))
    made = Refiner(STUDY, Segmentation(labels, GRID))
    prompt = outline_of(far_from([10, 10, 8]) < 3, 2, 8, "WT", around=False)
    assert prompt is not None
    made.apply(prompt)
    made.apply(KeepLargest())
    np.testing.assert_array_equal(made.labels, labels)


def test_holes_are_filled() -> None:
    made = Refiner(STUDY, Segmentation(with_islands(), GRID))
    change = made.apply(FillHoles())
    assert change.voxels == 1
    assert made.labels[tuple(CENTRE)] == 1


def test_a_smooth_margin_loses_spikes_and_keeps_the_body_and_what_was_drawn() -> None:
    labels = (TRUTH > 0).astype(np.uint8)
    labels[24, 22, 30:36] = 1
    made = Refiner(STUDY, Segmentation(labels, GRID))
    made.apply(SmoothMargin(mm=3.0))
    assert not made.labels[24, 22, 33:36].any()
    assert abs(int((made.labels > 0).sum()) - int((TRUTH > 0).sum())) < 0.03 * (TRUTH > 0).sum()
    made = Refiner(STUDY, Segmentation(labels, GRID))
    made.apply(Stroke(label="edema", points=GRID.world([[24, 22, 30], [24, 22, 35]]).tolist(), around=False))
    made.apply(SmoothMargin(mm=3.0))
    assert made.labels[24, 22, 30:36].all()


def test_actions_on_a_region_that_is_not_there_are_refused() -> None:
    for step in (KeepLargest(label="enhancing"), FillHoles(), SmoothMargin()):
        with pytest.raises(PromptError, match="There is no"):
            Refiner(STUDY).apply(step)


def test_islands_of_a_core_leave_its_surroundings() -> None:
    made = Refiner(STUDY, Segmentation(TRUTH, GRID))
    made.apply(RemoveIsland(label="tumour core", at=tuple(GRID.world(CENTRE).tolist())))
    np.testing.assert_array_equal(made.labels, (TRUTH > 0).astype(np.uint8))


def test_all_steps_come_back_from_their_file_and_give_the_same_voxels(tmp_path: Any) -> None:
    made = Refiner(STUDY, start_of("shifted"))
    for *_, prompt in drawn([("WT", 2, -4), ("TC", 0, 1), ("WT", 1, 3)]):
        made.apply(prompt)
    for step in (SmoothMargin(mm=1.5), FillHoles(label="tumour core"), KeepLargest()):
        made.apply(step)
    save_prompts(made.prompts, tmp_path / "prompts.json")
    again = refine(STUDY, start_of("shifted"), read_prompts(tmp_path / "prompts.json"))
    np.testing.assert_array_equal(again.data, made.labels)


@pytest.mark.parametrize("rule", [1, 2, 3, 4, 5])
def test_prompts_of_an_earlier_rule_are_read_and_said_to_give_other_voxels(rule: int) -> None:
    old = PromptFile.model_validate({"version": rule, "steps": [{"kind": "point", "label": "edema", "at": [0, 0, 0]}]})
    (note,) = check_prompts(old, STUDY, labels_sha256(np.zeros(SHAPE, np.uint8)))
    assert f"rule {rule};" in note
    assert "rule 6" in note
    new: list[Prompt] = []
    assert check_prompts(PromptFile(steps=tuple(new)), STUDY, "") == ()


def two_tumours(step: float) -> tuple[Study, Labels]:
    """Two balls, of which the second differs from healthy tissue by so much, and labels that hold both and a bridge."""
    first, second = far_from([11, 22, 20]) < 6, far_from([37, 22, 20]) < 6
    random = np.random.default_rng(4)
    flair = 6 + 3.0 * first + step * second + 0.35 * random.standard_normal(SHAPE)
    brain = far_from(CENTRE) < 24
    bridge = (abs(WHERE[1] - 22) < 3) & (abs(WHERE[2] - 20) < 3) & (WHERE[0] > 11) & (WHERE[0] < 37)
    labels = (first | second | bridge).astype(np.uint8)
    return Study({"FLAIR": (flair * brain).astype(np.float32)}, GRID), labels


@pytest.mark.parametrize(("step", "stays"), [(3.0, True), (0.0, False)])
def test_an_outline_leaves_a_bridged_part_alone_that_looks_like_it_and_takes_a_spill_away(
    step: float, stays: bool
) -> None:
    study, labels = two_tumours(step)
    made = Refiner(study, Segmentation(labels, GRID))
    prompt = outline_of(far_from([11, 22, 20]) < 6, 2, 20, "WT", around=False)
    assert prompt is not None
    made.apply(prompt)
    assert not made.labels[18:24, 22, 20].any()
    assert made.labels[34:40, 22, 20].all() == stays
    assert made.labels[34:40, 22, 20].any() == stays


@pytest.mark.parametrize("start", ["too large", "noise"])
def test_a_lasso_that_removes_adds_nothing_and_reaches_no_further_than_its_error_is_wide(start: str) -> None:
    made = Refiner(STUDY, start_of(start))
    before = made.labels.copy()
    points = GRID.world([[38, 18, 20], [38, 26, 20], [42, 26, 20], [42, 18, 20]]).tolist()
    made.apply(Lasso(label="whole tumour", add=False, points=points))
    changed = made.labels != before
    assert changed[39, 22, 20]
    assert not made.labels[changed].any()
    assert far_from([40, 22, 20])[changed].max() < 12
