import pytest

from napari_brain_tumor.curated_dataset import patient_key
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
