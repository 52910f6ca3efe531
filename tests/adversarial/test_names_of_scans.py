"""Names of files as public data sets and scanners write them, and which sequence each of them is, if any."""

from pathlib import Path

import pytest

from napari_brain_tumor.io.study_folder import names_segmentation, role_in_name

T1 = (
    "UCSF-PDGM-0004_T1_bias", "UPENN-GBM-00001_11_T1", "UPENN-GBM-00001_11_T1_unstripped", "RHUH-0001_0_t1",
    "PatientID_0003_Timepoint_1_brain_t1n", "C1026189_T1_to_SRI", "TCGA-CS-4941_1996.09.02_t1",
    "BraTS-PED-00001-000-t1n", "sub-01_T1w", "sub-01_acq-mprage_T1w", "sub-01_ses-pre_T1w", "sub-01_ce-none_T1w",
    "AX_T1_C-", "AX T1 (C-)", "T1 ohne KM", "T1w nativ tra", "t1_tse_tra_nativ", "T1 SENZA MDC", "T1 sans gado",
    "T1 SIN CONTRASTE", "T1 zonder contrast", "T1_without_contrast", "T1 W/O contrast", "T1_no_gad",
    "AX T1 PRE GD", "SAG T1 PRE", "AX T1 FLAIR", "MPRAGE", "3D_AX_T1_precontrast", "preop_t1", "t1_post_op",
    "Post_Scan_T1", "T1_-C", "T1_noncontrast", "T1-Gd-", "AX T1 -GD", "T1_unenhanced", "non-contrast T1",
    "T1_non_enhanced", "T1 Gd(-)", "T1 IV-", "T1 bez kontrastu", "AX T1 без контраста", "T1平扫",
)  # fmt: skip
T1C = (
    "UCSF-PDGM-0004_T1c_bias", "UCSF-PDGM-0004_T1gad", "UPENN-GBM-00001_11_T1GD",
    "UPENN-GBM-00001_11_T1GD_unstripped", "RHUH-0001_0_t1ce", "PatientID_0003_Timepoint_1_brain_t1c",
    "C1026189_T1CE_to_SRI", "TCGA-CS-4941_1996.09.02_t1Gd", "CT1", "week-000-1_CT1", "BraTS-PED-00001-000-t1c",
    "sub-01_ce-GADOLINIUM_T1w", "sub-01_ce-gd_T1w", "AX T1 C+", "AX_T1_C+", "T1_se_tra_+C", "T1 mit KM",
    "t1_mpr_sag_p2_iso_KM", "T1 CON MDC", "T1 avec gado", "T1 CON CONTRASTE", "T1 met contrast", "AX T1 POST GD",
    "AX T1 FSE POST", "T1W_3D_TFE_+Gd", "MPRAGE_post", "T1_MPRAGE_GD", "3D_AX_T1_postcontrast", "T1c_postop",
    "pre_op_T1_post_gd", "T1 w/ contrast", "T1_with_contrast", "T1+C", "T1+Gd", "AX T1 +GAD", "post-contrast T1",
    "T1_enhanced", "T1CE", "T1 Gd(+)", "T1 IV+", "T1 injecté", "T1 с контрастом", "T1 z kontrastem", "T1增强", "造影T1",
)  # fmt: skip
T2 = (
    "UCSF-PDGM-0004_T2_bias", "UPENN-GBM-00001_11_T2", "BraTS-PED-00001-000-t2w", "C1026189_T2_to_SRI",
    "sub-01_T2w", "T2W_TSE", "AX T2 PROPELLER", "AX T2 FRFSE", "TCGA-CS-4941_1996.09.02_t2",
    "PatientID_0003_Timepoint_1_brain_t2w",
)  # fmt: skip
FLAIR = (
    "UCSF-PDGM-0004_FLAIR_bias", "UPENN-GBM-00001_11_FLAIR", "BraTS-PED-00001-000-t2f", "C1026189_FL_to_SRI",
    "TCGA-CS-4941_1996.09.02_flair", "AX T2 FLAIR", "Ax T2 FLAIR FS +C", "3D FLAIR CUBE", "FLAIR_longTR",
    "T2_TIRM_dark-fluid", "t2_tirm_tra_dark-fluid", "sub-01_FLAIR", "PatientID_0003_Timepoint_1_brain_t2f",
    "T2-FLAIR", "flair_in_t1",
)  # fmt: skip
NONE = (
    "UCSF-PDGM-0004_SWI_bias", "UCSF-PDGM-0004_ADC", "UCSF-PDGM-0004_ASL", "UCSF-PDGM-0004_DTI_eddy_FA",
    "UPENN-GBM-00001_11_DSC_ap-rCBV", "sub-01_T2star", "sub-01_T2starw", "sub-01_T1map", "sub-01_T2map",
    "AX T2* GRE", "T2_hemo", "T1_SUB", "SUB T1", "SUB_T1_post-pre", "Subtracted_T1_GD", "T1_subtraction",
    "T1_subtracted", "T1c-T1", "T1post-T1pre", "T1_minus_T1c", "T1_difference", "delta_T1", "T1rho", "T1_rho",
    "qT1", "T1_map", "T1_mapping", "T1_map_MOLLI", "T2_mapping", "FLAIR*", "FLAIRstar", "PD_T2", "DWI_b1000",
    "Loc_T1", "T1_localizer", "scout_T1", "3-plane_T1_loc", "T1_dynamic_DCE", "T2_perfusion", "EPI_T2", "T1_mask",
    "R1_map", "T1-T1", "T1w-T1wc", "T1 - T1c", "T1C+-", "T1 -/+ C", "T1 po kontrascie", "T1 enhancing", "MP2RAGE_INV1",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *((name, "T1") for name in T1),
        *((name, "T1c") for name in T1C),
        *((name, "T2") for name in T2),
        *((name, "FLAIR") for name in FLAIR),
    ],
)
def test_a_scan_is_what_its_name_says(name, role):
    assert role_in_name(name) == role
    assert not names_segmentation(Path(f"{name}.nii.gz"))


@pytest.mark.parametrize("name", NONE)
def test_maps_subtractions_and_other_images_are_no_sequence(name):
    path = Path(f"{name}.nii.gz")
    assert names_segmentation(path) or role_in_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "TCGA-CS-4941_1996.09.02_GlistrBoost",
        "TCGA-CS-4941_1996.09.02_GlistrBoost_ManuallyCorrected",
        "PatientID_0003_Timepoint_1_tumorMask",
        "UCSF-PDGM-0004_tumor_segmentation",
        "UPENN-GBM-00001_11_automated_approx_segm",
        "ct1_seg_mask",
        "MASK",
        "BraTS-PED-00001-000-seg",
        "RHUH-0001_0_segmentations",
        "sub-01_space-T1w_dseg",
        "sub-01_label-lesion_mask",
    ],
)  # fmt: skip
def test_labels_are_no_scan(name):
    assert names_segmentation(Path(f"{name}.nii.gz"))
