import io

import numpy as np
import pytest

from napari_brain_tumor.evaluation.boxes import METHOD_COLORS, draw_boxes
from napari_brain_tumor.evaluation.montage import AGREEMENT_COLORS, draw_montage
from napari_brain_tumor.evaluation.views import CaseView, view_of
from napari_brain_tumor.geometry import Grid, to_ras
from napari_brain_tumor.study import Segmentation, Study
from phantoms import affine, tilt
from scores_for_tests import row

SHAPE = (30, 24, 9)


def case(matrix: np.ndarray | None = None) -> tuple[Study, Segmentation, Segmentation]:
    """A head in RAS with a block of tumour at its left, largest in slice 6; the prediction lies two voxels off."""
    grid = Grid(SHAPE, affine(spacing=(1, 1, 4)) if matrix is None else matrix)
    image = np.full(SHAPE, 0.0)
    image[2:-2, 2:-2] = np.arange(20)[:, None] + 100.0
    truth, predicted = np.zeros((2, *SHAPE), np.uint8)
    truth[4:10, 12:20, 5] = 1
    truth[4:12, 8:20, 6] = 2
    predicted[6:14, 8:20, 6] = 3
    study = Study({"T1": image + 1, "FLAIR": image}, grid, "phantom")
    return study, Segmentation(truth, grid), Segmentation(predicted, grid)


def pixels(figure) -> np.ndarray:
    from matplotlib.image import imread

    content = io.BytesIO()
    figure.savefig(content, format="png", facecolor=figure.get_facecolor())
    content.seek(0)
    return imread(content)[..., :3]


def has_color(image: np.ndarray, color: str) -> bool:
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return bool((np.abs(image - wanted).max(axis=2) < 0.02).any())


def test_view_shows_the_largest_cut_of_the_truth_in_proportion() -> None:
    study, truth, predicted = case()
    view = view_of(study, truth, {"m": predicted})
    assert view.truth.sum() == 8 * 12
    assert (view.predicted["m"] & view.truth).sum() == 6 * 12
    assert view.borders[1] == view.image.shape[1]
    assert view.borders[3] == view.image.shape[0]
    assert view.caption == "FLAIR, axial 29 mm"
    assert np.argwhere(view.truth)[:, 1].mean() > view.truth.shape[1] / 2  # low x, the patient's left, is on the right


def test_view_is_the_same_however_the_file_lies() -> None:
    study, truth, predicted = case()
    expected = view_of(study, truth, {"m": predicted})
    grid = Grid((9, 24, 30), study.grid.affine @ np.array([[0, 0, -1, 29], [0, -1, 0, 23], [1, 0, 0, 0], [0, 0, 0, 1]]))
    turn = to_ras(grid)
    flipped = Study({role: turn.undo(image) for role, image in study.sequences.items()}, grid)
    other = [Segmentation(np.ascontiguousarray(turn.undo(s.data)), grid) for s in (truth, predicted)]
    found = view_of(flipped, other[0], {"m": other[1]})
    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.truth, expected.truth)
    np.testing.assert_array_equal(found.predicted["m"], expected.predicted["m"])


def test_view_of_a_tilted_grid_is_upright() -> None:
    study, truth, predicted = case(affine(tilt(), (1, 1, 4)))
    view = view_of(study, truth, {"m": predicted})
    assert view.truth.any()
    assert view.image.shape == view.truth.shape == view.predicted["m"].shape


def test_view_without_a_truth_shows_what_was_found_and_else_the_middle() -> None:
    study, truth, predicted = case()
    empty = Segmentation(np.zeros_like(truth.data), truth.grid)
    assert view_of(study, empty, {"a": empty, "b": predicted}).predicted["b"].sum() == 8 * 12
    assert view_of(study, empty, {"a": empty}).caption == "FLAIR, axial 21 mm"
    assert view_of(study.only(("T1",)), truth, {}).caption.startswith("T1,")


def montage(dice: dict[str, float], view: CaseView):
    rows = [row("phantom", model, value) for model, value in dice.items()]
    return draw_montage(rows, {("", "phantom"): view}, ["m", "other"])


