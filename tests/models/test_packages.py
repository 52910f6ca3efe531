import hashlib
import zipfile

import pytest
import torch

from models_for_tests import tiny_model
from napari_brain_tumor.errors import CheckpointError, SaveError
from napari_brain_tumor.models.cards import find_model, list_models, models_folder
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.models.packages import export_package, import_package


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
        ({"SHA256SUMS": b"abc"}, "does not tell the hashes"),
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
