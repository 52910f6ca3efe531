import json
import os
from dataclasses import replace

import numpy as np
import pytest
from dataset_cases import SHAPE, add_case, assert_is_whole, files_in, make_label, make_study
from filelock import FileLock

from napari_brain_tumor import CuratedDataset, open_segmentation, open_study, save_segmentation
from napari_brain_tumor.dataset import UNKNOWN, KnownSlices, MadeBy
from napari_brain_tumor.errors import (
    CaseNotFoundError,
    DatasetBusyError,
    DatasetError,
    DimensionError,
    GridMismatchError,
    LabelChangedError,
    LabelSchemaError,
    SaveError,
    SplitError,
    UnreadableFileError,
)
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_truth
from napari_brain_tumor.labels import class_names_of
from napari_brain_tumor.study import Segmentation, Study, TifSlices
from phantoms import affine, axis_orders, noise, tilt, tumour, write_brats_case, write_lgg_patient


@pytest.fixture
def dataset(tmp_path):
    return CuratedDataset.create(tmp_path / "gliomas")


def test_a_new_data_set_is_an_empty_decathlon_folder(dataset):
    content = json.loads((dataset.folder / "dataset.json").read_text())
    assert (len(dataset), dataset.name, content["training"], content["numTraining"]) == (0, "gliomas", [], 0)
    assert (dataset.folder / "imagesTr").is_dir()
    assert (dataset.folder / "labelsTr").is_dir()


def test_voxels_labels_and_grid_come_back_as_they_were_added(dataset):
    matrix = affine(tilt() @ axis_orders()[29], (0.9, 1.1, 5.0))
    study = make_study("case", matrix=matrix)
    dataset.add(study, make_label(study), patient="p1", grade="HGG")
    back, truth = dataset.study("case"), dataset.truth("case")
    assert back.roles == study.roles
    for role in study.roles:
        np.testing.assert_array_equal(back.sequences[role], study.sequences[role])
    assert back.grid.same_place(study.grid, 1e-3)
    np.testing.assert_array_equal(truth.segmentation.data, tumour(SHAPE))
    assert truth.is_complete
    assert_is_whole(dataset)


def test_another_object_on_the_same_folder_sees_a_change_at_once(dataset):
    other = CuratedDataset.open(dataset.folder)
    assert len(other) == 0
    add_case(dataset, "case")
    assert [case.id for case in other.cases()] == ["case"]
    assert "case" in other


def test_the_record_tells_all_about_a_case(dataset, tmp_path):
    folder = write_brats_case(tmp_path / "BraTS2021_00007", tumour(SHAPE), SHAPE)
    segmentation = open_segmentation(folder / "BraTS2021_00007_seg.nii.gz", "MSD")
    case = dataset.add(open_study(folder), segmentation, source="BraTS2021", grade="HGG", note="left frontal")
    classes = tumour(SHAPE)
    assert (case.id, case.patient, case.source, case.grade) == (
        "BraTS2021_00007",
        "BraTS2021_00007",
        "BraTS2021",
        "HGG",
    )
    assert case.roles == ("T1", "T1c", "T2", "FLAIR")
    assert case.sequences["T1c"].source == str(folder / "BraTS2021_00007_t1ce.nii.gz")
    assert case.label.voxels == {value: int((classes == value).sum()) for value in (1, 2, 3)}
    assert case.label.made_by == MadeBy(kind="imported", source=str(folder / "BraTS2021_00007_seg.nii.gz"))
    assert (case.state, case.review.note, case.review.reviewed_at) == ("draft", "left frontal", None)
    assert case.region_ml("TC") == pytest.approx(np.isin(classes, (2, 3)).sum() / 1000)
    assert dataset.case("BraTS2021_00007") == case


def test_a_label_of_the_segment_step_is_marked_as_the_models(dataset):
    study = make_study("case")
    provenance = {"task": "segment", "model": {"name": "unet", "weights_sha256": "ab12"}}
    label = Segmentation(tumour(SHAPE), study.grid, provenance=provenance)
    assert dataset.add(study, label).label.made_by == MadeBy(kind="model", model="unet", model_sha256="ab12")


def test_a_label_of_the_segment_step_that_was_painted_on_is_marked_as_made_by_both(dataset):
    study = make_study("case")
    model = {"name": "unet", "weights_sha256": "ab12"}
    label = Segmentation(
        tumour(SHAPE), study.grid, provenance={"task": "segment", "model": model, "edited_by_hand": True}
    )
    assert dataset.add(study, label).label.made_by == MadeBy(kind="both", model="unet", model_sha256="ab12")


