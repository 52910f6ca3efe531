import json

import pytest
import torch

from models_for_tests import card, tiny_model
from napari_brain_tumor.errors import CheckpointError, ModelNotFoundError
from napari_brain_tumor.models.card_parts import Metrics
from napari_brain_tumor.models.cards import find_model, list_models, read_card
from napari_brain_tumor.models.checkpoint import load_network, read_weights, save_checkpoint, write_card
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.study import ROLES


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path))


def test_a_saved_network_loads_the_same(tmp_path):
    model, network = tiny_model(tmp_path / "models" / "tiny", half=False)
    image = torch.randn(1, 4, 32, 32)
    torch.testing.assert_close(load_network(model)(image), network(image))


def test_half_precision_weights_are_close(tmp_path):
    model, network = tiny_model(tmp_path / "models" / "tiny", half=True)
    image = torch.randn(1, 4, 32, 32)
    torch.testing.assert_close(load_network(model)(image), network(image), atol=2e-2, rtol=2e-2)


def test_saving_replaces_a_checkpoint_and_leaves_nothing_else(tmp_path):
    folder = tmp_path / "models" / "tiny"
    tiny_model(folder, seed=1)
    model, network = tiny_model(folder, seed=2)
    assert sorted(p.name for p in folder.parent.iterdir()) == ["tiny"]
    assert sorted(p.name for p in folder.iterdir()) == ["card.json", "weights.safetensors"]
    assert read_card(folder) == model.card
    assert load_network(model).head.bias.allclose(network.head.bias, atol=1e-3)


def test_a_changed_byte_is_refused(tmp_path):
    model, _ = tiny_model(tmp_path / "models" / "tiny")
    weights = model.folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match="changed or damaged"):
        load_network(model)


def test_weights_of_another_network_are_refused(tmp_path):
    model, network = tiny_model(tmp_path / "models" / "tiny")
    wider = model.card.model_copy(update={"arguments": {"width": 6, "levels": 3}})
    other = save_checkpoint(tmp_path / "models" / "wider", network.state_dict(), wider)
    with pytest.raises(CheckpointError, match="do not fit"):
        load_network(other)


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    import hashlib

    model, _ = tiny_model(tmp_path / "models" / "tiny")
    (model.folder / "weights.safetensors").write_bytes(b"nonsense")
    card = model.card.model_copy(update={"weights_sha256": hashlib.sha256(b"nonsense").hexdigest()})
    with pytest.raises(CheckpointError, match="safetensors"):
        load_network(model.model_copy(update={"card": card}))


def test_an_unknown_entry_of_a_card_is_refused_by_name(tmp_path):
    model, _ = tiny_model(tmp_path / "models" / "tiny")
    card = model.folder / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"surprise": 1}))
    with pytest.raises(CheckpointError, match="surprise"):
        read_card(model.folder)
    with pytest.raises(CheckpointError, match="surprise"):
        find_model(model.folder)


def test_a_folder_without_weights_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
        read_card(tmp_path)


def test_the_users_models_are_listed_and_found_by_name_and_by_folder(tmp_path):
    model, _ = tiny_model(tmp_path / "models" / "mine")
    assert "tiny" in [m.name for m in list_models() if not m.bundled]
    assert find_model("tiny").folder == model.folder
    assert find_model(model.folder).card == model.card


def test_an_unknown_model_lists_the_installed():
    with pytest.raises(ModelNotFoundError, match=r"'nothing'.*Installed: ensemble, unet"):
        find_model("nothing")


def test_the_bundled_models_are_whole_and_small():
    bundled = [model for model in list_models() if model.bundled]
    assert "unet" in {model.name for model in bundled}
    for model in bundled:
        network = load_network(model)
        assert sum(p.numel() for p in network.parameters()) == model.card.parameters
    assert sum(f.stat().st_size for m in bundled for f in m.folder.iterdir()) < 60e6


def test_missing_roles_are_told_and_none_where_all_are_there(tmp_path):
    card = tiny_model(tmp_path / "tiny")[0].card
    assert card.notes_without(["FLAIR", "T1c", "T2", "T1"]) == []
    assert card.notes_without(["T1c", "FLAIR"]) == ["Without T1, T2 the model may find less."]
    notes = " ".join(card.notes_without(["FLAIR"]))
    assert "T1, T1c, T2" in notes
    assert "enhancing class and the tumour core are not reliable" in notes


