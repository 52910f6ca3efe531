"""Weights under the names of other people's code, against networks that are written as that code is."""

import argparse
import hashlib
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models_for_tests import lively
from napari_brain_tumor.errors import BrainTumorError, CheckpointError, RoleError, UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.measure.volumes import measure_volumes
from napari_brain_tumor.models.cards import find_model, models_folder, read_card
from napari_brain_tumor.models.checkpoint import load_network, remove_checkpoint
from napari_brain_tumor.models.foreign_weights import import_weights
from napari_brain_tumor.models.registry import build_configuration
from napari_brain_tumor.models.tensor_file import read_tensors
from napari_brain_tumor.models.upstream import UPSTREAM, tensor_names
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec
from napari_brain_tumor.study import Study
from napari_brain_tumor.workflow import segment
from phantoms import affine
from reference_networks import BrainUNetReference, ResUNetPlusPlusReference, U2NetReference

REFERENCES = {
    "u2net": (U2NetReference, {"share": 4}, 798),
    "u2netp": (U2NetReference, {"small": True}, 798),
    "resunet_plus_plus": (ResUNetPlusPlusReference, {"width": 16}, 281),
    "resunet_plus_plus 32": (ResUNetPlusPlusReference, {"width": 32}, 281),
    "unet_brain": (BrainUNetReference, {"width": 32}, 118),
}
TOLD = {"name": "mine", "roles": ["T1", "FLAIR", "T1c"], "regions": ["WT"], "licence": "CC0", "origin": "a test"}


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))


def reference(kind="unet_brain", inputs=3, outputs=1, **changes):
    torch.manual_seed(3)
    build, arguments, _ = REFERENCES[kind]
    return lively(build(inputs, outputs, **(arguments | changes)), 3)


def small_weights():
    return reference(width=4).state_dict()


def saved(path, content):
    torch.save(content, path)
    return path


def refused(tmp_path, content, architecture="unet_brain", **changes):
    """The message with which a file is refused; nothing is installed."""
    path = content if isinstance(content, Path) else saved(tmp_path / "weights.pth", content)
    with pytest.raises(CheckpointError) as error:
        import_weights(path, architecture, **(TOLD | changes))
    assert not models_folder().exists()
    return str(error.value)


