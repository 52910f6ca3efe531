import numpy as np
import pytest

import phantoms
from models_for_tests import card, tiny_model
from napari_brain_tumor.catalogue import find_model
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.models import cards
from napari_brain_tumor.models.cards import ModelInfo, default_model, list_models, why_default
from napari_brain_tumor.models.ensemble import save_ensemble
from napari_brain_tumor.preprocessing.traits import Traits, traits_of
from napari_brain_tumor.study import Study


def model(tmp_path, name, **entries):
    return ModelInfo(name=name, folder=tmp_path / name, card=card(name=name, **entries), bundled=True)


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "DEFAULT_MODELS", ("unet3d", "unet"))
    return [
        model(tmp_path, "other"),
        model(tmp_path, "unet"),
        model(tmp_path, "unet3d", dims=3, thickest_slices_mm=2.0, brain_only=True, min_extent_mm=32.0),
    ]


@pytest.mark.parametrize(("thickness", "expected"), [(1.0, "unet3d"), (2.0, "unet3d"), (2.5, "unet"), (None, "unet")])
def test_thick_slices_and_unknown_ones_get_the_2d_model(models, thickness, expected):
    assert default_model(models, Traits(thickness, whole_head=False)).name == expected


def test_a_head_with_its_skull_gets_the_2d_model(models):
    assert default_model(models, Traits(1.0, whole_head=True)).name == "unet"


@pytest.mark.parametrize(("extent", "expected"), [(1.0, "unet"), (31.9, "unet"), (32.0, "unet3d"), (None, "unet3d")])
def test_a_study_of_a_few_slices_goes_to_the_model_for_slices(models, extent, expected):
    assert default_model(models, Traits(1.0, whole_head=False, extent_mm=extent)).name == expected
    told = models[2].notes_on(Traits(1.0, whole_head=False, extent_mm=extent))
    assert bool(told) is (expected == "unet")
    assert all("needs 32 mm" in note and "2D model" in note for note in told)


def test_an_ensemble_is_for_what_all_its_members_are_for(tmp_path):
    kinds = {"flat": {}, "deep": {"dims": 3, "min_extent_mm": 32.0, "brain_only": True, "thickest_slices_mm": 2.0}}
    members = [tiny_model(tmp_path / name, name=name, **kind)[0] for name, kind in kinds.items()]
    card = save_ensemble(tmp_path / "both", members, "Both").card
    assert (card.min_extent_mm, card.brain_only, card.thickest_slices_mm) == (32.0, True, 2.0)
    assert save_ensemble(tmp_path / "more", [members[0], members[0]], "Flat").card.min_extent_mm == 0


def test_shipped_models_say_what_they_are_for():
    kinds = {model.name: model.card.min_extent_mm for model in list_models() if model.bundled}
    assert kinds["unet3d"] == 32
    assert kinds["ensemble"] == kinds["unet"] == 0


def test_every_shipped_model_labels_nothing_that_it_is_hardly_sure_of():
    shares = {model.name: model.card.min_sure_tumor for model in list_models() if model.bundled}
    assert shares == {"ensemble": 0.05, "resunet++": 0.4, "u2netp": 0.35, "unet": 0.3, "unet3d": 0.25}


def test_where_the_first_default_was_passed_over_the_reason_is_told(models):
    flat, deep = models[1:]
    slab, whole = Traits(1.0, whole_head=False, extent_mm=4.0), Traits(1.0, whole_head=False, extent_mm=130.0)
    assert why_default(models, slab) == (
        "unet was chosen. The scan covers only 4 mm; unet3d works on volumes and needs 32 mm in all directions."
    )
    assert why_default(models, whole) == why_default([flat], slab) == why_default([deep], slab) == ""


def test_one_slice_and_a_slab_between_empty_slices_go_to_slices_as_well():
    """The default is chosen by what was scanned of the brain, not by the size of the file."""
    grid = Grid((40, 48, 36), np.diag([4.0, 4.0, 1.0, 1.0]))
    whole = phantoms.brain(grid.shape)
    slab = np.where(np.isin(np.arange(36), range(16, 20)), whole, 0)
    assert traits_of(Study({"T1": whole}, grid)).extent_mm == pytest.approx(30, abs=2)
    assert traits_of(Study({"T1": slab}, grid)).extent_mm == 4
    single = Grid((40, 48, 1), grid.affine)
    assert traits_of(Study({"T1": whole[:, :, 17:18]}, single)).extent_mm == 1
    for study in (Study({"T1": slab}, grid), Study({"T1": whole[:, :, 17:18]}, single)):
        assert find_model(None, traits_of(study)).name == "ensemble"


def test_without_a_study_the_first_choice_is_the_default(models):
    assert default_model(models).name == "unet3d"


def test_a_model_that_does_not_suit_is_better_than_none(models):
    assert default_model(models[2:], Traits(6.0, whole_head=False)).name == "unet3d"
    assert default_model(models[:1], Traits(1.0, whole_head=False)) is None


def test_the_notes_say_what_does_not_suit(models):
    flat, deep = models[1:]
    (note,) = deep.notes_on(Traits(5.5, whole_head=False))
    assert "5.5 mm" in note
    assert "up to 2 mm" in note
    unknown, skull = deep.notes_on(Traits(None, whole_head=True))
    assert "not known" in unknown
    assert (
        skull == "The skull was not removed; unet3d was trained on skull-stripped brains only. Extract the brain first."
    )
    assert flat.notes_on(Traits(5.5, whole_head=True)) == deep.notes_on(Traits(1.0, whole_head=False)) == []


def test_traits_are_those_of_the_thickest_axis_and_of_any_sequence_with_a_skull():
    grid = Grid((24, 26, 10), np.diag([1.0, 0.9, 4.0, 1.0]))
    brain = np.zeros(grid.shape, np.float32)
    brain[6:18, 6:20, 2:8] = np.random.default_rng(0).normal(100, 10, (12, 14, 6))
    head = np.abs(np.random.default_rng(1).normal(0, 3, grid.shape)).astype(np.float32) + brain
    assert traits_of(Study({"T1": brain, "T2": brain}, grid)) == Traits(4.0, whole_head=False, extent_mm=12.0)
    assert traits_of(Study({"T1": brain, "T2": head}, grid)) == Traits(4.0, whole_head=True, extent_mm=26 * 0.9)
    assert traits_of(Study({"T1": brain}, Grid(grid.shape, grid.affine, "voxel"))).thickness_mm is None


def test_lists_begin_with_the_default_and_the_quick_network():
    shipped = [model.name for model in list_models() if model.bundled]
    assert shipped == ["ensemble", "unet", *sorted(shipped[2:])]
    assert find_model(None).name == shipped[0]