def test_montage_colours_true_false_and_missed_voxels_and_says_so() -> None:
    study, truth, predicted = case()
    figure = montage({"m": 0.75, "other": 1.0}, view_of(study, truth, {"m": predicted, "other": truth}))
    image = pixels(figure)
    assert all(has_color(image, color) for color in AGREEMENT_COLORS.values())
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["truth\nFLAIR, axial 29 mm", "m\nDice 0.750", "other\nDice 1.000"]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["whole tumour, truth", "found", "false: not in the truth", "missed"]
    assert "phantom" in figure.axes[0].get_ylabel()


def test_a_perfect_prediction_has_neither_false_nor_missed_voxels() -> None:
    study, truth, _ = case()
    figure = montage({"m": 1.0}, view_of(study, truth, {"m": truth}))
    for legend in figure.legends:
        legend.remove()
    image = pixels(figure)
    assert not has_color(image, AGREEMENT_COLORS["false"])
    assert not has_color(image, AGREEMENT_COLORS["missed"])
    assert figure.axes[2].get_title() == "other\nno result"


def test_montage_shows_voxels_in_proportion() -> None:
    study, truth, predicted = case(affine(spacing=(1, 2, 4)))
    figure = montage({"m": 0.5}, view_of(study, truth, {"m": predicted}))
    left, right, low, high = figure.axes[0].images[0].get_extent()
    rows, columns = figure.axes[0].images[0].get_array().shape
    assert (high - low) / rows == pytest.approx(2 * (right - left) / columns)
    assert figure.axes[0].get_aspect() in (1, "equal")


def test_montage_has_a_row_for_best_median_and_worst() -> None:
    study, truth, predicted = case()
    view = view_of(study, truth, {"m": predicted})
    rows = [row(name, "m", dice) for name, dice in zip("abcd", (0.1, 0.9, 0.5, 0.4), strict=True)]
    figure = draw_montage(rows, {("", name): view for name in "abcd"}, ["m"])
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["best case\nb", "median case\nd", "worst case\na"]


def scored(models: tuple[str, ...], count: int = 6) -> list:
    return [
        row(f"{i}", m, i / count, region=r, scores={"hd95_mm": float(i), "nsd_2mm": 0.5}, dataset=f"set{i % 2}")
        for i in range(count)
        for m in models
        for r in ("WT", "TC", "edema")
    ]


def test_boxes_have_a_panel_for_each_metric_and_a_point_for_each_case() -> None:
    figure = draw_boxes(scored(("a", "b")))
    assert [axes.get_title() for axes in figure.axes] == ["Dice", "HD95 (mm)", "NSD at 2 mm"]
    for axes in figure.axes:
        points = [line for line in axes.lines if line.get_marker() in ("o", "^")]
        assert len(points) == 6 * 2 * 2
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["WT\n6 cases", "TC\n6 cases"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["a", "b", "case of set0", "case of set1"]
    image = pixels(figure)
    assert has_color(image, METHOD_COLORS[0])
    assert has_color(image, METHOD_COLORS[1])


def test_points_lie_at_their_values_and_medians_at_theirs() -> None:
    axes = draw_boxes(scored(("a",))).axes[0]
    points = sorted(line.get_ydata()[0] for line in axes.lines if line.get_marker() in ("o", "^"))
    assert points == pytest.approx(sorted(i / 6 for i in range(6) for _ in range(2)))
    medians = [line.get_ydata() for line in axes.lines if line.get_linewidth() == 2.2]
    assert [list(y) for y in medians] == [pytest.approx([2.5 / 6] * 2)] * 2


def test_few_cases_get_their_median_instead_of_a_box() -> None:
    axes = draw_boxes(scored(("a",), count=3)).axes[0]
    assert not axes.patches
    assert len(axes.collections) == 2


def test_a_metric_that_no_case_has_gets_no_panel() -> None:
    assert [a.get_title() for a in draw_boxes([row("a", "m", 0.5)]).axes] == ["Dice"]
