import pytest

from napari_brain_tumor.dataset.patients import patient_key, person_key
from napari_brain_tumor.errors import DatasetError


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("TCGA_CS_4941_19960909", "tcga-cs-4941"),
        ("TCGA-DU-A5TW-01A", "TCGA_DU_A5TW_19980228"),
        ("BraTS-GLI-00012-000", "BraTS-GLI-00012-101"),
        ("UPENN-GBM-00001_11", "UPENN-GBM-00001_21"),
        ("sub-01_ses-02", "sub-01"),
        ("Brats18_CBICA_ABM_1", "BRATS18-CBICA-ABM-1"),
        ("  Patient 7 ", "patient_7"),
        ("Müller", "MÜLLER"),
    ],
)
def test_spellings_of_one_patient_have_one_key(one, other):
    assert patient_key(one) == patient_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("TCGA-CS-4941", "TCGA-CS-4942"),
        ("BraTS2021_01476", "BraTS2021_01477"),
        ("Brats18_2013_2_1", "Brats18_2013_20_1"),
        ("patient 1", "patient 11"),
        ("sub-01", "sub-011"),
    ],
)
def test_different_patients_have_different_keys(one, other):
    assert patient_key(one) != patient_key(other)


@pytest.mark.parametrize("name", ["", " ", "--", "__.__"])
def test_a_name_of_nothing_is_refused(name):
    with pytest.raises(DatasetError, match="names no patient"):
        patient_key(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("BraTS2021_01477", "BraTS-GLI-01477-000"),
        ("Brats17_TCIA_135_1", "Brats18_TCIA02_135_1"),
        ("Brats18_CBICA_AAB_1", "BraTS19_CBICA_AAB_1"),
        ("Brats18_2013_2_1", "BraTS19_2013_2_1"),
        ("BraTS-GLI-02078-100", "BraTS-GLI-02078-103"),
        ("P7_ses-20190301", "P7_ses-20200301"),
        ("Smith_ses-1", "Smith"),
        ("P7_2019-03-01", "P7"),
        ("P7_preop", "P7_postop"),
        ("P7_followup2", "P7_baseline"),
        ("P7_flair", "P7_T1_C+"),
        ("TCGA-CS-4941_1996.09.02", "TCGA_CS_4941_19960909"),
    ],
)
def test_names_of_one_person_over_years_visits_and_sequences_have_one_person_key(one, other):
    assert person_key(one) == person_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("BraTS2021_01477", "BraTS-GLI-01478-000"),
        ("BraTS2021_00110", "BraTS-MET-00110-000"),
        ("BraTS-MEN-00110-000", "BraTS-MET-00110-000"),
        ("BraTS20_Training_001", "BraTS20_Training_002"),
        ("Brats18_2013_2_1", "Brats18_2013_20_1"),
        ("Brats18_TCIA02_135_1", "Brats18_TCIA02_136_1"),
        # Without a number in front, a date may be all that tells two people apart.
        ("scan_2019-03-01", "scan_2020-03-01"),
        ("gliomas_20190301", "gliomas_20200301"),
        ("P7_flair", "P17_flair"),
        ("flair", "t1"),
        ("case_1", "case_2"),
        ("preop_1", "preop_2"),
    ],
)
def test_different_people_have_different_person_keys(one, other):
    assert person_key(one) != person_key(other)
