import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.dataset import CuratedDataset, SplitRow
from napari_brain_tumor.dataset.imports import ImportOptions, find_cases, find_pairs, import_cases
from napari_brain_tumor.dataset.imports.found_case import marked_slices
from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.io import open_study
from napari_brain_tumor.progress import run_job
from phantoms import affine, noise, tumour, write_brats_case, write_lgg_patient, write_nifti

SHAPE = (7, 6, 5)


@pytest.fixture
def dataset(tmp_path):
    return CuratedDataset.create(tmp_path / "set")


def brought_in(dataset, found, **options):
    return run_job(import_cases(dataset, found, ImportOptions(**options)))


def brats_labels():
    """The same tumour in the integers of BraTS 2018."""
    return np.array([0, 2, 1, 4], np.uint8)[tumour(SHAPE)]


def test_brats_cases_come_in_with_their_classes_and_the_grade_of_their_folder(dataset, tmp_path):
    write_brats_case(tmp_path / "brats" / "HGG" / "Brats18_2013_2_1", brats_labels(), SHAPE)
    write_brats_case(tmp_path / "brats" / "LGG" / "Brats18_2013_9_1", None, SHAPE)
    report = brought_in(dataset, find_cases(tmp_path / "brats"))
    (case,) = dataset.cases()
    assert [outcome.name for outcome in report.of("added")] == ["Brats18_2013_2_1"]
    assert (case.grade, case.roles, case.state) == ("HGG", ("T1", "T1c", "T2", "FLAIR"), "draft")
    np.testing.assert_array_equal(dataset.truth(case.id).segmentation.data, tumour(SHAPE))


def test_brats_of_2015_has_a_folder_for_every_sequence(dataset, tmp_path):
    case = tmp_path / "HGG" / "brats_tcia_pat105_0001"
    for seed, name in enumerate(("Flair", "T1", "T1c", "T2")):
        stem = f"VSD.Brain.XX.O.MR_{name}.3559{seed}"
        write_nifti(case / stem / f"{stem}.nii.gz", noise(SHAPE, seed))
    stem = "VSD.Brain_3more.XX.O.OT.42283"
    write_nifti(case / stem / f"{stem}.nii.gz", np.array([0, 2, 3, 4], np.uint8)[tumour(SHAPE)])
    report = brought_in(dataset, find_cases(tmp_path / "HGG"))
    (record,) = (outcome.record for outcome in report.of("added"))
    assert (record.id, record.grade, len(record.roles)) == ("brats_tcia_pat105_0001", "HGG", 4)
    np.testing.assert_array_equal(dataset.study(record.id).sequences["T1c"], noise(SHAPE, 2))
    np.testing.assert_array_equal(dataset.truth(record.id).segmentation.data, tumour(SHAPE))


def test_an_uncertain_schema_is_refused_and_the_other_cases_go_on(dataset, tmp_path):
    root = tmp_path / "cases"
    write_brats_case(root / "anna", tumour(SHAPE), SHAPE)
    for file in write_brats_case(root / "Brats18_2013_2_1", brats_labels(), SHAPE).iterdir():
        if "_seg" not in file.name:
            write_nifti(file, noise(SHAPE, sum(map(ord, file.name))))
    report = brought_in(dataset, find_cases(root))
    (refused,) = report.of("refused")
    assert refused.name == "anna"
    assert "Name the schema" in refused.text
    rows = report.to_dataframe().set_index("name")
    assert (rows.outcome["anna"], rows.text["anna"]) == ("refused", refused.text)
    assert rows.case.isna()["anna"]
    assert len(report.of("added")) == 1
    again = brought_in(dataset, find_cases(root), schema="MSD")
    assert "anna" not in [outcome.name for outcome in again.of("refused")]


def decathlon(root):
    write_nifti(root / "imagesTr" / "a.nii.gz", np.stack([noise(SHAPE, 1), noise(SHAPE, 2)], axis=-1))
    write_nifti(root / "labelsTr" / "a.nii.gz", tumour(SHAPE))
    labels = {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}
    content = {"modality": {"0": "FLAIR", "1": "T1gd"}, "labels": labels}
    content["training"] = [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}]
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def test_a_decathlon_folder_tells_roles_and_meanings(dataset, tmp_path):
    brought_in(dataset, find_cases(decathlon(tmp_path / "msd")))
    np.testing.assert_array_equal(dataset.study("a").sequences["T1c"], noise(SHAPE, 2))
    np.testing.assert_array_equal(dataset.truth("a").segmentation.data, tumour(SHAPE))