def test_what_missing_roles_cost_is_told_as_it_was_measured():
    def measured(roles, wt, et, **more):
        kind = {"whole_head": False, "thickness_mm": 1.0}
        return Metrics(dataset="glioma3d", roles=roles, cases=8, mean_dice={"WT": wt, "ET": et}, **kind, **more)

    told = card(
        metrics=[
            measured(list(ROLES), 0.88, 0.75),
            measured(list(ROLES), 0.89, 0.76, flips=True),
            measured(["T1c", "FLAIR"], 0.86, 0.7),
            measured(["T1", "FLAIR"], 0.877, 0.31),
            measured(["T2", "FLAIR"], 0.89, 0.752),
            Metrics(dataset="lgg_tif", roles=["T1c", "FLAIR"], cases=16, mean_dice={"WT": 0.8}, whole_head=True),
        ]
    )
    alike = Traits(1.0, whole_head=False, extent_mm=130.0)
    assert told.notes_without(["FLAIR", "T1c"], alike) == [
        "Without T1, T2 the model finds less: mean Dice on the validation cases WT 0.86 instead of 0.88, "
        "ET 0.70 instead of 0.75."
    ]
    assert told.notes_without(["T1c"], alike)[0] == "Without T1, T2, FLAIR the model may find less."
    # What is the same in two digits is no loss, and what is better is none either.
    assert told.notes_without(["FLAIR", "T1"], alike)[0] == (
        "Without T1c, T2 the model finds less: mean Dice on the validation cases ET 0.31 instead of 0.75."
    )
    assert told.notes_without(["FLAIR", "T2"], alike)[0] == (
        "Without T1, T1c the model did no worse on the validation cases."
    )
    assert [m.flips for m in told.metrics_with(ROLES)] == [False]
    others = [
        Traits(1.0, whole_head=True, extent_mm=180.0),
        Traits(5.0, whole_head=False, extent_mm=130.0),
        Traits(None, whole_head=False),
        Traits(1.0, whole_head=False, extent_mm=4.0),
        None,
    ]
    for other in others:
        assert told.notes_without(["FLAIR", "T1c"], other) == ["Without T1, T2 the model may find less."]


def test_results_of_cards_that_do_not_say_on_what_they_were_measured_are_no_price():
    told = card(
        metrics=[Metrics(dataset="d", roles=r, cases=8, mean_dice={"WT": w}) for r, w in ((ROLES, 1), (["T1"], 0))]
    )
    assert "instead" not in " ".join(told.notes_without(["T1"], Traits(1.0, whole_head=False)))


def test_a_card_that_is_no_text_does_not_hide_the_other_models(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path))
    tiny_model(tmp_path / "models" / "good", name="good")
    broken = tiny_model(tmp_path / "models" / "broken", name="broken")[0]
    (broken.folder / "card.json").write_bytes(b"\xff\xfe\x00")
    names = [model.name for model in list_models()]
    assert "good" in names
    assert "broken" not in names
    with pytest.raises(CheckpointError, match="cannot be read"):
        find_model(broken.folder)


def test_a_card_is_replaced_only_for_its_own_weights(tmp_path):
    model, _ = tiny_model(tmp_path / "tiny")
    told = write_card(model, model.card.model_copy(update={"notes": ["Measured."]}))
    assert find_model(model.folder).card == told.card
    assert told.card.notes == ["Measured."]
    before = (model.folder / "card.json").read_bytes()
    with pytest.raises(CheckpointError, match="is of other weights"):
        write_card(model, model.card.model_copy(update={"weights_sha256": "1" * 64}))
    assert (model.folder / "card.json").read_bytes() == before


def test_numbers_beyond_float16_are_stored_as_they_are(tmp_path):
    model, network = tiny_model(tmp_path / "first")
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    name = next(name for name in weights if name.endswith("running_var"))
    weights[name][0] = 1e5
    saved = load_network(save_checkpoint(tmp_path / "second", weights, model.card), calibrated=False)
    assert saved.state_dict()[name][0] == 1e5
    others = {key: tensor for key, tensor in read_weights(find_model(tmp_path / "second")).items() if key != name}
    assert {tensor.dtype for tensor in others.values() if tensor.is_floating_point()} == {torch.float16}
