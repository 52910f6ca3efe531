"""Samples a second while training: ours next to a plain MONAI loop of the same network and batch, in one run.

    python benchmarks/training_speed.py [--rounds 3] [--steps 2] [--only unet_brain,u2netp]

Both draw windows of the shipped sample case, half of them around tumour, vary them (flips, rotation and scale,
contrast, brightness, noise), and take steps of AdamW on Dice plus cross entropy of the final output. MONAI's loop is
the one of its tutorials: dictionary transforms sample by sample, `DiceCELoss`, float32, channels-first. Ours is a
recipe's: `Trainer` with its averaged weights, bfloat16 where the processor has it, channels-last. The contestants take
turns; the table gives medians and their ratio.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai import transforms as mt
from monai.data import DataLoader, Dataset, list_data_collate
from monai.losses import DiceCELoss

from napari_brain_tumor.errors import DeviceError
from napari_brain_tumor.inference.device import check_bfloat16
from napari_brain_tumor.labels import REGIONS, region_mask
from napari_brain_tumor.models.registry import CONFIGURATIONS, build_configuration
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path
from napari_brain_tumor.study import ROLES
from napari_brain_tumor_training.case_files import CaseFiles
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.dataset import TrainingCase, load_cases
from napari_brain_tumor_training.sampling import sampler_for
from napari_brain_tumor_training.trainer import Trainer

SIZES: dict[int, tuple[int, tuple[int, ...]]] = {2: (8, (144, 144)), 3: (2, (64, 64, 64))}
"""Batch and sides of the windows, by dimensions."""
CONTESTANTS = ("unet_brain", "u2netp", "resunet_plus_plus", "residual_unet_light")
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="in each round")
    parser.add_argument("--only", default=",".join(CONTESTANTS), help="configurations, with commas")
    given = parser.parse_args()
    print(f"{'configuration':24}{'windows':>16}{'MONAI /s':>12}{'ours /s':>12}{'ratio':>8}", flush=True)
    case = sample_case()
    for name in given.only.split(","):
        batch, sides = SIZES[CONFIGURATIONS[name].dims]
        theirs, own = rates(name, case, given.rounds, given.steps)
        windows = f"{batch} of {'x'.join(map(str, sides))}"
        print(f"{name:24}{windows:>16}{theirs:12.2f}{own:12.2f}{own / theirs:8.2f}", flush=True)


def sample_case() -> TrainingCase:
    """The shipped synthetic case, prepared."""
    files = CaseFiles("sample", "sample", "sample", "train", sample_case_folder(), sample_truth_path())
    with tempfile.TemporaryDirectory() as cache:
        return run_job(load_cases([files], ROLES, PreprocessingSpec(), Path(cache)))[0]


def rates(name: str, case: TrainingCase, rounds: int, steps: int) -> tuple[float, float]:
    """Median samples a second of MONAI's loop and of ours, after a step of each that is not counted."""
    loops = [monai_loop(name, case), own_loop(name, case)]
    for loop in loops:
        next(loop)
    taken: list[list[float]] = [[], []]
    for _ in range(rounds):
        for loop, seconds in zip(loops, taken, strict=True):
            began = time.perf_counter()
            for _ in range(steps):
                next(loop)
            seconds.append((time.perf_counter() - began) / steps)
    batch, _ = SIZES[CONFIGURATIONS[name].dims]
    theirs, own = (batch / statistics.median(seconds) for seconds in taken)
    return theirs, own


def own_loop(name: str, case: TrainingCase) -> Iterator[None]:
    """Steps of our trainer, as a recipe runs them."""
    dims = CONFIGURATIONS[name].dims
    batch, sides = SIZES[dims]
    config = TrainConfig.model_validate(
        {
            "name": name,
            "title": name,
            "split": "none.csv",
            "sources": [{"dataset": "sample", "kind": "decathlon", "path": ".", "share": 1}],
            "patch": sides,
            "foreground_share": 0.5,
            "model": {"configuration": name},
            "loss": {"deep_supervision": "none"},
            "optimisation": {"epochs": 1, "iterations_per_epoch": 10_000, "batch": batch, "precision": precision()},
        }
    )
    trainer = Trainer.start(config, config.optimisation, CPU)
    for _ in trainer.train_epoch(sampler_for(config, [case])):
        yield


def precision() -> str:
    """The quickest that a recipe would choose here."""
    try:
        check_bfloat16(CPU)
    except DeviceError:
        return "float32"
    return "bfloat16"


def monai_loop(name: str, case: TrainingCase) -> Iterator[None]:
    """Steps of a loop as MONAI's tutorials write it."""
    torch.manual_seed(0)
    dims = CONFIGURATIONS[name].dims
    batch, sides = SIZES[dims]
    data = monai_data(case)
    loader = DataLoader(
        Dataset([data] * 10_000, monai_transforms(dims, sides, batch)), batch_size=1, collate_fn=list_data_collate
    )
    network = build_configuration(name, len(ROLES), len(REGIONS)).train()
    loss_function = DiceCELoss(sigmoid=True, batch=True)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    for found in loader:
        optimiser.zero_grad()
        loss = loss_function(network(found["image"].as_tensor()), found["label"].as_tensor())
        loss.backward()
        optimiser.step()
        yield


def monai_data(case: TrainingCase) -> dict[str, Any]:
    """Image `(C, Z, Y, X)` and regions `(3, Z, Y, X)`."""
    regions = np.stack([region_mask(case.classes, region) for region in REGIONS]).astype(np.float32)
    return {"image": np.ascontiguousarray(case.channels.swapaxes(0, 1), dtype=np.float32), "label": regions}


def monai_transforms(dims: int, sides: tuple[int, ...], batch: int) -> Callable[[Any], Any]:
    """Windows and variations sample by sample."""
    both = ["image", "label"]
    size = sides if dims == 3 else (1, *sides)
    axes = range(dims)
    return mt.Compose(
        [
            mt.SpatialPadd(both, size),
            mt.RandCropByPosNegLabeld(both, "label", size, pos=1, neg=1, num_samples=batch),
            *([mt.SqueezeDimd(both, dim=1)] if dims == 2 else []),
            *[mt.RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in axes],
            mt.RandAffined(
                both,
                prob=0.8,
                rotate_range=(0.35,) if dims == 2 else (0.35, 0, 0),
                scale_range=[0.3] * dims,
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
            mt.RandScaleIntensityd("image", factors=0.3, prob=0.8),
            mt.RandShiftIntensityd("image", offsets=0.3, prob=0.8),
            mt.RandGaussianNoised("image", prob=0.2, std=0.12),
            mt.RandGaussianSmoothd("image", prob=0.15),
        ]
    )


if __name__ == "__main__":
    main()
