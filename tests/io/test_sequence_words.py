"""The words for sequences, each beside the names that look like it and mean something else."""

import re

import pytest

from napari_brain_tumor.errors import RoleError
from napari_brain_tumor.io.sequence_words import role_in_name, role_named, role_of_description, roles_in

NAMES = {
    # Signs: nothing else tells with from without.
    "AX_T1_C-": "T1",
    "AX_T1_C+": "T1c",
    "T1 C- tra": "T1",
    "T1 C+ tra": "T1c",
    "T1C-": "T1",
    "T1C+": "T1c",
    "T1w C-": "T1",
    "T1w C+": "T1c",
    "C- T1": "T1",
    "C+ T1": "T1c",
    "T1 (C-)": "T1",
    "T1 (C+)": "T1c",
    "T1_C-_tra": "T1",
    "T1_C+_tra": "T1c",
    "T1 -C": "T1",
    "T1 +C": "T1c",
    "T1+C": "T1c",
    "+C AX T1": "T1c",
    "-C AX T1": "T1",
    "AX T1 +Gd": "T1c",
    "AX T1 -Gd": "T1",
    "T1_Gd+": "T1c",
    "T1_Gd-": "T1",
    "T1Gd+": "T1c",
    "T1Gd-": "T1",
    "AX T1+": "T1c",
    "AX T1-": "T1",
    "T1_KM+": "T1c",
    "T1_KM-": "T1",
    "T1 C plus": "T1c",
    "T1 C minus": "T1",
    "T1_Cplus": "T1c",
    "T1_Cminus": "T1",
    "AX T2 C-": "T2",
    "AX FLAIR C+": "FLAIR",
    # A sign that may be a separator, or that a program took away.
    "T1-C": None,
    "T1_C-tra": None,
    "T1_C_": None,
    "T1 - C": None,
    "T1 +/- C": None,
    "T1 C+/-": None,
    # Hyphens that are separators.
    "T1-Gd": "T1c",
    "T1-CE": "T1c",
    "T1-post": "T1c",
    "t1-gd-dtpa": "T1c",
    "BraTS-GLI-00005-100-t1c": "T1c",
    # Words for the agent.
    "T1ce": "T1c",
    "t1gd": "T1c",
    "T1Gd": "T1c",
    "T1GAD": "T1c",
    "AX T1 Gad": "T1c",
    "T1 GADO": "T1c",
    "T1_gadovist": "T1c",
    "T1 post": "T1c",
    "POST AX T1": "T1c",
    "T1 POST 3 MIN": "T1c",
    "AxT1PostGd": "T1c",
    "PostContrastT1": "T1c",
    "T1postcontrast": "T1c",
    "T1wCE": "T1c",
    "ceT1": "T1c",
    "cT1": "T1c",
    "CT1_r2s_bet_reg": "T1c",
    "KM_T1": "T1c",
    "T1 with contrast": "T1c",
    "T1 w/ contrast": "T1c",
    "T1 W/C": "T1c",
    "T1 nach KM": "T1c",
    "T1 apres gado": "T1c",
    "T1 enhanced": "T1c",
    "mprage_post": "T1c",
    "MPRAGEpost": "T1c",
    "T1 MPRAGE C+": "T1c",
    "t1_mprage_sag_KM": "T1c",
    "SPGR_GD": "T1c",
    "T1 3D BRAVO +C": "T1c",
    "T1_FLAIR_GD": "T1c",
    "sT1W_3D_TFE_GD": "T1c",
    "t1_tse_tra_fs_gd": "T1c",
    "T1_no_fs_gd": "T1c",
    # Negations.
    "T1 non-contrast": "T1",
    "T1 noncontrast": "T1",
    "T1_non_contrast": "T1",
    "non-contrast T1": "T1",
    "T1 without contrast": "T1",
    "T1 without iv contrast": "T1",
    "T1 w/o contrast": "T1",
    "T1 w/o": "T1",
    "T1_w_o_contrast": "T1",
    "T1_wo_contrast": "T1",
    "T1_wo": "T1",
    "T1_no_gd": "T1",
    "T1_noGd": "T1",
    "T1nogd": "T1",
    "T1 not enhanced": "T1",
    "T1 non-enhanced": "T1",
    "T1 unenhanced": "T1",
    "T1 nonenhanced": "T1",
    "T1 nativ": "T1",
    "T1_native": "T1",
    "T1n": "T1",
    "T1 pre": "T1",
    "T1_PRE_GD": "T1",
    "pre-Gd T1": "T1",
    "T1 pre-contrast": "T1",
    "T1precontrast": "T1",
    "T1 ohne KM": "T1",
    "T1 vor KM": "T1",
    "T1 sans gado": "T1",
    "T1 contrast-free": "T1",
    "mprage_pre": "T1",
    "MPRAGE C-": "T1",
    # Both, or neither surely.
    "T1 pre and post": None,
    "T1 with and without contrast": None,
    "T1 W/WO CONTRAST": None,
    "T1 W WO": None,
    "T1_pre_post": None,
    "T1_gd_nativ": None,
    "pre_T1_gd": None,
    # Examinations before and after treatment.
    "preop_T1": "T1",
    "postop_T1": "T1",
    "postop_T1_gd": "T1c",
    "T1_post_surgery": "T1",
    "T1_post_RT_gd": "T1c",
    "Post_Scan_T2": "T2",
    # Plain sequences.
    "T1": "T1",
    "T1w": "T1",
    "T1 MPRAGE": "T1",
    "T1 SE tra": "T1",
    "t1_fl2d_tra": "T1",
    "spgr": "T1",
    "IR-FSPGR": "T1",
    "3DT1TFE": "T1",
    "T2": "T2",
    "T2w": "T2",
    "T2_TSE_tra": "T2",
    "T2FSE": "T2",
    "AX T2 FS": "T2",
    "T2 SPACE sag": "T2",
    "sT2W_TSE": "T2",
    # FLAIR, and the T1 that is called so.
    "FLAIR": "FLAIR",
    "T2-FLAIR": "FLAIR",
    "FLAIR-T2": "FLAIR",
    "T2 FLAIR": "FLAIR",
    "T2Flair": "FLAIR",
    "t2f": "FLAIR",
    "flair2": "FLAIR",
    "FLAIR post Gd": "FLAIR",
    "T2 SPACE FLAIR": "FLAIR",
    "t2_space_dark-fluid_sag": "FLAIR",
    "tirm_tra_dark-fluid": "FLAIR",
    "VISTA_Brain_FLAIR": "FLAIR",
    "T1-FLAIR": "T1",
    "AX T1 FLAIR": "T1",
    "T1 FS FLAIR": "T1",
    "t1_tirm_tra_dark-fluid": "T1",
    "T1 FLAIR +C": "T1c",
    "FLAIR_T1": None,
    # T2* and inversion recoveries of unknown purpose.
    "T2*": None,
    "T2 *": None,
    "T2star": None,
    "T2-star": None,
    "T2Star": None,
    "T2_GRE": None,
    "T2 FFE": None,
    "t2_fl2d_tra_hemo": None,
    "ep2d_T2": None,
    "T2_STIR": None,
    "t2_tirm_tra": None,
    "T2 IR": None,
    # Maps, subtractions and other images that name T1 or T2.
    "T1_map": None,
    "T1map": None,
    "T1_mapping": None,
    "T1_map_MOLLI": None,
    "T2_map": None,
    "T2map": None,
    "qT1": None,
    "T1rho": None,
    "T1T2_ratio": None,
    "T1w_T2w_ratio": None,
    "SUB_T1_post-pre": None,
    "SUB_T1_GD": None,
    "T1_SUB": None,
    "Subtracted_T1_GD": None,
    "T1_subtraction": None,
    "T1 post - pre": None,
    "T1_post_minus_pre": None,
    "T1_difference": None,
    "T1_prob": None,
    "SWI": None,
    "SWI_T2": None,
    "ADC": None,
    "DWI": None,
    "DWI_T2": None,
    "rCBV": None,
    "rCBV_T1space": None,
    "FA": None,
    "FA_T1": None,
    "T1_FA": None,
    "T2_phase": None,
    "T1_localizer": None,
    "T1 DCE": None,
    "T2 DSC perfusion": None,
    "T2 C-spine": None,
    "T1_cspine_gd": None,
    "PET_T1": None,
    "CT_to_T1": None,
    "ADC_to_T1": None,
    "lesion_in_T1": None,
    "PD_T2": None,
    # What an image was moved onto is not what it shows.
    "FLAIR_to_T1": "FLAIR",
    "flair2t1c": "FLAIR",
    "T2_regtoT1": "T2",
    "T1_native_space": "T1",
    "T1Gd_native_space": "T1c",
    # Two sequences.
    "T1_T2": None,
    "T2_T1": None,
    "T1/T2": None,
    "T2_tra_T1_sag": None,
    "T1_study_3_FLAIR": "FLAIR",
    # BIDS.
    "sub-01_ce-gadolinium_T1w": "T1c",
    "sub-01_ce-gd_T1w": "T1c",
    "sub-01_ce-none_T1w": "T1",
    "sub-01_ses-post_T1w": "T1",
    "sub-01_ses-01_run-2_T2w": "T2",
    "sub-T1_FLAIR": "FLAIR",
    "sub-01_space-T1w_FLAIR": "FLAIR",
    "sub-01_acq-mprage_T1w": "T1",
    "sub-01_acq-postgad_T1w": "T1c",
    "sub-01_T2starw": None,
    "sub-01_T1map": None,
    "sub-01_UNIT1": "T1",
    "sub-01_inv-1_MP2RAGE": None,
    "sub-01_part-phase_T2w": None,
    # BraTS.
    "BraTS-MET-00110-000-t1n": "T1",
    "BraTS-MET-00110-000-t2w": "T2",
    "BraTS-PED-00110-000-t2f": "FLAIR",
    "Brats17_TCIA_201_1_t1ce": "T1c",
    "TCGA-CS-4941_1996.09.02_t1Gd": "T1c",
    "TCGA-CS-4941_1996.09.02_t1": "T1",
    # A word within another, initials, places.
    "Ct1_patient": None,
    "PAT12": None,
    "pat1_scan": None,
    "t10": None,
    "T10_vertebra": None,
    "T2DM_cohort": None,
    "T1D_patient": None,
    "Saint1_Hospital": None,
    "Sankt2_Klinik": None,
    "subt1_x": None,
    "Postgate_Hospital_T1": "T1",
    "MIT_T1": "T1",
    "KM_001_T1": "T1",
    "CE_patient_T1": "T1",
    "Precious_T1": "T1",
    "sub_01_T1": "T1",
    "sub_01_FLAIR": "FLAIR",
    "Conrad_T2": "T2",
    "Flairville_T2": "T2",
    "scan": None,
    "": None,
}


