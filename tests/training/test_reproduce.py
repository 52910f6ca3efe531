"""Published experiments on tiny phantoms: each as it is described, but for small networks and few steps."""

import csv
import json
import re
import shutil
from typing import get_args

import nibabel as nib
import numpy as np
import pytest
from curated_phantoms import head, write_data
from typer.testing import CliRunner

from napari_brain_tumor.errors import OptionError, TrainingError
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.requests.reproduce import ExperimentName, ReproduceRequest
from napari_brain_tumor_training.case_files import find_cases
from napari_brain_tumor_training.reproduce import experiment_names, planning, reproduce, reproduce_job
from napari_brain_tumor_training.reproduce.command import app
from napari_brain_tumor_training.reproduce.data import chosen, find_data, sides
from napari_brain_tumor_training.reproduce.experiment import experiment_named
from napari_brain_tumor_training.reproduce.schedule import Costs, Schedule, shortened

WHOLE = Schedule(training_cases=80, validation_cases=20, epochs=50, iterations_per_epoch=100)
COSTS = Costs(reading=1.0, step=0.5, network=2.0, scoring=10.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Volumes and slices as training tests have them, and beside them LGG-1p19q and BraTS-TCGA-LGG."""
    root = write_data(tmp_path_factory.mktemp("data"))
    for number in range(3):
        image, labels = head(20 + number)
        marked = np.zeros_like(labels)
        marked[:, :, 2:4] = labels[:, :, 2:4] > 0
        write_case(
            root / "tcia" / "1p19q" / f"LGG-{number + 1:03d}",
            f"LGG-{number + 1:03d}_",
            {"T1": image, "T2": image},
            marked,
        )
        image, labels = head(30 + number)
        name = f"TCGA-CS-494{number}_1996.09.02_"
        files = {"t1": image, "t1Gd": image, "t2": image, "flair": image}
        write_case(root / "tcia" / f"TCGA-CS-494{number}", name, files, np.choose(labels, [0, 2, 1, 4]), "GlistrBoost")
    return root


def write_case(folder, start, images, labels, truth="seg"):
    folder.mkdir(parents=True)
    for name, array in (images | {truth: labels}).items():
        nib.save(nib.Nifti1Image(array.astype(np.uint8), np.eye(4)), folder / f"{start}{name}.nii.gz")


@pytest.fixture
def small(monkeypatch):
    """The experiments with networks of four features, small windows and two steps."""

    def described(name):
        experiment = experiment_named(name)
        networks = tuple(network.model_copy(update={"arguments": {"width": 4}}) for network in experiment.networks)
        patch = [8, 32, 32] if len(experiment.recipe["patch"]) == 3 else [64, 64]
        # With channels last, torch 2.13 frees memory twice in the backward pass of so narrow a ResUNet++.
        optimisation = {
            "epochs": 2,
            "iterations_per_epoch": 1,
            "batch": 2,
            "precision": "float32",
            "channels_last": False,
        }
        recipe = {**experiment.recipe, "patch": patch, "optimisation": optimisation}
        methods = tuple(method for method in experiment.methods if method != "atlas")  # a second for each case
        return experiment.model_copy(update={"networks": networks, "recipe": recipe, "methods": methods})

    monkeypatch.setattr(planning, "experiment_named", described)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("unet-vs-classical", "volumes"),
        pytest.param("u2net-t1-t2", "tcia", marks=pytest.mark.slow),
        pytest.param("three-networks-lgg", "slices", marks=pytest.mark.slow),
        ("unet3d-patches", "volumes"),
    ],
)
def test_every_experiment_runs_to_a_page_with_curves_table_and_masks(small, data, tmp_path, name, folder):
    result = reproduce(name, data / folder, tmp_path, device="cpu")
    experiment = experiment_named(name)
    titles = [network.title for network in experiment.networks]
    assert list(result.results) == titles
    for title in titles:
        history = result.results[title].history
        assert [row["epoch"] for row in history] == [1, 2]
        assert {"loss", "validation loss", "train WT"} <= set(history[0])
        assert any(key.endswith(" WT") and not key.startswith("train") for key in history[0])
    page = result.page.read_text(encoding="utf-8")
    assert page.count('<img src="data:image/png;base64,') == len(titles) + 2
    assert "http://" not in page
    assert "https://" not in page
    assert all(title in page for title in titles)
    assert "Shortened" not in page
    scores = rows_of(tmp_path / "scores" / "scores.csv")
    validation = {row["case"] for row in rows_of(tmp_path / "split.csv") if row["split"] == "val"}
    assert {row["case"] for row in scores} == validation
    assert {row["model"] for row in scores} == {*titles, *(set(experiment.methods) - {"atlas"})}
    document = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert document["experiment"] == name
    assert document["weights_sha256"][titles[0]] == result.results[titles[0]].model.card.weights_sha256


def test_only_marked_slices_of_1p19q_are_learned_from(data):
    experiment = experiment_named("u2net-t1-t2")
    root = data / "tcia"
    sets = find_data(experiment, root)
    assert [(s.data.dataset, s.format, len(s.cases)) for s in sets] == [
        ("LGG-1p19q", "lgg-1p19q", 3),
        ("BraTS-TCGA-LGG", "brats", 3),
    ]
    cases = sides(experiment, sets, None)
    (root / "sides.csv").write_text(
        "dataset,case,patient,split\n" + "".join(f"{c.dataset},{c.case},{c.patient},{c.split}\n" for c in cases)
    )
    sources = tuple(s.source(root, "keep") for s in sets)
    config = experiment.config_of(experiment.networks[0], sources, root / "sides.csv")
    opened = next(case for case in find_cases(config, root) if case.name == "LGG-001").open()
    assert list(np.flatnonzero(opened.known.any(axis=(0, 1)))) == [2, 3]
    assert opened.truth.known_regions == ("WT",)
    assert opened.study.roles == ("T1c", "T2")


@pytest.mark.slow
def test_a_reproduction_that_was_stopped_goes_on(small, data, tmp_path):
    request = ReproduceRequest(name="three-networks-lgg", data=data / "slices", device="cpu")
    job = reproduce_job(request, tmp_path)
    for progress in job:
        if progress.message.startswith("ResUNet-a: epoch 2"):
            break
    job.close()
    assert not (tmp_path / "reproduction.html").exists()
    plan, first = (tmp_path / "plan.json").read_text(), (tmp_path / "runs/unet/unet/weights.safetensors").read_bytes()
    result = run_job(reproduce_job(request, tmp_path))
    assert result.page.is_file()
    assert (tmp_path / "plan.json").read_text() == plan
    assert (tmp_path / "runs/unet/unet/weights.safetensors").read_bytes() == first
    with pytest.raises(TrainingError, match=r"holds another reproduction.*Choose another folder"):
        reproduce("three-networks-lgg", data / "slices", tmp_path, device="cpu", budget=3)


def test_a_budget_is_kept_and_said_on_the_page(small, data, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_costs_job", lambda setup: iter_costs(COSTS))
    result = reproduce("unet3d-patches", data / "volumes", tmp_path, device="cpu", budget=0.05)
    assert result.plan.is_shortened
    page = result.page.read_text(encoding="utf-8")
    assert "Shortened: 1 case for training, 1 for validation; 1 epoch of 1 step;" in page
    assert "0.05 minutes" in page


def iter_costs(costs):
    return costs
    yield


def test_a_case_that_cannot_be_read_is_left_out_and_said(small, data, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_costs_job", lambda setup: iter_costs(COSTS))
    folder = tmp_path / "volumes"
    shutil.copytree(data / "volumes", folder)
    (folder / "imagesTr" / "volume_0.nii.gz").write_bytes(b"ruined")
    table = tmp_path / "sides.csv"
    sides_of = {"volume_0": "train", "volume_1": "train", "volume_2": "val"}
    lines = [f"volumes,{name},{name},{side}" for name, side in sides_of.items()]
    table.write_text("\n".join(["dataset,case,patient,split", *lines]))
    result = reproduce("unet3d-patches", folder, tmp_path / "out", device="cpu", split=table, epochs=1)
    assert list(result.plan.refused) == ["gliomas volume_0"]
    assert "gliomas volume_0 was left out" in result.page.read_text(encoding="utf-8")


def test_data_that_are_not_there_are_a_message_that_says_what_is_needed(data, tmp_path):
    with pytest.raises(TrainingError, match=r"holds none of the data of three-networks-lgg.*kaggle_3m"):
        reproduce("three-networks-lgg", data / "volumes", tmp_path)
    with pytest.raises(TrainingError, match="is not a folder"):
        reproduce("three-networks-lgg", data / "nowhere", tmp_path)
    with pytest.raises(OptionError, match=r"name is 'x': .*'three-networks-lgg', 'u2net-t1-t2'"):
        reproduce("x", data, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_patient_is_on_one_side_and_the_sides_are_always_alike():
    experiment = experiment_named("three-networks-lgg")
    assert experiment.patients_of_sides(110) == (100, 10)
    assert experiment.patients_of_sides(88) == (80, 8)
    assert experiment.patients_of_sides(2) == (1, 1)


def test_sides_are_by_patient(data):
    experiment = experiment_named("unet-vs-classical")
    sets = find_data(experiment, data / "volumes")
    cases = sides(experiment, sets, None)
    assert sides(experiment, sets, None) == cases
    assert sorted(case.split for case in cases) == ["train", "train", "val"]
    fewer = chosen(cases, 1, 1)
    assert sorted(case.split for case in fewer) == ["left out", "train", "val"]


@pytest.mark.parametrize("minutes", [0.1, 2, 5, 20, 60])
def test_a_shortened_schedule_keeps_to_its_budget(minutes):
    part = shortened(WHOLE, COSTS, minutes)
    assert part.training_cases >= 1
    assert part.validation_cases >= 1
    assert part.epochs >= 1
    assert part.iterations_per_epoch >= 1
    least = Schedule(training_cases=1, validation_cases=1, epochs=1, iterations_per_epoch=1).seconds(COSTS)
    assert part.seconds(COSTS) <= max(60 * minutes, least) * 1.05
    if minutes >= 2:
        assert part.seconds(COSTS) > 0.5 * 60 * minutes


@pytest.mark.parametrize("minutes", [4, 6, 8, 15, 30])
@pytest.mark.parametrize("step", [0.5, 4.0, 16.0])
def test_a_small_budget_goes_to_training_in_epochs_that_are_worth_their_name(minutes, step):
    costs = Costs(reading=1.0, step=step, network=4.0, scoring=20.0)
    part = shortened(WHOLE, costs, minutes)
    trained = part.epochs * part.iterations_per_epoch * step
    assert trained >= 0.45 * 60 * minutes
    assert part.epochs == 1 or part.iterations_per_epoch >= 10
    assert part.epochs <= 10 or part.iterations_per_epoch == WHOLE.iterations_per_epoch
    assert part.validation_cases * (costs.network + costs.scoring) <= 0.15 * 60 * minutes


def test_what_fits_into_the_budget_is_not_shortened():
    assert shortened(WHOLE, COSTS, 1000) == WHOLE


def test_the_command_says_the_cost_alone_and_writes_nothing(small, data, tmp_path):
    out = tmp_path / "out"
    arguments = ["unet3d-patches", str(data / "volumes"), "-o", str(out), "--device", "cpu", "--estimate"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert re.search(r"2 cases for training, 1 for validation; 2 epochs\s+of 1 step; less than a minute", result.output)
    assert not out.exists()


def test_the_command_names_the_experiments(tmp_path):
    result = CliRunner().invoke(app, ["nothing", str(tmp_path), "-o", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert all(name in " ".join(result.output.split()) for name in get_args(ExperimentName))
    assert get_args(ExperimentName) == experiment_names()
