from dataclasses import replace

import numpy as np
import pytest
from curate_tasks import WEIGHTS, give_scores, prediction
from napari.layers import Labels
from panel_cases import SHAPE, make_study

from napari_brain_tumor.dataset import CuratedDataset, MadeBy, truth_of
from napari_brain_tumor.dataset.drafts import Draft, DraftRecord, keep_draft
from napari_brain_tumor.dataset.index import now
from napari_brain_tumor.errors import DatasetError, LabelChangedError, SplitError
from napari_brain_tumor.plugin import layers, to_layers
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.widgets import case_rows
from napari_brain_tumor.widgets import curate_state as state


def label_of(study, value=1, **options):
    data = np.zeros(SHAPE, np.uint8)
    data[3:8, 4:9, 2:7] = value
    return Segmentation(data, study.grid, study.name, **options)


def other_study(name):
    study = make_study(name)
    rng = np.random.default_rng(9)
    return replace(study, sequences={role: rng.normal(50, 9, SHAPE) for role in study.roles})


@pytest.fixture
def dataset(tmp_path):
    made = CuratedDataset.create(tmp_path / "set")
    for name in ("p1", "p2", "p3"):
        study = make_study(name)
        made.add(study, label_of(study), not_same_as=[case.id for case in made.cases()])
    return made


def row(case_id, decision="draft", unsure=None):
    return case_rows.CaseRow(case_id, "patient", "train", decision, score=lambda: case_rows.RowScore(unsure=unsure))


def loaded_layer(loaded):
    return layers.layer_of(loaded.label)


# Rows and walks


def test_rows_tell_volumes_and_what_the_model_thinks(dataset):
    run_job(give_scores(dataset.folder, ["p1", "p2"], "test"))
    first, _, third = case_rows.case_rows(dataset, WEIGHTS)
    assert first.whole_ml == pytest.approx(5 * 5 * 5 * 2 / 1000)
    assert first.class_ml == pytest.approx({1: 0.25, 2: 0.0, 3: 0.0})
    assert first.dice["WT"] == 0.75
    assert first.unsure == pytest.approx(0.1)
    assert (third.dice, third.unsure) == ({}, None)
    dataset.relabel("p1", label_of(make_study(), 2))
    relabelled = case_rows.case_rows(dataset, WEIGHTS)[0]
    assert relabelled.dice == {}
    assert relabelled.unsure == pytest.approx(0.1)


def test_next_undecided_goes_on_from_the_current_case_and_around():
    rows = [row("a"), row("b", "accepted"), row("c"), row("d", "rejected")]
    assert case_rows.next_undecided(rows, None) == "a"
    assert case_rows.next_undecided(rows, "a") == "c"
    assert case_rows.next_undecided(rows, "d") == "a"
    assert case_rows.next_undecided(rows[:2], "a") is None


def test_second_looks_come_after_those_without_a_decision():
    rows = [row("a", "accepted"), row("b", "needs_second_look"), row("c")]
    assert case_rows.next_undecided(rows, "a") == "c"
    assert case_rows.next_undecided(rows, "c") == "b"


def test_next_uncertain_is_the_least_certain_of_the_undecided():
    rows = [row("a", unsure=0.2), row("b", "accepted", 0.9), row("c", unsure=0.5), row("d")]
    assert case_rows.next_uncertain(rows, None) == "c"
    assert case_rows.next_uncertain(rows, "c") == "a"
    assert case_rows.next_uncertain([row("d")], None) is None


def test_neighbours_go_around_the_ends():
    rows = [row("a"), row("b"), row("c")]
    assert case_rows.neighbour(rows, "c", 1) == "a"
    assert case_rows.neighbour(rows, "a", -1) == "c"
    assert case_rows.neighbour(rows, None, 1) == "a"
    assert case_rows.neighbour([], None, 1) is None


# Who made it, and what is known


@pytest.mark.parametrize(
    ("before", "edited", "after"),
    [
        ("model", False, "model"),
        ("model", True, "both"),
        ("both", True, "both"),
        ("hand", True, "hand"),
        ("imported", False, "imported"),
        ("imported", True, "hand"),
    ],
)
def test_maker_of_a_corrected_label(before, edited, after):
    assert state.maker_after(MadeBy(kind=before, model="unet"), edited=edited).kind == after


@pytest.mark.parametrize(
    ("knowing", "known_voxels"),
    [("painted voxels", 20 * 24 + 1), ("painted slices", 2 * 20 * 24), ("everything", 20 * 24 * 12)],
)
def test_what_is_known_after_one_voxel_was_painted_in_an_unknown_slice(knowing, known_voxels):
    truth = truth_of(label_of(make_study()), known_slices=[4])
    classes = truth.segmentation.data.copy()
    classes[0, 0, 9] = 2
    known = state.known_after(truth, classes, knowing)
    assert np.count_nonzero(known) == known_voxels
    assert known[..., 4].all()
    assert known[0, 0, 9]


# Opening and saving


def test_saved_label_is_what_was_painted_and_everything_else_stays(dataset):
    loaded = state.load_case(dataset.folder, "p2")
    layer = loaded_layer(loaded)
    layer.data[0, 0, 0] = 3
    maker = MadeBy(kind="hand")
    record = state.save_label(
        dataset.folder, loaded, layers.view(layer), maker=maker, state="accepted", note="rim redrawn"
    )
    assert (record.label.made_by.kind, record.state, record.review.note) == ("hand", "accepted", "rim redrawn")
    saved = dataset.truth("p2").segmentation.data
    changed = np.argwhere(saved != loaded.truth.segmentation.data)
    assert len(changed) == 1
    assert saved[tuple(changed[0])] == 3
    world = layer.data_to_world((0, 0, 0))[::-1]
    np.testing.assert_allclose(dataset.case("p2").grid.grid.world(changed[0][None])[0], world)


