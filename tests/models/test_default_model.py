import numpy as np
import pytest

from models_for_tests import card
from napari_brain_tumor.catalogue import find_model
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.models import cards
from napari_brain_tumor.models.cards import ModelInfo, default_model, list_models


def model(tmp_path, name, **entries):
    return ModelInfo(name=name, folder=tmp_path / name, card=card(name=name, **entries), bundled=True)


@pytest.fixture
def models(tmp_path):
    return [
        model(tmp_path, "other"),
        model(tmp_path, "unet"),
        model(tmp_path, "unet3d", dims=3, thickest_slices_mm=2.0),
    ]


def grid(thickness, unit="mm"):
    return Grid((24, 24, 12), np.diag([1.0, 1.0, thickness, 1.0]), unit)


@pytest.mark.parametrize(("thickness", "expected"), [(1.0, "unet3d"), (2.0, "unet3d"), (2.5, "unet"), (5.5, "unet")])
def test_thick_slices_get_the_2d_model(models, thickness, expected):
    assert default_model(models, grid(thickness)).name == expected


def test_slices_of_unknown_distance_get_the_2d_model(models):
    assert default_model(models, grid(1.0, unit="voxel")).name == "unet"


def test_without_a_study_the_first_choice_is_the_default(models):
    assert default_model(models).name == "unet3d"


def test_a_model_that_does_not_suit_is_better_than_none(models):
    assert default_model(models[2:], grid(6.0)).name == "unet3d"
    assert default_model(models[:1], grid(1.0)) is None


def test_the_notes_name_the_thickness_and_the_limit(models):
    (note,) = models[2].notes_on(grid(5.5))
    assert "5.5 mm" in note
    assert "up to 2 mm" in note
    assert "not known" in models[2].notes_on(grid(1.0, unit="voxel"))[0]
    assert models[1].notes_on(grid(5.5)) == models[2].notes_on(grid(1.0)) == []


def test_lists_begin_with_the_default(monkeypatch):
    shipped = [model.name for model in list_models() if model.bundled]
    defaults = [name for name in cards.DEFAULT_MODELS if name in shipped]
    assert shipped[: len(defaults)] == defaults
    assert shipped[len(defaults) :] == sorted(shipped[len(defaults) :])
    assert find_model(None).name == shipped[0]
