import os
from pathlib import Path

import numpy as np
import pytest
import typer

from napari_brain_tumor.batch.targets import Task, check_inputs_are_kept
from napari_brain_tumor.cli.outputs import plan_tasks
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.study import Source, Study


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def folder(name: str, *files: str) -> Path:
    path = Path(name)
    path.mkdir(parents=True)
    for file in files:
        (path / file).touch()
    return path


def targets(tasks: list[Task]) -> list[str]:
    return [task.target.as_posix() for task in tasks]


@pytest.mark.parametrize(
    ("case", "output", "expected"),
    [
        ("patient7", None, "patient7_segmentation.nii.gz"),
        ("scans/BRATS_001.nii.gz", None, "BRATS_001_segmentation.nii.gz"),
        ("scans/BRATS_001.nii.gz", "out.nii", "out.nii"),
        ("scans/BRATS_001.nii.gz", "results", "results/BRATS_001_segmentation.nii.gz"),
        ("scans/BRATS_001.nii.gz", "results.v2/", "results.v2/BRATS_001_segmentation.nii.gz"),
        ("TCGA_1_2.tif", "masks.tif", "masks.tif"),
        ("TCGA_1_2.tif", "masks/", "masks"),
    ],
)
def test_one_case_goes_where_it_is_asked_to(case: str, output: str | None, expected: str) -> None:
    assert targets(plan_tasks([Path(case)], output)) == [expected]


def test_a_folder_of_tif_slices_goes_to_a_folder_of_masks() -> None:
    case = folder("TCGA_1", "TCGA_1_1.tif", "TCGA_1_1_mask.tif")
    assert targets(plan_tasks([case], "masks")) == ["masks"]
    assert targets(plan_tasks([case], None)) == ["TCGA_1_segmentation.nii.gz"]


def test_the_current_folder_as_a_case_has_its_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder("patient3"))
    assert targets(plan_tasks([Path()], None)) == ["patient3_segmentation.nii.gz"]


def test_several_cases_need_a_folder_and_different_names() -> None:
    cases = [Path("a/one"), Path("a/two")]
    assert targets(plan_tasks(cases, "out")) == ["out/one_segmentation.nii.gz", "out/two_segmentation.nii.gz"]
    with pytest.raises(typer.BadParameter, match="names a folder"):
        plan_tasks(cases, "out.nii.gz")


def test_cases_of_one_name_are_told_apart_by_the_folders_above() -> None:
    tasks = plan_tasks([Path("a/scan"), Path("b/scan"), Path("b/other")], "out")
    names = ["a_scan", "b_scan", "other"]
    assert targets(tasks) == [f"out/{name}_segmentation.nii.gz" for name in names]


def test_every_examination_of_a_bids_data_set_has_a_result_of_its_own() -> None:
    for place in ("sub-01/ses-a", "sub-01/ses-b", "sub-02"):
        folder(f"bids/{place}/anat", f"{place.replace('/', '_')}_FLAIR.nii.gz")
    tasks = plan_tasks([Path("bids")], "out")
    assert targets(tasks) == [f"out/{n}_segmentation.nii.gz" for n in ("sub-01_ses-a", "sub-01_ses-b", "sub-02")]
    assert tasks[0].case == Path("bids/sub-01/ses-a/anat")
    # One examination is the case as it was typed.
    assert [task.case for task in plan_tasks([Path("bids/sub-02")], None)] == [Path("bids/sub-02")]
    assert targets(plan_tasks([Path("bids/sub-02/anat")], None)) == ["sub-02_segmentation.nii.gz"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_result_is_named_after_the_link_that_was_typed() -> None:
    target = folder("store/a81f")
    Path("patient4").symlink_to(target.absolute())
    assert targets(plan_tasks([Path("patient4")], None)) == ["patient4_segmentation.nii.gz"]


def test_an_earlier_result_is_replaced_only_when_asked() -> None:
    Path("seg.nii.gz").touch()
    with pytest.raises(SaveError, match=r"already exists.*--overwrite"):
        plan_tasks([Path("case")], "seg.nii.gz")
    assert targets(plan_tasks([Path("case")], "seg.nii.gz", overwrite=True)) == ["seg.nii.gz"]


def test_earlier_masks_are_replaced_only_when_asked() -> None:
    case, masks = folder("TCGA_1", "TCGA_1_1.tif"), folder("masks", "TCGA_1_1_mask.tif")
    with pytest.raises(SaveError, match=r"TCGA_1_1_mask\.tif already exists"):
        plan_tasks([case], str(masks))
    assert targets(plan_tasks([case], str(masks), overwrite=True)) == ["masks"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_input_is_never_the_output(overwrite: bool) -> None:
    Path("scan.nii.gz").touch()
    tif = folder("TCGA_1", "TCGA_1_1.tif")
    with pytest.raises(SaveError, match="over its input"):
        plan_tasks([Path("scan.nii.gz")], "scan.nii.gz", overwrite=overwrite)
    with pytest.raises(SaveError, match="over its input"):
        plan_tasks([tif], "TCGA_1/", overwrite=overwrite)


def test_a_scan_inside_the_case_folder_is_never_the_output() -> None:
    case = folder("case", "t1.nii.gz")
    image = np.arange(8.0).reshape(2, 2, 2)
    sources = {"T1": Source(case.resolve() / "t1.nii.gz")}
    study = Study({"T1": image}, Grid((2, 2, 2), np.eye(4)), "case", sources)
    with pytest.raises(SaveError, match="never overwritten"):
        check_inputs_are_kept(study, Path("case/t1.nii.gz"))
    check_inputs_are_kept(study, Path("case/result.nii.gz"))


def test_a_format_that_is_not_written_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(typer.BadParameter, match=r"\.nii\.gz"):
        plan_tasks([Path("case")], "seg.foo")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_refused() -> None:
    locked = folder("locked")
    locked.chmod(0o500)
    with pytest.raises(SaveError, match="cannot be written to"):
        plan_tasks([Path("case")], "locked/seg.nii.gz")
