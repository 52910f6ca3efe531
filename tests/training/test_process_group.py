"""Two processes on one machine, as torchrun starts them, against one."""

import csv
import os
import socket
import subprocess
import sys

import pytest
import torch
from curated_phantoms import RECIPE, write_data
from training_cases import prepared, recipe

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.models.cards import read_card
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.progress import run_job
from napari_brain_tumor_training.config import read_config
from napari_brain_tumor_training.fit import fit
from napari_brain_tumor_training.process_group import ProcessGroup, joined
from napari_brain_tumor_training.sampling import sampler_for
from napari_brain_tumor_training.trainer import Trainer

CPU = torch.device("cpu")
# Instance norm, since there is no synchronised batch norm on CPUs: there each process would normalise by its own part.
NETWORK = 'architecture = "residual_unet"\narguments = { width = 4, blocks = [1, 1, 1], norm = "instance" }'


def write_recipe(data, name, *, batch, shards):
    text = RECIPE.replace('architecture = "unet"\narguments = { width = 4, levels = 3 }', NETWORK)
    assert NETWORK in text
    path = data / f"{name}.toml"
    path.write_text(text.replace("batch = 4\n", f"batch = {batch}\nshards = {shards}\naccumulation = 2\n"))
    return path


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def start(rank, port, arguments):
    variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    # Where a machine's own name leads nowhere, torch warns of that.
    environment |= {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "napari_brain_tumor_training", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run_of_two(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("two")
    recipe_file = write_recipe(data, "two", batch=2, shards=2)
    port = free_port()
    both = [start(rank, port, [recipe_file, "--data", data, "--out", out, "--device", "cpu"]) for rank in (0, 1)]
    try:
        told = [process.communicate(timeout=240)[0] for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], told
    return out, told


@pytest.mark.slow
def test_two_processes_give_the_loss_curve_of_one_with_the_doubled_batch(data, run_of_two, tmp_path):
    out, _ = run_of_two
    alone = run_job(fit(read_config(write_recipe(data, "one", batch=4, shards=2)), data, tmp_path, device="cpu"))
    rows = list(csv.DictReader((out / "history.csv").open()))
    assert len(rows) == len(alone.history) == 3
    for found, expected in zip(rows, alone.history, strict=True):
        for key in set(expected) - {"seconds"}:
            assert float(found[key]) == pytest.approx(expected[key], rel=1e-4, abs=1e-5), key
    one, two = load_network(alone.model).state_dict(), load_network_in(out).state_dict()
    assert set(one) == set(two)
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_the_first_of_two_processes_writes_and_speaks_for_both(run_of_two):
    out, told = run_of_two
    assert str(out / "tiny") in told[0].replace("\n", "")
    assert told[1].strip() == ""
    card = read_card(out / "tiny")
    assert card.training.cases == 4
    assert card.calibration
    assert (out / "report.md").is_file()


def load_network_in(out):
    from napari_brain_tumor.models.cards import find_model

    return load_network(find_model(out / "tiny"))


@pytest.mark.slow
def test_a_run_is_resumed_by_as_many_processes_as_began_it(data, run_of_two):
    out, _ = run_of_two
    config = read_config(write_recipe(data, "two", batch=2, shards=2))
    with pytest.raises(TrainingError, match="one of 2 processes, and 1 of them"):
        run_job(fit(config, data, out, device="cpu", resume=True))


@pytest.mark.parametrize(("shards", "batch"), [(3, 2), (1, 2), (8, 2)])
def test_batches_that_cannot_be_parted_are_refused(shards, batch):
    config = recipe(optimisation={"shards": shards, "batch": batch})
    with pytest.raises(TrainingError, match="multiple of the number of processes"):
        Trainer.start(config, config.optimisation, CPU, ProcessGroup(0, 2))


def test_shards_change_the_samples_and_not_their_number():
    losses = {}
    for shards in (None, 1, 2):
        config = recipe(optimisation={"shards": shards, "batch": 4, "epochs": 1})
        trainer = Trainer.start(config, config.optimisation, CPU)
        batches = list(trainer._batches(sampler_for(config, [prepared()])))
        assert len(batches) == 2 * (shards or 1)
        assert sum(len(batch.images) for batch, _ in batches) == 8
        losses[shards] = run_job(trainer.train_epoch(sampler_for(config, [prepared()])))["loss"]
    assert losses[None] == losses[1] != losses[2]


def test_items_are_shared_out_and_results_come_back_in_order():
    shares = [ProcessGroup(rank, 3).share("abcdefgh") for rank in range(3)]
    assert shares == [list("adg"), list("beh"), list("cf")]
    assert ProcessGroup().gathered(list("abc")) == list("abc")


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as (group, device):
        assert (group, device) == (ProcessGroup(0, 1), CPU)
        assert group.is_first
        assert group.agreed(True)
