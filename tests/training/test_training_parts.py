from dataclasses import replace

import numpy as np
import pytest
import torch
from curated_phantoms import write_data, write_split

from napari_brain_tumor.errors import MissingRolesError, TrainingError
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec, prepare
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import ROLES
from napari_brain_tumor.workflow import segment_with_probabilities
from napari_brain_tumor_training.augmentation import Augmentation, drop_roles, vary_intensities
from napari_brain_tumor_training.config import AugmentationConfig, DataSource, OptimisationConfig, read_config
from napari_brain_tumor_training.dataset import find_cases, load_cases, read_split
from napari_brain_tumor_training.losses import PartialRegionLoss
from napari_brain_tumor_training.optimisation import learning_rate_at
from napari_brain_tumor_training.sampling import SliceSampler


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def cases(data, tmp_path_factory):
    files = find_cases(read_config(data / "recipe.toml"), data)
    return run_job(load_cases(files, ROLES, PreprocessingSpec(), tmp_path_factory.mktemp("cache")))


def test_a_recipe_that_is_wrong_names_every_wrong_entry(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('name = "x"\nepochs = 3\n')
    with pytest.raises(TrainingError, match=r"title.*epochs|epochs.*title"):
        read_config(path)
    path.write_text("name = ")
    with pytest.raises(TrainingError, match="not valid TOML"):
        read_config(path)
    with pytest.raises(TrainingError, match="cannot be read"):
        read_config(tmp_path / "absent.toml")


def test_a_patient_on_both_sides_of_the_split_is_refused(tmp_path):
    write_split(tmp_path / "s.csv", [["a", "1", "Ann", "train"], ["b", "2", "Ann", "val"]])
    with pytest.raises(TrainingError, match="Ann"):
        read_split(tmp_path / "s.csv")


def test_a_case_without_a_side_is_refused(data, tmp_path):
    config = read_config(data / "recipe.toml")
    write_split(tmp_path / "split.csv", [["volumes", "volume_0", "p", "train"]])
    with pytest.raises(TrainingError, match="not in the split"):
        find_cases(config.model_copy(update={"split": tmp_path / "split.csv"}), data)


def graded(cases, grades):
    numbered = zip([case for case in cases if case.files.dataset == "volumes"], grades, strict=False)
    return [replace(case, files=replace(case.files, name=grade, grade=grade)) for case, grade in numbered]


def test_grades_are_drawn_by_their_shares(cases):
    source = DataSource(dataset="volumes", kind="decathlon", path=".", share=1, grade_shares={"HGG": 3, "LGG": 1})
    high, low = graded(cases, ["HGG", "LGG"])
    low = replace(low, classes=np.zeros_like(low.classes))
    sampler = SliceSampler([high, high, low], [source], (8, 8), foreground_share=1)
    drawn = sampler.draw(2000, np.random.default_rng(0)).targets[:, 0].any(axis=(1, 2)).mean()
    assert drawn == pytest.approx(0.75, abs=0.03)


def test_a_grade_without_a_share_is_refused(cases):
    source = DataSource(dataset="volumes", kind="decathlon", path=".", share=1, grade_shares={"HGG": 1})
    with pytest.raises(TrainingError, match=r"HGG \(1\), LGG \(1\); grade_shares names HGG"):
        SliceSampler(graded(cases, ["HGG", "LGG"]), [source], (8, 8), 0.5)


def test_cases_know_their_roles_and_regions(cases):
    volume = next(case for case in cases if case.files.dataset == "volumes")
    slices = next(case for case in cases if case.files.dataset == "slices")
    assert volume.known.tolist() == [True, True, True]
    assert slices.known.tolist() == [True, False, False]
    assert volume.present.tolist() == [True] * 4
    assert slices.present.tolist() == [True, True, False, True]
    assert not slices.channels[:, 2].any()
    assert set(np.unique(volume.classes)) == {0, 1, 2, 3}


def test_labels_lie_on_the_bright_tumour_in_both_formats(cases):
    for case in cases:
        flair = case.channels[:, 3].astype(np.float32)
        assert flair[case.classes > 0].mean() > flair[case.classes == 0].mean() + 1


def test_the_cache_gives_the_same_case(data, tmp_path):
    files = find_cases(read_config(data / "recipe.toml"), data)[:1]
    first = run_job(load_cases(files, ROLES, PreprocessingSpec(), tmp_path))[0]
    assert len(list(tmp_path.iterdir())) == 1
    second = run_job(load_cases(files, ROLES, PreprocessingSpec(), tmp_path))[0]
    np.testing.assert_array_equal(first.channels, second.channels)
    np.testing.assert_array_equal(first.classes, second.classes)


@pytest.mark.slow
def test_training_cases_hold_what_their_teacher_predicts(data, tmp_path, monkeypatch):
    files = find_cases(read_config(data / "recipe.toml"), data)
    plain = run_job(load_cases(files, ROLES, PreprocessingSpec(), tmp_path))
    assert all(case.teacher is None for case in plain)
    asked = []

    def teach(study, teacher):
        asked.append(teacher)
        return segment_with_probabilities(study, teacher)

    monkeypatch.setattr("napari_brain_tumor_training.dataset.segment_with_probabilities", teach)
    cases = run_job(load_cases(files, ROLES, PreprocessingSpec(), tmp_path, "u2netp"))
    assert {case.files.split for case in cases if case.teacher is not None} == {"train"}
    again = run_job(load_cases(files, ROLES, PreprocessingSpec(), tmp_path, "u2netp"))
    trained = [case for case in cases if case.files.split == "train"]
    assert asked == ["u2netp"] * len(trained)
    for case, other in zip(cases, again, strict=True):
        if case.teacher is not None:
            np.testing.assert_array_equal(case.teacher, other.teacher)
            study = case.files.open().study
            _, maps = segment_with_probabilities(study, "u2netp")
            head = prepare(study, ROLES, PreprocessingSpec())
            for at, region in enumerate(("WT", "TC", "ET")):
                expected = head.work.to_work(maps[region].astype(np.float32))[head.box.slices]
                np.testing.assert_allclose(case.teacher[:, at], expected, atol=1e-3)


def test_a_case_that_its_teacher_cannot_segment_is_named(data, tmp_path, monkeypatch):
    files = find_cases(read_config(data / "recipe.toml"), data)

    def refuse(study, teacher):
        msg = "it has no FLAIR"
        raise MissingRolesError(msg)

    monkeypatch.setattr("napari_brain_tumor_training.dataset.segment_with_probabilities", refuse)
    first = next(case for case in files if case.split == "train")
    with pytest.raises(TrainingError, match=f"Case {first.name} of .* it has no FLAIR"):
        run_job(load_cases(files, ROLES, PreprocessingSpec(), tmp_path, "u2netp"))


def test_samples_are_seeded_and_around_tumour_as_often_as_asked(cases, data):
    sources = read_config(data / "recipe.toml").sources
    always = SliceSampler(cases, sources, (24, 24), 1.0)
    batch = always.draw(30, np.random.default_rng(0))
    assert batch.images.shape == (30, 4, 24, 24)
    assert (batch.targets[:, 0].sum(axis=(1, 2)) > 0).all()
    again = always.draw(30, np.random.default_rng(0))
    np.testing.assert_array_equal(batch.images, again.images)
    both = {tuple(known) for known in batch.known.tolist()}
    assert both == {(True, True, True), (True, False, False)}
    never = SliceSampler(cases, sources, (24, 24), 0.0).draw(60, np.random.default_rng(0))
    assert (never.targets[:, 0].sum(axis=(1, 2)) == 0).any()


def test_windows_larger_than_the_slice_are_filled_with_zeros(cases, data):
    sources = read_config(data / "recipe.toml").sources
    batch = SliceSampler(cases, sources, (96, 96), 1.0).draw(4, np.random.default_rng(0))
    assert batch.images.shape == (4, 4, 96, 96)
    assert (batch.targets[:, 0].sum(axis=(1, 2)) > 0).all()


def test_air_stays_zero_and_absent_roles_stay_absent():
    torch.manual_seed(0)
    images = torch.randn(6, 4, 32, 32)
    images[:, :, :, :10] = 0
    present = torch.tensor([[True, True, False, True]] * 6)
    images[:, 2] = 0
    config = AugmentationConfig(flip_probability=0, affine_probability=0, role_dropout=0)
    varied, _ = Augmentation(config)(images, torch.zeros(6, 3, 32, 32), present)
    assert not varied[:, :, :, :10].any()
    assert not varied[:, 2].any()
    assert varied[:, 0, :, 10:].any()


def test_intensities_change_by_sample_and_channel():
    torch.manual_seed(0)
    images = torch.randn(5, 4, 16, 16)
    varied = vary_intensities(images, AugmentationConfig(intensity_probability=1.0))
    means = (varied - images).mean(dim=(2, 3))
    assert len(means.flatten().unique()) == 20
    assert torch.equal(vary_intensities(images, AugmentationConfig(intensity_probability=0.0)), images)


def test_dropping_roles_never_takes_the_last_nor_gives_an_absent_one():
    torch.manual_seed(0)
    present = torch.tensor([[True, True, False, True], [False, False, False, True]] * 200)
    keep = drop_roles(present, 1.0)
    assert (keep.sum(dim=1) >= 1).all()
    assert not (keep.bool() & ~present).any()
    assert {tuple(row) for row in keep.bool()[::2].tolist()} == {
        (a, b, False, d) for a in (True, False) for b in (True, False) for d in (True, False) if a or b or d
    }
    assert torch.equal(drop_roles(present, 0.0), present.float())


def test_unknown_regions_do_not_count():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    targets = (torch.rand(2, 3, 8, 8) > 0.5).float()
    known = torch.tensor([[True, True, True], [True, False, False]])
    loss = PartialRegionLoss()(logits, targets, known)
    loss.backward()
    assert logits.grad[1, 1:].abs().max() == 0
    assert logits.grad[1, 0].abs().max() > 0
    changed = targets.clone()
    changed[1, 1:] = 1 - changed[1, 1:]
    torch.testing.assert_close(PartialRegionLoss()(logits, changed, known), loss)


def test_the_loss_is_dice_over_the_batch_plus_cross_entropy():
    logits = torch.tensor([[[[2.0, -1.0]]], [[[0.5, 0.0]]]])
    targets = torch.tensor([[[[1.0, 0.0]]], [[[1.0, 1.0]]]])
    p = torch.sigmoid(logits)
    dice = 1 - (2 * (p * targets).sum() + 1) / (p.sum() + targets.sum() + 1)
    entropy = -(targets * p.log() + (1 - targets) * (1 - p).log()).mean()
    found = PartialRegionLoss()(logits, targets, torch.ones(2, 1, dtype=torch.bool))
    torch.testing.assert_close(found, dice + entropy)


def test_a_perfect_prediction_costs_nothing_and_nothing_known_costs_nothing():
    targets = (torch.rand(2, 3, 8, 8) > 0.5).float()
    loss = PartialRegionLoss()
    assert loss(targets * 200 - 100, targets, torch.ones(2, 3, dtype=torch.bool)) < 1e-4
    assert loss(targets, targets, torch.zeros(2, 3, dtype=torch.bool)) == 0


def test_the_rate_warms_up_and_falls_to_zero():
    plan = OptimisationConfig(epochs=10, iterations_per_epoch=10, learning_rate=1.0, warmup_fraction=0.1)
    rates = [learning_rate_at(step, plan) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[-1] < 0.01
    assert rates[10:] == sorted(rates[10:], reverse=True)
