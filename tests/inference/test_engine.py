import numpy as np
import pytest
import torch
from torch import nn

from models_for_tests import lively
from napari_brain_tumor.errors import DeviceError, OutOfMemoryError
from napari_brain_tumor.inference.device import available_devices, fast_dtype, resolve_device
from napari_brain_tumor.inference.engine import Engine, fold_batch_norms
from napari_brain_tumor.models.unet import UNet
from napari_brain_tumor.progress import run_job

CPU = torch.device("cpu")


def network(dims=2, **arguments):
    torch.manual_seed(3)
    return lively(UNet(4, 3, dims=dims, width=6, levels=3, **arguments), 3)


def channels(shape=(11, 37, 41)):
    return np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)


@pytest.mark.parametrize("dims", [2, 3])
def test_folding_batch_norms_changes_no_output(dims):
    plain = network(dims)
    image = torch.randn(2, 4, *[16] * dims)
    expected = plain(image)
    folded = fold_batch_norms(plain)
    assert not any(isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d) for m in folded.modules())
    torch.testing.assert_close(folded(image), expected, atol=1e-4, rtol=1e-4)


def test_the_engine_leaves_the_given_network_as_it_was():
    given = network()
    before = {name: value.clone() for name, value in given.state_dict().items()}
    Engine.prepare(given, 2, CPU)
    assert given.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())


def test_batches_of_slices_give_what_single_slices_give():
    given, image = network(), channels()
    expected = torch.cat([torch.sigmoid(given(torch.from_numpy(image[:, z])[None])) for z in range(image.shape[1])])
    found = run_job(Engine.prepare(given, 2, CPU, torch.float32).probabilities(image))
    assert found.shape == (3, 11, 37, 41)
    np.testing.assert_allclose(found, expected.detach().numpy().swapaxes(0, 1), atol=2e-3)


@pytest.mark.parametrize("dims", [2, 3])
def test_quick_precision_agrees_with_plain_float32(dims):
    given, image = network(dims), channels()
    plain = run_job(Engine.plain(given, dims).probabilities(image)).astype(np.float32)
    quick = run_job(Engine.prepare(given, dims, CPU, torch.bfloat16).probabilities(image)).astype(np.float32)
    assert np.abs(plain - quick).mean() < 5e-3


def test_3d_windows_blend_to_nearly_what_the_whole_volume_gives():
    given, image = network(3), channels((20, 24, 22))
    whole = run_job(Engine.prepare(given, 3, CPU, torch.float32).probabilities(image)).astype(np.float32)
    parts = Engine(given, 3, CPU, torch.float32, window=(16, 16, 16))
    windows = run_job(parts.probabilities(image)).astype(np.float32)
    assert windows.shape == whole.shape
    assert np.abs(whole - windows).mean() < 0.03


def test_only_the_occupied_part_of_slices_is_computed():
    seen = []

    class Recorder(nn.Module):
        def forward(self, x):
            seen.append(tuple(x.shape))
            return x[:, :3] + 5

    image = np.zeros((4, 3, 80, 90), np.float32)
    image[:, :, 30:40, 50:70] = 1
    found = run_job(Engine(Recorder(), 2, CPU, torch.float32).probabilities(image))
    assert seen == [(3, 4, 26, 36)]
    assert found.shape == (3, 3, 80, 90)
    assert (found[:, :, 30:40, 50:70] > 0.99).all()
    assert not found[:, :, :20].any()


def test_empty_slices_are_no_error():
    found = run_job(Engine.prepare(network(), 2, CPU).probabilities(np.zeros((4, 3, 40, 40), np.float32)))
    assert found.shape == (3, 3, 40, 40)


def test_flips_average_over_every_mirror():
    given, image = network(), channels((2, 16, 16))
    engine = Engine.prepare(given, 2, CPU, torch.float32)
    mirrored = [
        run_job(engine.probabilities(np.ascontiguousarray(np.flip(image, axes)))) for axes in [(), (2,), (3,), (2, 3)]
    ]
    back = [np.flip(p, axes) for p, axes in zip(mirrored, [(), (2,), (3,), (2, 3)], strict=True)]
    np.testing.assert_allclose(run_job(engine.probabilities(image, flips=True)), np.mean(back, axis=0), atol=2e-3)


def test_progress_counts_slices():
    fractions = []
    run_job(Engine.prepare(network(), 2, CPU).probabilities(channels()), lambda p: fractions.append(p.fraction))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


class Hungry(nn.Module):
    """Runs out of memory above a batch of `most`."""

    def __init__(self, most):
        super().__init__()
        self.most = most
        self.layer = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        if len(x) > self.most:
            msg = "DefaultCPUAllocator: can't allocate memory"
            raise RuntimeError(msg)
        return self.layer(x)


def test_running_out_of_memory_halves_the_batch_and_says_so():
    messages = []
    found = run_job(Engine.prepare(Hungry(2), 2, CPU).probabilities(channels()), lambda p: messages.append(p.message))
    assert found.shape == (3, 11, 37, 41)
    assert any("batches of 2" in message for message in messages)


def test_running_out_of_memory_at_the_last_rung_is_our_error():
    with pytest.raises(OutOfMemoryError, match="smaller model"):
        run_job(Engine.prepare(Hungry(0), 2, CPU).probabilities(channels()))


def test_other_errors_are_not_taken_for_memory():
    class Broken(nn.Module):
        def forward(self, x):
            msg = "something else"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="something else"):
        run_job(Engine(Broken(), 2, CPU, torch.float32).probabilities(channels()))


def test_the_cpu_is_always_a_device_with_a_reason():
    devices = {device.name: device for device in available_devices()}
    assert "threads" in devices["cpu"].reason
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type == available_devices()[0].name.split(":")[0]
    assert fast_dtype(CPU) in (torch.bfloat16, torch.float32)


def test_an_absent_device_names_those_present():
    with pytest.raises(DeviceError, match="cpu"):
        resolve_device("cuda:77")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is present")
def test_cuda_agrees_with_the_cpu():
    given, image = network(), channels()
    cpu = run_job(Engine.plain(given, 2).probabilities(image)).astype(np.float32)
    gpu = run_job(Engine.prepare(given, 2, torch.device("cuda")).probabilities(image)).astype(np.float32)
    assert np.abs(cpu - gpu).mean() < 5e-3


def test_falling_back_to_the_cpu_leaves_the_first_engine_ready_for_the_next_case():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).half().eval()
    engine = Engine(network, 2, torch.device("mps"), torch.float16)
    fallback, _, step = engine._smaller(1)
    assert step == "the CPU"
    assert fallback.device.type == "cpu"
    assert fallback.network is not network
    assert {t.dtype for t in fallback.network.parameters()} == {fallback.dtype}
    assert {t.dtype for t in network.parameters()} == {torch.float16}
    torch.testing.assert_close(fallback.network[0].weight.float(), network[0].weight.float(), atol=1e-2, rtol=1e-2)
