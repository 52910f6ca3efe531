import numpy as np
import pytest

from napari_brain_tumor import open_segmentation, open_study
from napari_brain_tumor.errors import DuplicateRoleError, UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_truth, recognise
from napari_brain_tumor.io.bids import anatomy_of, examinations, is_bids
from napari_brain_tumor.io.write_nifti import write_nifti

SHAPE = (12, 10, 8)
NAMES = ("T1w", "ce-gadolinium_T1w", "T2w", "FLAIR")


def scan(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(1, 900, SHAPE).astype(np.int16)
    write_nifti(values, Grid(SHAPE, np.diag([1.0, 1, 2, 1])), None, path)


def subject(root, label, sessions=("",), names=NAMES):
    for session in sessions:
        stem = f"sub-{label}" + (f"_ses-{session}" if session else "")
        anat = root / f"sub-{label}" / (f"ses-{session}" if session else "") / "anat"
        for seed, name in enumerate(names):
            scan(anat / f"{stem}_{name}.nii.gz", seed)
        (anat / f"{stem}_T1w.json").write_text("{}")
    return root / f"sub-{label}"


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "bids"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    (root / "participants.tsv").write_text("participant_id\n")
    return root


def test_subject_opens_with_its_four_sequences(dataset):
    folder = subject(dataset, "01")
    study = open_study(folder)
    assert study.roles == ("T1", "T1c", "T2", "FLAIR")
    assert study.sources["T1c"].path.name == "sub-01_ce-gadolinium_T1w.nii.gz"
    assert study.name == "sub-01"
    assert recognise(folder) == "study"


def test_data_set_session_and_anat_of_one_examination_open_alike(dataset):
    folder = subject(dataset, "01", ("pre",))
    for place in (dataset, folder, folder / "ses-pre", folder / "ses-pre" / "anat"):
        study = open_study(place)
        assert study.name == "sub-01_ses-pre"
        assert study.roles == ("T1", "T1c", "T2", "FLAIR")


def test_several_examinations_are_a_question_that_lists_them(dataset):
    subject(dataset, "01", ("a", "b"))
    subject(dataset, "02")
    with pytest.raises(DuplicateRoleError, match=r"3 examinations: sub-01_ses-a, sub-01_ses-b, sub-02\..*sub-01/ses-a"):
        open_study(dataset)
    assert recognise(dataset) == "study"
    assert [p.relative_to(dataset).as_posix() for p in examinations(dataset)] == [
        "sub-01/ses-a/anat",
        "sub-01/ses-b/anat",
        "sub-02/anat",
    ]


def test_derivatives_and_other_kinds_of_data_are_left_out(dataset):
    folder = subject(dataset, "01")
    scan(folder / "dwi" / "sub-01_dwi.nii.gz")
    scan(folder / "perf" / "sub-01_asl.nii.gz")
    scan(dataset / "derivatives" / "prep" / "sub-01" / "anat" / "sub-01_desc-preproc_T1w.nii.gz")
    scan(dataset / "sourcedata" / "sub-09" / "anat" / "sub-09_T1w.nii.gz")
    study = open_study(dataset)
    assert {source.path.parent for source in study.sources.values()} == {folder / "anat"}
    assert study.notes == ()


def test_several_acquisitions_of_one_sequence_are_a_question_that_lists_them(dataset):
    folder = subject(dataset, "01", names=("acq-low_T1w", "acq-high_T1w", "run-2_T1w", "FLAIR"))
    with pytest.raises(DuplicateRoleError, match=r"3 files claim to be T1: .*acq-high.*acq-low.*run-2.*roles="):
        open_study(folder)
    chosen = open_study(folder / "anat", {"T1": "sub-01_acq-high_T1w.nii.gz", "FLAIR": "sub-01_FLAIR.nii.gz"})
    assert chosen.roles == ("T1", "FLAIR")
    assert chosen.name == "sub-01"


@pytest.mark.parametrize("name", ["T2starw", "T1map", "PDw", "part-phase_T2w", "inplaneT2map"])
def test_other_suffixes_are_no_sequence_of_ours(dataset, name):
    folder = subject(dataset, "01", names=("FLAIR", name))
    study = open_study(folder)
    assert study.roles == ("FLAIR",)
    assert name in study.notes[0]


def test_labels_of_a_subject_are_its_truth_but_masks_of_brain_and_face_are_not(dataset):
    folder = subject(dataset, "01")
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:8, 4:8, 3:6] = 255
    grid = Grid(SHAPE, np.diag([1.0, 1, 2, 1]))
    write_nifti(labels, grid, None, folder / "anat" / "sub-01_label-lesion_dseg.nii.gz")
    write_nifti(labels, grid, None, folder / "anat" / "sub-01_desc-brain_mask.nii.gz")
    write_nifti(labels, grid, None, folder / "anat" / "sub-01_mod-T1w_defacemask.nii.gz")
    truth = open_truth(folder)
    assert truth is not None
    assert truth.provenance["path"].endswith("sub-01_label-lesion_dseg.nii.gz")
    assert open_study(folder).roles == ("T1", "T1c", "T2", "FLAIR")
    assert open_segmentation(truth.provenance["path"]).known_regions == ("WT",)


def test_subject_without_scans_says_so(dataset):
    (dataset / "sub-03" / "ses-1" / "anat").mkdir(parents=True)
    with pytest.raises(UnreadableFileError, match="without anatomical scans"):
        anatomy_of(dataset / "sub-03")
    assert recognise(dataset / "sub-03") is None


def test_other_folders_called_sub_are_not_taken_for_bids(tmp_path):
    scan(tmp_path / "sub-01" / "flair.nii.gz")
    scan(tmp_path / "sub-02" / "flair.nii.gz")
    assert not is_bids(tmp_path)
    assert not is_bids(tmp_path / "sub-01")
    assert anatomy_of(tmp_path / "sub-01") == tmp_path / "sub-01"
    assert open_study(tmp_path / "sub-01").name == "sub-01"
