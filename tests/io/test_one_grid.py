"""Sequences of different grids, brought onto one."""

import nibabel as nib
import numpy as np
import pytest

import phantoms
from napari_brain_tumor import open_study
from napari_brain_tumor.errors import GridMismatchError, RoleError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import bring_onto_one_grid, distinct_grids, open_sequences, open_sources, reference_role
from napari_brain_tumor.metrics.overlap import dice
from napari_brain_tumor.preprocessing.intensity import foreground_mask
from napari_brain_tumor.study import NiftiForms, Study

FINE = Grid((20, 24, 16), phantoms.affine(spacing=(1, 1, 2)))
THICK = Grid((24, 20, 8), phantoms.affine(((0, 1, 0), (-1, 0, 0), (0, 0, 1)), (1, 1, 4), (-10, 43, 6)))
TILTED = Grid((30, 30, 12), phantoms.affine(phantoms.tilt(9), (1, 1, 4), (-15, 18, 0)))


def ramp(grid: Grid) -> np.ndarray:
    """A linear function of the place in the world, which linear resampling keeps."""
    at = grid.world(np.moveaxis(np.indices(grid.shape), 0, -1))
    return (at @ (2.0, -1.0, 3.0) + 500).astype(np.float32)


@pytest.mark.parametrize("other", [THICK, TILTED])
def test_values_keep_their_place_in_the_world(other):
    found = bring_onto_one_grid({"FLAIR": (ramp(FINE), FINE), "T1": (ramp(other), other)})
    assert (found.reference, found.grid, found.resampled) == ("FLAIR", FINE, ("T1",))
    np.testing.assert_array_equal(found.arrays["FLAIR"], ramp(FINE))
    inside = np.zeros(FINE.shape, bool)
    at = other.voxels(FINE.world(np.moveaxis(np.indices(FINE.shape), 0, -1)))
    inside[(at >= 0).all(axis=-1) & (at <= np.array(other.shape) - 1).all(axis=-1)] = True
    assert inside.mean() > 0.3
    np.testing.assert_allclose(found.arrays["T1"][inside], ramp(FINE)[inside], atol=1e-2)


def test_where_a_sequence_was_not_scanned_there_is_its_background_and_that_is_told():
    short = Grid((20, 24, 4), FINE.affine)
    image = np.full(short.shape, 300.0, np.float32)
    image[[0, -1]] = -3.0
    found = bring_onto_one_grid({"T1": (ramp(FINE), FINE), "T2": (image, short)}, "T1")
    assert (found.arrays["T2"][5:15, :, 4:] == -3.0).all()
    assert (found.arrays["T2"][5:15, :, :4] == 300.0).all()
    assert "T2 covers 25% of that grid" in found.notes[1]


def test_the_outermost_half_of_a_thick_slice_is_kept():
    slab = Grid((20, 24, 2), FINE.affine @ np.diag([1, 1, 8.0, 1]) @ _shift(0.4375))
    found = bring_onto_one_grid({"T1": (ramp(FINE), FINE), "T2": (np.full(slab.shape, 7.0), slab)}, "T1")
    assert (found.arrays["T2"] == 7.0).all()


