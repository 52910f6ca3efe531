"""How much faster than others: our models beside MONAI's and nnU-Net's way to run a network, in turn in one process.

    python benchmarks/ratios.py 2d [--slices 155] [--rounds 3] [--model unet] [-o docs/performance.md]
    python benchmarks/ratios.py 3d [--side 96] [--rounds 1] [--model unet3d]

2d: the default model as `segment` runs it, beside the same weights in float32 through MONAI's SliceInferer: with
windows of the size that the model was trained on and MONAI's default overlap of a quarter, and over whole slices at
once, which is the least work that it can be given. 3d: the model for volumes as `segment` runs it, beside nnU-Net's
predictor (package nnunetv2) on the network that nnU-Net plans for such a scan (six stages, 32 to 320 features), with
random weights: these change no time.

All on one thread, in seconds of the processor, so that a busy machine changes neither part of a ratio; the contestants
take turns, and the median of the rounds counts. Both get the opened scan and give labels on its grid. `--slices` and
`--side` take a part from the middle of the scan, where it would take too long otherwise: both do the same part.
nnunetv2 is not among our dependencies: install it into an environment of its own that also has this package.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marked_page import replace_marked
from napari_brain_tumor import Study
from napari_brain_tumor.geometry import Box
from napari_brain_tumor.models.cards import ModelInfo
from performance import case

Labels = npt.NDArray[np.uint8]
Contestant = Callable[[Study], Labels]


def middle(study: Study, sides: tuple[int | None, ...]) -> Study:
    """The middle of a study, so many voxels along each axis; None leaves an axis as it is."""
    shape = study.grid.shape
    lengths = tuple(min(side or n, n) for side, n in zip(sides, shape, strict=True))
    start = tuple((n - length) // 2 for n, length in zip(shape, lengths, strict=True))
    box = Box(start, tuple(s + length for s, length in zip(start, lengths, strict=True)))
    chosen = {role: np.ascontiguousarray(array[box.slices]) for role, array in study.sequences.items()}
    return Study(chosen, study.grid.cropped(box), study.name)


def ours(model: str, precision: str) -> Contestant:
    from napari_brain_tumor import segment

    return lambda study: segment(study, model, "cpu", precision=precision).data  # type: ignore[arg-type]


def monai_2d(model: str, *, windows: bool) -> Contestant:
    """The same weights through MONAI's SliceInferer in float32: windows as in training, or whole slices."""
    import torch
    from monai.inferers import SliceInferer

    from napari_brain_tumor.geometry import to_ras
    from napari_brain_tumor.labels import classes_from_regions
    from napari_brain_tumor.models.cards import find_model
    from napari_brain_tumor.models.checkpoint import load_network
    from napari_brain_tumor.models.neighbours import neighbours_of, stacked_slices
    from napari_brain_tumor.preprocessing.intensity import foreground_mask, standardise

    info = find_model(model)
    network = load_network(info).eval()

    @torch.inference_mode()
    def run(study: Study) -> Labels:
        turn = to_ras(study.grid)
        volumes = [turn.apply(study.sequences[role]).transpose(2, 1, 0) for role in info.roles]
        mask = foreground_mask(volumes)
        percentiles = info.card.preprocessing.clip_percentiles
        channels = torch.from_numpy(np.stack([standardise(volume, mask, percentiles) for volume in volumes]))
        slices = channels.movedim(1, 0)
        stacked = stacked_slices(slices, range(len(slices)), neighbours_of(network)).movedim(0, 1)[None]
        sides = patch_of(info) if windows else channels.shape[2:]
        inferer = SliceInferer(roi_size=sides, spatial_dim=0, sw_batch_size=8)
        logits = inferer(stacked, network)
        labels = classes_from_regions((torch.sigmoid(logits)[0] >= 0.5).numpy()) * mask
        return turn.undo(labels.transpose(2, 1, 0)).astype(np.uint8)

    return run


