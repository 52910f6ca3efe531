import numpy as np
import pytest

from models_for_tests import card
from napari_brain_tumor.catalogue import find_model
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.models import cards
from napari_brain_tumor.models.cards import ModelInfo, default_model, list_models
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
        model(tmp_path, "unet3d", dims=3, thickest_slices_mm=2.0, brain_only=True),
    ]


@pytest.mark.parametrize(("thickness", "expected"), [(1.0, "unet3d"), (2.0, "unet3d"), (2.5, "unet"), (None, "unet")])
def test_thick_slices_and_unknown_ones_get_the_2d_model(models, thickness, expected):
    assert default_model(models, Traits(thickness, whole_head=False)).name == expected


def test_a_head_with_its_skull_gets_the_2d_model(models):
    assert default_model(models, Traits(1.0, whole_head=True)).name == "unet"


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
    assert "skull was not removed" in skull
    assert flat.notes_on(Traits(5.5, whole_head=True)) == deep.notes_on(Traits(1.0, whole_head=False)) == []


def test_traits_are_those_of_the_thickest_axis_and_of_any_sequence_with_a_skull():
    grid = Grid((24, 26, 10), np.diag([1.0, 0.9, 4.0, 1.0]))
    brain = np.zeros(grid.shape, np.float32)
    brain[6:18, 6:20, 2:8] = np.random.default_rng(0).normal(100, 10, (12, 14, 6))
    head = np.abs(np.random.default_rng(1).normal(0, 3, grid.shape)).astype(np.float32) + brain
    assert traits_of(Study({"T1": brain, "T2": brain}, grid)) == Traits(4.0, whole_head=False)
    assert traits_of(Study({"T1": brain, "T2": head}, grid)) == Traits(4.0, whole_head=True)
    assert traits_of(Study({"T1": brain}, Grid(grid.shape, grid.affine, "voxel"))).thickness_mm is None


def test_lists_begin_with_the_default(monkeypatch):
    shipped = [model.name for model in list_models() if model.bundled]
    defaults = [name for name in cards.DEFAULT_MODELS if name in shipped]
    assert shipped[: len(defaults)] == defaults
    assert shipped[len(defaults) :] == sorted(shipped[len(defaults) :])
    assert find_model(None).name == shipped[0]
