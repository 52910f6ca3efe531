"""Figures and films: true to scale, with the patient's sides, and what is refused."""

import sys

import numpy as np
import pytest
from PIL import Image

from napari_brain_tumor.errors import GridMismatchError, OptionError, RoleError, SaveError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.measure.planes import LABELS, PLANES, extent
from napari_brain_tumor.reports.figure import draw_figure, save_figure, scale_bar_length, shown_in
from napari_brain_tumor.reports.slice_through import save_slice_through
from napari_brain_tumor.study import Segmentation, Study

SHAPE = (40, 48, 12)
SPACING = (1.0, 1.5, 5.0)


@pytest.fixture
def case():
    """A head of 24 x 48 x 50 mm in voxels of 1 x 1.5 x 5 mm (LPS order), with a tumour on the patient's left."""
    grid = Grid(SHAPE, np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0]), "mm")
    image = np.zeros(SHAPE, np.float32)
    image[8:32, 8:40, 1:11] = np.random.default_rng(0).uniform(60, 100, (24, 32, 10))
    labels = np.zeros(SHAPE, np.uint8)
    labels[24:30, 12:20, 4:8] = 1  # x runs to the patient's left
    labels[26:28, 14:18, 5:7] = 3
    return Study({"FLAIR": image}, grid, "case"), Segmentation(labels, grid, "case")


def test_all_planes_are_at_one_scale_whatever_the_voxels(case):
    figure = draw_figure(*case)
    _, view = shown_in(*case, None)
    size = np.array(figure.get_size_inches())
    scales = []
    for axes, plane in zip(figure.axes, PLANES, strict=True):
        box = axes.get_position()
        width, height = extent(view.grid, plane)[1::2]
        scales += [box.width * size[0] / width, box.height * size[1] / height]
        assert axes.get_aspect() == "auto"
        assert axes.get_xlim() == (0, width)
        assert axes.get_ylim() == (0, height)
    assert scales == pytest.approx([scales[0]] * 6)


def test_scale_bar_has_its_length_in_pixels(case, tmp_path):
    study, segmentation = case
    figure = draw_figure(study, segmentation)
    path = save_figure(study, segmentation, tmp_path / "figure.png", dpi=150)
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert pixels.shape[1::-1] == tuple(round(150 * inches) for inches in figure.get_size_inches())
    width_mm = extent(shown_in(study, segmentation, None)[1].grid, PLANES[0])[1]
    axes = figure.axes[0]
    box = axes.get_position()
    bar = next(line for line in axes.lines if line.get_gid())
    length = float(np.ptp(bar.get_xdata()))
    assert bar.get_gid() == f"scale bar {length:g}"
    assert f"{length:g} mm" in [text.get_text() for text in axes.texts]
    row = round(pixels.shape[0] * (1 - box.y0 - box.height * bar.get_ydata()[0] / axes.get_ylim()[1]))
    left, right = (round(pixels.shape[1] * (box.x0 + box.width * share)) for share in (0.5, 0.995))
    white = int((pixels[row, left:right] > 240).all(axis=1).sum())
    assert white == pytest.approx(length / width_mm * box.width * pixels.shape[1], abs=1.5)


def test_sides_are_lettered_as_the_convention_has_them_and_the_tumour_lies_on_its_side(case):
    figure = draw_figure(*case)
    letters = [[text.get_text() for text in axes.texts if text.get_text() in set("RLAPSI")] for axes in figure.axes]
    assert letters == [["R", "L", "A", "P"], ["R", "L", "S", "I"], ["A", "P", "S", "I"]]
    words = [text.get_text() for text in figure.texts]
    assert "Radiological convention: the patient's right (R) is on the left." in words
    # The tumour is on the patient's left, which is on the right of the axial picture.
    outline = np.vstack([path.vertices for c in figure.axes[0].collections for path in c.get_paths()])
    assert outline[:, 0].min() > sum(figure.axes[0].get_xlim()) / 2


def test_legend_gives_volumes_of_classes_and_regions(case):
    figure = draw_figure(*case)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    ml = SPACING[0] * SPACING[1] * SPACING[2] / 1000
    assert legend[0] == f"edema {(6 * 8 * 4 - 2 * 4 * 2) * ml:.2f} mL"
    assert legend[-1] == f"enhancing {2 * 4 * 2 * ml:.2f} mL"
    assert any(f"{6 * 8 * 4 * ml:.2f} mL" in text.get_text() for text in figure.texts)


