"""`brain-tumor refine` as people call it, and `rerun` of what it saved."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from models_for_tests import tiny_model
from napari_brain_tumor import Refiner, open_segmentation, open_study, save_prompts
from napari_brain_tumor.interactive import Interpolate, Lasso, Point, PromptFile, Stroke
from phantoms import affine, ball, write_brats_case, write_lgg_patient, write_nifti

SHAPE = (24, 26, 12)
AXES = affine(spacing=(2, 2, 3))
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A head with a bright ball."""
    random = np.random.default_rng(0)
    inside, lesion = ball(SHAPE, (12, 13, 6), 10), ball(SHAPE, (8, 11, 6), 3)
    for suffix in ("t1ce", "flair"):
        image = np.where(inside, random.normal(100, 5, SHAPE) + 80 * lesion, 0).astype(np.float32)
        write_nifti(tmp_path / "case" / f"case_{suffix}.nii.gz", image, AXES)
    return tmp_path / "case"


def stroke(study, *voxels, label="enhancing", radius=2.0):
    return Stroke(label=label, points=study.grid.world(voxels).tolist(), radius=radius)


def values(path):
    return np.asarray(nib.load(path).dataobj)


def test_the_sample_is_corrected_from_nothing_and_the_json_tells_every_prompt(
    tmp_path: Path, run: Run, small_sample: Path
) -> None:
    study = open_study(small_sample)
    middle = [n // 2 for n in study.grid.shape]
    made = Refiner(study)
    made.apply(stroke(study, middle))
    made.apply(stroke(study, [middle[0] + 6, *middle[1:]], label="edema"))
    save_prompts(made.prompts, tmp_path / "prompts.json")
    code, out, err = run("refine", small_sample, "--prompts", "prompts.json", "-o", "r.nii.gz", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert [(one["kind"], one["label"]) for one in told["prompts"]] == [("stroke", "enhancing"), ("stroke", "edema")]
    assert told["voxels"] == sum(one["voxels"] for one in told["prompts"]) > 0
    assert all(one["seconds"] >= 0 for one in told["prompts"])
    np.testing.assert_array_equal(values(tmp_path / "r.nii.gz"), made.labels)
    code, out, _ = run("rerun", "r.nii.gz")
    assert code == 0
    assert out.startswith("The same: the labels are exactly those of the record.")


def test_a_saved_segmentation_is_corrected_kept_and_found_again(case: Path, tmp_path: Path, run: Run) -> None:
    assert run("segment", case, "--model", "threshold", "-o", "first.nii.gz", "--schema", "BraTS")[0] == 0
    first = values(tmp_path / "first.nii.gz")
    study = open_study(case)
    save_prompts([stroke(study, (8, 11, 6), label="non-enhancing")], tmp_path / "prompts.json")
    code, out, err = run("refine", case, "--segmentation", "first.nii.gz", "--prompts", "prompts.json")
    assert code == 0, err
    assert "1 prompt changed" in out
    assert "Wrote case_refined.nii.gz" in out
    np.testing.assert_array_equal(values(tmp_path / "first.nii.gz"), first)
    assert values(tmp_path / "case_refined.nii.gz")[8, 11, 6] == 1  # non-enhancing as BraTS 2018 writes it
    record = json.loads((tmp_path / "case_refined.json").read_text())
    assert record["schema"] == "BraTS2018-2022"
    assert record["provenance"]["start"]["path"] == "first.nii.gz"
    assert run("rerun", "case_refined.nii.gz")[0] == 0
    (tmp_path / "first.nii.gz").rename(tmp_path / "gone.nii.gz")
    code, _, err = run("rerun", "case_refined.nii.gz")
    assert code == 1
    assert "first.nii.gz is not there" in err


def test_a_models_result_and_its_probabilities_are_corrected_and_come_out_the_same_again(
    case: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    tiny_model(tmp_path / "home" / "models" / "tiny")
    study = open_study(case)
    save_prompts([stroke(study, (8, 11, 6)), stroke(study, (15, 15, 6), label="edema")], tmp_path / "prompts.json")
    code, out, err = run("refine", case, "--model", "tiny", "--device", "cpu", "--prompts", "prompts.json", "--json")
    assert code == 0, err
    assert json.loads(out)["probabilities"] is True
    provenance = json.loads((tmp_path / "case_refined.json").read_text())["provenance"]
    assert (provenance["task"], provenance["model"]["name"], len(provenance["refined"])) == ("segment", "tiny", 2)
    code, out, _ = run("rerun", "case_refined.nii.gz", "--json")
    told = json.loads(out)
    assert (code, told["verdict"], told["model"], told["differing_voxels"]) == (0, "identical", "tiny", 0)


def test_prompts_of_other_labels_are_refused_unless_told_to_go_on(case: Path, tmp_path: Path, run: Run) -> None:
    study = open_study(case)
    file = PromptFile(case="another", labels_sha256="0" * 64, steps=(stroke(study, (8, 11, 6)),))
    save_prompts(file, tmp_path / "prompts.json")
    code, _, err = run("refine", case, "--prompts", "prompts.json")
    assert code == 1
    assert "recorded on other labels" in err
    assert "--anyway" in err
    assert not (tmp_path / "case_refined.nii.gz").exists()
    code, _, err = run("refine", case, "--prompts", "prompts.json", "--anyway")
    assert code == 0
    assert "recorded on case another; this is case" in err
    assert "recorded on other labels" in err


def test_slices_of_unknown_voxel_size_are_corrected_in_voxels_and_with_one_in_millimetres(
    tmp_path: Path, run: Run
) -> None:
    write_lgg_patient(tmp_path / "TCGA_A", range(1, 9), size=(24, 20))
    case = tmp_path / "TCGA_A"
    study = open_study(case)
    prompts = PromptFile(unit="voxel", steps=(stroke(study, (8, 9, 4), label="whole tumour"),))
    save_prompts(prompts, tmp_path / "voxels.json")
    masks = ("--segmentation", case, "--schema", "LGG-binary")
    code, _, err = run("refine", case, *masks, "--prompts", "voxels.json", "-o", "in_voxels/")
    assert code == 0, err
    (one,) = (tmp_path / "in_voxels").glob("*_5_mask.tif")
    assert one.stat().st_size
    assert open_segmentation(tmp_path / "in_voxels").data[8, 9, 4] == 1
    code, _, err = run("refine", case, *masks, "--spacing", "1,1,5", "--prompts", "voxels.json", "-o", "in_mm/")
    assert code == 1
    assert "given in voxels of unknown size" in err
    millimetres = open_study(case, spacing_mm=(1, 1, 5))
    save_prompts([stroke(millimetres, (8, 9, 4), label="whole tumour")], tmp_path / "mm.json")
    code, _, err = run("refine", case, *masks, "--spacing", "1,1,5", "--prompts", "mm.json", "-o", "in_mm/")
    assert code == 0, err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--prompts", "none.json"), "none.json cannot be read"),
        (("--prompts", "bad.json"), "steps.0"),
        (("--prompts", "far.json"), "touches no voxel"),
        (("--prompts", "slice.json"), "slice 99"),
        (("--prompts", "good.json", "--segmentation", "seg.nii.gz", "-o", "seg.nii.gz", "--overwrite"), "never overwr"),
        (("--prompts", "good.json", "--segmentation", "other.nii.gz"), "voxel by voxel"),
        (("--prompts", "good.json", "-o", "there.nii.gz"), "--overwrite"),
        (("--prompts", "good.json", "--model", "no_such"), "no_such"),
    ],
)
def test_what_cannot_be_done_is_refused_with_one_message(
    case: Path, tmp_path: Path, run: Run, words: tuple[str, ...], told: str
) -> None:
    study = open_study(case)
    save_prompts([stroke(study, (8, 11, 6))], tmp_path / "good.json")
    save_prompts([Point(label="edema", at=(900, 0, 0))], tmp_path / "far.json")
    save_prompts([Interpolate(axis=2, slices=(0, 99))], tmp_path / "slice.json")
    (tmp_path / "bad.json").write_text('{"steps": [{"kind": "point", "label": "edema", "at": [0, 0]}]}')
    write_nifti(tmp_path / "seg.nii.gz", np.ones(SHAPE, np.uint8), AXES)
    write_nifti(tmp_path / "other.nii.gz", np.eye(5, dtype=np.uint8)[..., None] * np.ones(4, np.uint8) * 2, AXES)
    (tmp_path / "there.nii.gz").touch()
    code, out, err = run("refine", "case", *words, "--schema", "MSD")
    assert (code, out) == (2 if "--model" in words else 1, "")
    assert told in err


def test_file_and_model_are_not_taken_together(case: Path, run: Run) -> None:
    code, _, err = run("refine", case, "--prompts", "x.json", "--segmentation", "a.nii.gz", "--model", "threshold")
    assert code == 2
    assert "exactly one of" in err


def test_roles_are_named_as_for_other_commands(tmp_path: Path, run: Run) -> None:
    write_brats_case(tmp_path / "c", shape=(16, 16, 12))
    study = open_study(tmp_path / "c", {"t1": "c_t1.nii.gz"})
    corners = study.grid.world([(3, 3, 5), (9, 3, 5), (9, 9, 5), (3, 9, 5)]).tolist()
    save_prompts([Lasso(label="tumour core", points=corners)], tmp_path / "p.json")
    code, _, err = run("refine", "c", "--roles", "t1=c_t1.nii.gz", "--prompts", "p.json", "-o", "r.nii.gz")
    assert code == 0, err
    assert (values(tmp_path / "r.nii.gz")[3:10, 3:10, 5] >= 2).all()
    assert json.loads((tmp_path / "r.json").read_text())["provenance"]["roles"] == ["T1"]


def test_settings_of_a_model_are_refused_without_one(case: Path, run: Run) -> None:
    save_prompts([Point(label="edema", at=(0, 0, 0))], "prompts.json")
    code, _, err = run("refine", case, "--prompts", "prompts.json", "--flips", "--threshold", "ET=0.3")
    assert code == 2
    assert "flips, thresholds" in " ".join(err.split())
