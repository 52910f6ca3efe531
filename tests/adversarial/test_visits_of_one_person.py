"""Folders and names of public data sets with several visits: whose they are, and that no two people become one."""

from pathlib import Path

import pytest

from napari_brain_tumor.dataset.patients import person_key
from napari_brain_tumor.io.case_names import folder_name

VISITS = (
    ("UPENN-GBM-00001_11", "UPENN-GBM-00001_21"),
    ("UPENN-GBM-00001_11_FLAIR", "UPENN-GBM-00001_21"),
    ("BraTS-GLI-00005-100-t2f", "BraTS-GLI-00005-101-t1c"),
    ("PatientID_0004_Timepoint_1_brain_t2f", "PatientID_0004_Timepoint_2"),
    ("RHUH-0001_0_flair", "RHUH-0001_1"),
    ("Patient-001_week-000", "Patient-001_week-012-1"),
    ("ReMIND-001_preop", "ReMIND-001_intraop"),
    ("TCGA-CS-4941_1996.09.02_flair", "TCGA_CS_4941_19960909"),
    ("UCSF-PDGM-0004_FU001d", "UCSF-PDGM-0004_T1c"),
    ("P1_ses-preop", "P1_ses-postop"),
    ("sub-01_ses-1_FLAIR", "sub-01_ses-2_T1w"),
)
PEOPLE = (
    ("RHUH-0001", "RHUH-0002"),
    ("case_1", "case_2"),
    ("patient-1", "patient-2"),
    ("P1_t1", "P2_t1"),
    ("UPENN-GBM-00001_11", "UPENN-GBM-00002_11"),
    ("Brats18_TCIA02_135_1", "Brats18_TCIA02_117_1"),
    ("week-000", "week-012"),
    ("EGD-0001", "EGD-0011"),
)


@pytest.mark.parametrize(("first", "second"), VISITS)
def test_visits_of_one_person_are_of_one_person(first, second):
    assert person_key(first) == person_key(second)


@pytest.mark.parametrize(("first", "second"), PEOPLE)
def test_two_people_stay_two(first, second):
    assert person_key(first) != person_key(second)


@pytest.mark.parametrize(
    "visit", ["week-000", "week-012-1", "t0", "preop", "intraop", "visit1", "2019-03-01", "month_6"]
)
def test_a_folder_of_a_visit_is_named_after_the_patient_above(visit):
    first, second = (folder_name(Path(f"set/{patient}/{visit}")) for patient in ("Patient-001", "Patient-002"))
    assert first.startswith("Patient-001")
    assert second.startswith("Patient-002")
    assert person_key(first) != person_key(second)
    assert person_key(first) == person_key("Patient-001")