def test_planes_go_through_the_point_that_is_given(case):
    study, segmentation = case
    at = study.grid.world(np.array([[20.0, 30.0, 3.0]]))[0]
    titles = [axes.texts[-2].get_text() for axes in draw_figure(study, segmentation, at=at).axes]
    assert titles == ["axial, z = 15 mm", "coronal, y = -45 mm", "sagittal, x = -20 mm"]
    with pytest.raises(OptionError, match="lies outside the head in the scan, which has x"):
        draw_figure(study, segmentation, at=(500, 0, 0))
    with pytest.raises(OptionError, match="three world coordinates"):
        draw_figure(study, segmentation, at=(1, 2))


def test_svg_is_the_same_twice_and_refusals_say_what_to_do(case, tmp_path):
    study, segmentation = case
    first = save_figure(study, segmentation, tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "scale bar" in first
    assert "<dc:date>" not in first
    with pytest.raises(SaveError, match=r"\.png, \.svg, \.pdf"):
        save_figure(study, segmentation, tmp_path / "a.jpg")
    with pytest.raises(SaveError):
        save_figure(study, segmentation, tmp_path / "a.svg")
    with pytest.raises(RoleError, match=r"no T1c\. Choose one of FLAIR"):
        save_figure(study, segmentation, tmp_path / "b.svg", role="T1c")
    other = Segmentation(np.zeros((4, 4, 4), np.uint8), Grid((4, 4, 4), np.eye(4), "mm"), "other")
    with pytest.raises(GridMismatchError):
        draw_figure(study, other)


def test_scale_bar_is_a_round_number():
    assert [scale_bar_length(most) for most in (72.0, 49.9, 19.0, 5.0, 0.7)] == pytest.approx([50, 20, 10, 5, 0.5])


@pytest.mark.parametrize("plane", ["axial", "sagittal"])
def test_film_has_a_picture_for_each_slice_in_proportion_with_a_true_scale_bar(case, tmp_path, plane):
    study, segmentation = case
    _, view = shown_in(study, segmentation, None)
    cut = next(one for one in PLANES if one.name == plane)
    film = Image.open(save_slice_through(study, segmentation, tmp_path / "film.gif", plane=plane, frames_per_second=10))
    assert film.n_frames == view.grid.shape[cut.axis]
    assert film.info["duration"] == 100
    width_mm, height_mm = extent(view.grid, cut)[1::2]
    width, height = film.size[0], film.size[1] - 28
    assert width / height == pytest.approx(width_mm / height_mm, rel=0.01)
    bar = scale_bar_length(0.3 * width_mm)
    row = np.asarray(film.convert("RGB")).astype(int)[height + 13, : width // 2]
    run = (row > 200).all(axis=1)
    assert run[6]
    assert int(np.argmin(run[6:])) == pytest.approx(bar * width / width_mm, abs=1.5)


def test_film_shows_the_outline_on_the_tumours_slices_alone(case, tmp_path):
    study, segmentation = case
    film = Image.open(save_slice_through(study, segmentation, tmp_path / "film.gif"))
    orange = []
    for at in range(film.n_frames):
        film.seek(at)
        pixels = np.asarray(film.convert("RGB")).astype(int)
        orange.append(bool((np.abs(pixels - (0xD5, 0x5E, 0x00)).sum(axis=2) < 40).any()))
    _, view = shown_in(study, segmentation, None)
    assert orange == (view.labels[LABELS] == 3).any(axis=(0, 1)).tolist()
    assert sum(orange) == 2


def test_mp4_without_its_extra_names_what_to_install(case, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(SaveError, match=r'pip install "napari-brain-tumor\[video\]"'):
        save_slice_through(*case, tmp_path / "film.mp4")
    with pytest.raises(SaveError, match=r"\.gif or \.mp4"):
        save_slice_through(*case, tmp_path / "film.avi")
    with pytest.raises(OptionError, match="axial, coronal, sagittal"):
        save_slice_through(*case, tmp_path / "film.gif", plane="oblique")


def test_mp4_has_a_picture_for_each_slice(case, tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = save_slice_through(*case, tmp_path / "film.mp4")
    frames, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert frames == shown_in(*case, None)[1].grid.shape[2]
