"""Whole heads in training: drawn around brains, brain-extracted when they are prepared, with contrasts that vary."""

import numpy as np
import pytest
import torch
from training_cases import files, recipe

from napari_brain_tumor.brain import network
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec
from napari_brain_tumor.progress import Progress, run_job
from napari_brain_tumor.study import ROLES, Segmentation, Study
from napari_brain_tumor_training.augmentation_intensity import remap
from napari_brain_tumor_training.case_files import OpenedCase, find_cases
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.dataset import load_cases, prepare_case
from napari_brain_tumor_training.synthetic import write_case
from napari_brain_tumor_training.synthetic_head import dress
from phantoms import affine, ball

SHAPE = (48, 50, 12)


def head():
    brain, skull, scalp = (ball(SHAPE, (24, 25, 6), radius) for radius in (16, 18, 20))
    random = np.random.default_rng(0)
    image = np.abs(random.normal(0, 3, SHAPE)) + 150 * scalp - 140 * skull + 90 * brain + 5 * random.random(SHAPE)
    labels = ball(SHAPE, (20, 22, 6), 4).astype(np.uint8)
    grid = Grid(SHAPE, affine(spacing=(4, 4, 10)))
    study = Study({role: image.astype(np.float32) for role in ROLES}, grid, "head")
    return study, Segmentation(labels, grid, "head"), brain


@pytest.fixture
def found(monkeypatch):
    """How often the brain was looked for; it is the ball in the middle."""
    calls = []

    def probabilities(study, small, device="auto"):
        calls.append(study.name)
        yield Progress(0.5, 1)
        return small.averaged(head()[2])

    monkeypatch.setattr(network, "brain_probabilities", probabilities)
    return calls


def case(brain):
    study, truth, _ = head()
    return files().__class__(
        "set", "head", "head", "train", *[None] * 2, reader=lambda: OpenedCase(study, truth), brain=brain
    )


def test_whole_heads_are_learned_from_as_brains(found):
    brain = prepare_case(case("auto"), ROLES, PreprocessingSpec(plane_spacing_mm=4.0))
    whole = prepare_case(case("keep"), ROLES, PreprocessingSpec(plane_spacing_mm=4.0))
    assert found == ["head"]
    seen = [(prepared.channels != 0).any(axis=1).sum() for prepared in (brain, whole)]
    assert seen[0] < 0.8 * seen[1]
    assert brain.classes.astype(bool).sum() == whole.classes.astype(bool).sum()


def heads_recipe(brain):
    source = {"dataset": "heads", "kind": "folders", "path": "heads", "share": 1, "brain": brain}
    return recipe(sources=[source])


def write_heads(root):
    study, truth, _ = head()
    rows = ["dataset,case,patient,split"]
    for name, side in (("one", "train"), ("two", "val")):
        named = Study(dict(study.sequences), study.grid, name)
        write_case(named, Segmentation(truth.data, truth.grid, name, known_regions=("WT",)), root / "heads" / name)
        rows.append(f"heads,{name},{name},{side}")
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root


def test_a_source_of_folders_holds_cases_by_their_names(tmp_path):
    cases = find_cases(heads_recipe("keep"), write_heads(tmp_path))
    assert [(one.name, one.split, one.brain) for one in cases] == [("one", "train", "keep"), ("two", "val", "keep")]
    opened = cases[0].open()
    assert opened.study.roles == ROLES
    assert opened.truth.known_regions == ("WT",)


def test_what_was_prepared_with_its_brain_is_not_taken_for_a_whole_head(tmp_path, found):
    root = write_heads(tmp_path)
    spec, cache = PreprocessingSpec(plane_spacing_mm=4.0), tmp_path / "cache"
    for choice in ("auto", "keep", "auto"):
        loaded = run_job(load_cases(find_cases(heads_recipe(choice), root), ROLES, spec, cache))
        assert len(loaded) == 2
    assert len(list(cache.iterdir())) == 4
    assert found == ["one", "two"]


def test_a_recipe_says_what_becomes_of_heads():
    config = TrainConfig.model_validate(recipe().model_dump())
    assert config.sources[0].brain == "auto"
    assert config.target == "tumor"


# Heads that are drawn -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_head_is_drawn_around_a_brain_and_leaves_it_as_it_is():
    brain = ball((70, 88, 68), (35, 44, 34), 30)
    random = np.random.default_rng(0)
    images = {role: (brain * random.normal(100, 10, brain.shape)).astype(np.float32) for role in ROLES}
    first, again, other = (dress(images, brain, 2.0, seed) for seed in (1, 1, 2))
    assert tuple(first.sequences) == ROLES
    assert first.brain.sum() == brain.sum()
    for role, image in first.sequences.items():
        np.testing.assert_array_equal(image, again.sequences[role])
        assert not np.array_equal(image, other.sequences[role])
        assert (image >= 0).all()
        middle = image[:, :, first.brain.any(axis=(0, 1)).argmax() + 34]
        mask = first.brain[:, :, first.brain.any(axis=(0, 1)).argmax() + 34]
        assert (middle[~mask] > 0.3 * np.median(middle[mask])).sum() > 200, "there is scalp around the brain"
        assert np.median(middle[:3]) < 0.1 * np.median(middle[mask]), "there is air around the head"


# Contrasts ----------------------------------------------------------------------------------------------------------


def test_remapping_keeps_what_is_outside_and_changes_the_sequences_one_by_one():
    torch.manual_seed(0)
    images = torch.randn(4, 4, 12, 12)
    images[:, :, :3] = 0
    assert torch.equal(remap(images, 0), images)
    changed = remap(images, 1)
    assert not changed[:, :, :3].any()
    for sample in range(4):
        for channel in range(4):
            before, after = images[sample, channel, 3:].flatten(), changed[sample, channel, 3:].flatten()
            assert not torch.equal(before, after)
    half = remap(images, 0.5)
    touched = (half != images).flatten(2).any(dim=2)
    assert touched.any()
    assert not touched.all()


def test_equal_grey_levels_stay_equal_in_all_stacked_slices():
    torch.manual_seed(1)
    one = torch.randn(2, 4, 8, 8)
    stacked = torch.cat([one, one, one], dim=1)
    changed = remap(stacked, 1, stacked=3)
    assert torch.equal(changed[:, :4], changed[:, 4:8])
    assert torch.equal(changed[:, :4], changed[:, 8:])
