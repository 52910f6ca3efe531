import hashlib
import json
import resource
import time
import zipfile

import numpy as np
import pytest
import torch

from models_for_tests import card, tiny_model
from napari_brain_tumor.errors import CheckpointError, SaveError
from napari_brain_tumor.models.bounds import MOST_PARAMETERS, arguments_beyond_bounds
from napari_brain_tumor.models.cards import find_model, list_models, models_folder
from napari_brain_tumor.models.checkpoint import load_network, shapes_of
from napari_brain_tumor.models.manifest import WEIGHTS_FILE
from napari_brain_tumor.models.packages import export_package, import_package
from napari_brain_tumor.models.registry import CONFIGURATIONS, count_parameters
from napari_brain_tumor.models.tensor_shapes import read_shapes


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))


@pytest.fixture
def packed(tmp_path):
    model, _ = tiny_model(tmp_path / "tiny")
    return model, export_package(model, tmp_path / "tiny.zip")


def repacked(path, changes):
    """A copy of the package with some entries changed, added, or taken away (None)."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()} | changes
    other = path.with_name("other.zip")
    with zipfile.ZipFile(other, "w") as archive:
        for name, content in entries.items():
            if content is not None:
                archive.writestr(name, content)
    return other


def nothing_installed():
    return not any(not model.bundled for model in list_models()) and not list(models_folder().glob("*"))


def test_a_model_comes_back_from_its_package_the_same(packed):
    model, path = packed
    installed = import_package(path)
    assert find_model("tiny").folder == installed.folder == models_folder() / "tiny"
    assert installed.card == model.card
    one, two = load_network(model).state_dict(), load_network(installed).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert [entry.name for entry in models_folder().iterdir()] == ["tiny"]


def test_a_package_tells_its_hashes_as_sha256sum_reads_them(packed):
    _, path = packed
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["SHA256SUMS", "card.json", "weights.safetensors"]
        for line in archive.read("SHA256SUMS").decode().splitlines():
            digest, name = line.split("  ")
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest


def test_the_same_model_gives_the_same_bytes(packed, tmp_path):
    model, path = packed
    assert export_package(model, tmp_path / "again.zip").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights.safetensors": b"other"}, "is not what was packed"),
        ({"card.json": b"{}"}, "is not what was packed"),
        ({"SHA256SUMS": b"abc"}, "does not list the hashes"),
        ({"SHA256SUMS": None}, "is not a package of a model"),
        ({"../evil.txt": b"x"}, "is not a package of a model"),
    ],
)
def test_a_package_that_was_changed_installs_nothing(packed, changes, message):
    _, path = packed
    with pytest.raises(CheckpointError, match=message):
        import_package(repacked(path, changes))
    assert nothing_installed()


def test_weights_that_do_not_fit_the_card_install_nothing_even_with_right_hashes(packed, tmp_path):
    model, path = packed
    other, _ = tiny_model(tmp_path / "other", arguments={"width": 6, "levels": 3})
    weights = (other.folder / "weights.safetensors").read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    card = model.card.model_copy(update={"weights_sha256": digest}).model_dump_json().encode()
    sums = f"{hashlib.sha256(card).hexdigest()}  card.json\n{digest}  weights.safetensors\n".encode()
    with pytest.raises(CheckpointError, match="do not fit"):
        import_package(repacked(path, {"weights.safetensors": weights, "card.json": card, "SHA256SUMS": sums}))
    assert nothing_installed()


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_what_is_no_zip_is_refused(tmp_path, content):
    path = tmp_path / "no.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"cannot be read as a zip|There is no file"):
        import_package(path)


def test_a_truncated_package_is_refused(packed):
    _, path = packed
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="cannot be read as a zip"):
        import_package(path)
    assert nothing_installed()


def test_a_name_that_is_taken_needs_another_or_leave_to_replace(packed):
    _, path = packed
    import_package(path)
    with pytest.raises(CheckpointError, match="A model called tiny is installed"):
        import_package(path)
    assert import_package(path, name="second").card.name == "second"
    assert find_model("second").card.name == "second"
    assert import_package(path, replace=True).name == "tiny"


@pytest.mark.parametrize(
    ("name", "message"), [("unet", "comes with the package"), ("../x", "cannot be a model's name")]
)
def test_names_of_bundled_models_and_paths_are_refused(packed, name, message):
    _, path = packed
    with pytest.raises(CheckpointError, match=message):
        import_package(path, name=name)


def test_a_damaged_model_is_not_handed_on(packed, tmp_path):
    model, _ = packed
    weights = model.folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(CheckpointError, match="changed or damaged"):
        export_package(model, tmp_path / "damaged.zip")
    assert not (tmp_path / "damaged.zip").exists()


def test_a_package_is_a_zip_by_name(packed, tmp_path):
    model, _ = packed
    with pytest.raises(SaveError, match=r"choose tiny\.zip"):
        export_package(model, tmp_path / "tiny.tar")


def test_a_model_whose_replacement_was_killed_is_in_the_list_and_nothing_is_left(packed, tmp_path):
    import_package(packed[1])
    home = models_folder()
    scratch = home / ".scratch-killed"
    scratch.mkdir()
    # As a kill between the two renames leaves it: the old model taken away, the new one not there yet.
    (scratch / "name.txt").write_text("tiny", encoding="utf-8")
    (scratch / ".lock").touch()
    (home / "tiny").rename(scratch / "old")
    assert "tiny" in {model.name for model in list_models()}
    load_network(find_model("tiny"))
    assert [path.name for path in home.iterdir()] == ["tiny"]


def test_what_a_killed_import_left_goes_at_the_next_start(packed, tmp_path):
    home = models_folder()
    scratch = home / ".scratch-killed"
    (scratch / "model").mkdir(parents=True)
    (scratch / "model" / "weights.safetensors").write_bytes(b"half")
    (scratch / ".lock").touch()
    list_models()
    assert list(home.iterdir()) == []


# What a package may ask for ------------------------------------------------------------------------------------------


def package_of(path, card, weights, method=zipfile.ZIP_DEFLATED):
    """A zip with right hashes, whatever is in it."""
    sums = "".join(f"{hashlib.sha256(x).hexdigest()}  {n}\n" for n, x in (("card.json", card), (WEIGHTS_FILE, weights)))
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in (("SHA256SUMS", sums.encode()), ("card.json", card), (WEIGHTS_FILE, weights)):
            archive.writestr(name, content)
    return path


def card_bytes(weights=b"", **changes):
    entries = card(**changes).model_dump(mode="json") | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
    return json.dumps(entries).encode()


def unchecked(**entries):
    """A card that the package itself would not write."""
    return json.dumps(json.loads(card_bytes()) | entries).encode()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"arguments": {"width": 4096}}, "asks for width 4096"),
        ({"arguments": {"width": 8, "levels": 500}}, "asks for levels 500"),
        ({"arguments": {"width": -1}}, "asks for width -1"),
        ({"arguments": {"width": 8, "levels": 3, "norm": ["x" * 9]}}, "norm that is a str"),
        ({"architecture": "residual_unet", "arguments": {"blocks": [1] * 400}}, "blocks with 400 entries"),
        ({"architecture": "residual_unet", "arguments": {"blocks": [10**6, 1]}}, "asks for blocks 1e.06"),
        ({"arguments": {"width": {"a": 1}}}, "width that is a dict"),
        ({"arguments": {f"a{k}": 1 for k in range(99)}}, "99 arguments"),
        ({"roles": ["T1"] * 5000}, "at most 16 items"),
        ({"regions": ["WT"] * 50}, "at most 3 items"),
        ({"parameters": 10**15}, "less than or equal"),
        ({"members": [{}] * 999}, "members"),
        ({"preprocessing": {"plane_spacing_mm": 0.001}}, "greater than or equal to 0.2"),
        ({"preprocessing": {"margin_voxels": 10**9}}, "less than or equal to 512"),
        ({"arguments": {"width": 512, "levels": 8}}, "more than 1,000,000,000 parameters"),
        ({"architecture": "residual_unet", "arguments": {"blocks": []}}, "does not take the arguments"),
    ],
)
def test_a_card_that_asks_for_more_than_any_network_is_refused_before_weights_are_unpacked(tmp_path, entries, message):
    path = package_of(tmp_path / "p.zip", unchecked(**entries), b"x" * 100)
    with pytest.raises(CheckpointError, match=message):
        import_package(path)
    assert nothing_installed()


def peak_growth_mb(work):
    """By how much the process grew at most, in MiB, while `work` was refused."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError) as refused:
        work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, str(refused.value)


