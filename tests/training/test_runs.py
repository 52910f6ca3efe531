"""Whole runs: killed and resumed, stopped by signals, on full disks; and what they leave behind."""

import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from curated_phantoms import head, write_data
from typer.testing import CliRunner

from napari_brain_tumor import open_study, segment
from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.errors import SaveError, TrainingError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.models.cards import read_card
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor_training import run_state
from napari_brain_tumor_training.__main__ import app
from napari_brain_tumor_training.config import TrainConfig, read_config
from napari_brain_tumor_training.fit import fit, loaded_cases

EVERYTHING = {
    "elastic_probability": 0.3,
    "low_resolution_probability": 0.3,
    "lesion_mixing": 0.4,
    "blur_probability": 0.3,
}


def changed(config, **changes):
    """The recipe with some entries replaced; dicts replace entries of sections."""
    entries = config.model_dump(mode="json")
    for key, value in changes.items():
        entries[key] = {**entries[key], **value} if isinstance(value, dict) else value
    return TrainConfig.model_validate(entries)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


QUIET = {"save_minutes": 0, "sample_slices": 0, "report": False, "tensorboard": False}
"""Saved after every step; what is drawn and tabled of a run has tests of its own, and costs most of its time."""


@pytest.fixture(scope="module")
def config(data):
    """Every variation, momentum, average and scaler that a state must hold."""
    return changed(
        read_config(data / "recipe.toml"),
        validate_every=1,
        augmentation=EVERYTHING,
        optimisation={"deterministic": True, "accumulation": 2, "batch": 2, "learning_rate": 0.003},
        output=QUIET,
    )


@pytest.fixture(scope="module")
def whole(data, config, tmp_path_factory):
    """A run that nobody stopped, and what its folder held after every step and file."""
    folder = tmp_path_factory.mktemp("whole")
    moments = tmp_path_factory.mktemp("moments")
    kept = []
    job = fit(config, data, folder, device="cpu")
    while True:
        try:
            next(job)
        except StopIteration as finished:
            return folder, finished.value, kept
        if (folder / "state.pt").is_file():
            moment = moments / f"{len(kept):03d}"
            shutil.copytree(
                folder, moment, ignore=shutil.ignore_patterns("cache", "run.lock", "samples", "tensorboard")
            )
            kept.append(moment)


@pytest.fixture(scope="module")
def shown(data, config, tmp_path_factory):
    """A run with all that shows how it went."""
    folder = tmp_path_factory.mktemp("shown")
    shows = changed(config, output={"sample_slices": 2, "report": True, "tensorboard": True})
    return folder, run_job(fit(shows, data, folder, device="cpu"))


def bits(model):
    return load_network(model).state_dict()


def assert_same_run(one, two):
    first, second = bits(one.model), bits(two.model)
    assert all(torch.equal(first[name], second[name]) for name in first)
    for a, b in zip(one.history, two.history, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}


