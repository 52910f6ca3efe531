"""What a prompt changes around it, on bodies whose truth is known."""

import numpy as np
import numpy.typing as npt
import pytest

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interactive import Lasso, Point, Refiner, Stroke
from napari_brain_tumor.interactive.prompts import Prompt
from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.study import Segmentation, Study

SHAPE = (64, 60, 56)
CENTRE = np.array([30, 30, 28])
GRID = Grid(SHAPE, np.eye(4))


def distance_to(point: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.linalg.norm(np.indices(SHAPE) - np.reshape(point, (3, 1, 1, 1)), axis=0)


@pytest.fixture(scope="module")
def truth() -> npt.NDArray[np.uint8]:
    """A ball of edema around a core that enhances, shell within shell."""
    far = distance_to(CENTRE)
    return ((far < 16).astype(np.uint8) + (far < 10) + (far < 6)).astype(np.uint8)


@pytest.fixture(scope="module")
def study(truth: npt.NDArray[np.uint8]) -> Study:
    """FLAIR is bright in the whole tumour, T1c in what enhances, T1 dark in the core; noise is a third of a step."""
    random = np.random.default_rng(3)
    brain = distance_to([32, 30, 28]) < 27
    step = {"FLAIR": (0, 3, 2.2, 2), "T2": (0, 2.5, 2.5, 2), "T1c": (0, -0.3, -0.6, 4), "T1": (0, -0.6, -1.6, -1.2)}
    sequences = {}
    for role, values in step.items():
        tissue = 6 + 0.5 * np.sin(np.indices(SHAPE)[0] / 6) + np.array(values)[truth]
        sequences[role] = ((tissue + 0.35 * random.standard_normal(SHAPE)) * brain).astype(np.float32)
    return Study(sequences, GRID)


def circle(radius: float, at: npt.ArrayLike = CENTRE, axis: int = 2) -> tuple[tuple[float, float, float], ...]:
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    flat = radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return tuple((float(x), float(y), float(z)) for x, y, z in np.insert(flat, axis, 0, axis=1) + np.asarray(at))


def dice(labels: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8], region: Region) -> float:
    mine, true = np.isin(labels, REGIONS[region]), np.isin(truth, REGIONS[region])
    return 2 * float((mine & true).sum()) / float(mine.sum() + true.sum())


def corrected(study: Study, start: npt.NDArray[np.uint8] | None, *prompts: Prompt) -> npt.NDArray[np.uint8]:
    refiner = Refiner(study, None if start is None else Segmentation(start, study.grid))
    for prompt in prompts:
        refiner.apply(prompt)
    return np.array(refiner.labels)


def test_spread_one_border_from_nothing_finds_the_ball(study: Study, truth: npt.NDArray[np.uint8]) -> None:
    labels = corrected(study, None, Lasso(label="whole tumour", points=circle(16), border=True))
    assert dice(labels, truth, "WT") > 0.85
    assert not (labels > 1).any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_spread_borders_of_all_regions_in_any_plane(study: Study, truth: npt.NDArray[np.uint8], axis: int) -> None:
    labels = corrected(
        study,
        None,
        Lasso(label="whole tumour", points=circle(16, axis=axis), border=True),
        Lasso(label="tumour core", points=circle(10, axis=axis), border=True),
        Lasso(label="enhancing", points=circle(6, axis=axis), border=True),
    )
    assert [dice(labels, truth, region) > 0.8 for region in REGIONS] == [True, True, True]


def test_spread_a_missed_half_comes_with_a_stroke_through_it(study: Study, truth: npt.NDArray[np.uint8]) -> None:
    half = truth * (np.indices(SHAPE)[0] < CENTRE[0])
    stroke = Stroke(label="whole tumour", points=((34.0, 30.0, 28.0), (44.0, 30.0, 28.0)), radius=1.5)
    before, after = dice(half, truth, "WT"), dice(corrected(study, half, stroke), truth, "WT")
    assert before < 0.7
    assert after > before + 0.15


def test_spread_not_this_takes_a_false_part_away_whole(study: Study, truth: npt.NDArray[np.uint8]) -> None:
    false = distance_to([50, 30, 28]) < 5
    start = np.where(false & (truth == 0), 1, truth).astype(np.uint8)
    labels = corrected(
        study, start, Stroke(label="whole tumour", add=False, points=((50, 30, 28), (51, 33, 28)), radius=2)
    )
    assert not (labels[false & (truth == 0) & (distance_to(CENTRE) > 18)]).any()
    assert dice(labels, truth, "WT") > 0.97


def test_spread_one_stroke_takes_no_more_than_a_quarter_of_the_tumour_away(
    study: Study, truth: npt.NDArray[np.uint8]
) -> None:
    stroke = Stroke(label="whole tumour", add=False, points=((24, 24, 28), (36, 36, 28)), radius=3)
    own = corrected(study, np.ones_like(truth), stroke.model_copy(update={"around": False})) == 0
    labels = corrected(study, truth, stroke)
    lost = (truth > 0) & (labels == 0)
    assert 0 < (lost & ~own).sum() <= 0.25 * (truth > 0).sum()


def test_spread_prompt_on_what_is_right_changes_nothing(study: Study, truth: npt.NDArray[np.uint8]) -> None:
    labels = corrected(study, truth, Point(label="enhancing", at=(30, 30, 28)), Point(label="edema", at=(43, 30, 28)))
    assert np.array_equal(labels, truth)


def test_spread_voxels_of_a_prompt_are_what_it_says(study: Study, truth: npt.NDArray[np.uint8]) -> None:
    line = ((30.0, 30.0, 28.0), (44.0, 30.0, 28.0))
    for label, allowed in (("edema", {1}), ("non-enhancing", {2}), ("enhancing", {3}), ("tumour core", {2, 3})):
        labels = corrected(study, truth, Stroke(label=label, points=line))
        assert set(labels[30:45, 30, 28].tolist()) <= allowed
    for label, allowed in (("edema", {0, 2, 3}), ("enhancing", {0, 1, 2}), ("whole tumour", {0})):
        labels = corrected(study, truth, Stroke(label=label, add=False, points=line))
        assert set(labels[30:45, 30, 28].tolist()) <= allowed


def test_spread_later_prompts_leave_what_was_said(study: Study, truth: npt.NDArray[np.uint8]) -> None:
    kept = Stroke(label="edema", points=((26.0, 30.0, 28.0), (34.0, 30.0, 28.0)))
    labels = corrected(study, truth, kept, Lasso(label="enhancing", points=circle(6, at=(30, 30, 30)), border=True))
    assert (labels[26:35, 30, 28] == 1).all()


def test_spread_works_with_one_sequence(study: Study, truth: npt.NDArray[np.uint8]) -> None:
    labels = corrected(study.only(("FLAIR",)), None, Lasso(label="whole tumour", points=circle(16), border=True))
    assert dice(labels, truth, "WT") > 0.8


def test_spread_where_the_files_tell_no_spacing(study: Study, truth: npt.NDArray[np.uint8]) -> None:
    voxels = Study(study.sequences, Grid(SHAPE, np.eye(4), "voxel"))
    labels = corrected(voxels, None, Lasso(label="whole tumour", points=circle(16), border=True))
    assert dice(labels, truth, "WT") > 0.7