def _shift(z: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[2, 3] = z
    return matrix


def test_the_finest_grid_is_taken_and_of_equal_ones_that_of_t1c():
    assert reference_role({"T1c": THICK, "T2": FINE}) == "T2"
    turned = Grid(FINE.shape, phantoms.affine(phantoms.tilt(), (1, 1, 2)))
    assert reference_role({"T1": FINE, "T2": FINE, "T1c": turned, "FLAIR": FINE}) == "T1c"
    assert reference_role({"T1c": THICK, "T2": FINE}, "t1gd") == "T1c"
    with pytest.raises(RoleError, match="There is no FLAIR to resample onto"):
        reference_role({"T1c": THICK, "T2": FINE}, "FLAIR")


def test_grids_are_told_apart_with_their_sequences():
    found = distinct_grids({"T1": FINE, "T2": THICK, "FLAIR": Grid(FINE.shape, FINE.affine + 1e-5)})
    assert [roles for roles, _ in found] == [("T1", "FLAIR"), ("T2",)]


def test_scans_of_another_place_or_of_unknown_voxel_size_are_refused():
    far = Grid(FINE.shape, phantoms.affine(spacing=(1, 1, 2), origin=(500, 0, 0)))
    with pytest.raises(GridMismatchError, match=r"T2 .* lies nowhere on the grid"):
        bring_onto_one_grid({"T1": (ramp(FINE), FINE), "T2": (ramp(far), far)}, "T1")
    unknown = Grid(FINE.shape, np.eye(4), "voxel")
    with pytest.raises(GridMismatchError, match="do not all state the voxel size"):
        bring_onto_one_grid({"T1": (ramp(FINE), FINE), "T2": (ramp(FINE), unknown)}, "T1")


@pytest.fixture
def case(tmp_path):
    folder = tmp_path / "case"
    phantoms.write_nifti(folder / "case_flair.nii.gz", ramp(FINE), FINE.affine, sform_code=2)
    phantoms.write_nifti(folder / "case_t1.nii.gz", ramp(THICK), THICK.affine)
    return folder


def test_a_case_opens_on_one_grid_where_that_is_asked_for(case):
    with pytest.raises(GridMismatchError, match='resample="finest"'):
        open_study(case)
    study = open_study(case, resample="finest")
    assert (study.roles, study.resampled, study.name) == (("T1", "FLAIR"), ("T1",), "case")
    assert study.grid == FINE
    assert isinstance(study.layout, NiftiForms)
    assert study.layout.sform_code == 2  # of the file whose grid it is
    assert any("T1 was resampled onto the grid of FLAIR" in note for note in study.notes)
    assert {role: source.path.name for role, source in study.sources.items()} == {
        "T1": "case_t1.nii.gz",
        "FLAIR": "case_flair.nii.gz",
    }
    assert open_study(case, resample="T1").grid.same_place(THICK)
    assert study.only(("FLAIR",)).resampled == ()


def test_sequences_open_as_they_lie(case):
    opened = open_sequences(case)
    assert {role: one.grid.shape for role, one in opened.volumes.items()} == {"T1": THICK.shape, "FLAIR": FINE.shape}


def test_the_same_files_on_the_same_grid_give_the_same_values(case):
    study = open_study(case, resample="finest")
    again = open_sources(study.sources, "case", onto=study.grid)
    for role, array in study.sequences.items():
        np.testing.assert_array_equal(again.sequences[role], array)
    alone = open_sources({"T1": study.sources["T1"]}, "case", onto=study.grid)
    np.testing.assert_array_equal(alone.sequences["T1"], study.sequences["T1"])


def test_a_result_lies_on_the_reference_scan_itself(case, tmp_path):
    from napari_brain_tumor import save_segmentation, segment

    study = open_study(case, resample="FLAIR")
    result = segment(study, "threshold")
    assert result.provenance["resampled"] == ["T1"]
    save_segmentation(result, tmp_path / "out.nii.gz")
    saved, scan = nib.load(tmp_path / "out.nii.gz"), nib.load(case / "case_flair.nii.gz")
    np.testing.assert_array_equal(saved.affine, scan.affine)
    assert saved.shape == scan.shape


def test_a_result_on_a_resampled_case_can_be_computed_again(case, tmp_path):
    from napari_brain_tumor import rerun, save_segmentation, segment

    save_segmentation(segment(open_study(case, resample="finest"), "threshold"), tmp_path / "out.nii.gz")
    assert rerun(tmp_path / "out.nii.gz").same_labels


def test_a_script_is_told_onto_which_grid(case):
    from napari_brain_tumor.errors import RecordError
    from napari_brain_tumor.requests.lines import open_line
    from napari_brain_tumor.requests.reopening import opening_of
    from napari_brain_tumor.requests.shell import words_of

    study: Study = open_study(case, resample="finest")
    opening = opening_of(study.sources, study.roles, study.grid, study.resampled)
    assert words_of(opening)[-2:] == ["--resample", "FLAIR"]
    names: dict = {"open_study": open_study}
    exec(open_line(opening), names)
    np.testing.assert_array_equal(names["study"].sequences["T1"], study.sequences["T1"])
    with pytest.raises(RecordError, match="is not chosen"):
        opening_of(study.only(("T1",)).sources, ("T1",), study.grid, ("T1",))


@pytest.mark.real_data
def test_a_real_examination_on_three_grids_opens_on_the_finest(real_data):
    study = open_study(real_data / "cases" / "raw_four_grids" / "TCGA-FG-6692", resample="finest")
    assert study.roles == ("T1", "T1c", "T2", "FLAIR")
    assert study.resampled == ("T2", "FLAIR")
    assert study.grid.shape == (256, 224, 26)
    # They were scanned in one session: their heads lie upon each other.
    first, *others = (foreground_mask([array.T]) for array in study.sequences.values())
    for other in others:
        assert dice(first, other) > 0.85