def test_files_outside_the_decathlon_folder_are_refused(tmp_path):
    root = decathlon(tmp_path / "msd")
    (root / "dataset.json").write_text(json.dumps({"training": [{"image": "../x.nii.gz", "label": "y.nii.gz"}]}))
    with pytest.raises(DatasetError, match="not inside"):
        find_cases(root)


def test_cases_that_are_there_are_skipped_and_a_better_label_is_told(dataset, tmp_path):
    root = decathlon(tmp_path / "msd")
    brought_in(dataset, find_cases(root))
    (same,) = brought_in(dataset, find_cases(root)).of("already there")
    assert same.text == "as a"
    write_nifti(root / "labelsTr" / "a.nii.gz", np.zeros(SHAPE, np.uint8))
    (other,) = brought_in(dataset, find_cases(root)).of("already there")
    assert "another label" in other.text
    assert len(dataset) == 1


def test_the_table_gives_patient_side_and_grade(dataset, tmp_path):
    row = SplitRow("TCGA-02-0001", "val", dataset="msd", case="a", grade="LGG")
    other = SplitRow("somebody", "train", dataset="else", case="a")
    brought_in(dataset, find_cases(decathlon(tmp_path / "msd")), source="msd", table=[row, other])
    (case,) = dataset.cases()
    assert (case.patient, case.split, case.grade, case.source) == ("TCGA-02-0001", "val", "LGG", "msd")


def test_kaggle_masks_tell_the_whole_tumour_alone(dataset, tmp_path):
    write_lgg_patient(tmp_path / "kaggle" / "TCGA_CS_4941_19960909", size=(20, 18))
    brought_in(dataset, find_cases(tmp_path / "kaggle"), spacing_mm=(1, 1, 5))
    (case,) = dataset.cases()
    assert case.label.known_regions == ("WT",)
    assert case.patient_key == "TCGA-CS-4941"
    assert case.grid.grid.spacing_mm == pytest.approx((1, 1, 5))
    assert case.label.voxels == {1: 12}


def test_1p19q_slices_that_nobody_marked_are_unknown(dataset, tmp_path):
    folder = tmp_path / "LGG" / "LGG-104"
    label = np.zeros(SHAPE, np.uint8)
    label[1:5, 1:4, 1:4] = 1
    write_nifti(folder / "LGG-104_T1.nii.gz", noise(SHAPE, 1))
    write_nifti(folder / "LGG-104_T2.nii.gz", noise(SHAPE, 2))
    write_nifti(folder / "LGG-104-Segmentation.nii.gz", label)
    brought_in(dataset, find_cases(tmp_path / "LGG"))
    (case,) = dataset.cases()
    assert (case.id, case.roles, case.label.known_regions) == ("LGG-104", ("T1c", "T2"), ("WT",))
    assert case.label.known_slices.numbers == (1, 2, 3)
    assert case.label.unknown_voxels == 2 * SHAPE[0] * SHAPE[1]


def test_a_whole_label_is_not_taken_for_one_of_single_slices(tmp_path):
    from napari_brain_tumor.geometry import Grid
    from napari_brain_tumor.study import Segmentation

    with pytest.raises(DatasetError, match="marked slices"):
        marked_slices(Segmentation(np.ones((9, 9, 9), np.uint8), Grid((9, 9, 9), affine())))


