"""Lay out the heads that the network `brain` is trained on, on its small grid (see docs/brain.md).

Three sets of cases, with the brain as the "whole tumour" of their label files:

- `heads`: the LGG patients with the masks of `scripts/brain_truth.py`, and a T2 that is made from their T1;
- `dressed`: stripped brains of gliomas with a synthetic head around them (`synthetic_head`), in all four sequences;
- `stripped`: the same brains as they come.
"""

import argparse
import csv
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor import open_study
from napari_brain_tumor.brain.small_grid import SmallGrid, small_grid, small_study
from napari_brain_tumor.geometry import Grid, to_ras
from napari_brain_tumor.preprocessing.intensity import foreground_mask, largest_component
from napari_brain_tumor.study import Role, Segmentation, Study
from napari_brain_tumor_training.synthetic import SyntheticSpec, make_phantom, write_case
from napari_brain_tumor_training.synthetic_head import HeadScan, dress

Mask = npt.NDArray[np.bool_]
Rows = list[dict[str, str]]

LEAKS: Final = frozenset(
    {
        "TCGA_CS_6186_20000601",
        "TCGA_CS_6666_20011109",
        "TCGA_HT_7693_19950520",
        "TCGA_HT_7855_19951020",
        "TCGA_HT_8111_19980330",
    }
)
"""Patients whose consensus leaks into the scalp of several slices under the vertex; seen slice by slice."""

HELD_BACK: Final = "TCGA_FG_6692"
"""Also scanned as the raw examination on four grids, which is measured: kept out of training."""

DRESSED_FROM: Final = 2.0
"""Voxel side in mm at which heads are drawn."""