@pytest.mark.parametrize("kind", REFERENCES)
@torch.inference_mode()
def test_an_imported_network_says_what_the_authors_says(tmp_path, kind):
    theirs = reference(kind)
    path = saved(tmp_path / "weights.pth", theirs.state_dict())
    ours = load_network(import_weights(path, kind.split()[0], **TOLD))
    image = torch.randn(2, 3, 96, 64)
    expected = theirs(image)
    assert expected.std() > 1e-3
    torch.testing.assert_close(ours(image), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", REFERENCES)
def test_tensors_are_named_and_ordered_as_by_the_authors(kind):
    build, arguments, count = REFERENCES[kind]
    with torch.device("meta"):
        theirs = build(4, 3, **(arguments | ({"share": 1} if kind == "u2net" else {}))).state_dict()
        configuration = {"resunet_plus_plus 32": "resunet_plus_plus_32"}.get(kind, kind)
        ours = build_configuration(configuration, 4, 3).state_dict()
    names = tensor_names(UPSTREAM[kind.split()[0]], ours)
    assert list(names) == list(theirs)
    assert len(names) == count
    assert sorted(names.values()) == sorted(ours)
    assert all(theirs[name].shape == ours[other].shape for name, other in names.items())


def test_the_card_keeps_what_was_told_and_what_the_shapes_tell(tmp_path):
    path = saved(tmp_path / "weights.pt", reference(inputs=2, outputs=3, width=8).state_dict())
    spec = PreprocessingSpec(clip_percentiles=(10, 99), statistics="box")
    told = {"roles": ["flair", "t1ce"], "regions": ["et", "TC", "WT"], "preprocessing": spec}
    model = import_weights(path, "unet_brain", **(TOLD | told))
    card = read_card(models_folder() / "mine")
    assert card == model.card
    assert (card.architecture, card.arguments, card.dims) == ("unet", {"width": 8}, 2)
    assert (card.roles, card.regions, card.optional_roles) == (["FLAIR", "T1c"], ["ET", "TC", "WT"], False)
    assert (card.licence, card.origin, card.preprocessing) == ("CC0", "a test", spec)
    assert card.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card.parameters == sum(p.numel() for p in load_network(model).parameters())
    assert "weights.pt" in card.notes[0]


def wrapped(weights):
    return {
        "bare": weights,
        "state_dict": {"epoch": 3, "state_dict": weights},
        "model": {"model": weights, "optimizer": {"lr": 0.1, "state": [torch.zeros(2)]}},
        "twice": {"checkpoint": 1, "model": {"state_dict": weights}},
        "parallel": {f"module.{name}": tensor for name, tensor in weights.items()},
        "compiled": {"net": {f"_orig_mod.module.{name}": tensor for name, tensor in weights.items()}},
        "no counters": {name: t for name, t in weights.items() if not name.endswith("num_batches_tracked")},
        "half": {name: t.half() if t.is_floating_point() else t for name, t in weights.items()},
    }


@pytest.mark.parametrize("how", wrapped({}))
@pytest.mark.parametrize("suffix", [".pth", ".pth.tar"])
def test_what_training_scripts_wrap_around_is_taken_off(tmp_path, how, suffix):
    theirs = reference(width=4)
    path = saved(tmp_path / f"weights{suffix}", wrapped(theirs.state_dict())[how])
    ours = load_network(import_weights(path, "unet_brain", **TOLD))
    image = torch.randn(1, 3, 32, 32)
    tolerance = 1e-2 if how == "half" else 1e-5
    torch.testing.assert_close(ours(image), theirs(image), atol=tolerance, rtol=tolerance)


def test_safetensors_are_read(tmp_path):
    weights = small_weights()
    save_file(weights, tmp_path / "weights.safetensors")
    read = read_tensors(tmp_path / "weights.safetensors")
    assert set(read) == set(weights)
    model = import_weights(tmp_path / "weights.safetensors", "unet_brain", **TOLD)
    torch.testing.assert_close(load_network(model).head.bias, weights["conv.bias"])


def test_files_of_the_old_torch_format_are_read(tmp_path):
    torch.save(small_weights(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert import_weights(tmp_path / "old.pth", "unet_brain", **TOLD).card.arguments == {"width": 4}


def test_missing_and_unknown_tensors_are_named(tmp_path):
    weights = small_weights()
    del weights["decoder1.dec1conv2.weight"], weights["upconv3.bias"]
    weights["surprise"] = torch.zeros(1)
    message = refused(tmp_path, weights)
    for part in (
        "weights.pth does not hold the weights of the brain U-Net",
        "2 of 118 tensors are missing (upconv3.bias, decoder1.dec1conv2.weight)",
        "1 of 118 tensors are not known (surprise)",
    ):
        assert part in message


def test_a_wrong_shape_is_named_with_what_was_expected(tmp_path):
    weights = small_weights()
    weights["encoder2.enc2conv2.weight"] = torch.zeros(8, 8, 5, 5)
    message = refused(tmp_path, weights)
    assert "encoder2.enc2conv2.weight is 8x8x5x5 float32, expected 8x8x3x3 float32" in message


def test_integers_for_weights_are_refused(tmp_path):
    weights = small_weights()
    weights["conv.bias"] = torch.zeros(1, dtype=torch.int8)
    assert "conv.bias is 1 int8, expected 1 float32" in refused(tmp_path, weights)


def test_the_right_architecture_is_told_where_another_was_given(tmp_path):
    message = refused(tmp_path, reference("u2netp").state_dict(), "u2net")
    assert "stage2.rebnconvin.conv_s1.weight" in message or "stage1" in message
    assert "They are those of u2netp" in message
    assert "They are those of resunet_plus_plus" in refused(tmp_path, reference("resunet_plus_plus").state_dict())
    assert "unet_brain" in refused(tmp_path, small_weights(), "u2net_large")


def test_another_network_is_refused_with_the_list_of_known_ones(tmp_path):
    message = refused(tmp_path, build_configuration("unet_brain", 3, 1).state_dict())
    assert "xuebinqin/U-2-Net" in message
    assert "for no other network" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    weights = small_weights()
    weights["upconv2.bias"][1] = value
    assert "NaN or infinite weights in upconv2.bias" in refused(tmp_path, weights)


class Trap:
    """Runs code where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("new", [True, False])
def test_a_pickled_object_is_refused_and_never_run(tmp_path, new):
    mark = tmp_path / "mark"
    path = tmp_path / "trap.pth"
    torch.save({"state_dict": small_weights(), "extra": Trap(mark)}, path, _use_new_zipfile_serialization=new)
    message = refused(tmp_path, path)
    assert not mark.exists()
    for part in ("trap.pth", "pickled object", "run code", "torch.save(net.state_dict(), 'weights.pth')"):
        assert part in message
    torch.load(path, weights_only=False)
    assert mark.exists()  # the trap works


def test_whole_networks_and_settings_are_refused_by_their_name(tmp_path):
    assert "BrainUNetReference" in refused(tmp_path, reference(width=4))
    assert "argparse.Namespace" in refused(tmp_path, {"state_dict": small_weights(), "args": argparse.Namespace(a=1)})


def test_entries_that_are_no_tensors_and_files_without_any_are_refused(tmp_path):
    assert "1 entries that are not tensors (epoch)" in refused(tmp_path, {**small_weights(), "epoch": 3})
    assert "holds nothing" in refused(tmp_path, {})
    assert "holds a list" in refused(tmp_path, [torch.zeros(3)])


@pytest.mark.parametrize("content", [b"", b"nonsense, and more of it", pickle.dumps([1, 2])[:-3]])
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_damaged_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFileError, match=f"{name} cannot be read as weights") as error:
        read_tensors(tmp_path / name)
    assert "weights_only" not in str(error.value)


def test_a_truncated_file_is_refused(tmp_path):
    path = saved(tmp_path / "weights.pth", small_weights())
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UnreadableFileError, match="damaged"):
        read_tensors(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"There is no file .*none\.pth"):
        read_tensors(tmp_path / "none.pth")
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(UnreadableFileError, match=r"weights\.h5 is not one of \.safetensors"):
        read_tensors(tmp_path / "weights.h5")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"roles": ["FLAIR"]}, r"takes 3 channels, but 1 roles are given \(FLAIR\)"),
        ({"regions": ["WT", "TC"]}, "predicts 1 regions, but given are WT, TC"),
        ({"regions": ["brain"]}, "different one of WT, TC, ET"),
        ({"name": "../mine"}, "cannot be the name"),
        ({"name": ""}, "cannot be the name"),
        ({"name": "unet"}, "ships with this package"),
        ({"licence": " "}, "licence of the weights is empty"),
        ({"origin": ""}, "origin of the weights is empty"),
    ],
)
def test_what_is_told_has_to_fit(tmp_path, changes, expected):
    path = saved(tmp_path / "weights.pth", small_weights())
    with pytest.raises(CheckpointError, match=expected):
        import_weights(path, "unet_brain", **(TOLD | changes))
    assert not models_folder().exists()


def test_an_unknown_role_is_refused(tmp_path):
    path = saved(tmp_path / "weights.pth", small_weights())
    with pytest.raises(RoleError, match="CT"):
        import_weights(path, "unet_brain", **(TOLD | {"roles": ["CT", "T1", "T2"]}))


def test_a_model_is_replaced_only_if_asked_for(tmp_path):
    path = saved(tmp_path / "weights.pth", small_weights())
    import_weights(path, "unet_brain", **TOLD)
    with pytest.raises(CheckpointError, match="installed already"):
        import_weights(path, "unet_brain", **TOLD)
    import_weights(path, "unet_brain", **(TOLD | {"origin": "another"}), replace=True)
    assert find_model("mine").card.origin == "another"


def test_a_model_that_was_imported_can_be_removed_and_those_that_ship_cannot(tmp_path):
    path = saved(tmp_path / "weights.pth", small_weights())
    model = import_weights(path, "unet_brain", **TOLD)
    remove_checkpoint(model)
    assert list(models_folder().iterdir()) == []
    with pytest.raises(CheckpointError, match="ships with the package"):
        remove_checkpoint(find_model("unet"))
    elsewhere = model.model_copy(update={"folder": tmp_path / "elsewhere"})
    with pytest.raises(CheckpointError, match="elsewhere"):
        remove_checkpoint(elsewhere)


def test_removing_leaves_other_files_of_the_folder_alone(tmp_path):
    model = import_weights(saved(tmp_path / "weights.pth", small_weights()), "unet_brain", **TOLD)
    (model.folder / "history.csv").write_text("mine")
    remove_checkpoint(model)
    assert [file.name for file in model.folder.iterdir()] == ["history.csv"]


def test_an_imported_network_segments_as_the_authors_would(tmp_path):
    random = np.random.default_rng(0)
    # A head that fills its box, 32 voxels wide: nothing is cropped or padded.
    volumes = {role: random.normal(100, 20, (32, 32, 3)).astype(np.float32) for role in ("T1", "FLAIR", "T1c")}
    channels = np.stack([(v - v.mean()) / v.std() for v in volumes.values()]).astype(np.float32)
    slices = torch.from_numpy(channels.transpose(3, 0, 2, 1))  # (Z, C, Y, X)
    theirs = reference(width=4).requires_grad_(False)
    theirs.conv.weight *= 100
    theirs.conv.bias -= theirs(slices).mean()
    expected = (theirs(slices)[:, 0] >= 0).numpy().transpose(2, 1, 0)

    path = saved(tmp_path / "weights.pth", theirs.state_dict())
    spec = PreprocessingSpec(clip_percentiles=(0, 100), statistics="box", margin_voxels=0)
    import_weights(path, "unet_brain", **TOLD, preprocessing=spec)
    study = Study({role: volumes[role] for role in ("FLAIR", "T1c", "T1")}, Grid((32, 32, 3), affine()), name="head")
    found = segment(study, "mine", "cpu", min_lesion_mm3=0, precision="float32")
    assert 0.2 < expected.mean() < 0.8
    assert np.mean((found.data > 0) == expected) > 0.995
    assert found.known_regions == ("WT",)
    assert [row.key for row in measure_volumes(found).rows] == ["WT"]


def test_flipped_bits_of_a_file_that_torch_saved_never_change_a_weight(tmp_path):
    """torch itself does not compare the checksums of its zips."""
    whole = saved(tmp_path / "weights.pth", small_weights()).read_bytes()
    before = read_tensors(tmp_path / "weights.pth")
    random, refused = np.random.default_rng(0), 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[int(random.integers(len(whole)))] ^= 1 << int(random.integers(8))
        (tmp_path / "damaged.pth").write_bytes(damaged)
        try:
            after = read_tensors(tmp_path / "damaged.pth")
        except BrainTumorError:
            refused += 1
            continue
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert refused > 75


def test_an_archive_that_claims_several_disks_is_refused(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(3)}, path)
    content = bytearray(path.read_bytes())
    locator = content.rfind(b"PK\x06\x07")  # of the end of a zip64 archive, which torch writes
    content[locator + 16] = 9
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match="multiple disks"):
        read_tensors(path)


def test_a_file_of_weights_that_is_compressed_is_refused(tmp_path):
    path = saved(tmp_path / "weights.pth", small_weights())
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name))
    with pytest.raises(UnreadableFileError, match="is compressed"):
        read_tensors(tmp_path / "packed.pth")


def test_a_part_of_the_archive_that_is_marked_as_a_folder_is_refused(tmp_path):
    """torch would leave its tensor as memory happens to be."""
    path = tmp_path / "weights.pth"
    torch.save({"weight": torch.arange(8.0)}, path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02", 0, content.rindex(b"data/0"))
    content[entry + 38] |= 0x10
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match="marked as a folder"):
        read_tensors(path)
