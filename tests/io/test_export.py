import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

import phantoms
from napari_brain_tumor.errors import LabelSchemaError, SaveError, SpacingUnknownError
from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.io import (
    open_segmentation,
    open_study,
    open_truth,
    read_sidecar,
    save_segmentation,
    write_nifti,
)
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.study import Segmentation

TIP = (3, 1, 0)
"""The only enhancing voxel of the phantom."""


def result_for(study, **changes):
    labels = phantoms.tumour(study.grid.shape)
    return replace(Segmentation(labels, study.grid, study.name, layout=study.layout), **changes)


def plain_result(matrix=None, unit="mm", **changes):
    labels = phantoms.tumour()
    grid = Grid(labels.shape, phantoms.affine(spacing=(0.5, 1, 5)) if matrix is None else matrix, unit)
    return replace(Segmentation(labels, grid), **changes)


def files_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("order", phantoms.axis_orders(), ids=lambda m: "".join(nib.aff2axcodes(phantoms.affine(m))))
@pytest.mark.parametrize("codes", [(1, 1), (2, 0), (0, 1)])
def test_saved_labels_lie_at_the_same_world_point_under_the_sources_own_matrices(tmp_path, order, codes):
    matrix = phantoms.affine(order, (0.47, 1.25, 5.5), (-31.3, 12.7, 77.1))
    scan = phantoms.write_nifti(
        tmp_path / "x_t1.nii.gz", phantoms.noise(), matrix, sform_code=codes[0], qform_code=codes[1]
    )
    path = save_segmentation(result_for(open_study(scan)), tmp_path / "x_seg.nii.gz")
    before, after = nib.load(scan), nib.load(path)
    np.testing.assert_allclose(after.affine, before.affine, atol=1e-5)
    np.testing.assert_array_equal(after.header.get_sform(), before.header.get_sform())
    assert int(after.header["sform_code"]) == codes[0]
    assert int(after.header["qform_code"]) == codes[1]
    if codes[1]:
        np.testing.assert_allclose(after.header.get_qform(), before.header.get_qform(), atol=1e-5)
    where = np.argwhere(np.asarray(after.dataobj) == 3)
    np.testing.assert_allclose(nib.affines.apply_affine(after.affine, where[0]), (matrix @ (*TIP, 1))[:3], atol=1e-4)


@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (0, 0), (4, 2)])
@pytest.mark.parametrize("unit", ["mm", "micron"])
def test_oblique_source_keeps_its_matrices_and_codes(tmp_path, codes, unit):
    factor = 1000.0 if unit == "micron" else 1.0
    matrix = np.diag([factor] * 3 + [1]) @ phantoms.affine(phantoms.tilt(), (0.47, 0.9, 5.5))
    scan = phantoms.write_nifti(
        tmp_path / "x_t1.nii", phantoms.noise(), matrix, sform_code=codes[0], qform_code=codes[1], unit=unit
    )
    study = open_study(scan)
    path = save_segmentation(result_for(study), tmp_path / "x_seg.nii")
    header = nib.load(path).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == codes
    assert header.get_xyzt_units()[0] == "mm"
    assert header.get_data_dtype() == np.uint8
    assert open_segmentation(path).grid.same_place(study.grid, 1e-4)


def test_differing_sform_and_qform_are_both_kept(tmp_path):
    image = nib.Nifti1Image(phantoms.noise(), None)
    image.header.set_qform(phantoms.affine(spacing=(1, 1, 2), origin=(9, 9, 9)), 1)
    image.header.set_sform(phantoms.affine(phantoms.tilt(), (1, 1, 2)), 2)
    image._affine = image.header.get_sform()
    nib.save(image, tmp_path / "x_t1.nii")
    path = save_segmentation(result_for(open_study(tmp_path / "x_t1.nii")), tmp_path / "x_seg.nii")
    before, after = nib.load(tmp_path / "x_t1.nii").header, nib.load(path).header
    np.testing.assert_array_equal(after.get_sform(), before.get_sform())
    np.testing.assert_allclose(after.get_qform(), before.get_qform(), atol=1e-6)
    assert (int(after["sform_code"]), int(after["qform_code"])) == (2, 1)


