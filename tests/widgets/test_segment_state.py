import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from panel_cases import SHAPE, make_model, make_study

from dicom_results import result_of, write_source
from napari_brain_tumor.classical.registry import BASELINES
from napari_brain_tumor.io import open_segmentation, open_study
from napari_brain_tumor.io.formats import saved_formats
from napari_brain_tumor.plugin import layers, to_layers, viewers
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.study import Segmentation, TifSlices
from napari_brain_tumor.widgets import result_files, scan_layers
from napari_brain_tumor.widgets import segment_state as state
from napari_brain_tumor.widgets.worker import time_left_text


def viewer_with(*studies):
    viewer = ViewerModel()
    for study in studies:
        viewers.add_layers(viewer, to_layers.study_to_layers(study))
    return viewer


def names(matched):
    return {role: layer.name for role, layer in matched.items()}


def test_roles_are_matched_by_what_the_layers_remember():
    viewer = viewer_with(make_study("anna"))
    for layer in viewer.layers:
        layer.name = "renamed"
    matched = scan_layers.match_roles(scan_layers.candidates(viewer.layers))
    assert list(matched) == ["T1", "T1c", "T2", "FLAIR"]
    assert [matched[role] for role in matched] == list(viewer.layers)


def test_the_newest_case_is_matched_unless_another_is_selected():
    viewer = viewer_with(make_study("anna"), make_study("berta", roles=("T1", "FLAIR")))
    found = scan_layers.candidates(viewer.layers)
    # berta lacks T1c and T2: those of anna lie in the same place but are another patient's
    assert names(scan_layers.match_roles(found)) == {"T1": "berta T1", "FLAIR": "berta FLAIR"}
    assert set(names(scan_layers.match_roles(found, viewer.layers[1])).values()) == {
        "anna T1",
        "anna T1c",
        "anna T2",
        "anna FLAIR",
    }


@pytest.mark.parametrize("prefix", ["scan_", "patient7-"])
def test_plain_images_are_matched_by_name_and_place(prefix):
    rng = np.random.default_rng(0)
    words = ("t1", "t1ce", "t2", "flair")
    images = [Image(rng.random((4, 5, 6)), name=f"{prefix}{word}") for word in words]
    elsewhere = Image(rng.random((4, 5, 7)), name="other_t1")
    matched = scan_layers.match_roles(scan_layers.candidates([elsewhere, *images]))
    assert names(matched) == dict(zip(("T1", "T1c", "T2", "FLAIR"), (f"{prefix}{word}" for word in words), strict=True))


def test_single_files_of_one_case_are_matched_together():
    viewer = viewer_with(make_study("x_t1", roles=("T1",)), make_study("x_flair", roles=("FLAIR",)))
    assert list(scan_layers.match_roles(scan_layers.candidates(viewer.layers))) == ["T1", "FLAIR"]


def test_labels_colours_and_series_are_no_candidates():
    others = [
        Labels(np.zeros((3, 4, 5), int), name="t1"),
        Image(np.zeros((3, 4, 3), np.uint8), rgb=True, name="t1"),
        Image(np.zeros((2, 3, 4, 5)), name="t1"),
    ]
    assert scan_layers.candidates(others) == []
    assert scan_layers.match_roles([]) == {}


def test_obstacles_say_what_is_missing():
    image = Image(np.zeros((3, 4, 5)))
    assert "at least one scan" in state.Choices(model=make_model()).obstacle
    assert "No model" in state.Choices(sequences={"T1": image}).obstacle
    strict = make_model(("T1c", "FLAIR"), optional=False)
    assert state.Choices(sequences={"T1c": image}, model=strict).obstacle.startswith("Test network needs FLAIR:")
    assert state.Choices(sequences={"T1c": image}, model=make_model()).obstacle == ""
    assert (
        "needs at least one of T1c, FLAIR"
        in state.Choices(sequences={"T1": image}, model=make_model(("T1c", "FLAIR"))).obstacle
    )


def test_a_method_without_weights_says_what_it_needs_and_how_it_works():
    image = Image(np.zeros((3, 4, 5)))
    growing = BASELINES["region_growing"]
    assert "needs FLAIR or T2" in state.Choices(sequences={"T1": image}, model=growing).obstacle
    assert state.Choices(sequences={"T2": image}, model=growing).obstacle == ""
    assert "Starts at the points" in state.model_tooltip(growing)
    assert state.Choices(sequences={"T2": image}, model=growing).request.model == "region_growing"


def test_seeds_are_where_the_points_are_seen():
    viewer = viewer_with(make_study(unit="mm", spacing=(1, 1, 2)))
    scan = viewer.layers[0]
    voxel = (5, 7, 3)
    points = viewer.add_points([scan.data_to_world(voxel)], ndim=3)
    points.scale, points.data = (2, 1, 1), points.data / (2, 1, 1)
    assert state.seed_layers(viewer.layers) == [points]
    choices = state.Choices(sequences={"FLAIR": scan}, model=BASELINES["region_growing"], seeds=points)
    grid = layers.view(scan).grid
    np.testing.assert_allclose(choices.request.seeds, [grid.world(voxel[::-1])])
    choices.model = make_model()
    assert choices.request.seeds == ()