def test_pairs_are_found_by_pattern_with_case_and_role(dataset, tmp_path):
    for seed, role in enumerate(("t1", "flair")):
        write_nifti(tmp_path / "x" / "p1" / f"p1_{role}.nii.gz", noise(SHAPE, seed))
    write_nifti(tmp_path / "x" / "p1" / "seg.nii.gz", tumour(SHAPE))
    found = find_pairs(tmp_path / "x", "{case}/{case}_{role}.nii.gz", "*/seg.nii.gz")
    brought_in(dataset, found, schema="MSD")
    assert dataset.case("p1").roles == ("T1", "FLAIR")


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        ("img.nii.gz", "*/seg.nii.gz", "case's name"),
        ("*/none.nii.gz", "*/seg.nii.gz", "No file"),
    ],
)
def test_patterns_that_fit_nothing_are_refused(tmp_path, images, labels, words):
    write_nifti(tmp_path / "p1" / "img.nii.gz", noise(SHAPE, 1))
    write_nifti(tmp_path / "p1" / "seg.nii.gz", tumour(SHAPE))
    with pytest.raises(DatasetError, match=words):
        find_pairs(tmp_path, images, labels)


def test_an_image_without_label_is_refused_and_the_others_go_on(dataset, tmp_path):
    root = tmp_path / "x"
    for seed, name in enumerate(("p1", "p2")):
        write_nifti(root / name / "flair.nii.gz", noise(SHAPE, seed))
    write_nifti(root / "p2" / "seg.nii.gz", tumour(SHAPE))
    report = brought_in(dataset, find_pairs(root, "*/flair.nii.gz", "*/seg.nii.gz"), schema="MSD")
    assert [(o.name, o.outcome) for o in report.outcomes] == [("p1", "refused"), ("p2", "added")]
    assert "0 labels" in report.outcomes[0].text


def test_a_folder_without_cases_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no case"):
        find_cases(tmp_path / "empty")


def tcga_case(root, subject="TCGA-CS-4941", date="1996.09.02", corrected=True):
    folder = root / subject
    for seed, name in enumerate(("flair", "t1", "t1Gd", "t2")):
        write_nifti(folder / f"{subject}_{date}_{name}.nii.gz", noise(SHAPE, seed + sum(map(ord, subject))))
    automatic = np.where(brats_labels() == 4, 1, brats_labels()).astype(np.uint8)
    write_nifti(folder / f"{subject}_{date}_GlistrBoost.nii.gz", automatic)
    if corrected:
        write_nifti(folder / f"{subject}_{date}_GlistrBoost_ManuallyCorrected.nii.gz", brats_labels())
    return folder


def test_brats_tcga_takes_the_corrected_labels_and_says_so(dataset, tmp_path):
    tcga_case(tmp_path / "lgg")
    (outcome,) = brought_in(dataset, find_cases(tmp_path / "lgg")).outcomes
    assert outcome.outcome == "added"
    assert "after correction by hand" in outcome.text
    assert outcome.record.roles == ("T1", "T1c", "T2", "FLAIR")
    assert outcome.record.patient_key == "TCGA-CS-4941"
    assert outcome.record.label.made_by.source.endswith("_ManuallyCorrected.nii.gz")
    np.testing.assert_array_equal(dataset.truth(outcome.record.id).segmentation.data, tumour(SHAPE))


def test_brats_tcga_without_correction_takes_the_automatic_labels(dataset, tmp_path):
    tcga_case(tmp_path / "lgg", corrected=False)
    (outcome,) = brought_in(dataset, find_cases(tmp_path / "lgg")).outcomes
    assert (outcome.outcome, outcome.text) == ("added", "")
    assert outcome.record.label.made_by.source.endswith("_GlistrBoost.nii.gz")


def test_lgg_1p19q_comes_in_from_a_relative_path(dataset, tmp_path, monkeypatch):
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:5, 2:4, 1:4] = 1
    folder = tmp_path / "data" / "LGG-104"
    for seed, name in enumerate(("T1", "T2")):
        write_nifti(folder / f"LGG-104_{name}.nii.gz", noise(SHAPE, seed))
    write_nifti(folder / "LGG-104-Segmentation.nii.gz", labels)
    monkeypatch.chdir(tmp_path)
    (outcome,) = brought_in(dataset, find_cases("data")).outcomes
    assert (outcome.outcome, outcome.text) == ("added", "")
    assert outcome.record.roles == ("T1c", "T2")


