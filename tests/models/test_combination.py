import numpy as np
import pytest
import torch
from torch import nn

from models_for_tests import tiny_model
from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.models import checkpoint, manifest
from napari_brain_tumor.models.card_parts import Calibration, Metrics
from napari_brain_tumor.models.cards import Card, find_model, list_models, models_folder
from napari_brain_tumor.models.checkpoint import load_network, save_checkpoint, write_card
from napari_brain_tumor.models.combination import Calibrated, Ensemble
from napari_brain_tumor.models.ensemble import save_ensemble
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import ROLES, Study
from napari_brain_tumor.workflow import segment


class Constant(nn.Module):
    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, x):
        return self.logits.to(x.dtype).reshape(1, -1, 1, 1).expand(len(x), -1, *x.shape[2:])


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))


def study():
    random = np.random.default_rng(5)
    shape = (24, 20, 6)
    return Study({role: random.normal(100, 20, shape) for role in ROLES}, Grid(shape, np.eye(4)), "noise")


def image(seed=0):
    return torch.randn(2, 4, 16, 24, generator=torch.Generator().manual_seed(seed))


def calibrated_by(temperature):
    return Calibration(temperature=temperature, error_before=0.2, error_after=0.1, voxels=10)


def members(tmp_path, **second):
    return [tiny_model(tmp_path / "one", 1)[0], tiny_model(tmp_path / "two", 2, **second)[0]]


def test_an_ensemble_has_the_mean_of_the_probabilities():
    logits = Ensemble([Constant(0.0, 3.0), Constant(2.0, -1.0)])(image())[0, :, 0, 0]
    expected = (torch.sigmoid(torch.tensor([0.0, 3.0])) + torch.sigmoid(torch.tensor([2.0, -1.0]))) / 2
    torch.testing.assert_close(torch.sigmoid(logits), expected)


def test_an_ensemble_of_members_that_are_certain_stays_certain_and_finite():
    logits = Ensemble([Constant(200.0, -200.0), Constant(300.0, -300.0)])(image())[0, :, 0, 0]
    torch.testing.assert_close(logits, torch.tensor([200.0, -200.0]), atol=1.0, rtol=0)


def test_temperatures_divide_the_logits_of_their_regions():
    logits = Calibrated(Constant(1.0, -6.0), [2.0, 3.0])(image())[0, :, 0, 0]
    torch.testing.assert_close(logits, torch.tensor([0.5, -2.0]))


def test_a_calibrated_checkpoint_says_other_probabilities_and_the_same_labels(tmp_path):
    plain, network = tiny_model(tmp_path / "plain", half=False)
    card = plain.card.model_copy(update={"calibration": {"WT": calibrated_by(2.0)}})
    model = save_checkpoint(tmp_path / "calibrated", network.state_dict(), card, half=False)
    logits, before = load_network(model)(image()), network(image())
    torch.testing.assert_close(logits[:, 0], before[:, 0] / 2)
    torch.testing.assert_close(logits[:, 1:], before[:, 1:])
    assert torch.equal(load_network(model, calibrated=False)(image()), before)
    scan = study()
    labels = [segment(scan, m.folder, "cpu", precision="float32").data for m in (plain, model)]
    # Random weights give many probabilities within float16's rounding of 0.5.
    assert np.mean(labels[0] == labels[1]) > 0.995


def test_an_ensemble_is_listed_found_and_segments_like_any_model(tmp_path):
    models = members(tmp_path)
    score = Metrics(dataset="set", roles=["T1"], cases=3, mean_dice={"WT": 0.5})
    saved = save_ensemble(models_folder() / "both", models, "Both", metrics=[score], notes=["Slower."])
    assert "both" in [model.name for model in list_models()]
    found = find_model("both")
    assert found.card == saved.card
    assert (found.card.architecture, found.card.metrics, found.card.notes) == ("ensemble", [score], ["Slower."])
    assert [member.name for member in found.card.members] == ["tiny", "tiny"]
    assert found.card.parameters == sum(model.card.parameters for model in models)
    channels = np.random.default_rng(0).normal(size=(4, 6, 16, 24)).astype(np.float32)
    mean = np.mean([run_job(Engine.plain(load_network(m), 2).probabilities(channels)) for m in models], axis=0)
    together = run_job(Engine.plain(load_network(found), 2).probabilities(channels))
    np.testing.assert_allclose(together, mean, atol=2e-3)
    assert segment(study(), "both", "cpu").data.shape == study().grid.shape


