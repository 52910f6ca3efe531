import pytest

from models_for_tests import tiny_model
from napari_brain_tumor.brain.network import brain_model
from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models import manifest
from napari_brain_tumor.models.cards import ModelInfo, find_model, list_models
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.models.manifest import BUNDLED, ShippedFile, manifest_of, read_manifest


def shipped() -> list[ModelInfo]:
    """Every model of the list that ships, and the brain network, which is in no list."""
    return [*(model for model in list_models() if model.bundled), brain_model()]


def test_the_manifest_lists_exactly_the_shipped_weights():
    assert read_manifest() == manifest_of(BUNDLED)
    assert set(read_manifest().weights) == {model.name for model in shipped()}


def test_all_shipped_weights_together_stay_under_sixty_megabytes():
    assert sum(file.size for file in read_manifest().weights.values()) < 60_000_000


def test_cards_and_manifest_agree():
    digests = {model.name: model.card.weights_sha256 for model in shipped()}
    assert digests == {name: file.sha256 for name, file in read_manifest().weights.items()}


def test_a_changed_byte_is_refused_and_the_manifest_says_what_it_expected():
    content = bytearray((BUNDLED / "unet" / "weights.safetensors").read_bytes())
    read_manifest().check("unet", ShippedFile.of(bytes(content)))
    content[1000] ^= 1
    with pytest.raises(CheckpointError, match=r"changed or damaged: install napari-brain-tumor again"):
        read_manifest().check("unet", ShippedFile.of(bytes(content)))


def test_shipped_weights_that_were_exchanged_together_with_their_card_are_refused(tmp_path, monkeypatch):
    # The new card fits the new weights: only the manifest knows that they are not what was shipped.
    tiny_model(tmp_path / "exchanged", name="exchanged")
    monkeypatch.setattr("napari_brain_tumor.models.cards.BUNDLED", tmp_path)
    with pytest.raises(CheckpointError, match="shipped model exchanged"):
        load_network(find_model("exchanged"))


def test_a_model_that_the_manifest_does_not_know_is_refused():
    with pytest.raises(CheckpointError, match="does not know that model"):
        read_manifest().check("other", ShippedFile.of(b"weights"))


def test_a_model_that_is_named_by_its_folder_in_the_package_is_checked_too():
    assert find_model(BUNDLED / "unet").bundled
    assert not any(model.bundled for model in list_models() if model.folder.parent != BUNDLED)


@pytest.mark.parametrize("content", ["", "{}", '{"format": 1, "weights": {"unet": {"sha256": "x", "size": 1}}}'])
def test_a_damaged_manifest_is_an_error(tmp_path, monkeypatch, content):
    (tmp_path / "manifest.json").write_text(content, encoding="utf-8")
    monkeypatch.setattr(manifest, "BUNDLED", tmp_path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_manifest.__wrapped__()
