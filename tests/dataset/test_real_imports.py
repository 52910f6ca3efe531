"""Real cases as they lie on disk, through import and checks."""

import pytest

from napari_brain_tumor import CuratedDataset
from napari_brain_tumor.dataset.checks import check_dataset
from napari_brain_tumor.dataset.imports import ImportOptions, find_cases, import_cases
from napari_brain_tumor.progress import run_job

pytestmark = pytest.mark.real_data

GLIOMAS = ("Brats18_TCIA10_628_1", "BraTS2021_01478")
SLICES = ("TCGA_CS_4941_19960909", "TCGA_DU_A5TR_19970726")


def take(dataset, folder, names, table):
    found = [case for case in find_cases(folder) if case.name in names]
    assert len(found) == len(names)
    return run_job(import_cases(dataset, found, ImportOptions(table=table, state="accepted")))


@pytest.mark.slow
def test_cases_of_both_kinds_are_taken_checked_and_kept_on_their_side(real_data, tmp_path):
    table = real_data / "subjects.csv"
    dataset = CuratedDataset.create(tmp_path / "set", split_table=table)
    for folder, names in (("glioma3d", GLIOMAS), ("lgg_tif", SLICES)):
        report = take(dataset, real_data / folder, names, table)
        assert len(report.of("added")) == len(names)
        again = take(dataset, real_data / folder, names, table)
        assert len(again.of("already there")) == len(names)
    records = {record.id: record for record in dataset.cases()}
    assert records["BraTS2021_01478"].split == "val"
    # One patient in both forms: the table tells who it is.
    assert records["Brats18_TCIA10_628_1"].patient == records["TCGA_DU_A5TR_19970726"].patient
    assert records["Brats18_TCIA10_628_1"].split == records["TCGA_DU_A5TR_19970726"].split
    findings = run_job(check_dataset(dataset))
    assert [finding for finding in findings if finding.severity == "error"] == []