def main() -> None:
    """Read the arguments and write the sets and their split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with glioma3d, lgg_tif and subjects.csv")
    parser.add_argument("truth", type=Path, help="folder with the masks of scripts/brain_truth.py")
    parser.add_argument("out", type=Path, help="folder for the sets and their split, outside the repository")
    parser.add_argument("--heads-per-brain", type=int, default=3)
    parser.add_argument("--phantoms", type=int, default=0)
    given = parser.parse_args()
    with (given.data / "subjects.csv").open(newline="", encoding="utf-8") as file:
        subjects = list(csv.DictReader(file))
    rows: Rows = []
    rows += _heads(given.data, given.truth, given.out / "heads", subjects)
    rows += _brains(given.data, given.out, subjects, given.heads_per_brain)
    rows += _phantoms(given.out / "dressed", given.phantoms)
    with (given.out / "subjects.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["dataset", "case", "patient", "split"])
        writer.writeheader()
        writer.writerows(rows)


def _heads(data: Path, truth: Path, out: Path, subjects: Rows) -> Iterator[dict[str, str]]:
    for row in subjects:
        name = row["case"]
        if row["dataset"] != "lgg_tif" or name in LEAKS or name.startswith(HELD_BACK):
            continue
        print(name, flush=True)
        study = open_study(data / "lgg_tif" / name)
        small = small_grid(study)
        stored = np.load(truth / f"{name}.npz")
        consensus, tumour = _unpacked(stored, "consensus"), _unpacked(stored, "tumour")
        brain = tidy(_averaged(small, consensus | tumour), _averaged(small, tumour))
        averaged = small_study(study, small)
        if row["split"] == "train":
            averaged = with_made_t2(averaged, brain, _seed(name))
        yield _written(averaged, brain, name, "heads", out, row["patient"], row["split"])


def tidy(brain: npt.NDArray[np.float32], tumour: npt.NDArray[np.float32]) -> Mask:
    """The consensus without threads and islands, closed within each slice, and with the tumour in it."""
    mask = brain >= 0.5
    cross = ndimage.generate_binary_structure(2, 1)[:, :, None]
    mask = largest_component(np.asarray(ndimage.binary_opening(mask, cross)))
    mask |= tumour >= 0.5
    mask = np.asarray(ndimage.binary_closing(np.pad(mask, ((4, 4), (4, 4), (0, 0))), cross, iterations=2))
    mask = mask[4:-4, 4:-4]
    for z in range(mask.shape[2]):
        mask[:, :, z] = ndimage.binary_fill_holes(mask[:, :, z])
    return mask


def with_made_t2(study: Study, brain: Mask, seed: int) -> Study:
    """The study with a T2 made of its T1 (or FLAIR): fluid turned bright within the skull, the rest much as it was.

    Around a brain on T2 lies bright fluid, then dark bone: what is turned within the brain's mask and a little beyond
    looks like that, because fluid and bone are alike on T1.
    """
    rng = np.random.default_rng(seed)
    source = next(role for role in ("T1", "T1c", "FLAIR") if role in study.sequences)
    image = np.asarray(study.sequences[source], dtype=np.float32)
    tissue = float(np.percentile(image[brain], rng.uniform(70, 90)))
    unit = np.clip(image / max(tissue, 1e-6), 0, 1.2)
    fluid = rng.uniform(2.2, 3.2)
    turned = 0.7 + (fluid - 0.7) * np.clip((1.15 - unit) / 0.9, 0, 1) ** rng.uniform(1.0, 1.8)
    flat = [1, 1, 0]
    inside = ndimage.gaussian_filter(brain.astype(np.float32), np.multiply(flat, rng.uniform(0.4, 1.0)))
    outside = np.asarray(image / tissue, dtype=np.float32)
    outside = np.clip(outside, 0, 3) ** rng.uniform(0.9, 1.8) * rng.uniform(0.5, 1.3)
    made = outside * (1 - inside) + turned * inside
    made *= foreground_mask([image.transpose(2, 1, 0)]).transpose(2, 1, 0) | (made < 0.3)
    sequences: dict[Role, Any] = {**study.sequences, "T2": made.astype(np.float32)}
    return replace(study, sequences=sequences)


def _brains(data: Path, out: Path, subjects: Rows, heads: int) -> Iterator[dict[str, str]]:
    for row in subjects:
        if row["dataset"] != "glioma3d":
            continue
        name = row["case"]
        print(name, flush=True)
        study = open_study(data / "glioma3d" / "imagesTr" / f"{name}.nii.gz")
        reorientation = to_ras(study.grid)
        volumes = {role: reorientation.apply(volume) for role, volume in study.sequences.items()}
        brain = np.any([volume != volume.min() for volume in volumes.values()], axis=0)
        iso = _isotropic(reorientation.target)
        images = {role: iso.averaged(volume) for role, volume in volumes.items()}
        mask = iso.averaged(brain) >= 0.5
        small = small_grid(study)
        covered = small.averaged(np.any([v != v.min() for v in study.sequences.values()], axis=0)) >= 0.5
        stripped = small_study(study, small)
        stripped = replace(stripped, sequences={role: v * covered for role, v in stripped.sequences.items()})
        yield _written(
            stripped, covered, f"{name}_stripped", "stripped", out / "stripped", row["patient"], row["split"]
        )
        for number in range(heads if row["split"] == "train" else 1):
            seed = _seed(f"{name} {number}")
            head = dress(images, mask, DRESSED_FROM, seed)
            yield _scan(head, f"{name}_{number}", out / "dressed", row["patient"], row["split"], seed)


def _phantoms(out: Path, count: int) -> Iterator[dict[str, str]]:
    for seed in range(5000, 5000 + count):
        print("phantom", seed, flush=True)
        phantom = make_phantom(seed, spec=SyntheticSpec(resolution_mm=DRESSED_FROM))
        turn = to_ras(phantom.study.grid)
        images = {role: turn.apply(volume) for role, volume in phantom.study.sequences.items()}
        head = dress(images, phantom.tissues.brain, DRESSED_FROM, seed)
        yield _scan(head, f"phantom_{seed}", out, f"phantom_{seed}", "train", seed)


def _scan(head: HeadScan, name: str, out: Path, patient: str, side: str, seed: int) -> dict[str, str]:
    """Tilt the head, cut slices of 2 to 7 mm out of it from a level that is drawn, and write them."""
    rng = np.random.default_rng(seed + 1)
    matrix = _tilt(rng)
    centre = (np.array(head.brain.shape) - 1) / 2
    offset = centre - matrix @ centre
    tilted = {
        role: ndimage.affine_transform(volume, matrix, offset, order=1) for role, volume in head.sequences.items()
    }
    brain = ndimage.affine_transform(head.brain.astype(np.float32), matrix, offset, order=1)
    first = int(rng.integers(0, 50 / DRESSED_FROM))
    top = int(rng.integers(0, 20 / DRESSED_FROM)) if rng.random() < 0.3 else 0
    kept = slice(first, head.brain.shape[2] - top)
    thickness = rng.choice([3.0, 3.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    shape = (*head.brain.shape[:2], round((kept.stop - kept.start) * DRESSED_FROM / thickness))
    small = SmallGrid(to_ras(Grid((*shape[:2], kept.stop - kept.start), np.eye(4))), _grid(shape, thickness))  # type: ignore[arg-type]
    sequences: Any = {role: small.averaged(volume[:, :, kept]) for role, volume in tilted.items()}
    study = Study(sequences, small.grid, name)
    return _written(study, small.averaged(brain[:, :, kept]) >= 0.5, name, "dressed", out, patient, side)


def _tilt(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    nod, turn, lean = np.deg2rad(rng.normal(0, [10, 4, 5]))
    about_x = np.array([[1, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]])
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(lean), 0, np.sin(lean)], [0, 1, 0], [-np.sin(lean), 0, np.cos(lean)]])
    return np.asarray(about_x @ about_z @ about_y)


def _isotropic(grid: Grid) -> SmallGrid:
    shape = tuple(max(1, round(n * s / DRESSED_FROM)) for n, s in zip(grid.shape, grid.spacing, strict=True))
    return SmallGrid(to_ras(grid), Grid(shape, np.diag([DRESSED_FROM] * 3 + [1.0])))  # type: ignore[arg-type]


def _grid(shape: tuple[int, ...], thickness: float) -> Grid:
    return Grid(shape, np.diag([DRESSED_FROM, DRESSED_FROM, thickness, 1.0]))  # type: ignore[arg-type]


def _written(study: Study, brain: Mask, name: str, dataset: str, out: Path, patient: str, side: str) -> dict[str, str]:
    """Write one case in 16 bits, which keeps the noise of air, and tell the split about it."""
    sequences: Any = {role: _levels(volume) for role, volume in study.sequences.items()}
    truth = Segmentation(brain.astype(np.uint8), study.grid, name, known_regions=("WT",))
    write_case(replace(study, sequences=sequences, name=name), truth, out / name)
    return {"dataset": dataset, "case": name, "patient": patient, "split": side}


def _levels(volume: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    top = max(float(np.percentile(volume, 99.9)), 1e-6)
    return np.rint(np.clip(volume / top, -1, 4) * 4000).astype(np.int16)


def _averaged(small: SmallGrid, ras: Mask) -> npt.NDArray[np.float32]:
    return small.averaged(small.reorientation.undo(ras))


def _unpacked(stored: Any, key: str) -> Mask:
    shape = tuple(stored["shape"])
    return np.unpackbits(stored[key])[: int(np.prod(shape))].reshape(shape).astype(bool)


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


if __name__ == "__main__":
    main()
