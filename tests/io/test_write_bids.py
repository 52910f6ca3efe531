"""BIDS derivatives: names, tables, and links to the scans."""

import json

import nibabel as nib
import numpy as np
import pytest

import phantoms
from dicom_results import result_of
from napari_brain_tumor import open_segmentation, open_study, save_segmentation
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.bids import data_set_root, entities_of, is_bids

HOME = "derivatives/napari-brain-tumor"


def study_in(root, place="sub-01/ses-pre", names=("T1w", "acq-3d_ce-gd_T1w", "FLAIR")):
    stem = place.replace("/", "_")
    for seed, name in enumerate(names):
        path = root / place / "anat" / f"{stem}_{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        phantoms.write_nifti(path, phantoms.noise(seed=seed))
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    return open_study(root / place)


def result_in(root, place="sub-01/ses-pre", **options):
    study = study_in(root, place, **options)
    return result_of(study, phantoms.tumour(study.grid.shape))


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_names_are_those_of_the_scan_that_the_labels_lie_on(tmp_path):
    result = result_in(tmp_path)
    path = save_segmentation(result, tmp_path, format="bids")
    stem = "sub-01/ses-pre/anat/sub-01_ses-pre_acq-3d_ce-gd_space-orig_desc-tumor_dseg"
    assert path == tmp_path / HOME / f"{stem}.nii.gz"
    expected = ["dataset_description.json", *(f"{stem}.{suffix}" for suffix in ("json", "nii.gz", "tsv"))]
    assert files_in(tmp_path / HOME) == sorted(expected)
    again = open_segmentation(path)
    np.testing.assert_array_equal(again.data, result.data)
    assert again.known_regions == ("WT", "TC", "ET")


def test_json_tells_the_scans_by_bids_uris_and_keeps_our_record(tmp_path):
    path = save_segmentation(result_in(tmp_path), tmp_path, format="bids")
    record = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    scan = "bids:raw:sub-01/ses-pre/anat/sub-01_ses-pre_acq-3d_ce-gd_T1w.nii.gz"
    assert record["SpatialReference"] == {"orig": scan}
    assert record["Sources"][0] == scan
    assert len(record["Sources"]) == 3
    assert record["Manual"] is False
    assert record["provenance"]["model"]["name"] == "unet"
    description = json.loads((tmp_path / HOME / "dataset_description.json").read_text())
    assert (description["DatasetType"], description["GeneratedBy"][0]["Name"]) == ("derivative", "napari-brain-tumor")
    assert description["DatasetLinks"] == {"raw": "../.."}
    assert {"Name", "BIDSVersion"} <= set(description)


@pytest.mark.parametrize(
    ("schema", "rows"),
    [
        ("MSD", ["1\tedema\tED", "2\tnon-enhancing\tNET", "3\tenhancing\tET"]),
        ("BraTS", ["1\tnon-enhancing\tNET", "2\tedema\tED", "4\tenhancing\tET"]),
        ("LGG-binary", ["255\twhole tumour\tWT"]),
    ],
)
def test_table_has_every_integer_of_the_file(tmp_path, schema, rows):
    path = save_segmentation(result_in(tmp_path), tmp_path, schema, format="bids")
    table = path.with_name(path.name.replace(".nii.gz", ".tsv")).read_text().splitlines()
    assert table[:2] == ["index\tname\tabbreviation\tcolor", "0\tbackground\tBG\t#000000"]
    assert [row.rsplit("\t", 1)[0] for row in table[2:]] == rows
    values = {int(row.split("\t")[0]) for row in table[1:]}
    assert set(np.unique(np.asarray(nib.load(path).dataobj))) <= values


def test_a_case_that_is_not_from_bids_needs_a_subject(tmp_path):
    scan = phantoms.write_nifti(tmp_path / "in" / "mueller_flair.nii.gz", phantoms.noise())
    study = open_study(scan)
    result = result_of(study, phantoms.tumour(study.grid.shape))
    with pytest.raises(SaveError, match="its subject is not known"):
        save_segmentation(result, tmp_path / "out", format="bids")
    assert not (tmp_path / "out").exists()
    for text in ("sub-../x", "a b", "sub-", "01_2"):
        with pytest.raises(SaveError, match="not a BIDS label"):
            save_segmentation(result, tmp_path / "out", format="bids", subject=text)
    path = save_segmentation(result, tmp_path / "out", format="bids", subject="sub-07", session="2")
    name = "sub-07/ses-2/anat/sub-07_ses-2_space-orig_desc-tumor_dseg.nii.gz"
    assert path == tmp_path / "out" / HOME / name
    record = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert "Sources" not in record


def test_folder_of_derivatives_and_our_own_are_known(tmp_path):
    result = result_in(tmp_path / "raw")
    first = save_segmentation(result, tmp_path / "derivatives", format="bids")
    assert first.is_relative_to(tmp_path / HOME)
    second = save_segmentation(result, tmp_path / "napari-brain-tumor", format="bids")
    assert second.is_relative_to(tmp_path / "napari-brain-tumor" / "sub-01")
    record = json.loads(first.with_name(first.name.replace(".nii.gz", ".json")).read_text())
    assert record["SpatialReference"]["orig"] == "sub-01_ses-pre_acq-3d_ce-gd_T1w.nii.gz"  # of another data set


def test_description_that_is_there_is_kept_and_results_replaced_only_if_asked(tmp_path):
    result = result_in(tmp_path)
    save_segmentation(result, tmp_path, format="bids")
    description = tmp_path / HOME / "dataset_description.json"
    description.write_text('{"Name": "mine"}')
    with pytest.raises(SaveError, match="already exists"):
        save_segmentation(result, tmp_path, format="bids", overwrite=False)
    save_segmentation(result, tmp_path, format="bids")
    assert json.loads(description.read_text()) == {"Name": "mine"}


def test_derivatives_do_not_change_what_the_data_set_opens_as(tmp_path):
    result = result_in(tmp_path)
    save_segmentation(result, tmp_path, format="bids")
    assert is_bids(tmp_path)
    assert open_study(tmp_path).name == "sub-01_ses-pre"


def test_sequence_of_another_grid_does_not_give_the_name(tmp_path):
    study = study_in(tmp_path)
    result = result_of(study, phantoms.tumour(study.grid.shape), resampled=["T1c"])
    assert save_segmentation(result, tmp_path, format="bids").name.startswith("sub-01_ses-pre_space-orig")


def test_entities_are_those_of_the_name_and_of_the_folders_where_it_has_none(tmp_path):
    scan = tmp_path / "sub-01" / "ses-2" / "anat" / "sub-01_ses-2_run-1_T1w.nii.gz"
    assert entities_of(scan) == {"sub": "01", "ses": "2", "run": "1"}
    assert entities_of(tmp_path / "sub-01" / "ses-2" / "dicom") == {"sub": "01", "ses": "2"}
    assert entities_of(tmp_path / "case" / "t1.nii.gz") == {}
    assert data_set_root(scan) == tmp_path
    assert data_set_root(tmp_path / "case" / "t1.nii.gz") is None
