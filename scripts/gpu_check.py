"""Prove on a GPU what is otherwise only believed: one command, some minutes on one card.

    python scripts/gpu_check.py [--device cuda] [--model unet] [-o gpu_check]

Labels equal to those of the processor in float32, float16 and bfloat16; SyncBatchNorm and NCCL with one process;
augmentation on the device; the ladder down from too little memory; cases and samples a second; the share of the card's
bfloat16 rate. Writes `gpu_check.json` and `gpu_check.md` into the folder, after each check, and ends with code 1 if one
of them failed. `--tiny` is for trying the script itself where there is no card.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.flop_counter import FlopCounterMode

from napari_brain_tumor import Segmentation, Study, open_segmentation, open_study, segment
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.metrics.overlap import region_dice
from napari_brain_tumor.models.cards import find_model
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.models.registry import build_configuration
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path
from napari_brain_tumor.study import ROLES
from napari_brain_tumor_training.augmentation import Augmentation
from napari_brain_tumor_training.case_files import CaseFiles
from napari_brain_tumor_training.config import AugmentationConfig, TrainConfig
from napari_brain_tumor_training.dataset import load_cases
from napari_brain_tumor_training.sampling import sampler_for
from napari_brain_tumor_training.trainer import Trainer

LEAST_AGREEMENT: Final = 0.999
"""Of tumour voxels, between float32 on the device and on the processor, and for float16."""
LARGEST_DICE_CHANGE: Final = 0.002
"""That bfloat16 may make against the truth (docs: the rule by which it may be a default)."""
LARGEST_DEVIATION: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Setting:
    """What is checked, and how large."""

    device: torch.device
    model: str
    tiny: bool

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def study(self) -> tuple[Study, Segmentation]:
        """The sample and its truth; where it is tiny, a part of them."""
        study, truth = open_study(sample_case_folder()), open_segmentation(sample_truth_path())
        if not self.tiny:
            return study, truth
        step = (2, 2, 6)
        thinned = {role: np.ascontiguousarray(a[::2, ::2, ::6]) for role, a in study.sequences.items()}
        labels = np.ascontiguousarray(truth.data[::2, ::2, ::6])
        grid = Grid(labels.shape, study.grid.affine @ np.diag([*step, 1.0]))
        return Study(thinned, grid, study.name), Segmentation(labels, grid, study.name)


@dataclass(slots=True)
class Report:
    """What came out of the checks so far."""

    about: dict[str, Any]
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        return [name for name, told in self.checks.items() if told["status"] == "failed"]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "gpu_check.json").write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        (folder / "gpu_check.md").write_text(self.page(), encoding="utf-8")

    def page(self) -> str:
        about = ", ".join(f"{key} {value}" for key, value in self.about.items())
        lines = ["## GPU check", "", f"Measured by `scripts/gpu_check.py`: {about}.", ""]
        lines += ["| check | outcome | numbers | seconds |", "|---|---|---|---|"]
        for name, told in self.checks.items():
            numbers = ", ".join(f"{key} {_short(value)}" for key, value in told["numbers"].items())
            lines.append(f"| {name} | {told['status']} | {numbers or told['reason']} | {told['seconds']} |")
        return "\n".join([*lines, ""])


class Skipped(Exception):
    """The check means nothing on this device; its text says why."""


class Failed(Exception):
    """What was measured is not what was believed."""

    def __init__(self, reason: str, numbers: Mapping[str, Any]) -> None:
        super().__init__(reason)
        self.numbers = dict(numbers)


def expect(condition: bool, reason: str, numbers: Mapping[str, Any]) -> None:
    if not condition:
        raise Failed(reason, numbers)


# The checks -----------------------------------------------------------------------------------------------------------


def equal_labels(setting: Setting) -> dict[str, Any]:
    """Labels of the device in every precision against the processor's in float32."""
    study, truth = setting.study()
    reference = segment(study, setting.model, "cpu", precision="float32")
    before = region_dice(truth, reference)
    numbers: dict[str, Any] = {}
    for precision in ("float32", "auto", "bfloat16"):
        if precision == "bfloat16" and not _has_bfloat16(setting.device):
            continue
        found = segment(study, setting.model, str(setting.device), precision=precision)  # type: ignore[arg-type]
        name = str(found.provenance["settings"]["precision"])
        either = (reference.data > 0) | (found.data > 0)
        agreement = float((reference.data == found.data)[either].mean()) if either.any() else 1.0
        after = region_dice(truth, found)
        change = max((abs(after[region] - before[region]) for region in before), default=0.0)
        numbers |= {f"{name} agreement": agreement, f"{name} Dice change": change}
        if name == "bfloat16":
            expect(change <= LARGEST_DICE_CHANGE, f"bfloat16 changes Dice by {change:.4f}", numbers)
        else:
            expect(agreement >= LEAST_AGREEMENT, f"{name} agrees in {agreement:.4%} of the tumour", numbers)
    return numbers