def test_result_without_layout_gets_both_matrices(tmp_path):
    result = plain_result()
    header = nib.load(save_segmentation(result, tmp_path / "seg.nii.gz")).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    np.testing.assert_allclose(header.get_sform(), result.grid.affine)
    np.testing.assert_allclose(header.get_qform(), result.grid.affine, atol=1e-6)


def test_sheared_grid_is_saved_by_its_sform_alone(tmp_path):
    matrix = phantoms.affine([[1, 0.2, 0], [0, 1, 0], [0, 0, 1]])
    path = save_segmentation(plain_result(matrix), tmp_path / "seg.nii.gz")
    assert int(nib.load(path).header["qform_code"]) == 0
    np.testing.assert_allclose(nib.load(path).affine, matrix, atol=1e-6)


def test_grid_wins_over_a_layout_that_no_longer_describes_it(tmp_path):
    study = open_study(phantoms.write_nifti(tmp_path / "x_t1.nii", phantoms.noise()))
    box = Box((1, 1, 0), (6, 5, 4))
    result = result_for(study)
    cropped = replace(result, data=result.data[box.slices], grid=study.grid.cropped(box))
    saved = open_segmentation(save_segmentation(cropped, tmp_path / "seg.nii"))
    np.testing.assert_allclose(saved.grid.affine, cropped.grid.affine)


def test_very_long_axis_is_saved(tmp_path):
    labels = np.zeros((40_000, 2, 2), np.uint8)
    labels[39_999, 1, 0] = 3
    path = save_segmentation(Segmentation(labels, Grid(labels.shape, np.eye(4))), tmp_path / "seg.nii.gz")
    np.testing.assert_array_equal(open_segmentation(path).data, labels)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".tif"])
@pytest.mark.parametrize("schema", ["MSD", "BraTS", "BraTS2023", "BraTS2012-2016", "GliODIL"])
def test_every_format_and_schema_reads_back_as_our_classes(tmp_path, suffix, schema):
    result = plain_result(phantoms.affine(phantoms.tilt(), (0.5, 1, 5)))
    path = save_segmentation(result, tmp_path / f"seg{suffix}", schema)
    assert path == tmp_path / f"seg{suffix}"
    again = open_segmentation(path)
    np.testing.assert_array_equal(again.data, result.data)
    if suffix != ".tif":
        assert again.grid.same_place(result.grid, 1e-4)


def test_brats_schema_writes_its_integers(tmp_path):
    path = save_segmentation(plain_result(), tmp_path / "seg.nii.gz", "BraTS")
    values = np.asarray(nib.load(path).dataobj)
    for ours, theirs in {1: 2, 2: 1, 3: 4, 0: 0}.items():
        np.testing.assert_array_equal(values == theirs, phantoms.tumour() == ours)


def test_itk_sees_the_labels_at_the_same_patient_point(tmp_path):
    result = plain_result(phantoms.affine(phantoms.tilt(), (0.5, 1, 5)))
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        image = sitk.ReadImage(str(save_segmentation(result, tmp_path / f"seg{suffix}")))
        assert image[TIP] == 3
        x, y, z = image.TransformIndexToPhysicalPoint(TIP)
        np.testing.assert_allclose((-x, -y, z), result.grid.world(TIP), atol=1e-4)


def test_same_labels_give_the_same_bytes(tmp_path):
    save_segmentation(plain_result(), tmp_path / "a.nii.gz")
    save_segmentation(plain_result(), tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_class_that_the_schema_lacks_is_refused_before_anything_is_written(tmp_path):
    labels = phantoms.tumour()
    labels[0, 0, 4] = 4
    with pytest.raises(LabelSchemaError, match=r"\[4\].*MSD"):
        save_segmentation(plain_result(data=labels), tmp_path / "seg.nii.gz")
    assert files_in(tmp_path) == []
    saved = save_segmentation(plain_result(data=labels), tmp_path / "seg.nii.gz", "BraTS2024")
    assert open_segmentation(saved).class_names[4] == "resection cavity"


def test_unknown_schema_and_suffix_list_the_possible_ones(tmp_path):
    with pytest.raises(LabelSchemaError, match="MSD"):
        save_segmentation(plain_result(), tmp_path / "seg.nii.gz", "ours")
    with pytest.raises(SaveError, match=r"seg.png.*\.nii\.gz"):
        save_segmentation(plain_result(), tmp_path / "seg.png")


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-9] + b[-8:], lambda b: b""])
def test_file_that_does_not_read_back_is_not_kept_and_the_earlier_one_is(tmp_path, monkeypatch, damage):
    path = save_segmentation(plain_result(), tmp_path / "seg.nii.gz")
    before, names = path.read_bytes(), files_in(tmp_path)
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda self, content: write(self, damage(content)))
    other = plain_result(data=np.flip(phantoms.tumour()).copy())
    with pytest.raises(SaveError, match="was not saved"):
        save_segmentation(other, path)
    assert path.read_bytes() == before
    assert files_in(tmp_path) == names