def test_there_are_enough_names():
    assert len(NAMES) >= 150
    assert {role for role in NAMES.values() if role} == {"T1", "T1c", "T2", "FLAIR"}


@pytest.mark.parametrize(("name", "role"), NAMES.items())
def test_name_means_its_sequence_or_is_a_question(name, role):
    assert role_in_name(name) == role


@pytest.mark.parametrize("name", [name for name, role in NAMES.items() if role])
def test_case_and_separators_do_not_matter(name):
    assert role_in_name(name.lower()) == NAMES[name]
    assert role_in_name(name.upper()) == NAMES[name]
    if not set(name) & set("+-/"):
        for separator in "_ .":
            assert role_in_name(name.replace("_", separator)) == NAMES[name]


@pytest.mark.parametrize(
    ("name", "doubt"),
    [
        ("SUB_T1_post-pre", "subtraction"),
        ("T2_map", "map that was calculated"),
        ("T2*", r"T2\*"),
        ("T1_T2", "T1 and T2"),
        ("t2_tirm_tra", "FLAIR or STIR"),
        ("T1_C_", "contradict"),
        ("FA_T1", "another kind of image"),
        ("PD_T2", "proton density"),
    ],
)
def test_doubt_says_what_it_is(name, doubt):
    words = roles_in(name)
    assert words.role is None
    assert re.search(doubt, words.doubt)


