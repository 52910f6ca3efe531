"""A tiny folder of both sets and the control cases, as `measure_models.py` measures on, and results made by hand."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from curated_phantoms import head, write_data

from phantoms import BRATS_ROLES, write_nifti
from results.document import (
    Machine,
    ModelResults,
    Results,
    Score,
    ScoredCase,
    Scores,
    Split,
)

ROLES = ["T1", "T1c", "T2", "FLAIR"]
NAMES = {"volumes": "glioma3d", "slices": "lgg_tif"}


def write_bench(root: Path) -> Path:
    """Two validation cases of volumes, one of slices, and two control cases; 40x44x6 voxels of 1 mm each."""
    write_data(root)
    for old, new in NAMES.items():
        (root / old).rename(root / new)
    rows = list(csv.reader((root / "split.csv").open()))[1:]
    sides = {"volume_1": "val", "volume_2": "val"}
    with (root / "subjects.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["dataset", "case", "patient", "split", "grade"])
        writer.writerows([NAMES[d], case, who, sides.get(case, side), "HGG"] for d, case, who, side in rows)
    write_control(root / "cases" / "multiple_sclerosis_control" / "patient", 20)
    write_control(root / "cases" / "brats2021_no_enhancing" / "BraTS2021_00001", 21)
    return root


def write_control(folder: Path, seed: int) -> None:
    image, labels = head(seed)
    for suffix in BRATS_ROLES.values():
        write_nifti(folder / f"{folder.name}_{suffix}.nii.gz", image)
    write_nifti(folder / f"{folder.name}_seg.nii.gz", (labels > 0).astype(np.uint8) * (2 if seed == 21 else 1))


def scored(case="a", dice=0.5, dataset="glioma3d", regions=("WT", "TC", "ET"), **changes) -> ScoredCase:
    scores = {region: Score(dice=dice, hd95_mm=4.0, lesionwise_dice=dice) for region in regions}
    about = {"dataset": dataset, "case": case, "patient": case, "grade": "HGG", "roles": ROLES, "seconds": 2.0}
    return ScoredCase(**(about | changes), scores=scores)


def block_of(cases, kind=Scores, **changes) -> Scores:
    machine = Machine(
        processor="A processor", features=["avx2"], cores=2, threads=2, device="cpu", torch="2.13", python="3.11"
    )
    about = {"key": "k", "created": datetime(2026, 1, 1, tzinfo=UTC), "minutes": 1.0}
    return kind(**about, machine=machine, cases=cases, **changes)


def entry(name="unet", **changes) -> ModelResults:
    values = {
        "name": name,
        "title": name,
        "trained": True,
        "default_for": ["glioma3d", "lgg_tif"] if name == "unet" else [],
        "architecture": "unet",
        "dims": 2,
        "parameters": 1_000_000,
        "weights_sha256": "0" * 64,
        "weights_mb": 2.0,
        "min_lesion_mm3": 100.0,
        "min_enhancing_mm3": 200.0,
    }
    return ModelResults(**(values | changes))


def results_of(*entries: ModelResults, **changes) -> Results:
    split = Split(sha256="f" * 64, patients={"glioma3d": {"train": 5, "val": 2}}, together={"train": 5, "val": 2})
    return Results(**({"split": split, "models": {one.name: one for one in entries}} | changes))
