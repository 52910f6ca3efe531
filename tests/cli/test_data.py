"""`brain-tumor data` as people call it."""

import numpy as np
import pytest

from napari_brain_tumor import CuratedDataset, cli
from napari_brain_tumor.label_schemas import SCHEMAS
from phantoms import noise, tumour, write_brats_case, write_lgg_patient, write_nifti

SHAPE = (14, 13, 12)


@pytest.fixture
def brain_tumor(capsys):
    def run(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            cli.main(["data", *map(str, arguments)])
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        return said.out if code == 0 else said.err

    return run


@pytest.fixture
def folder(tmp_path, brain_tumor):
    place = tmp_path / "set"
    brain_tumor("create", place, "--name", "gliomas", "--val", 0.5)
    return place


@pytest.fixture
def scan(tmp_path):
    return write_brats_case(tmp_path / "Brats18_CBICA_ABM_1", SCHEMAS["BraTS2018-2022"].encode(tumour(SHAPE)), SHAPE)


def test_a_case_goes_through_its_whole_life(brain_tumor, folder, scan, tmp_path):
    said = brain_tumor("add", folder, scan, "--grade", "HGG", "--side", "validation", "--source", "BraTS2018")
    assert "Added Brats18_CBICA_ABM_1: T1, T1c, T2, FLAIR, patient Brats18_CBICA_ABM_1, draft, val" in said
    better = write_nifti(tmp_path / "better.nii.gz", np.where(tumour(SHAPE) > 1, 1, 0).astype(np.uint8))
    said = brain_tumor("relabel", folder, "Brats18_CBICA_ABM_1", better, "--schema", "MSD", "--made-by", "both")
    assert "version 2, draft" in said
    assert "accepted" in brain_tumor("review", folder, "Brats18_CBICA_ABM_1", "accepted", "--note", "rim redrawn")
    case = CuratedDataset(folder).case("Brats18_CBICA_ABM_1")
    assert (case.state, case.review.note, case.label.made_by.kind) == ("accepted", "rim redrawn", "both")
    said = brain_tumor("show", folder, "Brats18_CBICA_ABM_1")
    assert "rim redrawn" in said
    assert "14x13x12 voxels of 1x1x1 mm" in said
    brain_tumor("remove", folder, "Brats18_CBICA_ABM_1", "--yes")
    assert len(CuratedDataset(folder)) == 0
    assert "frozen" in brain_tumor("add", folder, scan, "--side", "train", code=1)


def test_the_list_shows_volumes_states_and_sides(brain_tumor, folder, scan, tmp_path):
    slices = tmp_path / "TCGA_CS_4941_19960909"
    write_lgg_patient(slices)
    brain_tumor("add", folder, scan, "--state", "accepted")
    brain_tumor("add", folder, slices, "--known-slices", "0,3-5", "--spacing", "1,1,5")
    said = brain_tumor("list", folder)
    assert "gliomas, 2 of 2 cases" in said
    whole_ml = np.count_nonzero(tumour(SHAPE)) / 1000
    row = next(line for line in said.splitlines() if line.startswith("Brats18"))
    assert f"{whole_ml:.1f}" in row
    assert "accepted" in row
    assert "WT in 4 slices" in said
    said = brain_tumor("list", folder, "--state", "needs-second-look")
    assert "0 of 2 cases" in said


def test_the_split_is_shown_and_given(brain_tumor, folder, scan, tmp_path):
    table = tmp_path / "subjects.csv"
    table.write_text("dataset,case,patient,split,grade\nx,Brats18_CBICA_ABM_1,P7,test,HGG\n")
    said = brain_tumor("split", folder, "--table", table, "--seed", 5, "--val", 0.25)
    assert "1 new patients from subjects.csv" in said
    assert "val 0.25, test 0, seed 5" in said
    assert "patient P7, draft, test" in brain_tumor("add", folder, scan)
    rows = [line.split() for line in brain_tumor("split", folder).splitlines()]
    assert ["grade", "HGG", "0", "0", "1"] in rows
    assert ["cases", "0", "0", "1"] in rows


def test_a_copy_is_told(brain_tumor, folder, scan, tmp_path, capsys):
    brain_tumor("add", folder, scan)
    copy = write_brats_case(tmp_path / "Brats18_other", np.zeros(SHAPE, np.uint8), SHAPE)
    with pytest.raises(SystemExit):
        cli.main(["data", "add", str(folder), str(copy)])
    assert "Brats18_CBICA_ABM_1: same voxels, so both are on the side" in capsys.readouterr().err


def test_removing_asks_first(brain_tumor, folder, scan, monkeypatch):
    brain_tumor("add", folder, scan)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    brain_tumor("remove", folder, "Brats18_CBICA_ABM_1", code=130)
    assert len(CuratedDataset(folder)) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("show", "{folder}", "nobody"), 1, "no case 'nobody'"),
        (("list", "{folder}", "--side", "left"), 1, "not a side of a split"),
        (("review", "{folder}", "x", "fine"), 2, "not a review state"),
        (("add", "{folder}", "{scan}", "--known-slices", "4-2"), 2, "not a list of slice numbers"),
        (("add", "{folder}", "{scan}", "--made-by", "magic"), 2, "is not one of"),
        (("add", "{folder}", "{bare}"), 1, "No label was found"),
        (("list", "{scan}"), 1, "not a curated data set"),
        (("create", "{folder}"), 1, "already"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(brain_tumor, folder, scan, tmp_path, arguments, code, message):
    bare = write_nifti(tmp_path / "bare" / "bare_flair.nii.gz", noise(SHAPE)).parent
    said = brain_tumor(*(a.format(folder=folder, scan=scan, bare=bare) for a in arguments), code=code)
    assert message in " ".join(said.replace("│", " ").split())
    assert "Traceback" not in said