def test_only_the_sequences_that_are_there_are_stored(dataset):
    study = make_study("two", roles=("FLAIR", "T1c"))
    dataset.add(study, make_label(study))
    single = make_study("one", seed=3, roles=("T2",))
    dataset.add(single, make_label(single))
    assert dataset.study("two").roles == ("T1c", "FLAIR")
    np.testing.assert_array_equal(dataset.study("two").sequences["FLAIR"], study.sequences["FLAIR"])
    np.testing.assert_array_equal(dataset.study("one").sequences["T2"], single.sequences["T2"])


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float32", "float64", "bool"])
def test_intensities_of_any_type_keep_their_values(dataset, dtype):
    values = (noise(SHAPE, 4) / (7 if dtype.startswith("float") else 2)).astype(dtype)
    values[0, 0, 0] = 0
    study = Study({"T1": values, "T2": noise(SHAPE, 5)}, Grid(SHAPE, affine()), name="case")
    dataset.add(study, make_label(study))
    np.testing.assert_array_equal(dataset.study("case").sequences["T1"], values.astype("float32"))
    assert dataset.check_files(voxels=True) == {}


def test_slices_without_spacing_stay_in_voxels_and_keep_their_names(dataset, tmp_path):
    folder = tmp_path / "TCGA_CS_4941_19960909"
    write_lgg_patient(folder, range(1, 13))
    case = dataset.add(open_study(folder), open_segmentation(folder))
    assert (case.patient_key, case.grid.unit, case.label.known_regions) == ("TCGA-CS-4941", "voxel", ("WT",))
    assert case.region_ml("WT") is None
    study, truth = dataset.study(case.id), dataset.truth(case.id)
    assert (study.grid.unit, truth.segmentation.grid.unit) == ("voxel", "voxel")
    assert study.layout == TifSlices("TCGA_CS_4941_19960909", tuple(range(1, 13)))
    assert truth.segmentation.class_names == {1: "whole tumour"}


def test_known_slices_leave_the_others_unknown_but_keep_their_draft(dataset):
    study = make_study("case")
    case = dataset.add(study, make_label(study), known_slices=[1, 4])
    truth = dataset.truth("case")
    assert case.label.known_slices == KnownSlices(axis=2, numbers=(1, 4))
    assert case.label.unknown_voxels == truth.known.size - 2 * SHAPE[0] * SHAPE[1]
    assert truth.known[:, :, [1, 4]].all()
    assert not np.delete(truth.known, [1, 4], axis=2).any()
    np.testing.assert_array_equal(truth.segmentation.data, tumour(SHAPE))
    assert case.label.voxels == {
        v: int((tumour(SHAPE)[:, :, 1] == v).sum()) for v in (1, 2, 3) if v in tumour(SHAPE)[:, :, 1]
    }


def test_known_voxels_of_any_shape_come_back(dataset):
    study = make_study("case")
    known = noise(SHAPE, 9) > 100
    case = dataset.add(study, make_label(study), known=known)
    np.testing.assert_array_equal(dataset.truth("case").known, known)
    assert case.label.known_slices is None
    assert case.label.unknown_voxels == int((~known).sum())


def test_unknown_voxels_are_never_background_in_the_file(dataset):
    study = make_study("case")
    dataset.add(study, make_label(study), known_slices=KnownSlices(axis=0, numbers=(3,)))
    stored = open_study(dataset.label_path("case"), roles=["T1"]).sequences["T1"]
    assert (np.delete(stored, 3, axis=0) >= UNKNOWN).all()
    with pytest.raises(LabelSchemaError):
        open_segmentation(dataset.label_path("case"))


def test_relabelling_makes_a_new_file_and_a_new_decision(dataset):
    add_case(dataset, "case", state="accepted", note="fine")
    old = dataset.label_path("case")
    study = make_study("case", seed=1)
    changed = tumour(SHAPE)
    changed[0, 0, 0] = 3
    case = dataset.relabel("case", make_label(study, changed), made_by=MadeBy(kind="both", model="unet"))
    assert (case.label.version, case.state, case.review.note, case.label.made_by.kind) == (2, "draft", "fine", "both")
    assert dataset.label_path("case") != old
    assert not old.exists()
    np.testing.assert_array_equal(dataset.truth("case").segmentation.data, changed)
    assert_is_whole(dataset)


def test_relabelling_is_refused_when_somebody_else_was_quicker(dataset):
    seen = add_case(dataset, "case").label.sha256
    other = np.zeros(SHAPE, np.uint8)
    other[1, 1, 1] = 1
    dataset.relabel("case", make_label(make_study(), other))
    with pytest.raises(LabelChangedError, match="version 2"):
        dataset.relabel("case", make_label(make_study()), based_on=seen)
    np.testing.assert_array_equal(dataset.truth("case").segmentation.data, other)