def test_changed_voxel_is_noticed(tmp_path, monkeypatch):
    packed = write_nifti._packed

    def changed(start, values, level):
        other = values.copy()
        other[-1, -1, -1] = 3
        return packed(start, other, level)

    monkeypatch.setattr(write_nifti, "_packed", changed)
    with pytest.raises(SaveError, match=r"values differ"):
        save_segmentation(plain_result(), tmp_path / "seg.nii.gz")
    assert files_in(tmp_path) == []


def test_full_disk_is_reported_and_leaves_nothing(tmp_path, monkeypatch):
    def no_space(self, content):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", no_space)
    with pytest.raises(SaveError, match="No space left on device"):
        save_segmentation(plain_result(), tmp_path / "seg.nii.gz")
    assert files_in(tmp_path) == []


def test_place_that_is_no_folder_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="was not saved"):
        save_segmentation(plain_result(), tmp_path / "file" / "seg.nii.gz")


def test_missing_folder_is_made(tmp_path):
    assert save_segmentation(plain_result(), tmp_path / "new" / "seg.nii.gz").is_file()


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".tif"])
def test_scan_is_never_replaced_by_labels_but_labels_are(tmp_path, suffix):
    path = tmp_path / f"case_t1{suffix}"
    scan = phantoms.noise() * 7
    if suffix == ".tif":
        tifffile.imwrite(path, scan.T.copy(), photometric="minisblack")
    else:
        sitk.WriteImage(sitk.GetImageFromArray(scan.T.copy()), str(path))
    before = path.read_bytes()
    with pytest.raises(SaveError, match="holds an image, not labels"):
        save_segmentation(plain_result(), path)
    assert path.read_bytes() == before
    for _ in range(2):
        save_segmentation(plain_result(), tmp_path / f"seg{suffix}")


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".tif", ""])
def test_what_a_person_worked_on_is_only_replaced_on_purpose(tmp_path, suffix):
    target = tmp_path / f"seg{suffix}"
    save_segmentation(plain_result(), target)
    save_segmentation(plain_result(), target)  # a result that nobody touched
    corrected = replace(plain_result(), provenance={"edited_by_hand": True})
    save_segmentation(corrected, target)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for keep in (None, False):
        with pytest.raises(SaveError, match="was corrected by hand" if keep is None else "already exists"):
            save_segmentation(plain_result(), target, overwrite=keep)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    save_segmentation(plain_result(), target, overwrite=True)
    save_segmentation(plain_result(), target)


def test_labels_of_others_and_labels_that_were_edited_elsewhere_are_left(tmp_path):
    truth = tmp_path / "truth.nii.gz"
    nib.save(nib.Nifti1Image(phantoms.tumour(), np.eye(4)), truth)
    with pytest.raises(SaveError, match="were not written by this program"):
        save_segmentation(plain_result(), truth)
    path = save_segmentation(plain_result(), tmp_path / "seg.nii.gz")
    edited = nib.load(path)
    labels = np.asarray(edited.dataobj).copy()
    labels[0, 0, 0] = 1
    nib.save(nib.Nifti1Image(labels, edited.affine, edited.header), path)
    with pytest.raises(SaveError, match="was edited since it was saved"):
        save_segmentation(plain_result(), path)
    save_segmentation(plain_result(), path, overwrite=True)