def team_of_one(setting: Setting) -> dict[str, Any]:
    """A step with SyncBatchNorm and NCCL in a team of one process against the plain step: loss and gradients."""
    if not setting.on_gpu:
        raise Skipped("SyncBatchNorm and NCCL are for GPUs")
    batch = torch.randn(4, len(ROLES), 64, 64, device=setting.device, generator=_generator(setting.device))
    plain = _small_network().to(setting.device)
    shared = _small_network()
    shared.load_state_dict(plain.state_dict())
    shared = nn.SyncBatchNorm.convert_sync_batchnorm(shared).to(setting.device)
    with _process_group("nccl", setting.device):
        losses, gradients = zip(
            *(_step(network, batch) for network in (plain, DistributedDataParallel(shared))), strict=True
        )
        total = torch.ones(1, device=setting.device)
        dist.all_reduce(total)
    deviation = float((gradients[0] - gradients[1]).abs().max() / gradients[0].abs().max())
    numbers = {"loss": losses[0], "loss of the team": losses[1], "largest deviation of gradients": deviation}
    expect(abs(losses[0] - losses[1]) < LARGEST_DEVIATION, "the losses differ", numbers)
    expect(deviation < 0.01, "the gradients differ", numbers)
    expect(float(total) == 1, "the sum over one process is not its own number", numbers)
    return numbers


def augmentation(setting: Setting) -> dict[str, Any]:
    """The same random variation on the device as on the processor, and how much quicker it is."""
    size = 32 if setting.tiny else 144
    generator = _generator(torch.device("cpu"))
    images = torch.randn(8, len(ROLES), size, size, generator=generator)
    masks = (torch.rand(8, 3, size, size, generator=generator) > 0.7).float()
    present = torch.ones(8, len(ROLES), dtype=torch.bool)
    vary = Augmentation(AugmentationConfig(noise_probability=0.0))  # noise is drawn on each device by itself
    results, seconds = [], []
    for device in (torch.device("cpu"), setting.device):
        torch.manual_seed(1)
        moved = images.to(device), masks.to(device), present
        results.append([part.cpu() for part in vary(*moved)])
        seconds.append(_seconds(lambda moved=moved: vary(*moved), device, 2 if setting.tiny else 10))
    deviation = float((results[0][0] - results[1][0]).abs().max())
    moved_alike = float((results[0][1].round() == results[1][1].round()).float().mean())
    numbers = {
        "largest deviation": deviation,
        "masks alike": moved_alike,
        "processor ms": seconds[0] * 1000,
        "device ms": seconds[1] * 1000,
    }
    expect(deviation < 0.05, "images are varied otherwise", numbers)
    expect(moved_alike > 0.999, "masks are moved otherwise", numbers)
    return numbers