def test_a_review_keeps_state_note_and_time(dataset):
    add_case(dataset, "case", note="check the rim")
    case = dataset.review("case", "needs_second_look")
    assert (case.state, case.review.note) == ("needs_second_look", "check the rim")
    assert case.review.reviewed_at is not None
    assert dataset.review("case", "accepted", "seen").review.note == "seen"
    assert [c.id for c in dataset.cases(state=("accepted", "rejected"))] == ["case"]
    assert dataset.cases(state="draft") == ()
    with pytest.raises(DatasetError, match="perhaps"):
        dataset.review("case", "perhaps")


def test_removing_a_case_removes_its_files_and_its_mention(dataset):
    add_case(dataset, "first", seed=1)
    assert add_case(dataset, "second", seed=1).similar[0].case == "first"
    dataset.remove("first")
    assert dataset.case("second").similar == ()
    assert_is_whole(dataset)
    with pytest.raises(CaseNotFoundError, match="It has second"):
        dataset.study("first")


def test_foreign_files_in_the_folder_are_never_touched(dataset):
    stranger = dataset.folder / "imagesTr" / "case.nii.gz"
    stranger.write_bytes(b"mine")
    with pytest.raises(DatasetError, match="not part of the data set"):
        add_case(dataset, "case")
    add_case(dataset, "other")
    dataset.remove("other")
    assert stranger.read_bytes() == b"mine"


