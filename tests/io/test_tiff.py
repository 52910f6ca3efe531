import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

import phantoms
from napari_brain_tumor.errors import (
    DimensionError,
    DuplicateRoleError,
    GridMismatchError,
    RoleError,
    SpacingUnknownError,
    UnreadableFileError,
)
from napari_brain_tumor.io import open_segmentation, open_study, open_truth, recognise
from napari_brain_tumor.io.tiff import find_slices, repeats
from napari_brain_tumor.study import TifSlices


def test_slices_are_stacked_in_numeric_order_as_column_row_slice(tmp_path):
    stack = phantoms.write_lgg_patient(tmp_path / "TCGA_XX_0001_19990101", range(1, 13))
    study = open_study(tmp_path / "TCGA_XX_0001_19990101")
    assert study.roles == ("T1", "T1c", "FLAIR")
    for channel, role in enumerate(("T1", "FLAIR", "T1c")):
        np.testing.assert_array_equal(study.sequences[role], stack[..., channel].transpose(2, 1, 0))
    assert study.name == "TCGA_XX_0001_19990101"
    assert study.layout == TifSlices("TCGA_XX_0001_19990101", tuple(range(1, 13)))


def test_unknown_spacing_counts_voxels_and_refuses_millimetres(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p")
    study = open_study(tmp_path / "p")
    assert study.grid.unit == "voxel"
    assert any("spacing_mm" in note for note in study.notes)
    with pytest.raises(SpacingUnknownError):
        _ = study.grid.voxel_volume_mm3


def test_given_spacing_places_columns_left_rows_back_slices_head(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p")
    study = open_study(tmp_path / "p", spacing_mm=(0.5, 0.75, 5))
    assert study.grid.axis_codes == "LPS"
    assert study.grid.spacing_mm == (0.5, 0.75, 5)
    np.testing.assert_allclose(study.grid.world((2, 4, 3)), (-1, -3, 15))


@pytest.mark.parametrize("spacing", [(1, 1), (1, 0, 1), (1, -1, 1), (1, 1, float("nan"))])
def test_impossible_spacing_is_refused(tmp_path, spacing):
    phantoms.write_lgg_patient(tmp_path / "p")
    with pytest.raises(DimensionError, match="three positive numbers"):
        open_study(tmp_path / "p", spacing_mm=spacing)


@pytest.mark.parametrize(("repeated", "roles"), [([2], ("T1", "FLAIR")), ([0], ("T1c", "FLAIR")), ([0, 2], ("FLAIR",))])
def test_channel_that_repeats_flair_counts_as_absent(tmp_path, repeated, roles):
    phantoms.write_lgg_patient(tmp_path / "p", repeats=repeated)
    study = open_study(tmp_path / "p")
    assert study.roles == roles
    assert sum("only repeats FLAIR" in note for note in study.notes) == len(repeated)


def test_repeat_is_told_despite_compression_but_a_faint_sequence_is_kept():
    rng = np.random.default_rng(0)
    flair = rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)
    compressed = np.clip(flair + rng.normal(0, 1.5, flair.shape), 0, 255).astype(np.uint8)
    different = np.clip(flair * 0.9 + rng.normal(0, 6, flair.shape), 0, 255).astype(np.uint8)
    assert repeats(compressed, flair)
    assert not repeats(different, flair)


def test_repeat_is_told_alike_for_sixteen_bits():
    flair = (np.random.default_rng(0).integers(0, 256, (40, 40, 3)) * 16).astype(np.uint16)
    assert repeats(flair + np.uint16(20), flair)
    assert not repeats(flair + np.uint16(300), flair)


def test_gap_in_the_numbers_is_reported(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", [2, 3, 5, 9, 10])
    study = open_study(tmp_path / "p")
    assert study.layout.numbers == (2, 3, 5, 9, 10)
    assert any("Slices 4, 6, 7, 8 are missing" in note for note in study.notes)


def test_masks_of_a_folder_make_one_segmentation_on_the_grid_of_the_slices(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", [1, 2, 10])
    truth = open_truth(tmp_path / "p")
    study = open_study(tmp_path / "p")
    assert truth.grid == study.grid
    assert truth.known_regions == ("WT",)
    assert truth.class_names == {1: "whole tumour"}
    assert [tuple(p) for p in np.argwhere(truth.data)] == [(1, 2, 0), (2, 2, 1), (2, 2, 2)]
    assert truth.provenance["schema"] == "LGG-binary"


def test_missing_mask_is_named(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", [1, 2, 3])
    (tmp_path / "p" / "p_2_mask.tif").unlink()
    with pytest.raises(UnreadableFileError, match="no mask for slice 2"):
        open_segmentation(tmp_path / "p")


def test_folder_without_masks_has_no_truth(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", masks=False)
    assert open_truth(tmp_path / "p") is None


def test_slices_of_different_size_are_refused(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", [1, 2])
    tifffile.imwrite(tmp_path / "p" / "p_3.tif", np.ones((10, 9, 3), np.uint8), photometric="rgb")
    with pytest.raises(GridMismatchError, match=r"p_3.tif is 9x10 pixels.*p_1.tif is 8x10"):
        open_study(tmp_path / "p")


def test_mask_of_another_size_than_its_slice_is_refused(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", [1, 2])
    for k in (1, 2):
        tifffile.imwrite(tmp_path / "p" / f"p_{k}_mask.tif", np.zeros((5, 4), np.uint8))
    with pytest.raises(GridMismatchError, match="4x5 pixels, its slices 8x10"):
        open_segmentation(tmp_path / "p")


def test_slices_of_two_patients_in_one_folder_are_refused(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "a")
    phantoms.write_lgg_patient(tmp_path / "b")
    for path in (tmp_path / "b").iterdir():
        shutil.copy(path, tmp_path / "a")
    with pytest.raises(DuplicateRoleError, match="2 patients"):
        open_study(tmp_path / "a")


def test_single_slice_opens_as_one_plane(tmp_path):
    stack = phantoms.write_lgg_patient(tmp_path / "p", [7])
    study = open_study(tmp_path / "p" / "p_7.tif")
    assert study.grid.shape == (8, 10, 1)
    np.testing.assert_array_equal(study.sequences["FLAIR"][..., 0], stack[0, ..., 1].T)
    assert study.layout == TifSlices("p", (7,))


def test_grey_stack_needs_its_role_and_takes_it(tmp_path):
    stack = phantoms.noise((5, 10, 8), dtype=np.uint16)
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, stack, photometric="minisblack")
    with pytest.raises(RoleError, match="roles="):
        open_study(path)
    for roles in (("flair",), {"FLAIR": 0}, {"FLAIR": "scan.tif"}):
        study = open_study(path, roles)
        assert study.roles == ("FLAIR",)
        np.testing.assert_array_equal(study.sequences["FLAIR"], stack.transpose(2, 1, 0))


def test_pages_written_one_by_one_are_a_stack_unless_they_differ(tmp_path):
    stack = phantoms.noise((4, 10, 8), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "flair.tif") as writer:
        for page in stack:
            writer.write(page, photometric="minisblack")
    study = open_study(tmp_path / "flair.tif")
    np.testing.assert_array_equal(study.sequences["FLAIR"], stack.transpose(2, 1, 0))
    with tifffile.TiffWriter(tmp_path / "flair.tif", append=True) as writer:
        writer.write(stack[0, :5], photometric="minisblack")
    with pytest.raises(DimensionError, match="different shapes"):
        open_study(tmp_path / "flair.tif")


def test_mask_of_one_bit_per_pixel_opens(tmp_path):
    mask = phantoms.noise((10, 9)) > 100
    tifffile.imwrite(tmp_path / "p_1_mask.tif", mask, photometric="minisblack")
    result = open_segmentation(tmp_path / "p_1_mask.tif", "LGG-binary")
    np.testing.assert_array_equal(result.data[..., 0], mask.T)


@pytest.mark.parametrize(("shape", "axes"), [((3, 2, 8, 8), "ZCYX"), ((2, 3, 8, 8), "TZYX")])
def test_hyperstack_is_refused_with_its_axes(tmp_path, shape, axes):
    tifffile.imwrite(tmp_path / "h.tif", phantoms.noise(shape, dtype=np.uint8), imagej=True, metadata={"axes": axes})
    with pytest.raises(DimensionError, match=axes):
        open_study(tmp_path / "h.tif", ("FLAIR",))


def test_roles_of_channels_can_be_given(tmp_path):
    stack = phantoms.write_lgg_patient(tmp_path / "p")
    study = open_study(tmp_path / "p", roles=("T2", None, "t1ce"))
    assert study.roles == ("T1c", "T2")
    np.testing.assert_array_equal(study.sequences["T2"], stack[..., 0].transpose(2, 1, 0))
    assert open_study(tmp_path / "p", roles={"FLAIR": 1}).sources["FLAIR"].channel == 1


def test_blank_channel_counts_as_absent(tmp_path):
    stack = phantoms.write_lgg_patient(tmp_path / "p", [1, 2])
    stack[..., 2] = 0
    for k, page in zip((1, 2), stack, strict=True):
        tifffile.imwrite(tmp_path / "p" / f"p_{k}.tif", page, photometric="rgb")
    study = open_study(tmp_path / "p")
    assert study.roles == ("T1", "FLAIR")
    assert any("blank" in note for note in study.notes)


def test_file_sent_as_text_is_refused_by_that_reason(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", [1])
    path = tmp_path / "p" / "p_1.tif"
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 256, (10, 8, 3), np.uint8), photometric="rgb")
    path.write_bytes(path.read_bytes().decode("utf-8", errors="replace").encode("utf-8"))
    with pytest.raises(UnreadableFileError, match="took it for text"):
        open_study(tmp_path / "p")


@pytest.mark.parametrize("keep", [0, 4, 60, 0.5, 0.95])
def test_truncated_slice_is_refused_and_named(tmp_path, keep, caplog):
    phantoms.write_lgg_patient(tmp_path / "p", [1, 2], size=(40, 30))
    path = tmp_path / "p" / "p_2.tif"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(UnreadableFileError, match=r"p_2.tif"):
        open_study(tmp_path / "p")


def test_find_slices_sorts_by_number_and_tells_masks():
    names = [Path(n) for n in ("a_10.tif", "a_9.tif", "a_9_mask.tif", "readme.txt", "a_2.TIF", "t1.tif")]
    (patient,) = find_slices(names)
    assert list(patient.images) == [2, 9, 10]
    assert list(patient.masks) == [9]


@pytest.mark.real_data
def test_every_real_corrupt_file_is_refused(real_data):
    files = sorted((real_data / "cases" / "corrupt_tif").glob("*.tif"))
    assert len(files) == 8
    for path in files:
        with pytest.raises(UnreadableFileError):
            open_study(path, roles=("T1", "FLAIR", "T1c"))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("patient", "roles"),
    [
        ("TCGA_DU_7013_19860523", ("FLAIR",)),
        ("TCGA_DU_7301_19911112", ("T1", "FLAIR")),
        ("TCGA_FG_7634_20000128", ("T1", "FLAIR")),
        ("TCGA_HT_8107_19980708", ("T1", "T1c", "FLAIR")),
        ("TCGA_DU_5874_19950510", ("T1", "T1c", "FLAIR")),
    ],
)
def test_real_patients_have_the_sequences_they_have(real_data, patient, roles):
    study = open_study(real_data / "lgg_tif" / patient)
    assert study.roles == roles
    assert open_truth(real_data / "lgg_tif" / patient).grid == study.grid


@pytest.mark.real_data
def test_original_kaggle_patient_reads_as_published(real_data):
    folder = real_data / "cases" / "kaggle_tif_original" / "TCGA_CS_4941_19960909"
    study = open_study(folder)
    assert study.grid.shape == (256, 256, 23)
    page = tifffile.imread(folder / "TCGA_CS_4941_19960909_11.tif")
    np.testing.assert_array_equal(study.sequences["FLAIR"][:, :, 10], page[..., 1].T)


def test_two_files_for_one_slice_are_refused_by_name():
    names = [Path("p_1.tif"), Path("p_2.tif"), Path("p_01.tif")]
    with pytest.raises(UnreadableFileError, match=r"slice 1 of p: p_1\.tif and p_01\.tif"):
        find_slices(names)


def test_a_folder_with_two_files_for_one_slice_is_ours_and_refused_when_opened(tmp_path):
    folder = tmp_path / "TCGA_AA_0001_19990101"
    phantoms.write_lgg_patient(folder, range(1, 4))
    shutil.copy(folder / f"{folder.name}_1.tif", folder / f"{folder.name}_01.tif")
    assert recognise(folder) == "study"
    with pytest.raises(UnreadableFileError, match="Two files claim"):
        open_study(folder)