def test_name_without_a_word_is_no_doubt():
    assert roles_in("scan").doubt == ""
    assert roles_in("ADC").doubt == ""


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("pre-contrast", "T1"),
        ("Post-Contrast", "T1c"),
        ("T1 C-", "T1"),
        ("t1gd", "T1c"),
        ("CE", "T1c"),
        ("T1 without contrast", "T1"),
    ],
)
def test_person_may_name_a_role_in_many_ways(text, role):
    assert role_named(text) == role


@pytest.mark.parametrize("text", ["T1 of Smith", "scan", "T1map", "T1 T2", "axial", "", "T2*", "T1_C_"])
def test_anything_else_than_a_role_is_refused(text):
    with pytest.raises(RoleError, match="not the name of a sequence"):
        role_named(text)


@pytest.mark.parametrize(
    ("text", "header", "role"),
    [
        ("AX T1", {"contrast_agent": "Gadovist"}, "T1c"),
        ("AX T1", {"contrast_agent": "NONE"}, "T1"),
        ("AX T1", {"contrast_agent": ""}, "T1"),
        ("AX T1", {}, "T1"),
        ("AX T1 POST", {}, "T1c"),
        ("AX T1 PRE", {"contrast_agent": "Gadovist"}, None),
        ("AX T1 C-", {"contrast_agent": "Gadovist"}, None),
        ("AX T1 FS", {"te_ms": 12, "tr_ms": 600, "contrast_agent": "8 ml"}, "T1c"),
        ("visit T1", {"te_ms": 95, "tr_ms": 9000}, None),
        ("AX T2", {"te_ms": 95, "tr_ms": 5000, "contrast_agent": "Gadovist"}, "T2"),
        ("AX T2", {"te_ms": 95, "tr_ms": 9000, "ti_ms": 2500}, None),
        ("t2_tirm_tra", {"ti_ms": 2500, "tr_ms": 9000}, "FLAIR"),
        ("t2_tirm_tra", {"ti_ms": 170, "tr_ms": 5000}, None),
        ("AX FLAIR", {"te_ms": 120, "tr_ms": 9000, "ti_ms": 2500}, "FLAIR"),
        ("AX FLAIR", {"te_ms": 9, "tr_ms": 2000, "ti_ms": 800}, None),
        ("AX T1 FLAIR", {"te_ms": 9, "tr_ms": 2000, "ti_ms": 800}, "T1"),
        ("localizer", {"te_ms": 5, "tr_ms": 9}, None),
        ("SUB T1", {"contrast_agent": "Gadovist"}, None),
    ],
)
def test_header_settles_or_contradicts_the_words(text, header, role):
    assert role_of_description(text, **header).role == role