@pytest.mark.parametrize("call", range(1, 9))
def test_a_full_disk_leaves_the_data_set_as_it_was(dataset, monkeypatch, call):
    add_case(dataset, "first")
    before = files_in(dataset)
    fsync, calls = os.fsync, iter(range(1, 1000))

    def full_at_call(handle):
        if next(calls) == call:
            raise OSError(28, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patched:
        # Journal, image, label and index are flushed, each with its folder: after the seventh the index is replaced.
        patched.setattr("napari_brain_tumor.io.atomic.os.fsync", full_at_call)
        with pytest.raises(SaveError, match="No space left"):
            add_case(dataset, "second")
    if call < 8:
        assert files_in(dataset) == before
        add_case(dataset, "second")
    assert [case.id for case in dataset.cases()] == ["first", "second"]
    assert_is_whole(dataset)


def test_a_change_waits_for_another_process_and_says_so(dataset):
    impatient = CuratedDataset(dataset.folder, timeout_s=0.05)
    with FileLock(dataset.folder / ".lock"), pytest.raises(DatasetBusyError, match="Another process"):
        add_case(impatient, "case")
    assert len(dataset) == 0


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"case_id": "a/b"}, DatasetError, "cannot be an id"),
        ({"case_id": "..", "patient": "x"}, DatasetError, "cannot be an id"),
        ({"case_id": "TAKEN"}, DatasetError, "already has a case TAKEN"),
        ({"state": "good"}, DatasetError, "'good' is not a review state"),
        ({"split": "left"}, SplitError, "'left' is not a side"),
        ({"known_slices": [40]}, DimensionError, "slices 0 to 11"),
        ({"known_slices": []}, DatasetError, "No voxel"),
        ({"known": np.ones((2, 2, 2), bool)}, DimensionError, "shape"),
        ({"patient": "--"}, DatasetError, "names no patient"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(dataset, options, error, text):
    add_case(dataset, "taken")
    revision = dataset.index.revision
    with pytest.raises(error, match=text):
        add_case(dataset, "case", **options)
    assert (len(dataset), dataset.index.revision) == (1, revision)
    assert_is_whole(dataset)


def test_a_label_on_another_grid_or_with_other_values_is_refused(dataset):
    study = make_study("case")
    elsewhere = Segmentation(tumour(SHAPE), Grid(SHAPE, affine(origin=(0, 0, 0))))
    with pytest.raises(GridMismatchError, match="first voxel at"):
        dataset.add(study, elsewhere)
    with pytest.raises(LabelSchemaError, match="255"):
        dataset.add(study, make_label(study, np.full(SHAPE, 255)))


def test_a_file_that_was_changed_outside_is_noticed(dataset):
    add_case(dataset, "case")
    add_case(dataset, "other")
    dataset.label_path("case").write_bytes(dataset.label_path("other").read_bytes())
    assert dataset.check_files(voxels=True) == {}  # the same label
    dataset.relabel("other", make_label(make_study(), np.zeros(SHAPE)))
    dataset.label_path("case").write_bytes(dataset.label_path("other").read_bytes())
    with pytest.raises(DatasetError, match="changed by another program"):
        dataset.truth("case")
    dataset.image_path("other").unlink()
    assert set(dataset.check_files()) == {"other"}
    assert set(dataset.check_files(voxels=True)) == {"case", "other"}
    with pytest.raises(UnreadableFileError):
        dataset.study("other")


def test_create_and_open_say_what_is_in_the_way(dataset, tmp_path):
    with pytest.raises(DatasetError, match="already"):
        CuratedDataset.create(dataset.folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"holds notes\.txt"):
        CuratedDataset.create(tmp_path / "full")
    with pytest.raises(DatasetError, match="not a curated data set"):
        CuratedDataset.open(tmp_path / "full")
    with pytest.raises(DatasetError, match="leave something to train on"):
        CuratedDataset.create(tmp_path / "new", val_fraction=0.7, test_fraction=0.4)


def test_an_unfinished_create_can_be_done_again(tmp_path):
    folder = tmp_path / "set"
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    (folder / ".0123456789ab.index.json").write_text("{")
    assert_is_whole(CuratedDataset.create(folder))


def test_readers_of_the_decathlon_find_the_accepted_cases(dataset):
    add_case(dataset, "first", state="accepted", split="train", patient="p1")
    add_case(dataset, "second", state="accepted", split="val", patient="p2")
    add_case(dataset, "draft", patient="p3")
    add_case(dataset, "partial", state="accepted", patient="p4", known_slices=[2])
    content = json.loads((dataset.folder / "dataset.json").read_text())
    assert content["modality"] == {"0": "T1w", "1": "T1gd", "2": "T2w", "3": "FLAIR"}
    assert content["labels"] == {"0": "background", "1": "edema", "2": "non-enhancing", "3": "enhancing"}
    assert content["training"] == [{"image": "./imagesTr/first.nii.gz", "label": "./labelsTr/first.nii.gz"}]
    assert [entry["image"] for entry in content["validation"]] == ["./imagesTr/second.nii.gz"]
    assert "2 of 4 cases are not listed" in content["description"]
    assert open_study(dataset.folder / "imagesTr" / "first.nii.gz").roles == ("T1", "T1c", "T2", "FLAIR")
    assert open_truth(dataset.folder / "imagesTr" / "first.nii.gz").provenance["schema"] == "MSD"


def test_whole_tumour_labels_are_declared_as_such(dataset):
    study = make_study("case")
    label = make_label(study, tumour(SHAPE) > 0, known_regions=("WT",))
    dataset.add(study, label, state="accepted", split="train")
    content = json.loads((dataset.folder / "dataset.json").read_text())
    assert content["labels"] == {"0": "background", "1": "whole tumour"}
    assert open_segmentation(dataset.label_path("case")).known_regions == ("WT",)


def test_what_the_user_wrote_into_dataset_json_is_kept(dataset):
    path = dataset.folder / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "licence": "CC BY 3.0", "numTraining": 99}))
    add_case(dataset, "case", state="accepted", split="train")
    content = json.loads(path.read_text())
    assert (content["licence"], content["numTraining"]) == ("CC BY 3.0", 1)


def test_two_threads_of_one_process_do_not_lose_a_change(dataset):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: add_case(CuratedDataset(dataset.folder), f"case{k}", seed=k), range(8)))
    assert len(dataset) == dataset.index.revision == 8
    assert_is_whole(dataset)


def test_what_a_saved_label_does_not_tell_is_not_learnt_from(tmp_path):
    known = ("WT", "ET")
    study = make_study("scan")
    label = replace(make_label(study), class_names=class_names_of(known), known_regions=known)
    label.data[label.data == 2] = 1
    save_segmentation(label, tmp_path / "label.nii.gz", "BraTS2023")
    dataset = CuratedDataset.create(tmp_path / "set")
    dataset.add(study, open_segmentation(tmp_path / "label.nii.gz"))
    (case,) = dataset.cases()
    assert case.label.known_regions == known
    truth = dataset.truth(case.id).segmentation
    assert truth.known_regions == known
    assert truth.class_names == {1: "edema and non-enhancing", 3: "enhancing"}
    assert open_segmentation(dataset.label_path(case.id)).known_regions == known


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b"[" * 100_000, b""])
def test_a_ruined_dataset_json_is_written_anew_with_the_next_change(tmp_path, content):
    dataset = CuratedDataset.create(tmp_path / "set")
    add_case(dataset, "one")
    (dataset.folder / "dataset.json").write_bytes(content)
    add_case(dataset, "two")
    assert_is_whole(dataset)
