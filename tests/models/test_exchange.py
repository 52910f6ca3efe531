"""Exported networks, run by the programs that they are exported for."""

import hashlib
import importlib.util
import json
import sys

import pytest
import torch

from models_for_tests import tiny_model
from napari_brain_tumor.errors import BrainTumorError, CheckpointError, DimensionError, SaveError
from napari_brain_tumor.models import exchange
from napari_brain_tumor.models.exchange import export_onnx, export_torch
from napari_brain_tumor.models.registry import ARCHITECTURES

SMALL = {
    "unet": {"width": 4, "levels": 3},
    "unet3d_cicek": {"width": 4, "levels": 3},
    "residual_unet": {"width": 4, "blocks": [1, 1, 1]},
    "u2net": {"width": 8},
    "u2netp": {"width": 8},
    "resunet_plus_plus": {"width": 8},
    "resunet_a": {"width": 4},
    "resunet_a_multitask": {"width": 4},
}
MULTIPLES = {"unet": 4, "unet3d_cicek": 4, "residual_unet": 4, "u2netp": 32, "resunet_plus_plus": 8}
needs_onnx = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("onnxruntime", "onnxscript")),
    reason="the extra onnx (onnxruntime, onnxscript) is not installed",
)


def model_and_network(folder, name, dims=2, **changes):
    return tiny_model(folder, half=False, architecture=name, arguments=SMALL[name], dims=dims, **changes)


def images(batch, *sides):
    return torch.randn(batch, 4, *sides, generator=torch.Generator().manual_seed(5))


def run_onnx(path, image):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["logits"], {"image": image.numpy()})[0])


def run_torch(path, image):
    return torch.export.load(path).module()(image)


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


# Exporting costs what a network has of operations, whatever their width: each kind is exported once to ONNX. The large
# U2-Net, which is built like its small sister, is exported in 3D; of the two ResUNet-a the one with more outputs.
ONNX_2D = ("unet", "unet3d_cicek", "residual_unet", "u2netp", "resunet_plus_plus", "resunet_a_multitask")
ONNX_3D = {"unet": None, "residual_unet": None, "u2net": (9, 33, 40)}
TORCH_2D = ("unet", "residual_unet", "resunet_a")
QUICK = ("unet", "unet3d_cicek", "residual_unet")


