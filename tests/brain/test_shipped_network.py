"""The brain network that ships: small, no model for tumours, and right about heads with exact truth."""

import json
from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor import brain_mask, list_models
from napari_brain_tumor.brain.network import brain_model
from napari_brain_tumor.models.checkpoint import read_weights
from napari_brain_tumor.models.manifest import WEIGHTS_FILE
from napari_brain_tumor.study import ROLES, Study

ROOT = Path(__file__).parents[2]


def test_it_is_small_and_in_no_list_of_models():
    model = brain_model()
    assert model.card.target == "brain"
    assert (model.folder / WEIGHTS_FILE).stat().st_size <= 2_000_000
    assert read_weights(model), "the manifest knows these weights"
    assert model.card.roles == list(ROLES)
    assert model.card.optional_roles
    assert model.card.licence.startswith("Research use only")
    assert "brain" not in {one.name for one in list_models()}


def test_the_numbers_in_the_documents_are_of_these_weights():
    told = json.loads((ROOT / "docs" / "brain.json").read_text(encoding="utf-8"))
    assert told["weights_sha256"] == brain_model().card.weights_sha256


@pytest.fixture(scope="module")
def dressed():
    pytest.importorskip("nilearn", reason="synthetic heads need nilearn's tissue maps")
    from napari_brain_tumor.geometry import to_ras
    from napari_brain_tumor_training.synthetic import SyntheticSpec, make_phantom
    from napari_brain_tumor_training.synthetic_head import dress

    phantom = make_phantom(77, spec=SyntheticSpec(resolution_mm=2.0))
    turn = to_ras(phantom.study.grid)
    images = {role: turn.apply(volume) for role, volume in phantom.study.sequences.items()}
    return dress(images, phantom.tissues.brain, 2.0, seed=77)


@pytest.mark.parametrize("roles", [ROLES, *((role,) for role in ROLES)], ids="+".join)
def test_it_finds_the_brain_of_a_head_that_it_has_not_seen(dressed, roles):
    study = Study({role: dressed.sequences[role] for role in roles}, dressed.grid, "drawn")
    mask = brain_mask(study, "cpu")
    dice = 2 * (mask & dressed.brain).sum() / (mask.sum() + dressed.brain.sum())
    assert dice > 0.88


@pytest.mark.slow
def test_the_mask_of_a_mirrored_head_is_mirrored(dressed):
    volume = dressed.sequences["T1"]
    mask = brain_mask(Study({"T1": volume}, dressed.grid, "drawn"), "cpu")
    mirrored = brain_mask(Study({"T1": np.ascontiguousarray(volume[::-1])}, dressed.grid, "mirrored"), "cpu")
    assert (mask != mirrored[::-1]).sum() < 1e-4 * mask.sum()


@pytest.mark.slow
def test_the_mask_does_not_depend_on_the_order_of_axes(dressed):
    study = Study({"T1": dressed.sequences["T1"]}, dressed.grid, "drawn")
    mask = brain_mask(study, "cpu")
    turned = dressed.grid.affine @ np.array(
        [[0, 0, -1, study.grid.shape[0] - 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    )
    # Axes (z', x', y') of the new array: the old third axis, then the first reversed.
    array = np.ascontiguousarray(dressed.sequences["T1"][::-1].transpose(1, 2, 0))
    grid = type(dressed.grid)(array.shape, turned)
    other = brain_mask(Study({"T1": array}, grid, "drawn"), "cpu")
    np.testing.assert_array_equal(other, mask[::-1].transpose(1, 2, 0))
