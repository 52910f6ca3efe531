"""Results whose saving is killed at every call that changes a file; run as a program by the tests, not a test itself.

python killed_saves.py FOLDER KIND    prints what was found after each kill, as JSON
"""

import json
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import phantoms
from kill_points import kill_at
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_segmentation, save_segmentation
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.leftovers import finish_interrupted
from napari_brain_tumor.study import Segmentation

OLD, NEW = phantoms.tumour(), SCHEMAS["BraTS2023"].encode(phantoms.tumour())
"""Written in BraTS2023 and MSD they hold the same integers."""


def segmentation(classes: np.ndarray, by: str) -> Segmentation:
    return Segmentation(classes, Grid(classes.shape, np.eye(4)), provenance={"by": by})


def prepare(folder: Path, kind: str) -> Path:
    target = folder / ("seg.nii.gz" if kind.startswith("file") else "masks")
    if kind == "masks among scans":
        target.mkdir(parents=True)
        (target / "notes.txt").write_text("of the patient")
    if "first" not in kind:
        save_segmentation(segmentation(OLD, "old"), target, "BraTS2023")
    return target


def seen(target: Path) -> str:
    """Which result is there: labels and record of one, nothing, or what is wrong with it."""
    if not target.exists():
        return "old"
    labels = open_segmentation(target)
    by = json.loads(target.with_name(target.name.split(".")[0] + ".json").read_text())["provenance"]["by"]
    for name, classes in (("old", OLD), ("new", NEW)):
        if np.array_equal(labels.data, classes):
            return name if by == name else f"labels {name}, record {by}"
    return "a mixture"


def swapped(target: Path) -> bool:
    """Whether somebody who opens the labels before the next start takes edema for non-enhancing."""
    os.environ["BRAIN_TUMOR_HOME"], home = "/nonexistent", os.environ["BRAIN_TUMOR_HOME"]
    try:
        labels = open_segmentation(target).data
    except BrainTumorError:
        return False
    finally:
        os.environ["BRAIN_TUMOR_HOME"] = home
    return not any(np.array_equal(labels, classes) for classes in (OLD, NEW))


def main(work: Path, kind: str) -> None:
    outcomes, swaps, left = [], 0, []
    for point in range(1, 500):
        folder = work / "killed"
        folder.mkdir()
        target = prepare(folder, kind)
        child = os.fork()
        if child == 0:
            kill_at(point, writes=False)
            save_segmentation(segmentation(NEW, "new"), target, "MSD", overwrite="first" not in kind)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        swaps += swapped(target) if target.exists() else 0
        finish_interrupted()
        outcomes.append(seen(target))
        left += [path.name for path in folder.rglob(".*")]
        left += [path.name for path in Path(os.environ["BRAIN_TUMOR_HOME"]).glob("unfinished/*")]
        shutil.rmtree(folder)
        if os.WIFEXITED(status):
            break
    result = {"points": point, "outcomes": outcomes, "swapped_before_the_next_start": swaps, "left_over": left}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
