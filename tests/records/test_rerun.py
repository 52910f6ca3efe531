"""Results of tiny untrained networks and of a method without weights, computed again from what was written."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

import napari_brain_tumor
from models_for_tests import tiny_model
from napari_brain_tumor import open_segmentation, open_study, rerun, save_segmentation, segment
from napari_brain_tumor.errors import ModelNotFoundError, RecordError, SaveError, UnreadableFileError
from napari_brain_tumor.evaluation import evaluate
from napari_brain_tumor.records.agreement import agreement_of, tolerance_of
from napari_brain_tumor.records.records import read_record
from phantoms import affine, ball, noise, write_lgg_patient, write_nifti

SHAPE = (28, 30, 12)
AXES = affine(spacing=(1, 1, 2))
SUFFIXES = ("t1", "t1ce", "t2", "flair")


def write_head(folder, seed=0, axes=AXES):
    """A head of noise with a brighter ball in it, in air."""
    random = np.random.default_rng(seed)
    inside = ball(SHAPE, (14, 15, 6), 13)
    lesion = ball(SHAPE, (9, 12, 6), 4)
    for suffix in SUFFIXES:
        image = np.where(inside, random.normal(100, 20, SHAPE) + 80 * lesion, 0).astype(np.float32)
        write_nifti(folder / f"{folder.name}_{suffix}.nii.gz", image, axes)
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


@pytest.fixture
def model(home):
    return tiny_model(home / "tiny")[0]


@pytest.fixture
def result(tmp_path, model):
    """A saved segmentation of a case by the tiny network."""
    study = open_study(write_head(tmp_path / "case"))
    segmentation = segment(study, "tiny", "cpu", min_lesion_mm3=3)
    assert np.count_nonzero(segmentation.data) > 1000
    return save_segmentation(segmentation, tmp_path / "results" / "case.nii.gz", schema="BraTS")


def edit(path, **changes):
    """Change entries of a sidecar; None takes one away."""
    document = json.loads(path.read_text())
    for name, value in changes.items():
        place = document["provenance"] if name in document["provenance"] else document
        place[name] = value
        if value is None:
            del place[name]
    path.write_text(json.dumps(document))


def write_labels(path, values):
    image = nib.load(path)
    nib.save(nib.Nifti1Image(values.astype(np.uint8), image.affine, image.header), path)


def test_the_public_names_are_there():
    assert napari_brain_tumor.rerun is rerun
    assert {"rerun", "rerun_job"} <= set(napari_brain_tumor.__all__)


@pytest.mark.parametrize("named", ["case.json", "case.nii.gz"])
def test_a_networks_result_comes_out_exactly_the_same(result, named):
    found = rerun(result.with_name(named))
    assert (found.kind, found.verdict, found.same, found.same_labels) == ("segment", "identical", True, True)
    assert (found.model, found.device) == ("tiny", "cpu")
    assert found.agreement.differing == 0
    assert found.agreement.dice == {"edema": 1.0, "non-enhancing": 1.0, "enhancing": 1.0}
    assert "exactly those of the record" in found.describe()
    json.dumps(found.as_json())


def test_a_method_without_weights_and_its_seeds_come_out_the_same(tmp_path):
    study = open_study(write_head(tmp_path / "case"))
    seed = tuple(study.grid.world((9, 12, 6)))
    segmentation = segment(study, "region_growing", seeds=[seed], min_lesion_mm3=0)
    assert segmentation.data.any()
    saved = save_segmentation(segmentation, tmp_path / "case_segmentation.nii.gz")
    found = rerun(saved)
    assert (found.verdict, found.agreement.tolerance) == ("identical", 0.0)
    assert found.segmentation.provenance["settings"] == segmentation.provenance["settings"]


def test_slices_keep_their_given_voxel_size_and_the_masks_are_compared(tmp_path, model):
    write_lgg_patient(tmp_path / "TCGA_A", range(1, 9), size=(24, 20))
    study = open_study(tmp_path / "TCGA_A", spacing_mm=(1, 1, 5))
    segmentation = segment(study, "tiny", "cpu", min_lesion_mm3=20)
    assert segmentation.data.any()
    save_segmentation(segmentation, tmp_path / "masks", schema="LGG-binary")
    found = rerun(tmp_path / "masks.json")
    assert found.verdict == "identical"
    assert found.segmentation.grid == study.grid
    assert found.agreement.dice == {"whole tumour": 1.0}


def test_a_result_of_other_settings_is_not_the_same(result):
    sidecar = result.with_name("case.json")
    document = json.loads(sidecar.read_text())
    document["provenance"]["settings"]["min_lesion_mm3"] = 1e9
    sidecar.write_text(json.dumps(document))
    found = rerun(result)
    assert (found.verdict, found.same, found.same_labels) == ("different", False, False)
    assert found.agreement.share == 1
    assert found.agreement.dice["edema"] == 0
    assert "Not the same" in found.describe()


def test_a_few_voxels_of_another_processor_are_within_precision_and_told(result):
    edit(result.with_name("case.json"), labels_sha256=None)
    edit(result.with_name("case.json"), labels_sha256=None, versions={"torch": "1.0"})
    values = np.asarray(nib.load(result).dataobj).copy()
    inside = np.argwhere(values > 0)
    values[tuple(inside[0])] = 0
    write_labels(result, values)
    found = rerun(result)
    assert (found.agreement.differing, found.verdict, found.same) == (1, "within precision", True)
    assert "1 of 10080 voxels differ" in found.describe()
    assert "Other versions: torch 1.0 then" in found.describe()


def test_records_of_the_first_format_are_compared_by_the_file_alone(result):
    """They had no hashes of labels, no thresholds and no number of threads."""
    sidecar = result.with_name("case.json")
    document = json.loads(sidecar.read_text())
    for name in ("format", "labels_sha256"):
        del document[name]
    provenance = document["provenance"]
    for name in ("labels_sha256", "threads"):
        del provenance[name]
    for name in ("thresholds", "temperatures"):
        del provenance["settings"][name]
    sidecar.write_text(json.dumps(document))
    found = rerun(result)
    assert (found.same_labels, found.verdict) == (None, "identical")
    result.unlink()
    found = rerun(sidecar)
    assert (found.verdict, found.same) == ("not compared", False)
    assert "are not there to compare with" in found.describe()


def test_without_the_file_the_hash_tells(result):
    result.unlink()
    found = rerun(result.with_name("case.json"))
    assert (found.verdict, found.agreement) == ("identical", None)
    edit(result.with_name("case.json"), labels_sha256="0" * 64)
    found = rerun(result.with_name("case.json"))
    assert found.verdict == "different"
    assert "not how far they differ" in found.describe()


def test_an_edited_file_does_not_count_against_the_model(result):
    values = np.asarray(nib.load(result).dataobj).copy()
    values[:5] = 0
    write_labels(result, values)
    found = rerun(result)
    assert found.verdict == "identical"
    assert "was changed after it was saved" in found.describe()
    edit(result.with_name("case.json"), labels_sha256=None)


def test_labels_edited_before_they_were_saved_are_told(tmp_path, model):
    segmentation = segment(open_study(write_head(tmp_path / "case")), "tiny", "cpu")
    segmentation.provenance["edited_by_hand"] = True
    segmentation.data[:3] = 2
    saved = save_segmentation(segmentation, tmp_path / "case.nii.gz")
    found = rerun(saved)
    assert found.verdict == "identical"
    assert "edited by hand" in found.describe()


def test_the_model_is_known_by_its_weights_and_not_by_its_name(result, home, model):
    shutil.move(model.folder, home / "renamed")
    card = json.loads((home / "renamed" / "card.json").read_text()) | {"name": "renamed"}
    (home / "renamed" / "card.json").write_text(json.dumps(card))
    tiny_model(home / "tiny", seed=1)
    found = rerun(result)
    assert (found.model, found.verdict) == ("renamed", "identical")


def test_another_version_of_the_model_is_refused_with_what_to_do(result, home, model, tmp_path):
    shutil.move(model.folder, tmp_path / "kept")
    with pytest.raises(RecordError, match=r"made by tiny with weights .*it is not installed.*--model FOLDER"):
        rerun(result)
    other = tiny_model(home / "tiny", seed=1)[0]
    with pytest.raises(RecordError, match=f"tiny has other weights, {other.card.weights_sha256[:12]}"):
        rerun(result)
    with pytest.raises(RecordError, match="tiny has other weights"):
        rerun(result, model=other.folder)
    assert rerun(result, model=tmp_path / "kept").verdict == "identical"
    with pytest.raises(ModelNotFoundError):
        rerun(result, model=tmp_path / "nothing")


def test_thresholds_and_box_are_recorded_and_come_out_the_same(tmp_path, model, result):
    study = open_study(tmp_path / "case")
    box = tuple(study.grid.world([(6, 8, 3), (20, 21, 8)]).T.ravel().tolist())
    segmentation = segment(study, "tiny", "cpu", min_lesion_mm3=0, thresholds={"WT": 0.45}, box=box)
    assert segmentation.data.any()
    saved = save_segmentation(segmentation, tmp_path / "box.nii.gz")
    path = model.folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"thresholds": {"WT": 0.3}}))
    found = rerun(saved)
    assert (found.verdict, found.same_labels) == ("identical", True)
    assert found.segmentation.provenance["settings"]["thresholds"]["WT"] == 0.45
    assert tuple(found.segmentation.provenance["settings"]["box"]) == box


def test_a_changed_card_is_refused(result, model):
    path = model.folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"min_enhancing_mm3": 30.0}))
    with pytest.raises(RecordError, match="has min_enhancing_mm3"):
        rerun(result)


def test_a_result_from_before_enhancement_had_to_be_sure_comes_out_as_it_was(tmp_path, model):
    path = model.folder / "card.json"
    card = json.loads(path.read_text()) | {"thresholds": {"TC": 0.36, "ET": 0.42}}
    path.write_text(json.dumps(card))
    study = open_study(write_head(tmp_path / "case"))
    segmentation = segment(study, "tiny", "cpu", min_lesion_mm3=3)
    assert (segmentation.data == 3).any()
    del segmentation.provenance["settings"]["min_sure_enhancing"]
    saved = save_segmentation(segmentation, tmp_path / "before.nii.gz")
    path.write_text(json.dumps(card | {"min_sure_enhancing": 1.0}))
    assert not (segment(study, "tiny", "cpu", min_lesion_mm3=3).data == 3).any()
    found = rerun(saved)
    assert (found.verdict, found.same_labels) == ("identical", True)


def test_a_result_from_before_a_tumour_had_to_be_sure_comes_out_as_it_was(tmp_path, model):
    path = model.folder / "card.json"
    study = open_study(write_head(tmp_path / "case"))
    segmentation = segment(study, "tiny", "cpu", min_lesion_mm3=3)
    del segmentation.provenance["settings"]["min_sure_tumor"]
    saved = save_segmentation(segmentation, tmp_path / "before.nii.gz")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"min_sure_tumor": 1.0}))
    assert not segment(study, "tiny", "cpu", min_lesion_mm3=3).data.any()
    assert rerun(saved).verdict == "identical"


def test_a_result_without_t1c_is_repeated_though_the_card_asks_for_sure_enhancement(tmp_path, model):
    path = model.folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"min_sure_enhancing": 0.3}))
    study = open_study(write_head(tmp_path / "case")).only(("T1", "FLAIR"))
    saved = save_segmentation(segment(study, "tiny", "cpu", min_lesion_mm3=3), tmp_path / "found.nii.gz")
    assert rerun(saved).verdict == "identical"


def test_a_result_from_before_thin_slices_were_skipped_is_repeated_with_every_slice(tmp_path, model):
    study = open_study(write_head(tmp_path / "case", axes=np.eye(4)))
    segmentation = segment(study, "tiny", "cpu", min_lesion_mm3=3)
    settings = segmentation.provenance["settings"]
    assert settings["skips_thin_slices"] is True
    today = rerun(save_segmentation(segmentation, tmp_path / "today.nii.gz"))
    assert today.segmentation.provenance["settings"]["skips_thin_slices"] is True
    del settings["skips_thin_slices"]
    before = rerun(save_segmentation(segmentation, tmp_path / "before.nii.gz"))
    assert before.segmentation.provenance["settings"]["skips_thin_slices"] is False


def test_settings_that_are_not_known_are_refused(result):
    sidecar = result.with_name("case.json")
    document = json.loads(sidecar.read_text())
    document["provenance"]["settings"]["of_the_future"] = 1
    sidecar.write_text(json.dumps(document))
    with pytest.raises(RecordError, match="does not know: of_the_future"):
        rerun(result)


def test_a_device_that_is_not_here_is_replaced_and_told(result):
    edit(result.with_name("case.json"), device="cuda:7")
    found = rerun(result)
    assert found.device == "cpu"
    assert "the cuda:7 of the record is not available on this machine" in found.describe()


def test_moved_scans_are_found_and_the_new_result_is_saved_as_the_old_one(result, tmp_path):
    shutil.move(tmp_path / "case", tmp_path / "archive" / "2026")
    with pytest.raises(RecordError, match="T1 of case is missing"):
        rerun(result)
    found = rerun(result, data=tmp_path / "archive", output=tmp_path / "again.nii.gz")
    assert found.used["T1"] == tmp_path / "archive" / "2026" / "case_t1.nii.gz"
    assert (tmp_path / "again.nii.gz").is_file()
    assert set(np.unique(np.asarray(nib.load(tmp_path / "again.nii.gz").dataobj))) <= {0, 1, 2, 4}
    np.testing.assert_array_equal(open_segmentation(tmp_path / "again.nii.gz").data, open_segmentation(result).data)
    assert rerun(tmp_path / "again.nii.gz").verdict == "identical"


def test_the_recorded_result_is_not_replaced(result):
    with pytest.raises(SaveError, match="is the recorded result"):
        rerun(result, output=result)


def test_scans_that_were_resampled_before_are_told(result):
    sidecar = result.with_name("case.json")
    document = json.loads(sidecar.read_text())
    document["provenance"]["grid"]["affine"][0][3] += 40
    sidecar.write_text(json.dumps(document))
    with pytest.raises(RecordError, match="moved or resampled"):
        rerun(result)


def test_what_is_no_record_is_refused(tmp_path, result):
    with pytest.raises(UnreadableFileError, match="does not exist"):
        rerun(tmp_path / "nothing.json")
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(RecordError, match="was not written by napari-brain-tumor"):
        rerun(tmp_path / "other.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(RecordError, match="cannot be read as JSON"):
        rerun(tmp_path / "broken.json")
    with pytest.raises(RecordError, match="has no record of how it was made"):
        rerun(write_nifti(tmp_path / "x_seg.nii.gz", noise()))
    edit(result.with_name("case.json"), format=99)
    with pytest.raises(RecordError, match=r"format 99.*newer"):
        rerun(result)
    edit(result.with_name("case.json"), format=2, inputs={"T9": {}})
    with pytest.raises(RecordError, match="does not hold enough"):
        rerun(result)
    edit(result.with_name("case.json"), provenance={"method": "painted by hand"})
    with pytest.raises(RecordError, match=r"not made by a model \(painted by hand\)"):
        rerun(result)


def test_agreement_counts_voxels_and_dice():
    recorded, found = np.zeros((10, 10, 10), np.uint8), np.zeros((10, 10, 10), np.uint8)
    recorded[:5], found[:5] = 1, 1
    found[0, 0, 0] = 2
    one = agreement_of(recorded, found, {1: "edema", 3: "enhancing"}, 0.005)
    assert (one.voxels, one.tumour, one.differing, one.share) == (1000, 500, 1, 0.002)
    assert one.dice == {"edema": pytest.approx(2 * 499 / 999), "enhancing": 1.0}
    assert one.verdict == "within precision"
    assert agreement_of(recorded, found, {}).verdict == "different"
    assert agreement_of(recorded, recorded, {}).verdict == "identical"
    assert tolerance_of({"precision": "float32"}, {"precision": "bfloat16"}) == 0.005
    assert tolerance_of({"precision": "float32"}, {"precision": "float16"}) == 0.001
    assert tolerance_of({}, {}) == 0


# Evaluations --------------------------------------------------------------------------------------------------------


@pytest.fixture
def evaluation(tmp_path, model):
    """Two cases, one from a folder of many, scored by a network and against somebody's segmentations."""
    for seed, name in enumerate(("one", "two")):
        write_head(tmp_path / "set" / name, seed)
        truth = ball(SHAPE, (9, 12, 6), 4).astype(np.uint8)
        write_nifti(tmp_path / "set" / name / f"{name}_seg.nii.gz", truth, AXES)
        write_nifti(tmp_path / "theirs" / f"{name}.nii.gz", np.roll(truth, 1, 0), AXES)
    found = evaluate(
        tmp_path / "set",
        {"mine": "tiny"},
        predictions={"theirs": tmp_path / "theirs"},
        schema="MSD",
        predictions_schema="MSD",
        device="cpu",
    )
    found.write(tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("named", ["", "scores.json"])
def test_an_evaluation_gives_the_same_scores(evaluation, named):
    found = rerun(evaluation / named)
    assert (found.kind, found.verdict) == ("evaluate", "identical")
    assert found.scores.rows == 2 * 2 * 6
    assert "0 of 24 lines differ" in found.describe()
    json.dumps(found.as_json())


def test_moved_cases_of_an_evaluation_are_found(evaluation, tmp_path):
    shutil.move(tmp_path / "set", tmp_path / "moved" / "set")
    shutil.move(tmp_path / "theirs", tmp_path / "moved" / "theirs")
    with pytest.raises(RecordError, match=r"theirs.*missing"):
        rerun(evaluation)
    assert rerun(evaluation, data=tmp_path / "moved").verdict == "identical"


def test_changed_truths_and_predictions_are_told(evaluation, tmp_path):
    write_nifti(tmp_path / "theirs" / "two.nii.gz", np.zeros(SHAPE, np.uint8), AXES)
    with pytest.raises(RecordError, match="The segmentation of two by theirs was changed"):
        rerun(evaluation)
    write_nifti(tmp_path / "set" / "one" / "one_seg.nii.gz", np.zeros(SHAPE, np.uint8), AXES)
    with pytest.raises(RecordError, match="The truth of one was changed"):
        rerun(evaluation)


def test_other_scores_are_not_the_same(evaluation):
    table = evaluation / "scores.csv"
    lines = table.read_text().splitlines()
    names = lines[0].split(",")
    cells = lines[1].split(",")
    cells[names.index("dice")] = str(float(cells[names.index("dice")]) + 0.004)
    table.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    found = rerun(evaluation)
    assert (found.verdict, found.scores.differing) == ("within precision", 1)
    assert "Largest change of a Dice: 0.0040, WT of set/one by mine" in found.describe()
    table.write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    found = rerun(evaluation)
    assert (found.verdict, found.scores.new) == ("different", ("WT of set/one by mine",))


def test_evaluations_of_the_first_format_are_scored_again_unproven(evaluation):
    path = evaluation / "scores.json"
    document = json.loads(path.read_text())
    del document["format"]
    for case in document["cases"]:
        del case["inputs"]
        del case["truth"]["sha256"]
    path.write_text(json.dumps(document))
    found = rerun(evaluation)
    assert found.verdict == "identical"
    assert "not proven" in found.describe()


def test_output_and_model_are_not_for_evaluations(evaluation, tmp_path):
    with pytest.raises(RecordError, match="output is for a recorded segmentation"):
        rerun(evaluation, output=tmp_path / "x.nii.gz")


def test_a_record_tells_what_it_is_of(result, evaluation):
    assert read_record(result).provenance.model.name == "tiny"
    assert [case.case for case in read_record(evaluation).cases] == ["one", "two"]
