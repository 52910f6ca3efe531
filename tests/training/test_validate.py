import csv

import pytest
from curated_phantoms import write_data
from typer.testing import CliRunner

from models_for_tests import tiny_model
from napari_brain_tumor.models.cards import read_card
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import ROLES
from napari_brain_tumor_training.__main__ import app, validation_app
from napari_brain_tumor_training.config import read_config
from napari_brain_tumor_training.validate import CaseDice, summarise, validate


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def test_only_validation_cases_are_scored_from_the_roles_they_have(data, tmp_path):
    model, _ = tiny_model(tmp_path / "tiny")
    scores = run_job(validate(read_config(data / "recipe.toml"), data, model, [ROLES, ("T2",)], device="cpu"))
    found = {(s.dataset, s.name, s.subset, s.roles) for s in scores}
    assert found == {
        ("volumes", "volume_2", ROLES, ROLES),
        ("volumes", "volume_2", ("T2",), ("T2",)),
        ("slices", "TCGA_AA_0002_19990101", ROLES, ("T1", "T1c", "FLAIR")),
    }
    assert all(set(s.dice) == ({"WT", "TC", "ET"} if s.dataset == "volumes" else {"WT"}) for s in scores)


def test_means_are_over_the_cases_of_a_set_and_subset():
    scores = [
        CaseDice("a", "1", ROLES, ROLES, False, {"WT": 0.5}),
        CaseDice("a", "2", ROLES, ("FLAIR",), False, {"WT": 1.0}),
        CaseDice("a", "2", ("FLAIR",), ("FLAIR",), False, {"WT": 1.0}),
    ]
    means = {(m.dataset, tuple(m.roles)): (m.cases, m.mean_dice["WT"]) for m in summarise(scores)}
    assert means == {("a", ROLES): (2, 0.75), ("a", ("FLAIR",)): (1, 1.0)}


def test_the_command_writes_rows_and_the_card(data, tmp_path):
    model, _ = tiny_model(tmp_path / "tiny")
    out = tmp_path / "dice.csv"
    arguments = [str(data / "recipe.toml"), "--data", str(data), "--model", str(model.folder), "--device", "cpu"]
    result = CliRunner().invoke(validation_app, [*arguments, "-o", str(out), "--update-card", "--roles", "t1c,flair"])
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(out.open()))
    assert {row["asked"] for row in rows} == {"T1c+FLAIR"}
    metrics = read_card(model.folder).metrics
    assert {m.dataset for m in metrics} == {"volumes", "slices"}
    assert read_card(model.folder).weights_sha256 == model.card.weights_sha256


def test_wrong_roles_and_recipes_are_messages_not_tracebacks(data, tmp_path):
    assert CliRunner().invoke(validation_app, [str(data / "recipe.toml"), "--roles", "PD"]).exit_code == 2
    result = CliRunner().invoke(app, [str(tmp_path / "absent.toml")])
    assert result.exit_code == 1
    assert "cannot be read" in result.output
    assert "Traceback" not in result.output