def memory_ladder(setting: Setting) -> dict[str, Any]:
    """With too little memory for whole batches a run still ends, with the same result, and says what it did."""
    if not setting.on_gpu:
        raise Skipped("memory of a processor cannot be limited from within")
    info = find_model(setting.model)
    engine = Engine.prepare(load_network(info), info.card.dims, setting.device)
    channels = np.random.default_rng(0).normal(size=(len(info.roles), 64, 192, 192)).astype(np.float32)
    whole = run_job(engine.probabilities(channels))
    peak = torch.cuda.max_memory_allocated(setting.device)
    total = torch.cuda.get_device_properties(setting.device).total_memory
    messages: list[str] = []
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.5 * peak / total, setting.device)
    try:
        small = run_job(engine.probabilities(channels), lambda step: messages.append(step.message))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, setting.device)
    steps = [message for message in messages if "Memory ran out" in message]
    difference = float(np.abs(whole.astype(np.float32) - small.astype(np.float32)).max())
    numbers = {"peak MB": peak / 1e6, "steps down": len(steps), "largest difference": difference}
    expect(bool(steps), "half the memory was enough: nothing was proven", numbers)
    expect(difference < 0.02, "the result is another one", numbers)
    return numbers


def cases_a_second(setting: Setting) -> dict[str, Any]:
    """Warm runs from the opened case to labels."""
    study, _ = setting.study()
    segment(study, setting.model, str(setting.device))
    seconds = []
    for _ in range(1 if setting.tiny else 8):
        began = time.perf_counter()
        segment(study, setting.model, str(setting.device))
        seconds.append(time.perf_counter() - began)
    return {"seconds a case": statistics.median(seconds), "cases an hour": 3600 / statistics.median(seconds)}


def samples_a_second(setting: Setting) -> dict[str, Any]:
    """Training steps of our trainer on slices of the sample, in each precision that the device has."""
    files = CaseFiles("sample", "sample", "sample", "train", sample_case_folder(), sample_truth_path())
    with tempfile.TemporaryDirectory() as cache:
        case = run_job(load_cases([files], ROLES, PreprocessingSpec(), Path(cache)))[0]
    batch, side, steps = (2, 48, 2) if setting.tiny else (16, 192, 30)
    numbers: dict[str, Any] = {}
    for precision in _precisions(setting.device):
        config = TrainConfig.model_validate(
            {
                "name": "check",
                "title": "check",
                "split": "none.csv",
                "sources": [{"dataset": "sample", "kind": "decathlon", "path": ".", "share": 1}],
                "patch": (side, side),
                "model": {"configuration": "unet_brain"},
                "loss": {"deep_supervision": "none"},
                "optimisation": {
                    "epochs": 1,
                    "iterations_per_epoch": 10_000,
                    "batch": batch,
                    "precision": precision,
                },
            }
        )
        trainer = Trainer.start(config, config.optimisation, setting.device)
        epoch = trainer.train_epoch(sampler_for(config, [case]))
        next(epoch)
        _wait(setting.device)
        began = time.perf_counter()
        for _ in range(steps):
            next(epoch)
        _wait(setting.device)
        numbers[f"{precision} samples a second"] = batch * steps / (time.perf_counter() - began)
        loss = trainer.total_loss / trainer.iteration
        numbers[f"{precision} loss"] = loss
        epoch.close()
        expect(bool(np.isfinite(loss)), f"the loss in {precision} is {loss}", numbers)
    return numbers


def share_of_the_rate(setting: Setting) -> dict[str, Any]:
    """Operations a second of the network in bfloat16 against those of a large product of matrices."""
    if not _has_bfloat16(setting.device):
        raise Skipped("the device has no bfloat16")
    side = 512 if setting.tiny else 8192
    matrix = torch.randn(side, side, device=setting.device).to(torch.bfloat16)
    rate = 2 * side**3 / _seconds(lambda: matrix @ matrix, setting.device, 3 if setting.tiny else 30)
    info = find_model(setting.model)
    engine = Engine.prepare(load_network(info), info.card.dims, setting.device, torch.bfloat16)
    sides = (64, 64) if setting.tiny else (192, 160)
    slices = 2 if setting.tiny else 64
    channels = next(engine.network.parameters()).shape[1]
    layout = torch.channels_last
    if info.card.dims == 3:
        sides, slices, layout = (32, 32, 32) if setting.tiny else (96, 128, 128), 1, torch.channels_last_3d
    batch = torch.randn(slices, channels, *sides, device=setting.device).to(torch.bfloat16)
    batch = batch.contiguous(memory_format=layout)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            engine.network(batch)
        seconds = _seconds(lambda: engine.network(batch), setting.device, 2 if setting.tiny else 20)
    own = counter.get_total_flops() / seconds
    return {"matrices TFLOP/s": rate / 1e12, "network TFLOP/s": own / 1e12, "share": own / rate}