@pytest.mark.slow
def test_a_run_killed_at_any_step_resumes_to_the_same_bits(data, config, whole, tmp_path):
    _, result, moments = whole
    assert len(moments) > 12
    for moment in moments[:: len(moments) // 4]:
        folder = tmp_path / moment.name
        shutil.copytree(moment, folder)
        assert_same_run(run_job(fit(config, data, folder, device="cpu", resume=True)), result)
        final = [torch.load(place / "state.pt", weights_only=True) for place in (whole[0], folder)]
        assert all(torch.equal(final[0]["network"][name], final[1]["network"][name]) for name in final[0]["network"])


SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(int(sys.argv[4]))  # sums depend on how they are split
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.fit import fit
config = TrainConfig.model_validate_json(Path(sys.argv[1]).read_text())
for progress in fit(config, Path(sys.argv[2]), Path(sys.argv[3]), device="cpu"):
    print(progress.message, flush=True)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_a_run_that_resumes_to_the_same_bits(data, config, whole, tmp_path):
    (tmp_path / "config.json").write_text(config.model_dump_json())
    arguments = [tmp_path / "config.json", data, tmp_path / "run", torch.get_num_threads()]
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("epoch 2"):
            time.sleep(0.02)  # into the middle of a step, or of a file
            process.kill()
            break
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert_same_run(run_job(fit(config, data, tmp_path / "run", device="cpu", resume=True)), whole[1])


def test_a_closed_job_keeps_the_state_and_the_best_so_far(data, config, whole, tmp_path):
    job = fit(config, data, tmp_path, device="cpu")
    for progress in job:
        if progress.message.startswith("epoch 2") and progress.done > 1.6:
            break
    job.close()
    assert torch.load(tmp_path / "state.pt", weights_only=True)["iteration"] == 3
    best = read_card(tmp_path / "tiny")
    assert best.training.settings["weights_of_epoch"] == 1
    assert {m.dataset for m in best.metrics} == {"volumes", "slices"}
    assert (tmp_path / "tiny-last").is_dir()
    assert_same_run(run_job(fit(config, data, tmp_path, device="cpu", resume=True)), whole[1])


def command_of(data, folder):
    words = [data / "recipe.toml", "--data", data, "--device", "cpu", "--epochs", "500", "-o", folder]
    return [str(word) for word in words]


def send_after_the_first_epoch(folder, send):
    deadline = time.monotonic() + 90
    while not (folder / "history.csv").is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    send()


def assert_stopped_after_writing(folder, code, expected, told):
    assert code == expected, told
    assert "--resume" in told
    assert torch.load(folder / "state.pt", weights_only=True)["epoch"] >= 1
    assert read_card(folder / "tiny").training.epochs >= 1


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_sigterm_ends_the_command_with_its_code_after_writing(data, tmp_path):
    command = [sys.executable, "-m", "napari_brain_tumor_training", *command_of(data, tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        send_after_the_first_epoch(tmp_path, process.terminate)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert_stopped_after_writing(tmp_path, process.returncode, 143, told)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_the_command_with_its_code_after_writing(data, tmp_path):
    interrupt = partial(os.kill, os.getpid(), signal.SIGINT)
    sender = threading.Thread(target=send_after_the_first_epoch, args=(tmp_path, interrupt))
    sender.start()
    try:
        done = CliRunner().invoke(app, command_of(data, tmp_path))
    finally:
        sender.join()
    assert_stopped_after_writing(tmp_path, done.exit_code, 130, done.output)


def test_the_checkpoint_holds_the_best_weights_and_the_last_ones_lie_beside(data, whole):
    folder, result, _ = whole
    scores = [np.mean([v for k, v in row.items() if k.split()[0] in ("volumes", "slices")]) for row in result.history]
    best = int(np.argmax(scores)) + 1
    settings = result.model.card.training.settings
    assert settings["weights_of_epoch"] == best
    assert (folder / "tiny-last").is_dir() == (best != 3)
    told = {m.dataset: m.mean_dice for m in result.model.card.metrics}
    assert told["volumes"]["WT"] == result.history[best - 1]["volumes WT"]


def test_a_run_shows_its_history_curves_pictures_and_events(shown):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, result = shown
    rows = list(csv.DictReader((folder / "history.csv").open()))
    assert {"loss", "validation loss", "learning rate", "train WT", "volumes WT", "slices WT"} <= set(rows[0])
    assert sorted(path.name for path in (folder / "samples").iterdir()) == [f"epoch_000{n}.png" for n in (1, 2, 3)]
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    written = [event.value for event in events.Scalars("Dice_WT/volumes")]
    assert written == pytest.approx([row["volumes WT"] for row in result.history])
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3]
    losses = [event.value for event in events.Scalars("validation_loss")]
    assert losses == pytest.approx([row["validation loss"] for row in result.history])


def test_without_tensorboard_a_run_goes_on(data, config, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    run_job(fit(changed(config, output={"tensorboard": True}), data, tmp_path, device="cpu", epochs=1))
    assert not (tmp_path / "tensorboard").exists()


def fill_the_disk(monkeypatch, after):
    """Saving with torch fails from that time on as on a full disk, half-way through the file."""
    calls = []
    real = torch.save

    def save(content, path):
        calls.append(path)
        if len(calls) > after:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(content, path)

    monkeypatch.setattr(run_state.torch, "save", save)


@pytest.mark.parametrize("after", [0, 3, 6])
def test_a_full_disk_stops_the_run_with_the_reason_and_leaves_its_files_good(
    data, config, whole, tmp_path, monkeypatch, after
):
    fill_the_disk(monkeypatch, after)
    with pytest.raises(SaveError, match="No space left"):
        run_job(fit(config, data, tmp_path, device="cpu"))
    monkeypatch.undo()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert_same_run(run_job(fit(config, data, tmp_path, device="cpu", resume=True)), whole[1])


def test_a_full_disk_while_cases_are_prepared_is_told_and_mends(data, config, tmp_path, monkeypatch):
    def save(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", save)
    with pytest.raises(SaveError, match="No space left"):
        run_job(fit(config, data, tmp_path, device="cpu", epochs=1))
    monkeypatch.undo()
    assert run_job(fit(config, data, tmp_path, device="cpu", epochs=1)).history


def test_a_ruined_case_stops_the_run_with_its_name(data, config, tmp_path):
    copy = shutil.copytree(data, tmp_path / "data")
    ruined = copy / "volumes" / "imagesTr" / "volume_1.nii.gz"
    ruined.write_bytes(ruined.read_bytes()[:500])
    with pytest.raises(TrainingError, match="Case volume_1 of volumes cannot be trained on"):
        run_job(fit(config, copy, tmp_path / "run", device="cpu"))
    ruined.unlink()
    with pytest.raises(TrainingError, match="Case volume_1 of volumes cannot be read"):
        run_job(fit(config, copy, tmp_path / "run", device="cpu"))


def test_a_ruined_cache_is_made_again(data, config, tmp_path):
    first = run_job(loaded_cases(config, data, tmp_path))
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:300])
    again = run_job(loaded_cases(config, data, tmp_path))
    assert all(np.array_equal(a.channels, b.channels) for a, b in zip(first, again, strict=True))


def test_a_ruined_state_is_a_clear_error(data, config, whole, tmp_path):
    shutil.copytree(whole[2][3], tmp_path / "run")
    (tmp_path / "run" / "state.pt").write_bytes(b"PK")
    with pytest.raises(TrainingError, match="cannot be read"):
        run_job(fit(config, data, tmp_path / "run", device="cpu", resume=True))


def test_a_run_that_gets_no_better_ends_early(data, config, tmp_path):
    patient = changed(config, optimisation={"patience": 2, "epochs": 30, "learning_rate": 1e-12, "ema_decay": 0.99})
    result = run_job(fit(patient, data, tmp_path, device="cpu"))
    assert len(result.history) < 30
    best = result.model.card.training.settings["weights_of_epoch"]
    assert len(result.history) == best + 2


def test_a_3d_network_is_trained_validated_and_segments(data, config, tmp_path):
    volumes = changed(
        config,
        patch=[6, 24, 24],
        model={"architecture": "residual_unet", "dims": 3, "arguments": {"width": 4, "blocks": [1, 1, 1, 1]}},
    )
    result = run_job(fit(volumes, data, tmp_path, device="cpu", epochs=2))
    assert "volumes WT" in result.history[0]
    study = open_study(data / "volumes" / "imagesTr" / "volume_2.nii.gz")
    assert segment(study, result.model.folder, "cpu").data.shape == study.grid.shape


def test_curated_cases_are_trained_on_where_they_are_known(config, tmp_path):
    dataset = CuratedDataset.create(tmp_path / "curated")
    grid = Grid((40, 44, 6), np.diag([-1, -1, 2, 1]))
    for number, (state, split) in enumerate(
        [("accepted", "train"), ("accepted", "val"), ("rejected", "train"), ("accepted", "train")]
    ):
        image, labels = head(number)
        study = Study({"FLAIR": image, "T1c": image // 2}, grid, name=f"case{number}")
        truth = Segmentation(labels, grid, name=study.name, known_regions=("WT", "TC"))
        slices = [2, 3] if number == 3 else None
        others = [case.id for case in dataset.cases()]
        dataset.add(
            study,
            truth,
            patient=f"P{number}",
            state=state,
            split=split,
            known_slices=slices,
            grade="HGG",
            not_same_as=others,
        )
    source = {"dataset": "mine", "kind": "curated", "path": "curated", "share": 1}
    curated = changed(config, sources=[source], split=None)
    cases = run_job(loaded_cases(curated, tmp_path, tmp_path / "run"))
    assert [(c.files.name, c.files.split, c.files.grade) for c in cases] == [
        ("case0", "train", "HGG"),
        ("case1", "val", "HGG"),
        ("case3", "train", "HGG"),
    ]
    assert [None if c.where is None else c.where.any(axis=(1, 2)).tolist() for c in cases] == [
        None,
        None,
        [False, True, True, False],  # of the four slices that hold the head
    ]
    assert cases[0].known.tolist() == [True, True, False]
    assert cases[0].present.tolist() == [False, True, False, True]
    result = run_job(fit(curated, tmp_path, tmp_path / "run", device="cpu"))
    assert {"mine WT", "mine TC"} <= set(result.history[0])
    assert "mine ET" not in result.history[0]
    # A new label is another file: the case is prepared again.
    image, labels = head(0)
    changed_truth = Segmentation((labels > 1).astype(np.uint8), grid, name="case0")
    dataset.relabel("case0", changed_truth, state="accepted")
    again = run_job(loaded_cases(curated, tmp_path, tmp_path / "run"))
    assert again[0].classes.max() == 1


@pytest.mark.slow
def test_synthetic_cases_are_made_once_and_only_trained_on(data, config, tmp_path):
    pytest.importorskip("nilearn", reason="nilearn, whose tissue maps synthetic cases are made from, is not installed")
    copy = shutil.copytree(data, tmp_path / "data")
    source = {"dataset": "made", "kind": "synthetic", "path": "made", "share": 0.3, "cases": 2, "resolution_mm": 5}
    entries = config.model_dump(mode="json")["sources"]
    with_made = changed(config, sources=[*entries, source])
    cases = run_job(loaded_cases(with_made, copy, tmp_path / "run"))
    made = [case for case in cases if case.files.dataset == "made"]
    assert [(case.files.name, case.files.split) for case in made] == [
        ("synthetic_00000", "train"),
        ("synthetic_00001", "train"),
    ]
    assert all(case.known.all() and case.present.all() and (case.classes == 1).any() for case in made)
    before = {path: path.stat().st_mtime_ns for path in (copy / "made").rglob("*.nii.gz")}
    run_job(loaded_cases(with_made, copy, tmp_path / "run"))
    assert before == {path: path.stat().st_mtime_ns for path in (copy / "made").rglob("*.nii.gz")}