def test_a_small_zip_that_unpacks_to_gigabytes_is_refused_at_once(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("SHA256SUMS", f"{'0' * 64}  card.json\n{'0' * 64}  weights.safetensors\n")
        archive.writestr("card.json", card_bytes())
        with archive.open("weights.safetensors", "w", force_zip64=True) as entry:
            for _ in range(64):
                entry.write(bytes(2**22))
    assert path.stat().st_size < 2**20
    start = time.monotonic()
    grown, message = peak_growth_mb(lambda: import_package(path))
    assert "no weights do" in message
    assert (time.monotonic() - start) < 2
    assert grown < 50
    assert nothing_installed()


def test_weights_larger_than_the_network_of_the_card_are_not_unpacked(tmp_path):
    weights = np.random.default_rng(0).bytes(60 * 2**20)  # noise, as weights are: no ratio tells it
    path = package_of(tmp_path / "large.zip", card_bytes(weights), weights, zipfile.ZIP_STORED)
    with pytest.raises(CheckpointError, match="the network that its card describes has"):
        import_package(path)
    assert nothing_installed()


def test_a_card_of_megabytes_is_not_read(tmp_path):
    path = package_of(tmp_path / "p.zip", b" " * (5 * 2**20), b"x")
    with pytest.raises(CheckpointError, match="more than any model"):
        import_package(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_ways_of_packing_are_refused_and_deflated_packages_are_taken(packed, tmp_path, method):
    model, _ = packed
    parts = [(model.folder / name).read_bytes() for name in ("card.json", "weights.safetensors")]
    with pytest.raises(CheckpointError, match="is not packed as"):
        import_package(package_of(tmp_path / "p.zip", *parts, method=method))
    assert import_package(package_of(tmp_path / "q.zip", *parts)).name == "tiny"


def test_flipped_bits_of_a_deflated_package_are_refused_with_a_message(packed, tmp_path):
    model, _ = packed
    parts = [(model.folder / name).read_bytes() for name in ("card.json", "weights.safetensors")]
    whole = package_of(tmp_path / "p.zip", *parts).read_bytes()
    random = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[int(random.integers(len(whole)))] ^= 1 << int(random.integers(8))
        (tmp_path / "d.zip").write_bytes(damaged)
        try:
            installed = import_package(tmp_path / "d.zip", replace=True)
        except CheckpointError:
            continue
        assert (installed.folder / "weights.safetensors").read_bytes() == parts[1]


def header(**tensors):
    text = json.dumps({name: {"dtype": "F16", "shape": s, "data_offsets": [0, 0]} for name, s in tensors.items()})
    return len(text).to_bytes(8, "little") + text.encode()


def test_shapes_are_compared_before_memory_is_taken(tmp_path):
    model, _ = tiny_model(tmp_path / "tiny")
    path = model.folder / "weights.safetensors"
    assert read_shapes(path) == shapes_of(model.card)
    # A head that promises gigabytes, of which the file has nothing.
    path.write_bytes(header(**{"head.weight": [2**20, 2**12]}))
    grown, message = peak_growth_mb(lambda: load_network(model))
    assert "head.weight is 1048576x4096 in the file and 3x4x1x1 by the card" in message
    assert grown < 50


@pytest.mark.parametrize(
    "content",
    [b"", b"short", (2**40).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]", header(a="x")],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    model, _ = tiny_model(tmp_path / "tiny")
    (model.folder / "weights.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_network(model)


def test_shipped_models_lie_within_the_bounds():
    for model in list_models():
        assert read_shapes(model.folder / "weights.safetensors") == shapes_of(model.card)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_network_that_has_a_name_lies_within_the_bounds(name):
    assert arguments_beyond_bounds(CONFIGURATIONS[name].arguments) == ""
    assert count_parameters(name, 4, 3, 3) < MOST_PARAMETERS