def test_pairs_by_role_come_in_from_a_relative_path(dataset, tmp_path, monkeypatch):
    for role in ("t1", "flair"):
        write_nifti(tmp_path / "data" / "P1" / f"{role}.nii.gz", noise(SHAPE, len(role)))
    write_nifti(tmp_path / "data" / "P1" / "mask.nii.gz", tumour(SHAPE))
    monkeypatch.chdir(tmp_path)
    found = find_pairs(Path("data"), "{case}/{role}.nii.gz", "{case}/mask.nii.gz")
    kept = [case for case in found if not case.problem] or list(found)
    roles = {role: Path(file).is_absolute() for case in kept if case.roles for role, file in case.roles.items()}
    assert all(roles.values())


def nnunet(root, order=("T2", "FLAIR", "T1"), labels=None):
    for name, seed in (("glioma_001", 0), ("glioma_002", 50)):
        for channel in range(len(order)):
            write_nifti(root / "imagesTr" / f"{name}_{channel:04d}.nii.gz", noise(SHAPE, seed + channel))
        write_nifti(root / "labelsTr" / f"{name}.nii.gz", tumour(SHAPE))
    told = labels or {"background": 0, "edema": 1, "non_enhancing": 2, "enhancing": 3}
    document = {
        "channel_names": {str(i): role for i, role in enumerate(order)},
        "labels": told,
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(document))
    return root


def test_nnunet_channels_are_what_dataset_json_says(dataset, tmp_path):
    root = nnunet(tmp_path / "Dataset001_x")
    report = brought_in(dataset, find_cases(root))
    assert [case.record.id for case in report.of("added")] == ["glioma_001", "glioma_002"]
    study = dataset.study("glioma_001")
    assert study.roles == ("T1", "T2", "FLAIR")
    np.testing.assert_array_equal(study.sequences["T2"], noise(SHAPE, 0))
    np.testing.assert_array_equal(study.sequences["T1"], noise(SHAPE, 2))
    np.testing.assert_array_equal(dataset.truth("glioma_001").segmentation.data, tumour(SHAPE))


def test_nnunet_regions_that_nest_become_classes(dataset, tmp_path):
    regions = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": 3}
    brought_in(dataset, find_cases(nnunet(tmp_path / "Dataset002_x", labels=regions)))
    np.testing.assert_array_equal(dataset.truth("glioma_001").segmentation.data, tumour(SHAPE))


def test_channel_of_nnunet_opens_alone_as_its_role(tmp_path):
    root = nnunet(tmp_path / "Dataset001_x")
    study = open_study(root / "imagesTr" / "glioma_001_0001.nii.gz")
    assert study.roles == ("FLAIR",)


def test_folders_of_one_name_are_cases_of_their_own(dataset, tmp_path):
    for number, patient in enumerate(("P1", "P2")):
        folder = tmp_path / "cases" / patient / "scan_a"
        write_nifti(folder / "t1.nii.gz", noise(SHAPE, 2 * number))
        write_nifti(folder / "flair.nii.gz", noise(SHAPE, 2 * number + 1))
        write_nifti(folder / "seg.nii.gz", tumour(SHAPE))
    report = brought_in(dataset, find_cases(tmp_path / "cases"), schema="MSD")
    assert [case.record.id for case in report.of("added")] == ["P1_scan_a", "P2_scan_a"]
    assert len({case.patient_key for case in dataset.cases()}) == 2


def test_one_bad_case_of_any_kind_never_stops_the_others(dataset, tmp_path, monkeypatch):
    root = decathlon(tmp_path / "msd")
    found = find_cases(root)
    bad = replace(found[0], name="bad")
    errors = iter([MemoryError("too large"), RuntimeError("a library gave up"), RecursionError()])

    def damaged(path, *rest, **more):
        if Path(path) == bad.scan and (error := next(errors, None)) is not None:
            raise error
        return open_study(path, *rest, **more)

    monkeypatch.setattr("napari_brain_tumor.dataset.imports.job.open_study", damaged)
    report = brought_in(dataset, (bad, bad, bad, *found))
    assert [case.outcome for case in report.outcomes[:3]] == ["refused"] * 3
    assert "MemoryError: too large" in report.outcomes[0].text
    assert len(report.of("added")) == len(found)