def patch_of(info: ModelInfo) -> tuple[int, int]:
    """Sides of the patches that a model was trained on."""
    assert info.card.training is not None
    rows, columns = info.card.training.settings["patch"]
    return rows, columns


def nnunet_3d() -> Contestant:
    """nnU-Net's predictor with its own network, random weights, windows of 128x128x128 overlapping by a half."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from torch import nn

    from napari_brain_tumor.preprocessing.intensity import foreground_mask, standardise

    network = PlainConvUNet(
        input_channels=4,
        n_stages=6,
        features_per_stage=[32, 64, 128, 256, 320, 320],
        conv_op=nn.Conv3d,
        kernel_sizes=3,
        strides=[1, 2, 2, 2, 2, 2],
        n_conv_per_stage=2,
        num_classes=3,
        n_conv_per_stage_decoder=2,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    ).eval()
    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False
    )

    class Plans:
        patch_size = (128, 128, 128)

    class Regions:
        num_segmentation_heads = 3

    predictor.network, predictor.configuration_manager, predictor.label_manager = network, Plans(), Regions()
    predictor.allowed_mirroring_axes = None

    def run(study: Study) -> Labels:
        volumes = [array.transpose(2, 1, 0) for array in study.sequences.values()]
        mask = foreground_mask(volumes)
        channels = np.stack([standardise(volume, mask, (0.5, 99.5)) for volume in volumes])
        # nnU-Net crops to what is not empty, too.
        places = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
        box = tuple(slice(int(p[0]), int(p[-1]) + 1) for p in places)
        logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(channels[(slice(None), *box)]))
        labels = np.zeros(mask.shape, np.uint8)
        labels[box] = (logits.float() > 0).sum(0).numpy()
        return labels.transpose(2, 1, 0)

    return run


def has_bfloat16() -> bool:
    import torch

    from napari_brain_tumor.errors import DeviceError
    from napari_brain_tumor.inference.device import check_bfloat16

    try:
        check_bfloat16(torch.device("cpu"))
    except DeviceError:
        return False
    return True


def seconds_of(contestants: dict[str, Contestant], study: Study, rounds: int) -> dict[str, float]:
    """Median seconds of the processor, each after a run on a small part."""
    small = middle(study, (64, 64, 16))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run(small)
    for _ in range(rounds):
        for name, run in contestants.items():
            began = time.process_time()
            labels = run(study)
            times[name].append(time.process_time() - began)
            print(f"{name}: {times[name][-1]:.2f} s, {int((labels > 0).sum())} voxels", flush=True)
    return {name: statistics.median(values) for name, values in times.items()}


def table(seconds: dict[str, float], heading: str) -> list[str]:
    own = next(iter(seconds.values()))
    lines = [f"| {heading} | seconds of one core | times as long |", "|---|---:|---:|"]
    return lines + [f"| {name} | {value:.2f} | {value / own:.1f} |" for name, value in seconds.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["2d", "3d"])
    parser.add_argument("--model")
    parser.add_argument("--slices", type=int)
    parser.add_argument("--side", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", "-o", type=Path)
    given = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    model = given.model or {"2d": "unet", "3d": "unet3d"}[given.what]
    study = middle(case(None), (given.side, given.side, given.side or given.slices))
    contestants: dict[str, Contestant] = {f"`{model}`": ours(model, "auto")}
    if has_bfloat16():
        contestants[f"`{model}` in float32"] = ours(model, "float32")
    if given.what == "2d":
        contestants["the same weights, MONAI's windows, float32"] = monai_2d(model, windows=True)
        contestants["the same weights, MONAI, whole slices, float32"] = monai_2d(model, windows=False)
    else:
        contestants["nnU-Net's predictor and network"] = nnunet_3d()
    shape = "x".join(map(str, study.grid.shape))
    lines = table(seconds_of(contestants, study, given.rounds), f"{shape}, four sequences")
    print(*lines, sep="\n")
    if given.output:
        replace_marked(given.output, f"ratio in {given.what}", lines)


if __name__ == "__main__":
    main()