def test_what_was_found_with_one_members_probabilities_is_not_the_ensembles(tmp_path):
    first, second = members(tmp_path)
    record = {"bfloat16": {"cases": 3, "dice_change": {"WT": 0.0}, "agreement": 1.0}}
    found = Card.model_validate(first.card.model_dump() | {"precisions": record, "min_sure_enhancing": 0.4})
    saved = save_ensemble(models_folder() / "both", [write_card(first, found), second], "Both")
    assert (saved.card.precisions, saved.card.min_sure_enhancing, saved.card.calibration) == ({}, 0, {})


def test_members_keep_their_temperatures(tmp_path):
    one, two = members(tmp_path)
    weights = load_network(one).state_dict()
    card = one.card.model_copy(update={"calibration": {"WT": calibrated_by(4.0)}})
    sure = save_checkpoint(tmp_path / "sure", weights, card)
    logits = load_network(save_ensemble(tmp_path / "both", [sure, two], "Both"))(image())
    expected = (torch.sigmoid(load_network(sure)(image())) + torch.sigmoid(load_network(two)(image()))) / 2
    torch.testing.assert_close(torch.sigmoid(logits), expected)


def test_architectures_may_differ_and_ensembles_join(tmp_path):
    one, two = members(tmp_path, arguments={"width": 6, "levels": 2})
    three, _ = tiny_model(tmp_path / "three", 3)
    pair = save_ensemble(tmp_path / "pair", [one, two], "Pair")
    trio = save_ensemble(tmp_path / "trio", [three, pair], "Trio")
    assert [member.arguments["width"] for member in trio.card.members] == [4, 4, 6]
    expected = sum(torch.sigmoid(load_network(m)(image())) for m in (one, two, three)) / 3
    torch.testing.assert_close(torch.sigmoid(load_network(trio)(image())), expected)


def volume(seed=0):
    return torch.randn(1, 4, 10, 16, 24, generator=torch.Generator().manual_seed(seed))


def flat_and_solid(tmp_path):
    flat, _ = tiny_model(tmp_path / "flat", 1)
    solid, _ = tiny_model(tmp_path / "solid", 2, name="solid", dims=3, preprocessing={"slice_spacing_mm": 1.0})
    return flat, solid


def probability(model):
    return torch.sigmoid(load_network(model)(volume()))


def of_slices(model):
    """Probabilities of a 2D model for the slices of the volume."""
    slices = volume().transpose(1, 2).flatten(0, 1)
    return torch.sigmoid(load_network(model)(slices)).transpose(0, 1)[None]


def test_a_network_for_slices_joins_one_for_volumes_and_sees_their_slices(tmp_path):
    flat, solid = flat_and_solid(tmp_path)
    both = save_ensemble(tmp_path / "both", [flat, solid], "Both")
    assert (both.card.dims, both.card.preprocessing) == (3, solid.card.preprocessing)
    torch.testing.assert_close(probability(both), (of_slices(flat) + probability(solid)) / 2)


def test_members_have_the_shares_that_are_given_region_by_region(tmp_path):
    flat, solid = flat_and_solid(tmp_path)
    both = save_ensemble(tmp_path / "both", [flat, solid], "Both", shares=[{}, {"TC": 3.0, "ET": 0.0}])
    found, one, two = probability(both), of_slices(flat), probability(solid)
    torch.testing.assert_close(found[:, 0], (one[:, 0] + two[:, 0]) / 2)
    torch.testing.assert_close(found[:, 1], (one[:, 1] + 3 * two[:, 1]) / 4)
    torch.testing.assert_close(found[:, 2], one[:, 2])
    with pytest.raises(CheckpointError, match="shares of ET are 0, 0"):
        save_ensemble(tmp_path / "none", [flat, solid], "None", shares=[{"ET": 0.0}, {"ET": 0.0}])


