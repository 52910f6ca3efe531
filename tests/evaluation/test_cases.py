from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.errors import LabelSchemaError, UnreadableFileError
from napari_brain_tumor.evaluation.cases import find_cases, match_by_name
from phantoms import tumour, write_brats_case, write_lgg_patient, write_nifti


def decathlon(folder: Path, names: tuple[str, ...] = ("BRATS_001", "BRATS_002")) -> Path:
    for name in names:
        write_nifti(folder / "imagesTr" / f"{name}.nii.gz", np.ones((4, 4, 4, 2), np.int16))
        write_nifti(folder / "labelsTr" / f"{name}.nii.gz", np.ones((4, 4, 4), np.uint8))
    (folder / "imagesTr" / "._BRATS_001.nii.gz").write_bytes(b"left by macOS")
    return folder


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(("dataset,case,patient,split,grade", *rows)) + "\n")
    return path


def test_cases_of_every_layout_are_found_once(tmp_path: Path) -> None:
    write_brats_case(tmp_path / "set" / "one", tumour())
    write_brats_case(tmp_path / "set" / "two", tumour())
    write_lgg_patient(tmp_path / "lgg" / "TCGA_A", range(1, 3))
    write_brats_case(tmp_path / "alone", tumour())
    decathlon(tmp_path / "msd")
    places = [tmp_path / p for p in ("set", "lgg", "msd", "alone", "alone", "set/one")]
    assert [(case.dataset, case.name) for case in find_cases(places)] == [
        ("set", "one"),
        ("set", "two"),
        ("lgg", "TCGA_A"),
        ("msd", "BRATS_001"),
        ("msd", "BRATS_002"),
        ("", "alone"),
    ]


def test_cases_deeper_down_are_found_with_the_folder_that_holds_them(tmp_path: Path) -> None:
    write_lgg_patient(tmp_path / "data" / "lgg" / "TCGA_A", range(1, 3))
    decathlon(tmp_path / "data" / "msd", ("X",))
    found = find_cases(tmp_path / "data")
    assert [(case.dataset, case.name) for case in found] == [("lgg", "TCGA_A"), ("msd", "X")]


def test_a_folder_that_holds_one_case_gives_that_case(tmp_path: Path) -> None:
    write_brats_case(tmp_path / "set" / "one", tumour())
    (case,) = find_cases(tmp_path / "set")
    assert (case.dataset, case.name, case.path) == ("set", "one", tmp_path / "set" / "one")


@pytest.mark.parametrize("place", ["imagesTr", "imagesTr/BRATS_001.nii.gz"])
def test_images_of_a_decathlon_folder_know_their_data_set(tmp_path: Path, place: str) -> None:
    found = find_cases(decathlon(tmp_path / "msd") / place)
    assert (found[0].dataset, found[0].name) == ("msd", "BRATS_001")


