"""What `precision="auto"` takes: what the card vouches for, and what is quicker here."""

import pytest
import torch

from models_for_tests import card, tiny_model
from napari_brain_tumor.inference import precision as rule
from napari_brain_tumor.inference.precision import ForwardTimes, engine_in, forward_times
from napari_brain_tumor.models.card_parts import PrecisionCheck

CPU = torch.device("cpu")
SMALL = {"cases": 16, "dice_change": {"WT": -0.0012, "TC": 0.002}, "agreement": 0.996}


def times(float32: float, bfloat16: float) -> ForwardTimes:
    return ForwardTimes(processor="p", torch="t", network="n", float32=float32, bfloat16=bfloat16)


@pytest.fixture
def has_bfloat16(monkeypatch):
    monkeypatch.setattr(rule, "cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(rule, "forward_times", lambda network, card: times(2.0, 1.0))


def engine(tmp_path, precision="auto", **checks):
    info, network = tiny_model(tmp_path / "tiny", precisions=checks)
    return engine_in(precision, network, info.card, CPU)


@pytest.mark.usefixtures("has_bfloat16")
@pytest.mark.parametrize(
    ("changes", "dtype"),
    [
        ({}, torch.bfloat16),
        ({"dice_change": {"WT": 0.0021}}, torch.float32),
        ({"dice_change": {"WT": 0.0, "ET": -0.0021}}, torch.float32),
        ({"agreement": 0.994}, torch.float32),
    ],
)
def test_bfloat16_is_taken_where_the_measured_dice_is_that_of_float32(tmp_path, changes, dtype):
    assert engine(tmp_path, bfloat16=SMALL | changes).dtype is dtype


@pytest.mark.usefixtures("has_bfloat16")
def test_a_model_that_was_not_measured_computes_in_float32(tmp_path):
    assert engine(tmp_path).dtype is torch.float32
    assert engine(tmp_path, float16=SMALL).dtype is torch.float32


@pytest.mark.usefixtures("has_bfloat16")
def test_where_bfloat16_is_slower_or_absent_float32_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(rule, "forward_times", lambda network, card: times(1.0, 1.1))
    assert engine(tmp_path, bfloat16=SMALL).dtype is torch.float32
    monkeypatch.setattr(rule, "cpu_has_bfloat16", lambda: False)
    monkeypatch.setattr(rule, "forward_times", lambda network, card: pytest.fail("nothing to time"))
    assert engine(tmp_path, bfloat16=SMALL).dtype is torch.float32


@pytest.mark.usefixtures("has_bfloat16")
def test_what_was_asked_for_is_taken_whatever_the_card_says(tmp_path):
    assert engine(tmp_path, "float32", bfloat16=SMALL).dtype is torch.float32


def test_a_gpu_takes_float16_unless_the_card_speaks_against_it():
    network, cuda = torch.nn.Identity(), torch.device("cuda")
    assert rule._usual(network, card(), cuda) is torch.float16
    assert rule._usual(network, card(precisions={"float16": SMALL}), cuda) is torch.float16
    worse = SMALL | {"dice_change": {"TC": -0.01}}
    assert rule._usual(network, card(precisions={"float16": worse}), cuda) is torch.float32


@pytest.mark.parametrize("dims", [2, 3])
def test_a_network_is_timed_once_on_a_machine(tmp_path, monkeypatch, dims):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    info, network = tiny_model(tmp_path / "tiny", dims=dims)
    first = forward_times(network, info.card)
    assert first.float32 > 0
    assert first.bfloat16 > 0
    other, again = tiny_model(tmp_path / "again", seed=1, dims=dims)
    calls = []
    monkeypatch.setattr(rule, "_timed", lambda *_: calls.append(1) or {"float32": 2.0, "bfloat16": 1.0})
    assert forward_times(again, other.card) == first
    monkeypatch.setattr(rule, "_processor", lambda: "another processor that shares the folder")
    assert forward_times(network, info.card).float32 == 2.0
    assert forward_times(network, info.card).float32 == 2.0
    assert calls == [1]
    (tmp_path / "home" / "precisions.json").write_text("damaged")
    forward_times(network, info.card)
    assert calls == [1, 1]


def test_a_folder_that_cannot_be_written_costs_only_the_memory_of_it(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr(rule, "_timed", lambda *_: {"float32": 2.0, "bfloat16": 1.0})
    info, network = tiny_model(tmp_path / "tiny")
    assert forward_times(network, info.card).bfloat16 == 1.0


def test_a_card_of_before_has_no_checks_and_one_with_them_reads_back():
    described = card(precisions={"bfloat16": SMALL})
    text = described.model_dump(mode="json")
    assert type(described).model_validate(text).precisions["bfloat16"] == PrecisionCheck(**SMALL)
    del text["precisions"]
    assert type(described).model_validate(text).precisions == {}