def test_unknown_spacing_stays_unknown_in_nifti(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", range(1, 6))
    study = open_study(tmp_path / "p")
    path = save_segmentation(result_for(study), tmp_path / "seg.nii.gz")
    assert nib.load(path).header.get_xyzt_units()[0] == "unknown"
    assert open_segmentation(path).grid == study.grid


def test_format_that_always_states_millimetres_refuses_unknown_spacing(tmp_path):
    result = plain_result(np.diag([-1.0, -1, 1, 1]), "voxel")
    for suffix in (".nrrd", ".mha"):
        with pytest.raises(SpacingUnknownError, match=r"spacing_mm"):
            save_segmentation(result, tmp_path / f"seg{suffix}")


def test_tif_study_saves_as_one_stack_of_z_y_x(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", range(1, 6))
    result = result_for(open_study(tmp_path / "p"))
    stack = tifffile.imread(save_segmentation(result, tmp_path / "seg.tif"))
    assert stack.shape == (5, 10, 8)
    assert stack.dtype == np.uint8
    assert stack[TIP[2], TIP[1], TIP[0]] == 3
    np.testing.assert_array_equal(stack, result.data.transpose(2, 1, 0))


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_thin_stack_is_not_taken_for_colours(tmp_path, depth):
    labels = phantoms.tumour((7, 6, depth))
    path = save_segmentation(Segmentation(labels, Grid(labels.shape, np.eye(4))), tmp_path / "seg.tif")
    np.testing.assert_array_equal(open_segmentation(path).data, labels)


def test_tif_study_saves_as_masks_under_the_sources_numbers(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", [2, 9, 10, 11], masks=False)
    result = result_for(open_study(tmp_path / "p"))
    saved = save_segmentation(result, tmp_path / "out", "LGG-binary")
    assert [p.name for p in saved] == ["p_2_mask.tif", "p_9_mask.tif", "p_10_mask.tif", "p_11_mask.tif"]
    assert files_in(tmp_path / "out") == sorted(p.name for p in saved)
    for index, path in enumerate(saved):
        page = tifffile.imread(path)
        assert page.dtype == np.uint8
        np.testing.assert_array_equal(page, np.where(result.data[:, :, index].T > 0, 255, 0))


def test_masks_saved_into_the_patients_folder_are_its_truth(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", [1, 2, 3], masks=False)
    result = result_for(open_study(tmp_path / "p"))
    save_segmentation(result, tmp_path / "p", "LGG-binary")
    np.testing.assert_array_equal(open_truth(tmp_path / "p").data > 0, result.data > 0)
    assert open_study(tmp_path / "p").grid == result.grid


def test_masks_that_fail_leave_the_earlier_ones(tmp_path, monkeypatch):
    phantoms.write_lgg_patient(tmp_path / "p", [1, 2, 3], masks=False)
    result = result_for(open_study(tmp_path / "p"))
    save_segmentation(result, tmp_path / "p", "LGG-binary")
    before = {p: p.read_bytes() for p in (tmp_path / "p").iterdir()}
    write = tifffile.imwrite

    def fails_on_the_last(path, *args, **kwargs):
        if "_3_" in Path(path).name:
            raise OSError(28, "No space left on device")
        write(path, *args, **kwargs)

    monkeypatch.setattr(tifffile, "imwrite", fails_on_the_last)
    with pytest.raises(SaveError, match="No space left"):
        save_segmentation(result, tmp_path / "p", "LGG-binary")
    assert {p: p.read_bytes() for p in (tmp_path / "p").iterdir()} == before
    assert files_in(tmp_path) == ["p", "p.json"]


def test_sidecar_tells_provenance_and_meaning_and_that_it_is_not_clinical(tmp_path):
    provenance = {"model": "unet", "seconds": np.float32(1.5), "inputs": {"T1": Path("a.nii.gz")}, "at": np.arange(2)}
    save_segmentation(plain_result(provenance=provenance), tmp_path / "seg.nii.gz", "BraTS")
    content = json.loads((tmp_path / "seg.json").read_text(encoding="utf-8"))
    assert content["schema"] == "BraTS2018-2022"
    assert content["values"] == {"2": "edema", "1": "non-enhancing", "4": "enhancing"}
    assert content["provenance"] == {"model": "unet", "seconds": 1.5, "inputs": {"T1": "a.nii.gz"}, "at": [0, 1]}
    assert "Not for clinical use" in content["notice"]
    assert content["file"] == "seg.nii.gz"


def test_sidecar_answers_what_ambiguous_labels_mean(tmp_path):
    path = save_segmentation(plain_result(), tmp_path / "seg.nii.gz", "BraTS2023")
    again = open_segmentation(path)
    np.testing.assert_array_equal(again.data, phantoms.tumour())
    assert again.provenance["schema"] == "BraTS2023"
    phantoms.write_nifti(path, np.asarray(nib.load(path).dataobj), plain_result().grid.affine)  # says nothing itself
    assert open_segmentation(path).provenance["schema"] == "BraTS2023"
    (tmp_path / "seg.json").unlink()
    with pytest.raises(LabelSchemaError, match="not certain"):
        open_segmentation(path)


def test_sidecar_of_another_file_is_not_believed(tmp_path):
    save_segmentation(plain_result(), tmp_path / "seg.nrrd", "BraTS2023")
    phantoms.write_nifti(tmp_path / "seg.nii.gz", phantoms.tumour())
    assert read_sidecar(tmp_path / "seg.nii.gz") == {}


def test_whole_tumour_mask_stays_one_in_a_schema_that_could_tell_more(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", [1, 2, 3])
    truth = open_truth(tmp_path / "p")
    again = open_segmentation(save_segmentation(truth, tmp_path / "seg.nii.gz"))
    assert again.known_regions == ("WT",)
    assert again.class_names == SCHEMAS["LGG-binary"].class_names
    np.testing.assert_array_equal(again.data, truth.data)


def test_somebody_elses_json_is_left_alone(tmp_path):
    (tmp_path / "seg.json").write_text('{"EchoTime": 0.1}')
    path = save_segmentation(plain_result(), tmp_path / "seg.nii.gz", "BraTS2023")
    assert (tmp_path / "seg.json").read_text() == '{"EchoTime": 0.1}'
    assert read_sidecar(path)["schema"] == "BraTS2023"


def test_sidecar_can_be_left_out(tmp_path):
    save_segmentation(plain_result(), tmp_path / "seg.nii.gz", sidecar=False)
    assert files_in(tmp_path) == ["seg.nii.gz"]


def test_provenance_that_json_cannot_express_is_reported_before_anything_is_written(tmp_path):
    with pytest.raises(SaveError, match="JSON cannot express"):
        save_segmentation(plain_result(provenance={"model": object()}), tmp_path / "seg.nii.gz")
    assert files_in(tmp_path) == []


@pytest.mark.real_data
def test_truth_of_a_real_case_saves_with_the_scans_own_header(real_data, tmp_path):
    folder = real_data / "cases" / "brats2018" / "Brats18_TCIA02_135_1"
    study, truth = open_study(folder), open_truth(folder)
    path = save_segmentation(replace(truth, layout=study.layout), tmp_path / "seg.nii.gz", "BraTS")
    before, after = nib.load(study.sources["T1"].path).header, nib.load(path).header
    for field in ("sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "dim", "xyzt_units"):
        np.testing.assert_array_equal(after[field], before[field])
    theirs = np.asarray(nib.load(folder / f"{folder.name}_seg.nii.gz").dataobj)
    np.testing.assert_array_equal(np.asarray(nib.load(path).dataobj), theirs)


@pytest.mark.parametrize("name", [".", "../masks"])
def test_masks_are_saved_to_the_current_folder_and_open_again(tmp_path, monkeypatch, name):
    (tmp_path / "masks").mkdir()
    monkeypatch.chdir(tmp_path / "masks")
    result = plain_result(name="p")
    saved = save_segmentation(result, name)
    assert files_in(tmp_path) == ["masks", "masks.json"]
    assert len(saved) == result.grid.shape[2]
    np.testing.assert_array_equal(open_segmentation(".").data, result.data)


def test_a_case_opens_from_within_its_own_folder(tmp_path, monkeypatch):
    phantoms.write_brats_case(tmp_path / "case7")
    monkeypatch.chdir(tmp_path / "case7")
    assert open_study(".").name == "case7"


def test_somebody_elses_masks_are_not_replaced_and_our_own_are(tmp_path):
    phantoms.write_lgg_patient(tmp_path / "p", range(1, 6), size=(6, 7))
    before = {path: path.read_bytes() for path in (tmp_path / "p").iterdir()}
    study = open_study(tmp_path / "p")
    with pytest.raises(SaveError, match="5 masks that were not written by this program"):
        save_segmentation(result_for(study), tmp_path / "p")
    assert {path: path.read_bytes() for path in (tmp_path / "p").iterdir()} == before
    for _ in range(2):
        save_segmentation(result_for(study), tmp_path / "out")
    assert len(files_in(tmp_path / "out")) == 5
