from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.errors import GridMismatchError, SaveError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.measure.picture import save_picture
from napari_brain_tumor.measure.planes import planes_through
from napari_brain_tumor.study import Segmentation, Study

AFFINES = {
    "ras": np.diag([1.0, 1.0, 1.0, 1.0]),
    "lps": np.diag([-1.0, -1.0, 1.0, 1.0]),
    "anisotropic": np.diag([1.0, 1.0, 3.0, 1.0]),
    "oblique": np.array([[0.98, -0.17, 0, 3], [0.17, 0.98, 0, 4], [0, 0, 2, 5], [0, 0, 0, 1.0]]),
}


def case(affine: np.ndarray, roles: tuple[str, ...] = ("T1c", "FLAIR")) -> tuple[Study, Segmentation]:
    shape = (24, 30, 18)
    distance = np.linalg.norm(np.indices(shape) - np.array([12, 15, 9]).reshape(3, 1, 1, 1), axis=0)
    brain = np.where(distance < 9, 100.0 + distance, 0).astype(np.float32)
    classes = np.select([distance < 2, distance < 3, distance < 5], [3, 2, 1]).astype(np.uint8)
    grid = Grid(shape, affine)
    return Study(dict.fromkeys(roles, brain), grid, "phantom"), Segmentation(classes, grid, "phantom")


def pixels(path: Path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(path)[..., :3]


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_picture_shows_every_class_colour_on_any_grid(tmp_path: Path, affine: np.ndarray) -> None:
    path = save_picture(*case(affine), tmp_path / "picture.png")
    image = pixels(path)
    for colour in ((0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00), (0xD5, 0x5E, 0x00)):
        near = np.abs(image - np.array(colour) / 255).max(axis=2) < 0.03
        assert near.any(), colour
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]


def test_picture_puts_the_patients_left_on_the_right(tmp_path: Path) -> None:
    study, segmentation = case(AFFINES["ras"], ("FLAIR",))
    classes = np.zeros_like(segmentation.data)
    classes[4:8, 13:17, 7:11] = 1  # low x: the patient's left
    mirrored = np.zeros_like(classes)
    mirrored[-8:-4, 13:17, 7:11] = 1
    centres = []
    for name, data in (("left", classes), ("right", mirrored)):
        image = pixels(save_picture(study, Segmentation(data, study.grid), tmp_path / f"{name}.png"))
        blue = image[: image.shape[0] // 3, :, 2] - image[: image.shape[0] // 3, :, 0]
        centres.append(np.nonzero(blue > 0.15)[1].mean())
    assert centres[0] > centres[1] + 20


def test_picture_of_an_empty_segmentation_and_one_slice(tmp_path: Path) -> None:
    image = np.arange(20.0 * 30).reshape(20, 30, 1)
    grid = Grid((20, 30, 1), np.eye(4), "voxel")
    empty = Segmentation(np.zeros((20, 30, 1), np.uint8), grid)
    assert save_picture(Study({"FLAIR": image}, grid), empty, tmp_path / "a.png").stat().st_size > 1000


def test_planes_pass_through_the_largest_cut_of_the_core() -> None:
    classes = np.zeros((9, 9, 9), np.uint8)
    classes[1:4, 1:4, 1:4] = 1
    assert planes_through(classes) == (1, 1, 1)
    classes[6, 7, 5] = 3
    assert planes_through(classes) == (6, 7, 5)
    assert planes_through(np.zeros((9, 9, 9), np.uint8)) == (4, 4, 4)


def test_picture_refuses_another_grid(tmp_path: Path) -> None:
    study, segmentation = case(AFFINES["ras"])
    moved = Segmentation(segmentation.data, Grid(segmentation.grid.shape, AFFINES["lps"]))
    with pytest.raises(GridMismatchError, match="one grid"):
        save_picture(study, moved, tmp_path / "picture.png")


def test_picture_that_cannot_be_written_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="was not saved"):
        save_picture(*case(AFFINES["ras"]), tmp_path / "file" / "picture.png")
