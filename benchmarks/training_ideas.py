"""What each idea for training with few cases gains: short runs of one small network, with and without the idea.

    python benchmarks/training_ideas.py --data DATA [--out runs/ideas] [--epochs 10] [--only lesion-mixing,...]

The runs train a U-Net of 16 features on two thirds of the training patients of glioma3d and are scored on the other
third, so that no choice looks at the validation patients. The plain recipe runs with two seeds: their difference is
what chance alone does. A run that was stopped goes on; `docs/experiments.json` is written again after each.
"""

import argparse
import csv
import json
import logging
import time
from pathlib import Path
from typing import Any

from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.progress import run_job
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.fit import fit
from napari_brain_tumor_training.folds import Fold, frozen_folds

logger = logging.getLogger("training_ideas")

RESULTS = Path(__file__).parent.parent / "docs" / "experiments.json"
FOLDS = 3
PLAIN: dict[str, Any] = {
    "name": "ideas",
    "title": "U-Net 2D, 16 features, for comparisons",
    "seed": 1,
    "split": "subjects.csv",
    "patch": [128, 128],
    "foreground_share": 0.5,
    "validate_every": 1000,
    "sources": [{"dataset": "glioma3d", "kind": "decathlon", "path": "glioma3d", "share": 1.0}],
    "model": {"architecture": "unet", "dims": 2, "arguments": {"width": 16, "levels": 5, "widest": 256}},
    "augmentation": {
        "rotation_degrees": 12,
        "scale": [0.88, 1.14],
        "role_dropout": 0.35,
        "intensity_probability": 0.5,
        "contrast": 0.15,
        "brightness": 0.15,
        "gamma": 0.15,
        "bias_field": 0.04,
        "noise": 0.06,
        "noise_probability": 0.15,
        "blur_probability": 0.1,
    },
    "output": {"report": False, "tensorboard": False, "sample_slices": 0},
    "optimisation": {"epochs": 10, "iterations_per_epoch": 40, "batch": 8, "learning_rate": 2e-3, "ema_decay": 0.98},
}
LGG = {"dataset": "lgg_tif", "kind": "lgg-tif", "path": "lgg_tif", "share": 0.4}


def variants(out: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name of each idea, what it is in words, and what it changes in the plain recipe."""
    real, plain = PLAIN["sources"][0], PLAIN["augmentation"]
    made = {"dataset": "synthetic", "kind": "synthetic", "path": str((out / "synthetic").resolve()), "cases": 16}
    strong = {"rotation_degrees": 20, "scale": [0.75, 1.35], "contrast": 0.3, "brightness": 0.3, "gamma": 0.4}
    strong |= {"bias_field": 0.15, "intensity_probability": 0.8, "noise": 0.12}
    return {
        "seed": ("nothing but another seed", {"seed": 2}),
        "lesion-mixing": (
            "lesions of other patients pasted into a quarter of the samples",
            {"augmentation": plain | {"lesion_mixing": 0.25}},
        ),
        "synthetic": (
            "16 synthetic cases, a quarter of the samples",
            {"sources": [real | {"share": 0.75}, made | {"share": 0.25}]},
        ),
        "both-sets": (
            "LGG patients, of whom only the whole tumour is known, two fifths of the samples",
            {"sources": [real | {"share": 0.6}, LGG]},
        ),
        "grade-shares": (
            "low grades, a sixth of the cases, a third of the samples",
            {"sources": [real | {"grade_shares": {"HGG": 0.65, "LGG": 0.35}}]},
        ),
        "strong-augmentation": ("stronger scaling, contrast, gamma and bias fields", {"augmentation": plain | strong}),
        "no-role-dropout": (
            "sequences never taken away while training (scored with all four)",
            {"augmentation": plain | {"role_dropout": 0.0}},
        ),
    }


def main() -> None:
    """Run what is asked for and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/ideas"))
    parser.add_argument("--epochs", type=int, default=PLAIN["optimisation"]["epochs"])
    parser.add_argument("--only", default="", help="names of ideas, with commas between")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    chosen = variants(arguments.out)
    names = arguments.only.split(",") if arguments.only else list(chosen)
    without, cases, _ = scores("plain", {}, arguments)
    for name in names:
        words, changes = chosen[name]
        with_it, _, minutes = scores(name, changes, arguments)
        entry = {
            "idea": name,
            "setting": words,
            "with": with_it,
            "without": without,
            "cases": cases,
            "minutes": round(minutes, 1),
            "note": f"U-Net of 16 features, {arguments.epochs} epochs of 40 batches of 8, mean Dice without "
            f"postprocessing on the {cases} training patients of fold 1 of {FOLDS}",
        }
        keep(entry)
        logger.info("%s: %s; without: %s", name, with_it, without)


def scores(name: str, changes: dict[str, Any], arguments: argparse.Namespace) -> tuple[dict[str, float], int, float]:
    """Mean Dice by region on the fold's patients, how many these are, and the minutes that the run took."""
    config = TrainConfig.model_validate(PLAIN | changes)
    folder = arguments.out / name
    patients = fold(arguments)
    done = folder / "history.csv"
    began = time.monotonic()
    if not done.is_file() or len(done.read_text(encoding="utf-8").splitlines()) <= arguments.epochs:
        resume = (folder / "state.pt").is_file()
        job = fit(config, arguments.data, folder, device="cpu", resume=resume, epochs=arguments.epochs, fold=patients)
        run_job(job)
    with done.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found: dict[str, float] = {region: round(float(rows[-1][f"glioma3d {region}"]), 3) for region in REGIONS}
    minutes = max((time.monotonic() - began) / 60, sum(float(row["seconds"]) for row in rows) / 60)
    return found, sum(number == patients.number for number in patients.of_patient.values()), minutes


def fold(arguments: argparse.Namespace) -> Fold:
    """The first fold of the training patients of glioma3d, decided once."""
    config = TrainConfig.model_validate(PLAIN)
    arguments.out.mkdir(parents=True, exist_ok=True)
    return Fold(1, FOLDS, frozen_folds(config, arguments.data, arguments.out, FOLDS))


def keep(entry: dict[str, Any]) -> None:
    """Put the entry into the table in place of an earlier one of its name."""
    table = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []
    kept = [other for other in table if other["idea"] != entry["idea"]]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([*kept, entry], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
