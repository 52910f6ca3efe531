"""What a few prompts are worth: a simulated user corrects validation cases by our rule and by two known methods.

    python benchmarks/interaction --data DATA [--out runs/interaction] [--prompts 20] [--only ...] [--table]

From nothing and from the shipped default model's result, the next prompt goes to the middle of the largest error
(`napari_brain_tumor.interactive.simulated_user`), until there are 20. Dice of WT, TC and ET after every prompt and the
seconds that each took are kept in OUT, a file for every case and way; a run that was stopped goes on. `--table` writes
the tables and the curves of what is there into docs/interaction.md, docs/interaction.json and docs/images.
"""

import argparse
import csv
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from peers import METHODS, peer_spread
from tables import write_tables

from napari_brain_tumor import open_segmentation, open_study, segment_with_probabilities
from napari_brain_tumor.interactive import Refiner
from napari_brain_tumor.interactive.rasterise import rasterise
from napari_brain_tumor.interactive.refiner import reach_of
from napari_brain_tumor.interactive.scene import Scene
from napari_brain_tumor.interactive.simulated_user import next_prompt
from napari_brain_tumor.labels import Region, region_mask
from napari_brain_tumor.study import Segmentation, Study

Labels = npt.NDArray[np.uint8]
OURS = "ours"
NO_NETWORK = "ours, no probabilities"


@dataclass(frozen=True)
class Way:
    """How a case is corrected: with what rule, from what start, by which habit and measure of the simulated user."""

    method: str
    start: str
    habit: str
    measure: str = "share"

    @property
    def name(self) -> str:
        return " - ".join((self.start, self.method, self.habit, self.measure))


WAYS = (
    *(Way(OURS, start, habit) for habit in ("outline", "stroke") for start in ("model", "nothing")),
    *(Way(method, start, "outline") for method in METHODS for start in ("model", "nothing")),
    Way(NO_NETWORK, "model", "outline"),
    Way(OURS, "model", "outline", "voxels"),
    *(Way(OURS, "model", habit) for habit in ("lasso", "point")),
)


def cases(data: Path) -> Iterator[tuple[str, str]]:
    """Data set and name of every validation case."""
    with (data / "subjects.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == "val":
                yield row["dataset"], row["case"]


def opened(data: Path, dataset: str, case: str) -> tuple[Study, Labels, tuple[Region, ...]]:
    """The study, its truth, and the regions that this knows."""
    if dataset == "glioma3d":
        study = open_study(data / dataset / "imagesTr" / f"{case}.nii.gz")
        truth = open_segmentation(data / dataset / "labelsTr" / f"{case}.nii.gz", "MSD")
    else:
        study, truth = open_study(data / dataset / case), open_segmentation(data / dataset / case, "LGG-binary")
    return study, truth.data, truth.known_regions


def correct(
    way: Way, study: Study, truth: Labels, regions: tuple[Region, ...], result: Any, count: int
) -> dict[str, Any]:
    """Dice after every prompt, and the seconds of each."""
    segmentation, maps = result if way.start == "model" else (None, None)
    if segmentation is not None and regions == ("WT",):
        # The truth is one class: so is what is corrected.
        whole = (segmentation.data > 0).astype(np.uint8)
        segmentation = Segmentation(whole, study.grid, known_regions=regions)
    prior = maps if way.method == OURS else None
    corrected = Peer(way.method, study, segmentation) if way.method in METHODS else Refiner(study, segmentation, prior)
    dice, seconds = [scores(corrected.labels, truth, regions)], []
    for _ in range(count):
        prompt = next_prompt(corrected.labels, truth, study.grid, way.habit, regions, way.measure)  # type: ignore[arg-type]
        if prompt is not None:
            began = time.perf_counter()
            corrected.apply(prompt)
            seconds.append(time.perf_counter() - began)
        dice.append(scores(corrected.labels, truth, regions))
    return {"way": asdict(way), "case": study.name, "regions": regions, "dice": dice, "seconds": seconds}


class Peer:
    """Labels that another method's prompts change."""

    def __init__(self, method: str, study: Study, segmentation: Segmentation | None) -> None:
        self.method, self.study, self.scene = method, study, Scene(study)
        self.labels = np.zeros(study.grid.shape, np.uint8) if segmentation is None else segmentation.data.copy()
        self.said = np.zeros(study.grid.shape, np.uint8)

    def apply(self, prompt: Any) -> None:
        touched = rasterise(prompt, self.study.grid)
        at = (box := reach_of(touched, self.labels.shape)).slices
        said = self.said[at].copy()
        self.labels[at] = peer_spread(self.method, self.scene, box, self.labels[at], said, prompt, touched)
        self.said[at] = said


def scores(labels: Labels, truth: Labels, regions: tuple[Region, ...]) -> list[float]:
    """Dice of every region; 1 where neither has it."""
    found = []
    for region in regions:
        mine, true = region_mask(labels, region), region_mask(truth, region)
        total = int(mine.sum() + true.sum())
        found.append(2 * int((mine & true).sum()) / total if total else 1.0)
    return found


def run(arguments: argparse.Namespace) -> None:
    ways = [way for way in WAYS if arguments.only is None or arguments.only in way.name]
    for dataset, case in cases(arguments.data):
        if arguments.dataset not in (None, dataset):
            continue
        left = [way for way in ways if not place(arguments.out, dataset, case, way).exists()]
        if not left:
            continue
        study, truth, regions = opened(arguments.data, dataset, case)
        result = segment_with_probabilities(study) if any(way.start == "model" for way in left) else None
        for way in left:
            record = correct(way, study, truth, regions, result, arguments.prompts) | {"dataset": dataset}
            file = place(arguments.out, dataset, case, way)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(record))
            at = [np.round(record["dice"][min(n, arguments.prompts)], 3).tolist() for n in (0, 5, 10)]
            print(case, way.name, at, f"{np.median(record['seconds'] or [0]):.2f} s", flush=True)


def place(out: Path, dataset: str, case: str, way: Way) -> Path:
    return out / f"{dataset} {case} - {way.name}.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/interaction"))
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--only", help="ways whose name holds this")
    parser.add_argument("--dataset", help="glioma3d or lgg_tif; both without it")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if not arguments.table:
        run(arguments)
    write_tables(arguments.out)


if __name__ == "__main__":
    main()