CHECKS: Final[dict[str, Callable[[Setting], dict[str, Any]]]] = {
    "equal labels": equal_labels,
    "SyncBatchNorm and NCCL": team_of_one,
    "augmentation on the device": augmentation,
    "memory ladder": memory_ladder,
    "cases": cases_a_second,
    "training": samples_a_second,
    "share of the bfloat16 rate": share_of_the_rate,
}


# Around them ----------------------------------------------------------------------------------------------------------


def check(name: str, setting: Setting) -> dict[str, Any]:
    """Run a check; whatever goes wrong in it is its outcome."""
    began = time.perf_counter()
    told: dict[str, Any] = {"status": "passed", "reason": "", "numbers": {}}
    try:
        told["numbers"] = CHECKS[name](setting)
    except Skipped as skipped:
        told |= {"status": "skipped", "reason": str(skipped)}
    except Failed as failed:
        told |= {"status": "failed", "reason": str(failed), "numbers": failed.numbers}
    except Exception as error:  # noqa: BLE001 - the other checks are worth their while all the same
        told |= {"status": "failed", "reason": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
    return told | {"seconds": round(time.perf_counter() - began, 1)}


def about(setting: Setting) -> dict[str, Any]:
    """The device and what computes on it."""
    name = torch.cuda.get_device_name(setting.device) if setting.on_gpu else platform.processor() or "processor"
    told = {"device": name, "torch": torch.__version__, "Python": platform.python_version(), "model": setting.model}
    return told | ({"CUDA": torch.version.cuda} if setting.on_gpu else {}) | ({"tiny": True} if setting.tiny else {})


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _has_bfloat16(device: torch.device) -> bool:
    return device.type == "cpu" or (device.type == "cuda" and torch.cuda.is_bf16_supported(False))


def _precisions(device: torch.device) -> list[str]:
    return ["float32", *(["float16"] if device.type == "cuda" else []), *(["bfloat16"] * _has_bfloat16(device))]


def _generator(device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(0)


def _small_network() -> nn.Module:
    torch.manual_seed(0)
    return build_configuration("unet_brain", len(ROLES), len(REGIONS)).train()


def _step(network: nn.Module, batch: torch.Tensor) -> tuple[float, torch.Tensor]:
    loss = network(batch).square().mean()
    loss.backward()
    return float(loss), torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


class _process_group:
    """A process group of this process alone."""

    def __init__(self, backend: str, device: torch.device) -> None:
        self._backend, self._device = backend, device

    def __enter__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        torch.cuda.set_device(self._device)
        dist.init_process_group(self._backend, rank=0, world_size=1)

    def __exit__(self, *_: object) -> None:
        dist.destroy_process_group()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds(work: Callable[[], Any], device: torch.device, rounds: int) -> float:
    """Median seconds of a round, after one that is not counted."""
    work()
    taken = []
    for _ in range(rounds):
        _wait(device)
        began = time.perf_counter()
        work()
        _wait(device)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", default="unet")
    parser.add_argument("--output", "-o", type=Path, default=Path("gpu_check"))
    parser.add_argument("--only", default="", help="checks, with commas")
    parser.add_argument("--tiny", action="store_true", help="as small as possible, to try the script itself")
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        print("There is no CUDA device here. Try the script itself with --device cpu --tiny.", file=sys.stderr)
        return 2
    device = torch.device("cuda:0" if given.device == "cuda" else given.device)
    setting = Setting(device, given.model, given.tiny)
    report = Report(about(setting))
    chosen = [name.strip() for name in given.only.split(",") if name.strip()] or list(CHECKS)
    for name in chosen:
        report.checks[name] = check(name, setting)
        told = report.checks[name]
        print(f"{name}: {told['status']} in {told['seconds']} s {told['reason']}", flush=True)
        report.write(given.output)
    print(f"Wrote {given.output / 'gpu_check.json'} and {given.output / 'gpu_check.md'}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