def quick_or_slow(names, quick=QUICK):
    """The networks as parameters of a test; those that take several seconds to export are marked."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


def test_every_architecture_is_exported_here():
    assert {*ONNX_2D, *ONNX_3D, *TORCH_2D} == set(SMALL) == set(ARCHITECTURES)


@needs_onnx
@pytest.mark.parametrize("name", quick_or_slow(ONNX_2D, quick=("unet",)))
@torch.no_grad()
def test_onnx_gives_the_same_logits_in_2d(tmp_path, name):
    model, network = model_and_network(tmp_path / "model", name)
    sides = (48, 40) if name.startswith("resunet_a") else None
    path, document = export_onnx(model, tmp_path / "net.onnx", sides=sides)
    image = images(3, *(sides or (3 * MULTIPLES[name], 5 * MULTIPLES[name])))
    assert_same(run_onnx(path, image), network(image))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model", "net.json", "net.onnx"]
    assert json.loads(document.read_text())["card"]["architecture"] == name


@needs_onnx
@pytest.mark.parametrize("name", quick_or_slow(ONNX_3D, quick=("unet",)))
@torch.no_grad()
def test_onnx_gives_the_same_logits_in_3d(tmp_path, name):
    model, network = model_and_network(tmp_path / "model", name, 3)
    path, _ = export_onnx(model, tmp_path / "net.onnx", sides=ONNX_3D[name])
    image = images(1, *(ONNX_3D[name] or (8, 20, 12)))
    assert_same(run_onnx(path, image), network(image))


@pytest.mark.parametrize("name", quick_or_slow(TORCH_2D))
@torch.no_grad()
def test_torch_programs_give_the_same_logits_in_2d(tmp_path, name):
    model, network = model_and_network(tmp_path / "model", name)
    sides = (48, 40) if name == "resunet_a" else None
    path, _ = export_torch(model, tmp_path / "net.pt2", sides=sides)
    image = images(3, *(sides or (3 * MULTIPLES[name], 5 * MULTIPLES[name])))
    assert_same(run_torch(path, image), network(image))


@pytest.mark.parametrize(("name", "sides"), [("unet", None), ("residual_unet", (9, 17, 14))])
@torch.no_grad()
def test_torch_programs_give_the_same_logits_in_3d(tmp_path, name, sides):
    model, network = model_and_network(tmp_path / "model", name, 3)
    path, _ = export_torch(model, tmp_path / "net.pt2", sides=sides)
    image = images(2, *(sides or (8, 20, 12)))
    assert_same(run_torch(path, image), network(image))


def test_the_json_tells_how_to_use_the_network(tmp_path):
    told = {"regions": ["WT"], "roles": ["FLAIR", "T1"], "thresholds": {"WT": 0.4}}
    model, _ = model_and_network(tmp_path / "model", "unet", **told)
    path, document = export_torch(model, tmp_path / "net.pt2")
    told = json.loads(document.read_text())
    assert told["file"] == "net.pt2"
    assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told["input"]["axes"] == ["batch", "channel", "y", "x"]
    assert told["input"]["shape"] == ["any", 2, *["a multiple of 4, 8 or more"] * 2]
    assert told["input"]["channels"] == ["FLAIR", "T1"]
    assert told["output"]["channels"] == ["WT"]
    assert told["checked"]["largest_difference_of_logits"] < 1e-4
    assert told["card"] == model.card.model_dump(mode="json")
    assert "Not for clinical use" in told["notice"]


def test_one_size_is_told_in_numbers(tmp_path):
    model, _ = model_and_network(tmp_path / "model", "unet")
    _, document = export_torch(model, tmp_path / "net.pt2", sides=(30, 21))
    assert json.loads(document.read_text())["input"]["shape"] == ["any", 4, 30, 21]


def nothing_was_written(folder):
    return [file.name for file in folder.iterdir()] == ["model"]


def test_a_program_that_says_something_else_is_not_kept(tmp_path, monkeypatch):
    model, _ = model_and_network(tmp_path / "model", "unet")
    right = exchange._as_program

    def wrong(program):
        content, run = right(program)
        return content, lambda image: run(image) + 0.01

    monkeypatch.setattr(exchange, "_as_program", wrong)
    with pytest.raises(CheckpointError, match=r"logits differ by up to 0\.01, at most 0\.0001"):
        export_torch(model, tmp_path / "net.pt2")
    assert nothing_was_written(tmp_path)


def test_a_program_that_says_nan_is_not_kept(tmp_path, monkeypatch):
    model, _ = model_and_network(tmp_path / "model", "unet")
    monkeypatch.setattr(exchange, "_as_program", lambda _: (b"", lambda image: torch.full((1, 3, 8, 8), torch.nan)))
    with pytest.raises(CheckpointError, match="does not agree"):
        export_torch(model, tmp_path / "net.pt2", sides=(8, 8))
    assert nothing_was_written(tmp_path)


def test_where_the_card_cannot_be_written_the_network_is_not_either(tmp_path, monkeypatch):
    model, _ = model_and_network(tmp_path / "model", "unet")

    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_brain_tumor.models.exchange.write_text", full)
    with pytest.raises(SaveError, match="No space left"):
        export_torch(model, tmp_path / "net.pt2")
    assert nothing_was_written(tmp_path)


def test_files_that_are_there_are_replaced_only_if_asked_for(tmp_path):
    model, _ = model_and_network(tmp_path / "model", "unet")
    (tmp_path / "net.json").write_text("mine")
    with pytest.raises(SaveError, match=r"net\.json already exists"):
        export_torch(model, tmp_path / "net.pt2")
    assert (tmp_path / "net.json").read_text() == "mine"
    export_torch(model, tmp_path / "net.pt2", overwrite=True)
    assert json.loads((tmp_path / "net.json").read_text())["file"] == "net.pt2"


@pytest.mark.parametrize("sides", [(8,), (8, 8, 8), (8, 0)])
def test_sides_have_to_suit_the_network(tmp_path, sides):
    model, _ = model_and_network(tmp_path / "model", "unet")
    with pytest.raises(DimensionError, match="2 sides above zero"):
        export_torch(model, tmp_path / "net.pt2", sides=sides)


def test_the_name_has_to_tell_the_format(tmp_path):
    model, _ = model_and_network(tmp_path / "model", "unet")
    with pytest.raises(SaveError, match=r"has to end with \.pt2"):
        export_torch(model, tmp_path / "net.onnx")


def test_without_the_extra_onnx_is_refused_with_the_line_that_installs_it(tmp_path, monkeypatch):
    model, _ = model_and_network(tmp_path / "model", "unet")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BrainTumorError, match=r'pip install "napari-brain-tumor\[onnx\]"'):
        export_onnx(model, tmp_path / "net.onnx")


@needs_onnx
def test_a_network_that_no_onnx_file_can_hold_is_refused(tmp_path):
    model, _ = model_and_network(tmp_path / "model", "unet")
    huge = model.model_copy(update={"card": model.card.model_copy(update={"parameters": 521_324_226})})
    with pytest.raises(CheckpointError, match="more than one ONNX file can hold"):
        export_onnx(huge, tmp_path / "net.onnx")
