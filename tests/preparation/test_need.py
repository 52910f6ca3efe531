"""Which examinations have to be prepared: by their grids alone, and else by what the scans show."""

from pathlib import Path

import numpy as np

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import Volume, open_sequences
from napari_brain_tumor.plugin import reader, viewers
from napari_brain_tumor.preparation import why_prepare, why_prepare_grids
from phantoms import affine, noise, tilt, write_nifti

ONE = Grid((20, 22, 18), affine(tilt(10), (1.0, 1.5, 2.0)))


def test_sequences_on_one_grid_need_nothing_and_rounding_makes_no_second_grid():
    nearly = Grid(ONE.shape, ONE.affine + 1e-6)
    assert why_prepare_grids({"T1": ONE, "FLAIR": nearly}) == ""
    assert why_prepare_grids({"FLAIR": ONE}) == ""
    assert why_prepare_grids({}) == ""


def test_another_place_size_or_direction_is_a_grid_of_its_own():
    moved = Grid(ONE.shape, ONE.affine @ np.array([[1, 0, 0, 3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    turned = Grid(ONE.shape, affine(tilt(14), (1.0, 1.5, 2.0)))
    fewer = Grid((20, 22, 17), ONE.affine)
    assert why_prepare_grids({"T1": ONE, "T1c": ONE, "FLAIR": moved}) == "The sequences lie on 2 different grids."
    assert "4 different grids" in why_prepare_grids({"T1": ONE, "T1c": turned, "T2": fewer, "FLAIR": moved})


def test_sequences_of_unknown_voxel_size_cannot_be_prepared():
    unknown = Grid((20, 22, 17), ONE.affine, "voxel")
    assert why_prepare_grids({"T1": ONE, "FLAIR": unknown}) == ""
    volumes = {role: Volume(role, noise(unknown.shape), unknown, Path(f"{role}.nii")) for role in ("T1", "FLAIR")}
    assert why_prepare(volumes) == ""


def test_grids_are_judged_without_a_look_at_the_voxels():
    other = Grid((20, 22, 17), ONE.affine)
    volumes = {"T1": Volume("t1", None, ONE, Path("t1.nii")), "T2": Volume("t2", None, other, Path("t2.nii"))}
    assert why_prepare(volumes) == "The sequences lie on 2 different grids."


def test_files_on_several_grids_open_with_the_way_to_prepare_them(tmp_path, monkeypatch):
    for name, depth in (("t1", 14), ("flair", 9)):
        write_nifti(tmp_path / f"case_{name}.nii.gz", noise((16, 16, depth)), np.diag([1.0, 1.0, 28.0 / depth, 1.0]))
    assert why_prepare(open_sequences(tmp_path).volumes) == "The sequences lie on 2 different grids."
    messages = []
    monkeypatch.setattr(viewers, "tell", lambda notes, warn=False: messages.extend(notes))
    opened = reader.read_path(tmp_path)
    assert len(opened) == 2
    assert any("offers to register them, also under Open… > Raw examination…" in text for text in messages)