def test_label_that_somebody_else_replaced_is_not_overwritten(dataset):
    loaded = state.load_case(dataset.folder, "p1")
    dataset.relabel("p1", label_of(make_study(), 3))
    with pytest.raises(LabelChangedError):
        state.save_label(dataset.folder, loaded, layers.view(loaded_layer(loaded)), maker=MadeBy(kind="hand"))


def test_whole_tumour_truth_tells_all_regions_once_the_models_labels_took_its_place(tmp_path):
    dataset = CuratedDataset.create(tmp_path / "set")
    study = make_study("p1")
    dataset.add(study, label_of(study, known_regions=("WT",)))
    run_job(give_scores(dataset.folder, ["p1"], "test"))
    loaded = state.load_case(dataset.folder, "p1", WEIGHTS)
    by_hand = MadeBy(kind="hand")
    record = state.save_label(dataset.folder, loaded, layers.view(loaded_layer(loaded)), maker=by_hand)
    assert record.label.known_regions == ("WT",)
    loaded = state.load_case(dataset.folder, "p1", WEIGHTS)
    by_model = MadeBy(kind="both", model="test", model_sha256=WEIGHTS)
    layer = layers.layer_of(loaded.prediction)
    record = state.save_label(dataset.folder, loaded, layers.view(layer), maker=by_model)
    assert record.label.known_regions == ("WT", "TC", "ET")
    np.testing.assert_array_equal(dataset.truth("p1").segmentation.data, prediction(SHAPE))


def test_draft_of_another_shape_is_left_aside_and_told(dataset):
    record = DraftRecord(case="p1", label_sha256="0" * 64, base=MadeBy(kind="hand"), made_at=now())
    keep_draft(dataset.folder, Draft(record, np.ones((2, 2, 2), np.uint8)))
    loaded = state.load_case(dataset.folder, "p1")
    assert loaded.draft is None
    assert "another scan" in loaded.warning


def test_roles_that_were_visible_stay_visible(dataset):
    scans = state.load_case(dataset.folder, "p1").scans
    shown = [attributes["visible"] for _, attributes, _ in state.show_roles(scans, {"T1c", "T2"})]
    assert shown == [False, True, True, False]
    assert state.show_roles(scans, set()) == scans


# Adding


def test_layers_become_a_case_whose_known_slices_are_counted_as_in_the_viewer(dataset):
    study = other_study("new")
    scans = {one[1]["metadata"][layers.KEY].role: layers.layer_of(one) for one in to_layers.study_to_layers(study)}
    painted = Labels(np.zeros(SHAPE[::-1], np.uint8), scale=scans["T1"].scale, translate=scans["T1"].translate)
    painted.units = scans["T1"].units
    painted.data[5, 10:14, 6:9] = 2
    views = {role: layers.view(layer) for role, layer in scans.items()}
    request = state.AddRequest(views, layers.view(painted), "Smith", "HGG", "first", "draft", [5], list(views.values()))
    with pytest.raises(DatasetError, match="slices 0 to 11"):
        state.add_case(
            dataset.folder, state.AddRequest(views, layers.view(painted), slices=[12], references=[*views.values()])
        )
    record = state.add_case(dataset.folder, request)
    assert (record.patient, record.grade, record.review.note) == ("Smith", "HGG", "first")
    assert record.label.known_slices.numbers == (5,)
    assert record.label.voxels == {2: 12}


def test_case_that_shows_somebody_elses_scan_is_refused_unless_it_is_said_to_be_another_person(dataset):
    study = make_study("new")
    scans = {one[1]["metadata"][layers.KEY].role: layers.layer_of(one) for one in to_layers.study_to_layers(study)}
    label = layers.layer_of(to_layers.segmentation_to_layer(label_of(study)))
    views = {role: layers.view(layer) for role, layer in scans.items()}
    others = tuple(case.id for case in dataset.cases())
    with pytest.raises(SplitError, match="shows the same examination"):
        state.add_case(dataset.folder, state.AddRequest(views, layers.view(label), "Smith"))
    record = state.add_case(dataset.folder, state.AddRequest(views, layers.view(label), "Smith", not_same_as=others))
    assert record.similar == ()


@pytest.mark.parametrize(("text", "numbers"), [("", None), ("40", [40]), ("3, 5-7,6", [3, 5, 6, 7])])
def test_slices_are_read_as_people_type_them(text, numbers):
    assert state.numbers_in(text) == numbers


@pytest.mark.parametrize("text", ["a", "7-5", "1-", "-3", "1.5"])
def test_slices_that_cannot_be_are_refused(text):
    with pytest.raises(DatasetError, match="not a list of slices"):
        state.numbers_in(text)


def test_recent_data_sets_are_remembered_while_they_exist(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    other = CuratedDataset.create(tmp_path / "other")
    assert state.recent_datasets() == []
    state.remember_dataset(dataset.folder)
    state.remember_dataset(other.folder)
    state.remember_dataset(dataset.folder)
    assert state.recent_datasets() == [dataset.folder.resolve(), other.folder.resolve()]
    (other.folder / "index.json").unlink()
    assert state.recent_datasets() == [dataset.folder.resolve()]


def test_the_labels_that_are_offered_are_the_first_wanted_ones_that_are_there():
    from napari.layers import Labels

    one, two, gone = (Labels(np.zeros((3, 3, 3), np.uint8), name=name) for name in ("one", "two", "gone"))
    assert state.label_to_offer([one, two], (one, two)) == 0
    assert state.label_to_offer([one, two], (None, two, one)) == 1
    assert state.label_to_offer([one, two], (gone, None)) == 1  # the uppermost
    assert state.label_to_offer([], (gone,)) == -1
