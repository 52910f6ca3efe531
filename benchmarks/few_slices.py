"""How well models segment gliomas in thick slices and in few of them: `python benchmarks/few_slices.py DATA`.

DATA holds `glioma3d` and `subjects.csv`. The axial slices of every validation patient are averaged in groups, as a
scanner would see thick ones, with the truth of most of each voxel; or some neighbouring slices are kept, around the
one with the most tumour, as they are. Each study is segmented as if nothing else had been scanned. Dice is over the
slices that there are. Writes `docs/few_slices.json` and the table of `docs/models.md`.
"""

import argparse
import json
from pathlib import Path
from typing import Final

import numpy as np

from marked_page import replace_marked
from napari_brain_tumor import segment
from napari_brain_tumor.catalogue import find_model
from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.labels import REGIONS, region_mask
from napari_brain_tumor.metrics.overlap import dice
from napari_brain_tumor.study import Study
from napari_brain_tumor.types import Labels
from prompting.cases import cases, opened

THICKNESSES: Final = (1, 3, 5, 7)
COUNTS: Final = (1, 3, 9)
DOCS: Final = Path(__file__).parents[1] / "docs"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", default="ensemble", help="names, separated by commas")
    parser.add_argument("--limit", type=int, help="only so many patients")
    arguments = parser.parse_args()
    names = [case for dataset, case in cases(arguments.data) if dataset == "glioma3d"][: arguments.limit]
    rows = []
    for model in arguments.models.split(","):
        dice_of: dict[str, list[list[float]]] = {}
        for case in names:
            whole, truth, _ = opened(arguments.data, "glioma3d", case)
            for what, study, own in variants(whole, truth):
                labels = segment(study, model).data
                dice_of.setdefault(what, []).append(
                    [dice(region_mask(labels, region), region_mask(own, region)) for region in REGIONS]
                )
            print(model, case, {what: np.round(values[-1], 3).tolist() for what, values in dice_of.items()}, flush=True)
        weights = find_model(model).card.weights_sha256
        rows += [
            {
                "model": model,
                "weights_sha256": weights,
                "slices": what,
                "patients": len(values),
                "dice": dict(zip(REGIONS, np.mean(values, axis=0).round(4).tolist(), strict=True)),
                "worst WT": round(min(value[0] for value in values), 4),
            }
            for what, values in dice_of.items()
        ]
    (DOCS / "few_slices.json").write_text(json.dumps(rows, indent=1) + "\n")
    lines = ["| model | slices | WT | TC | ET | worst WT |", "|---|---|---:|---:|---:|---:|"]
    for row in rows:
        means = " | ".join(f"{row['dice'][region]:.3f}" for region in REGIONS)
        lines.append(f"| `{row['model']}` | {row['slices']} | {means} | {row['worst WT']:.3f} |")
    replace_marked(DOCS / "models.md", "few slices", lines)


def variants(study: Study, truth: Labels) -> list[tuple[str, Study, Labels]]:
    """The study in slices of several thicknesses, and few of its slices, each with its truth."""
    made = [(f"all, {n} mm", *thick(study, truth, n)) for n in THICKNESSES]
    middle = int((truth > 0).sum(axis=(0, 1)).argmax())
    for count in COUNTS:
        first = min(max(0, middle - count // 2), truth.shape[2] - count)
        box = Box((0, 0, first), (*truth.shape[:2], first + count))
        volumes = {role: np.ascontiguousarray(volume[box.slices]) for role, volume in study.sequences.items()}
        few = Study(volumes, study.grid.cropped(box), f"{study.name} {count}")
        made.append((f"{count}, 1 mm", few, truth[box.slices].copy()))
    return made


def thick(study: Study, truth: Labels, n: int) -> tuple[Study, Labels]:
    """The mean of every `n` axial slices, and the class that most of each voxel is; what is left over is cut off."""
    depth = truth.shape[2] // n
    shape = (*truth.shape[:2], depth)
    affine = study.grid.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (n - 1) / 2
    affine[:3, 2] *= n
    volumes = {
        role: volume[..., : depth * n].reshape(*shape, n).mean(axis=3, dtype=np.float32)
        for role, volume in study.sequences.items()
    }
    parts = truth[..., : depth * n].reshape(*shape, n)
    counts = np.stack([(parts == value).sum(axis=3) for value in range(4)])
    return Study(volumes, Grid(shape, affine), f"{study.name} {n}"), counts.argmax(axis=0).astype(np.uint8)


if __name__ == "__main__":
    main()
