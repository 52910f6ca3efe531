"""`brain-tumor models ...` as people call it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models_for_tests import lively, tiny_model
from napari_brain_tumor import cli
from napari_brain_tumor.cli import models as command
from napari_brain_tumor.models.cards import models_folder, read_card
from napari_brain_tumor.models.registry import CONFIGURATIONS
from reference_networks import BrainUNetReference

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process: exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["models", *map(str, arguments)])
        out, err = capfd.readouterr()
        return int(stopped.value.code or 0), out, err

    return call


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": lively(BrainUNetReference(3, 1, 4), 0).state_dict()}, path)
    return path


TOLD = ("--architecture", "unet_brain", "--name", "mine", "--roles", "T1,FLAIR,T1c", "--regions", "WT")
TERMS = ("--licence", "CC BY 4.0", "--origin", "a test")


def row(table: str, name: str) -> list[str]:
    return next(line for line in table.splitlines() if line.split()[:1] == [name]).split()


def test_count_prints_every_configuration_with_the_published_numbers(run: Run) -> None:
    code, out, err = run("count", "--in", 3, "--out", 1)
    assert (code, err) == (0, "")
    assert all(row(out, name) for name in CONFIGURATIONS)
    assert row(out, "unet_2015")[-6:-3] == ["2D", "31,037,633", "11,776"]
    assert row(out, "u2net")[-6:] == ["2D", "44,009,869", "28,800", "131,943,181", "in", "3D"]
    assert row(out, "unet_brain")[-6:-3] == ["2D", "7,763,041", "5,888"]
    assert row(out, "resunet_plus_plus")[-6:-3] == ["2D", "4,062,993", "7,392"]
    assert row(out, "unet3d_cicek")[-6] == "3D"


def test_count_for_given_dims_shows_those_alone(run: Run) -> None:
    _, out, _ = run("count", "--in", 4, "--out", 4, "--dims", 2)
    assert row(out, "unet_brain")[-3:] == ["2D", "7,763,428", "5,888"]
    assert row(out, "residual_unet")[-3] == "2D"
    assert "3D 2" not in out
    assert run("count", "--dims", 4)[0] == 2


def test_list_is_what_the_bare_command_prints(run: Run) -> None:
    assert run() == run("list")
    assert row(run("list")[1], "unet")[1:3] == ["unet", "2D"]


def test_show_says_what_the_network_is_and_how_it_differs_from_the_published_one(run: Run) -> None:
    shown = " ".join(run("show", "unet")[1].split())
    assert "own size" in shown
    assert "Ronneberger 2015" in shown
    assert "zero padding" in shown
    deep = " ".join(run("show", "unet3d")[1].split())
    assert "brains without skull, slices of up to 2 mm, at least 32 mm in all directions" in deep
    assert "size u2netp" in " ".join(run("list")[1].split())


def test_an_imported_model_is_listed_shown_and_removed(run: Run, weights: Path) -> None:
    code, out, err = run("import", weights, *TOLD, *TERMS, "--clip", "10,99", "--statistics", "box", "--margin", 0)
    assert (code, err) == (0, "")
    assert "Installed mine: 122,093 parameters" in out
    card = read_card(models_folder() / "mine")
    assert (card.licence, card.origin) == ("CC BY 4.0", "a test")
    assert (card.preprocessing.clip_percentiles, card.preprocessing.statistics) == ((10, 99), "box")
    assert card.preprocessing.margin_voxels == 0
    assert row(run("list")[1], "mine")[1:3] == ["unet", "2D"]
    shown = run("show", "mine")[1]
    for text in (
        "CC BY 4.0",
        "a test",
        "width 4",
        "T1 FLAIR T1c",
        card.source_sha256,
        "percentiles 10 to 99 of its box",
    ):
        assert text in shown
    code, _, err = run("remove", "mine")
    assert code == 1
    assert "--yes" in err
    assert run("remove", "mine", "--yes")[:2] == (0, "Removed mine\n")
    assert not (models_folder() / "mine").exists()


@pytest.mark.parametrize("missing", ["--licence", "--origin"])
def test_licence_and_origin_have_to_be_told_where_nobody_can_be_asked(run: Run, weights: Path, missing: str) -> None:
    at = TERMS.index(missing)
    code, _, err = run("import", weights, *TOLD, *TERMS[:at], *TERMS[at + 2 :])
    assert code == 2
    assert missing in err
    assert not models_folder().exists()


def test_licence_and_origin_are_asked_for_at_a_terminal(
    run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"Licence of the weights": "MIT", "Origin of the weights": "a friend"}
    monkeypatch.setattr(command.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(command.typer, "prompt", answers.__getitem__)
    assert run("import", weights, *TOLD)[0] == 0
    card = read_card(models_folder() / "mine")
    assert (card.licence, card.origin) == ("MIT", "a friend")


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        (("--roles", "CT,T1,T2"), 2, "CT"),
        (("--clip", "99,10"), 2, "percentiles"),
        (("--scaling", "strange"), 2, "zscore"),
        (("--architecture", "u2net"), 1, "They are those of unet_brain"),
        (("--name", "threshold"), 1, "method without weights"),
        (("--name", "unet"), 1, "ships with this package"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_message(
    run: Run, weights: Path, changes: tuple[str, str], code: int, text: str
) -> None:
    found, out, err = run("import", weights, *TOLD, *TERMS, *changes)
    assert (found, out) == (code, "")
    assert text in err
    assert "Traceback" not in err
    assert not models_folder().exists()


@pytest.mark.slow
def test_export_writes_network_and_card_and_replaces_only_if_asked_for(run: Run, tmp_path: Path) -> None:
    tiny_model(models_folder() / "tiny")
    code, out, _ = run("export", "tiny", "--format", "torch-export", "--sides", "16x24")
    assert (code, out) == (0, "Wrote tiny.pt2\nWrote tiny.json\n")
    assert json.loads((tmp_path / "tiny.json").read_text())["input"]["shape"] == ["any", 4, 16, 24]
    code, _, err = run("export", "tiny", "--format", "torch-export")
    assert (code, "already exists" in err) == (1, True)
    assert run("export", "tiny", "--format", "torch-export", "--overwrite")[0] == 0
    assert run("export", "tiny", "--format", "torch-export", "--sides", "big")[0] == 2


def test_a_model_is_handed_on_as_a_zip(run: Run, tmp_path: Path) -> None:
    tiny_model(models_folder() / "tiny")
    assert run("export", "tiny", "--format", "zip")[:2] == (0, "Wrote tiny.zip\n")
    assert "already exists" in run("export", "tiny", "--format", "zip")[2]
    code, out, _ = run("import", "tiny.zip", "--name", "copy")
    assert (code, "--model copy" in out) == (0, True)
    assert (models_folder() / "copy" / "weights.safetensors").read_bytes() == (
        models_folder() / "tiny" / "weights.safetensors"
    ).read_bytes()
    assert "installed" in run("import", "tiny.zip", "--name", "copy")[2]
    assert "method without weights" in run("import", "tiny.zip", "--name", "threshold")[2]
    damaged = bytearray((tmp_path / "tiny.zip").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "tiny.zip").write_bytes(damaged)
    assert run("import", "tiny.zip", "--name", "third")[0] == 1
    assert not (models_folder() / "third").exists()


def test_unknown_names_are_told(run: Run) -> None:
    for what in ("show", "export", "remove"):
        code, _, err = run(what, "nothing")
        assert (code, "No model is called 'nothing'" in err) == (1, True)
    code, _, err = run("remove", "unet")
    assert (code, "ships with the package" in err) == (1, True)


def test_methods_without_weights_are_listed_apart_and_shown(run: Run) -> None:
    listed = run("list")[1]
    assert listed.index("unet") < listed.index("Methods without weights (baselines)") < listed.index("region_growing")
    shown = run("show", "region_growing")[1]
    for text in ("Region growing (baseline, no training)", "--seed x,y,z", "doi:10.1109/34.295913"):
        assert text in shown
