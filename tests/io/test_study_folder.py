from pathlib import Path

import pytest

from napari_brain_tumor.errors import DuplicateRoleError, RoleError
from napari_brain_tumor.io import find_sequences, names_segmentation, role_in_name, role_named
from napari_brain_tumor.io.study_folder import dataset_labels, dataset_roles

NAMES = {
    # BraTS 2013 to 2015
    "VSD.Brain.XX.O.MR_Flair.54512.mha": "FLAIR",
    "VSD.Brain.XX.O.MR_T1.54513.mha": "T1",
    "VSD.Brain.XX.O.MR_T1c.54514.mha": "T1c",
    "VSD.Brain.XX.O.MR_T2.54515.mha": "T2",
    "brats_2013_pat0001_1_T1c.nii": "T1c",
    # BraTS 2017 to 2022
    "Brats18_TCIA02_135_1_flair.nii.gz": "FLAIR",
    "Brats18_TCIA02_135_1_t1.nii.gz": "T1",
    "BraTS20_Training_001_t1ce.nii": "T1c",
    "BraTS2021_01477_t2.nii.gz": "T2",
    # BraTS 2023 and 2024
    "BraTS-GLI-00000-000-t1n.nii.gz": "T1",
    "BraTS-GLI-00000-000-t1c.nii.gz": "T1c",
    "BraTS-GLI-00000-000-t2w.nii.gz": "T2",
    "BraTS-MET-00110-000-t2f.nii.gz": "FLAIR",
    # as archives have them
    "T1POST_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz": "T1c",
    "T1_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz": "T1",
    "T2_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz": "T2",
    "FLAIR_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz": "FLAIR",
    "MRHR_T1_AX_POST_GAD_Other_Si_MRHR_T1_AX_POST_GAD_SE_13_se2d1r_t1c.nii.gz": "T1c",
    "MRHR_T1_AX_POST_GAD_SE_13_se2d1r.nii.gz": "T1c",
    "MRHR_FLAIR_AX_SE_IR_5_tir2d1_21_fla.nii.gz": "FLAIR",
    "MRHR_T2_AX_SE_2_tse2d1_11_t2.nii.gz": "T2",
    "T1_AX_SE_10_se2d1_t1.nii.gz": "T1",
    "UPENN-GBM-00001_11_T1GD.nii.gz": "T1c",
    "UCSF-PDGM-0004_T1.nii.gz": "T1",
    "sub-01_ses-1_T1w.nii.gz": "T1",
    "sub-01_ce-gadolinium_T1w.nii.gz": "T1c",
    "sub-01_FLAIR.nii.gz": "FLAIR",
    "T1+C.nii.gz": "T1c",
    "AX T1 +C.nrrd": "T1c",
    "T1_pre_contrast.nii.gz": "T1",
    "t1_post_contrast.nii.gz": "T1c",
    "T1 without contrast.nii.gz": "T1",
    "t1w-contrast.nii.gz": "T1c",
    "SAG_T1_MPRAGE_GD.nii": "T1c",
    "mprage.nii.gz": "T1",
    "AXT1.nii": "T1",
    "AX_T2_FLAIR.nii.gz": "FLAIR",
    "t2_tirm_tra_dark-fluid_FLAIR.nii": "FLAIR",
    "3D_FLAIR_sag.nii.gz": "FLAIR",
    "T2-FLAIR.mha": "FLAIR",
    "AX_T1_FLAIR.nii.gz": "T1",
    "t2_to_flair.nii.gz": "T2",
    "FLAIR_reg_to_T1.nii.gz": "FLAIR",
    "ct1.nii.gz": "T1c",
    "post_T1.nii.gz": "T1c",
    # treatment, not contrast agent
    "Post_Scan_T1.nii.gz": "T1",
    "Pre_Scan_T1.nii.gz": "T1",
    "T1_post_op.nii.gz": "T1",
    "sub-01_ses-post_T1w.nii.gz": "T1",
    "sub-01_ce-none_T1w.nii.gz": "T1",
    "sub-01_ses-pre_ce-gd_T1w.nii.gz": "T1c",
    "pre_treatment_T1_gd.nii.gz": "T1c",
    "T1_pre_op_gd.nii.gz": "T1c",
    "T1_pre_gd.nii.gz": "T1",
    "T1_ohne_KM.nii.gz": "T1",
    "T1_nach_KM.nii.gz": "T1c",
    "t1_tse_fs_kontrast.nii.gz": "T1c",
    "T1_FS_C.nii.gz": "T1c",
    "T1_postcon.nii.gz": "T1c",
    "T1PREGAD.nii": "T1",
    "T1WI.nii": "T1",
    "T1WI_CE.nii": "T1c",
    "T2WI.nii": "T2",
    "FLAIR_T2.nii.gz": "FLAIR",
    "t2_tirm_tra_dark-fluid.nii.gz": "FLAIR",
    "t2_space_da-fl_sag.nii.gz": "FLAIR",
    # none of the four, or a doubt
    "T2_star.nii.gz": None,
    "T2*.nii.gz": None,
    "T2_GRE.nii.gz": None,
    "gre_t2.nii.gz": None,
    "t2_tirm_tra.nii.gz": None,
    "PD_T2.nii.gz": None,
    "T1_SUB.nii.gz": None,
    "T1_T2.nii.gz": None,
    "patient_FLAIR_T1.nii.gz": None,
    "scan.nii.gz": None,
    "brain1_image.nrrd": None,
    "ADC.nii.gz": None,
    "DSC_T2star.nii.gz": None,
    "T1map.nii.gz": None,
    "swi.nii.gz": None,
    "CT.nii.gz": None,
    "patient12.nii.gz": None,
}