def test_choices_tell_of_changes():
    heard = []
    choices = state.Choices()
    choices.events.connect(lambda info: heard.append(info.signal.name))
    choices.choose(flips=True, device="cpu")
    choices.brain = "keep"
    assert heard == ["options", "brain"]
    assert (choices.request.flips, choices.request.device, choices.request.brain) == (True, "cpu", "keep")


def test_tooltip_of_a_model_tells_scans_regions_and_notes():
    text = state.model_tooltip(make_model())
    for part in ("T1, T1c, T2, FLAIR (any of them)", "WT, TC, ET", "1.5 million", "A note of the card.", "BSD-3"):
        assert part in text


def test_volumes_are_counted_on_the_scan_and_follow_edits():
    study = make_study()
    data = np.zeros(SHAPE, np.uint8)
    data[:10, :10, :5] = 1
    data[0, 0, 0] = 3
    layer = layers.layer_of(to_layers.segmentation_to_layer(Segmentation(data, study.grid)))
    table = result_files.measure_layer(layers.view(layer), [])
    assert table[1].ml == pytest.approx(499 * 2 / 1000)
    assert table["ET"].voxels == 1
    layer.data[-1] = 2
    assert result_files.measure_layer(layers.view(layer), [])[2].voxels == 20 * 24


def test_saving_reads_back_what_was_painted(tmp_path):
    study = make_study()
    viewer = viewer_with(study)
    viewer.layers.selection = {viewer.layers[0]}
    viewer._new_labels()
    labels = viewer.layers[-1]
    labels.data[3, 4, 5] = 2
    message = result_files.save_layer(
        layers.view(labels), layers.readable_views(viewer.layers), str(tmp_path / "a.nii.gz"), "BraTS2023"
    )
    assert "read back and verified" in message
    assert open_segmentation(tmp_path / "a.nii.gz").data.sum() == 2


def test_format_is_that_of_the_source():
    assert result_files.default_format(None).suffix == ".nii.gz"
    assert result_files.default_format(TifSlices("p", (1,))).suffix == ".tif"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (0.2, "about 1 s left"), (12.4, "about 12 s left"), (200, "about 3 min left")]
)
def test_time_left_in_words(seconds, text):
    assert time_left_text(seconds) == text


def test_a_run_is_never_told_to_be_done_while_its_result_is_not_there():
    assert state.running_words(Progress(0.98, 1, "recording how it was made")) == "recording how it was made"
    assert state.running_words(Progress(1, 1, "done")) == "adding the result"


def test_progress_in_words():
    assert state.sentence("slice 3 of 9", "about 4 s left") == "Slice 3 of 9, about 4 s left"
    assert state.sentence("loading unet", "") == "Loading unet"
    assert state.sentence("", "about 1 s left") == "About 1 s left"


def test_formats_are_those_of_the_table_and_those_that_need_more_say_so(tmp_path):
    formats = {one.name: one for one in result_files.FORMATS}
    assert set(formats) == {one.name for one in saved_formats()}
    study = open_study(write_source(tmp_path / "source", "axial"))
    dicom = layers.view(layers.layer_of(to_layers.segmentation_to_layer(result_of(study))))
    plain = layers.view(layers.layer_of(to_layers.segmentation_to_layer(result_of(study, inputs={}))))
    needed = {name: result_files.still_needed(dicom, [], one) for name, one in formats.items()}
    assert {name: what for name, what in needed.items() if what} == {"bids": "subject"}
    assert result_files.still_needed(plain, [], formats["rtstruct"]) == "source"


@pytest.mark.parametrize(
    ("name", "path", "more", "said"),
    [
        ("dicom-seg", "x.dcm", {}, "Saved {}/x.dcm, read back"),
        ("rtstruct", "x.dcm", {}, "Saved {}/x.dcm, read back"),
        ("stl", "x.stl", {}, "Saved x_WT.stl, x_TC.stl, x_ET.stl in {}"),
        ("bids", "", {"subject": "3"}, "sub-3_space-orig_desc-tumor_dseg.nii.gz, read back"),
    ],
)
def test_a_layer_is_saved_in_the_format_that_is_chosen(tmp_path, name, path, more, said):
    study = open_study(write_source(tmp_path / "source", "axial"))
    layer = layers.view(layers.layer_of(to_layers.segmentation_to_layer(result_of(study))))
    (tmp_path / "out").mkdir()
    message = result_files.save_layer(layer, [], str(tmp_path / "out" / path), "MSD", name, more)
    assert said.format(tmp_path / "out") in message


def test_what_is_run_is_told_with_how_well_and_how_long():
    scans = {layer.metadata[layers.KEY].role: layer for layer in viewer_with(make_study()).layers}
    choices = state.Choices(sequences=scans, model=make_model(title="Net"))
    assert state.plan_text(choices, 12.4) == "Net · about 12 s"
    assert state.plan_text(choices, 150.0) == "Net · about 2 min"
    assert state.plan_text(choices, None) == "Net"
    assert state.plan_text(state.Choices(model=make_model()), 3.0) == ""