def test_an_ensemble_joins_another_whatever_their_dims(tmp_path):
    flat, solid = flat_and_solid(tmp_path)
    other, _ = tiny_model(tmp_path / "other", 3)
    pair = save_ensemble(tmp_path / "pair", [flat, other], "Pair")
    mixed = save_ensemble(tmp_path / "mixed", [solid, pair], "Mixed", shares=[{"WT": 2.0}, {}])
    found = probability(mixed)
    expected = probability(solid) + of_slices(flat) + of_slices(other)
    torch.testing.assert_close(found[:, 1:], expected[:, 1:] / 3)
    torch.testing.assert_close(found[:, 0], (expected[:, 0] + probability(solid)[:, 0]) / 4)
    again = save_ensemble(tmp_path / "again", [mixed, solid], "Again")
    torch.testing.assert_close(probability(again)[:, 1:], (expected + probability(solid))[:, 1:] / 4)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Two models as if they shipped with the package."""
    folder = tmp_path / "shipped"
    monkeypatch.setattr(checkpoint, "BUNDLED", folder)
    monkeypatch.setattr(manifest, "BUNDLED", folder)
    made = [tiny_model(folder / f"tiny{number}", number, name=f"tiny{number}")[0] for number in (1, 2)]
    (folder / "manifest.json").write_text(manifest.manifest_of(folder).model_dump_json(), encoding="utf-8")
    manifest.read_manifest.cache_clear()
    yield [model.model_copy(update={"bundled": True}) for model in made]
    manifest.read_manifest.cache_clear()


def test_members_that_ship_are_not_stored_twice(shipped, tmp_path):
    both = save_ensemble(tmp_path / "both", shipped, "Both", by_reference=True)
    assert (both.folder / "weights.safetensors").stat().st_size < 1000
    expected = sum(torch.sigmoid(load_network(model)(image())) for model in shipped) / 2
    torch.testing.assert_close(torch.sigmoid(load_network(both)(image())), expected)
    three, _ = tiny_model(tmp_path / "three", 3)
    trio = save_ensemble(tmp_path / "trio", [three, both], "Trio")
    expected = sum(torch.sigmoid(load_network(model)(image())) for model in (*shipped, three)) / 3
    torch.testing.assert_close(torch.sigmoid(load_network(trio)(image())), expected)


def test_an_ensemble_by_reference_is_refused_when_a_member_became_another_model(shipped, tmp_path):
    both = save_ensemble(tmp_path / "both", shipped, "Both", by_reference=True)
    other = save_ensemble(tmp_path / "other", shipped[::-1], "Other", by_reference=True)
    assert other.card.weights_sha256 != both.card.weights_sha256
    tiny_model(shipped[0].folder, 7, name="tiny1")
    with pytest.raises(CheckpointError, match="made with other weights of tiny1"):
        load_network(both)


def test_weights_are_stored_as_the_members_store_them(tmp_path):
    models = members(tmp_path)
    saved = save_ensemble(tmp_path / "both", models, "Both")
    sizes = [(model.folder / "weights.safetensors").stat().st_size for model in (*models, saved)]
    assert sizes[2] < 1.1 * (sizes[0] + sizes[1])


def test_models_of_other_roles_are_no_members(tmp_path):
    with pytest.raises(CheckpointError, match="differ in roles: T1, T1c, T2, FLAIR and T1, FLAIR"):
        save_ensemble(tmp_path / "both", members(tmp_path, roles=["T1", "FLAIR"]), "Both")
    with pytest.raises(CheckpointError, match="two models or more"):
        save_ensemble(tmp_path / "both", members(tmp_path)[:1], "Both")


def test_a_cascade_is_kept_in_the_card_and_is_of_networks_for_slices(tmp_path):
    saved = save_ensemble(tmp_path / "both", members(tmp_path), "Both", cascade=True)
    assert load_network(saved).cascade
    assert not load_network(save_ensemble(tmp_path / "mean", members(tmp_path), "Mean")).cascade
    with pytest.raises(CheckpointError, match="A cascade is made of networks for slices"):
        save_ensemble(tmp_path / "solid", flat_and_solid(tmp_path), "Solid", cascade=True)