def test_the_table_tells_patients_and_sides(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        write_brats_case(tmp_path / "set" / name, tumour())
    csv = table(
        tmp_path / "split.csv", "a,one,p1,val,HGG", "b,one,p9,train,HGG", "set,one,p2,val,LGG", "set,two,p2,train,LGG"
    )
    assert [(c.name, c.patient) for c in find_cases(tmp_path / "set", split=csv)] == [
        ("one", "p2"),
        ("three", ""),
        ("two", "p2"),
    ]
    assert [c.name for c in find_cases(tmp_path / "set", split=csv, side="val")] == ["one"]


def test_a_side_without_cases_is_an_error_that_names_the_sides(tmp_path: Path) -> None:
    write_brats_case(tmp_path / "one", tumour())
    csv = table(tmp_path / "split.csv", "x,one,p,train,HGG", "x,two,q,val,HGG")
    with pytest.raises(UnreadableFileError, match=r"'test'.*train, val"):
        find_cases(tmp_path / "one", split=csv, side="test")


def test_rows_that_contradict_each_other_are_an_error(tmp_path: Path) -> None:
    write_brats_case(tmp_path / "one", tumour())
    csv = table(tmp_path / "split.csv", "x,one,p,train,HGG", "y,one,q,val,HGG")
    with pytest.raises(UnreadableFileError, match="2 rows for one"):
        find_cases(tmp_path / "one", split=csv)


def test_a_table_without_patients_is_refused(tmp_path: Path) -> None:
    write_brats_case(tmp_path / "one", tumour())
    (tmp_path / "split.csv").write_text("id,side\none,val\n")
    with pytest.raises(UnreadableFileError, match="id, side; it needs case and patient"):
        find_cases(tmp_path / "one", split=tmp_path / "split.csv")


def test_a_side_needs_a_table(tmp_path: Path) -> None:
    write_brats_case(tmp_path / "one", tumour())
    with pytest.raises(UnreadableFileError, match="split="):
        find_cases(tmp_path / "one", side="val")


def test_two_cases_of_one_name_get_the_folder_that_differs(tmp_path: Path) -> None:
    places = [write_brats_case(tmp_path / folder / "one", tumour()) for folder in "ab"]
    assert [case.name for case in find_cases(places)] == ["a_one", "b_one"]
    assert [case.name for case in find_cases([places[0], places[0]])] == ["one"]


def test_two_cases_that_a_table_gives_one_name_are_an_error(tmp_path: Path) -> None:
    for folder in ("set1", "set2"):
        write_brats_case(tmp_path / folder / "one", tumour())
    (tmp_path / "split.csv").write_text("case,patient,dataset\none,A,both\n")
    with pytest.raises(UnreadableFileError, match="2 cases are called one"):
        find_cases([tmp_path / "set1", tmp_path / "set2"], split=tmp_path / "split.csv")


def test_every_examination_of_bids_is_a_case(tmp_path: Path) -> None:
    for place in ("sub-01/ses-a", "sub-01/ses-b", "sub-02"):
        write_nifti(tmp_path / "bids" / place / "anat" / f"{place.replace('/', '_')}_FLAIR.nii.gz", tumour())
    assert [case.name for case in find_cases(tmp_path / "bids")] == ["sub-01_ses-a", "sub-01_ses-b", "sub-02"]


def test_a_place_without_a_case_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableFileError, match="holds no case"):
        find_cases(tmp_path / "empty")
    with pytest.raises(UnreadableFileError, match="does not exist"):
        find_cases(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["one.nii.gz", "one_seg.nii.gz", "one_segmentation.nii.gz", "one-label.nrrd"])
def test_segmentations_are_matched_by_name(tmp_path: Path, name: str) -> None:
    for file in (name, "one.json", "one_2.nii.gz", "someone.nii.gz"):
        (tmp_path / file).touch()
    assert match_by_name(tmp_path, "one") == tmp_path / name
    assert match_by_name(tmp_path, "other") is None


def test_the_exact_name_comes_first_and_two_others_are_a_question(tmp_path: Path) -> None:
    for file in ("one_seg.nii.gz", "one_label.nii.gz"):
        (tmp_path / file).touch()
    with pytest.raises(LabelSchemaError, match=r"one_label.nii.gz, one_seg.nii.gz"):
        match_by_name(tmp_path, "one")
    (tmp_path / "one.nii.gz").touch()
    assert match_by_name(tmp_path, "one") == tmp_path / "one.nii.gz"


def test_masks_of_slices_are_matched_as_a_folder(tmp_path: Path) -> None:
    write_lgg_patient(tmp_path / "TCGA_A", range(1, 3))
    assert match_by_name(tmp_path, "TCGA_A") == tmp_path / "TCGA_A"
    assert match_by_name(tmp_path / "TCGA_A", "TCGA_A") == tmp_path / "TCGA_A"


def test_one_truth_for_several_cases_is_refused(tmp_path: Path) -> None:
    places = [write_brats_case(tmp_path / name, tumour()) for name in "ab"]
    with pytest.raises(LabelSchemaError, match="one segmentation for 2 cases"):
        find_cases(places, truth=tmp_path / "a" / "a_seg.nii.gz")
