"""How a labelled folder is understood before it is imported, and the roles that hold for all of its cases."""

import shlex

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_brain_tumor.cli import app
from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.dataset.imports import ImportRequest, import_folder, preview_folder, requested_cases
from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.requests.dataset_actions import import_lines
from phantoms import noise, tumour, write_brats_case, write_nifti

SHAPE = (7, 6, 5)
NUMBERED = {"T1c": "{case}_2.nii.gz", "FLAIR": "{case}_4.nii.gz"}


def write_numbered(folder, seed=0):
    """A case whose file names say neither the sequences nor what the labels mean."""
    for number in (2, 4):
        write_nifti(folder / f"{folder.name}_{number}.nii.gz", noise(SHAPE, 10 * seed + number))
    write_nifti(folder / f"{folder.name}_seg.nii.gz", tumour(SHAPE))


def previews(folder, **options):
    return run_job(preview_folder(ImportRequest(folder=folder, **options)))


def test_cases_of_one_layout_are_opened_once_and_told_by_their_own_files(tmp_path):
    for name in ("BraTS-GLI-00005-000", "BraTS-GLI-00031-000"):
        write_brats_case(tmp_path / name, tumour(SHAPE), SHAPE)
    first, second = previews(tmp_path)
    assert (first.is_opened, second.is_opened) == (True, False)
    assert set(second.sequences) == {"T1", "T1c", "T2", "FLAIR"}
    assert all(text.startswith("BraTS-GLI-00031-000") for text in second.sequences.values())
    assert first.schema == second.schema == "BraTS2023"
    assert not first.problem + second.problem


def test_what_names_do_not_say_is_a_doubt_and_is_settled_for_all_cases_at_once(tmp_path):
    for seed, name in enumerate(("anna", "bert")):
        write_numbered(tmp_path / name, seed)
    assert [preview.doubt for preview in previews(tmp_path)] == ["roles", "roles"]
    assert [preview.doubt for preview in previews(tmp_path, roles=NUMBERED)] == ["labels", "labels"]
    settled = previews(tmp_path, roles=NUMBERED, schema_name="MSD")
    assert [preview.problem for preview in settled] == ["", ""]
    assert settled[1].sequences == {"T1c": "bert_2.nii.gz", "FLAIR": "bert_4.nii.gz"}


def test_import_takes_the_chosen_roles_and_the_shell_line_does_the_same(tmp_path):
    for seed, name in enumerate(("anna", "bert")):
        write_numbered(tmp_path / "scans" / name, seed)
    request = ImportRequest(folder=tmp_path / "scans", roles=NUMBERED, schema_name="MSD", state="accepted")
    dataset = CuratedDataset.create(tmp_path / "set")
    report = run_job(import_folder(dataset, request))
    assert [case.outcome for case in report.outcomes] == ["added", "added"]
    assert {case.state for case in dataset.cases()} == {"accepted"}
    np.testing.assert_array_equal(dataset.study("bert").sequences["FLAIR"], noise(SHAPE, 14))
    other = CuratedDataset.create(tmp_path / "other")
    words = shlex.split(import_lines(other.folder, request).shell("posix"))
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    assert [case.sequences["T1c"].sha256 for case in CuratedDataset(other.folder).cases()] == [
        case.sequences["T1c"].sha256 for case in dataset.cases()
    ]


def test_a_case_without_the_files_of_the_roles_stays_as_it_was(tmp_path):
    write_numbered(tmp_path / "anna")
    write_brats_case(tmp_path / "BraTS-GLI-00005-000", tumour(SHAPE), SHAPE)
    brats, anna = requested_cases(ImportRequest(folder=tmp_path, roles=NUMBERED))
    assert brats.roles is None
    assert set(anna.roles) == {"T1c", "FLAIR"}


def test_one_pattern_alone_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="belong together"):
        requested_cases(ImportRequest(folder=tmp_path, images="{case}/img.nii.gz"))