@pytest.mark.parametrize(("name", "role"), NAMES.items())
def test_file_name_tells_its_role(name, role):
    (path,) = (Path("case") / name,)
    found = find_sequences([path])
    assert found.sequences == ({role: path} if role else {})
    assert found.unrecognised == (() if role else (path,))
    assert found.segmentations == ()


@pytest.mark.parametrize(
    "name",
    [
        "Brats18_TCIA02_135_1_seg.nii.gz",
        "BraTS-GLI-00000-000-seg.nii.gz",
        "VSD.Brain.XX.O.OT.54517.mha",
        "VSD.Brain_3more.XX.O.OT.54517.mha",
        "GOLD_STANDARD_N4_noneck_reduced_winsor_regtoFLAIR_regtoMNI.nii.gz",
        "brain1_label.nrrd",
        "Pre_Mask.nii.gz",
        "T1_mask.nii.gz",
        "UPENN-GBM-00001_11_segm.nii.gz",
        "UCSF-PDGM-0004_tumor_segmentation.nii.gz",
        "tumorseg_FeTS.nii.gz",
        "W39_1998.09.19_Segm.nii",
        "truth.nii.gz",
    ],
)
def test_segmentation_is_not_taken_for_a_sequence(name):
    assert names_segmentation(Path(name))
    found = find_sequences([Path("case") / name])
    assert found.segmentations == (Path("case") / name,)
    assert not found.sequences


@pytest.mark.parametrize(
    "name", ["t1_segmented_brain_t1.nii.gz", "masked_flair.nii.gz", "t2.nii.gz", "roistudy_t2.nii.gz"]
)
def test_similar_words_do_not_make_a_segmentation(name):
    assert not names_segmentation(Path(name))


def test_folder_of_each_sequence_tells_the_role_where_the_file_does_not():
    files = [Path("case/T1/image.nii"), Path("case/T1_GD/image.nii"), Path("case/FLAIR/image.nii")]
    assert find_sequences(files).sequences == {"T1": files[0], "T1c": files[1], "FLAIR": files[2]}


def test_folder_name_does_not_make_a_stray_file_a_sequence():
    files = [Path("my_t1_study/flair.nii"), Path("my_t1_study/other.nii")]
    found = find_sequences(files)
    assert found.sequences == {"FLAIR": files[0]}
    assert found.unrecognised == (files[1],)


def test_two_files_of_one_role_are_both_named():
    with pytest.raises(DuplicateRoleError, match=r"T1c: case.a_t1ce.nii and case.b_t1gd.nii"):
        find_sequences([Path("case/a_t1ce.nii"), Path("case/b_t1gd.nii")])


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("t1ce", "T1c"),
        ("T1Gd", "T1c"),
        ("t1w", "T1"),
        ("flair", "FLAIR"),
        ("T2-FLAIR", "FLAIR"),
        ("t1n", "T1"),
        ("T1+C", "T1c"),
        ("t1 post", "T1c"),
        ("T2w", "T2"),
        ("t2f", "FLAIR"),
        ("T1c", "T1c"),
        ("Post-Contrast", "T1c"),
        ("pre-contrast", "T1"),
    ],
)
def test_role_spelling_is_lenient(text, role):
    assert role_named(text) == role


@pytest.mark.parametrize("text", ["adc", "", "t3", "mask"])
def test_unknown_role_lists_the_known_ones(text):
    with pytest.raises(RoleError, match=r"T1.*T1c.*T2.*FLAIR"):
        role_named(text)


def test_dataset_json_entries_of_both_makers():
    decathlon = {
        "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        "labels": {"0": "background", "1": "edema"},
    }
    nnunet = {"channel_names": {"0": "T1", "1": "ADC"}, "labels": {"background": 0, "edema": 1}}
    assert dataset_roles(decathlon) == ("FLAIR", "T1", "T1c", "T2")
    assert dataset_roles(nnunet) == ("T1", None)
    assert dataset_roles({"modality": {"0": "MRI"}}) is None
    assert dataset_roles(None) is None
    assert dataset_labels(decathlon) == dataset_labels(nnunet) == {"0": "background", "1": "edema"}


def test_role_in_name_of_nothing_is_none():
    assert role_in_name("") is None
