"""What a few prompts are worth: a simulated user corrects validation cases by our rule and by others.

    python benchmarks/interaction --data DATA [--out runs/interaction] [--prompts 20] [--only ...] [--table]

From no labels, from the result of the default model that is shipped, and from worse results, each prompt goes to the
middle of the largest error (`benchmarks/prompting/simulated_user.py`). For comparison with our sessions, the same
outlines are also turned into labels by shape interpolation alone. Dice of WT, TC and ET after each prompt and the
seconds per prompt are stored in OUT, one file per case and way; an interrupted run is continued. `--table` writes
tables and curves of the stored results to docs/interaction.md, docs/interaction.json and docs/images. With another
checkout's `src` on PYTHONPATH and `--as "the version before"`, that version's sessions are stored under this name.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from starts import Maps, begin

sys.path.append(str(Path(__file__).resolve().parents[1]))
from napari_brain_tumor.interactive import Refiner
from napari_brain_tumor.labels import region_mask
from napari_brain_tumor.study import Segmentation, Study
from prompting.cases import brain_box, cases, opened
from prompting.simulated_user import next_prompt

Labels = npt.NDArray[np.uint8]
OURS = "ours"
NO_NETWORK = "ours, no probabilities"
SHAPES = "shape interpolation, same outlines"
WALKER = "random walker"


@dataclass(frozen=True)
class Way:
    """How a case is corrected: method, start, kind of prompt, and largest number of prompts."""

    method: str
    start: str
    habit: str = "outline"
    prompts: int = 20

    @property
    def name(self) -> str:
        return " - ".join((self.start, self.method, self.habit))


WAYS = (
    *(Way(OURS, start) for start in ("model", "nothing")),
    *(Way(OURS, start, prompts=10) for start in ("u2netp", "threshold", "shifted")),
    Way(NO_NETWORK, "model", prompts=10),
    *(Way(OURS, "model", habit, 10) for habit in ("lasso", "stroke", "point")),
    *(Way(WALKER, start, prompts=10) for start in ("model", "nothing")),
)


def correct(way: Way, case: "Case", cache: Path, count: int, *, same: bool = True) -> dict[str, Any]:
    """Return Dice after every prompt, the seconds per prompt, and Dice of shape interpolation of the same outlines."""
    segmentation, maps = case.begin(way.start, cache)
    corrected = _corrector(way, case.study, segmentation, maps)
    shapes = _shapes(way, case.study, segmentation) if same else None
    dice, seconds = [case.scores(corrected.labels)], []
    drawn = [*dice]
    for _ in range(min(way.prompts, count)):
        prompt = next_prompt(corrected.labels, case.truth, case.study.grid, way.habit, case.regions)  # type: ignore[arg-type]
        if prompt is not None:
            began = time.perf_counter()
            corrected.apply(prompt)
            seconds.append(time.perf_counter() - began)
            if shapes is not None:
                shapes.apply(prompt)
        dice.append(case.scores(corrected.labels))
        if shapes is not None:
            drawn.append(case.scores(shapes.labels))
    found = {"way": asdict(way), "case": case.study.name, "regions": case.regions, "dice": dice, "seconds": seconds}
    return found | ({"same outlines": drawn} if shapes is not None else {})


def _corrector(way: Way, study: Study, segmentation: Segmentation | None, maps: Any) -> Any:
    if way.method == WALKER:
        from peers import Walker

        return Walker(study, segmentation)
    return Refiner(study, segmentation, maps if way.method == OURS else None)


def _shapes(way: Way, study: Study, segmentation: Segmentation | None) -> Any:
    if way.method != OURS or way.habit != "outline":
        return None
    from peers import Shapes

    return Shapes(study, segmentation)


class Case:
    """A case cropped to the brain, so that the simulated user never looks at air."""

    def __init__(self, data: Path, dataset: str, case: str) -> None:
        whole, truth, self.regions = opened(data, dataset, case)
        self._whole, self._truth = whole, truth
        _, box = brain_box(whole, truth)
        self.at = box.slices
        cut = {role: np.ascontiguousarray(volume[self.at]) for role, volume in whole.sequences.items()}
        self.study, self.truth = Study(cut, whole.grid.cropped(box), whole.name), truth[self.at].copy()

    def begin(self, start: str, cache: Path) -> tuple[Segmentation | None, Any]:
        """Return the labels and probabilities that a correction starts from."""
        segmentation, maps = begin(start, self._whole, self._truth, self.regions, cache)
        if segmentation is None:
            return None, None
        cut = Segmentation(segmentation.data[self.at].copy(), self.study.grid, known_regions=self.regions)
        return cut, None if maps is None else Maps({region: maps[region][self.at] for region in maps.regions})

    def scores(self, labels: Labels) -> list[float]:
        """Return the Dice of every region; 1 if the region is absent from both."""
        found = []
        for region in self.regions:
            mine, true = region_mask(labels, region), region_mask(self.truth, region)
            total = int(mine.sum() + true.sum())
            found.append(2 * int((mine & true).sum()) / total if total else 1.0)
        return found


def run(arguments: argparse.Namespace) -> None:
    ways = [way for way in WAYS if arguments.only is None or arguments.only in way.name]
    for dataset, name in _chosen(arguments):
        left = [way for way in ways if not place(arguments, dataset, name, way).exists()]
        if not left:
            continue
        case = Case(arguments.data, dataset, name)
        for way in left:
            record = correct(way, case, arguments.out / "starts", arguments.prompts, same=arguments.under is None)
            record["dataset"] = dataset
            record["way"]["method"] = arguments.under or way.method
            file = place(arguments, dataset, name, way)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(record))
            last = len(record["dice"]) - 1
            at = [np.round(record["dice"][min(n, last)], 3).tolist() for n in (0, 5, 10)]
            print(name, way.name, at, f"{np.median(record['seconds'] or [0]):.2f} s", flush=True)


def _chosen(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    for dataset, case in cases(arguments.data, arguments.split):
        if arguments.dataset in (None, dataset) and (arguments.case is None or arguments.case in case):
            yield dataset, case


def place(arguments: argparse.Namespace, dataset: str, case: str, way: Way) -> Path:
    name = way.name if arguments.under is None else f"{way.start} - {arguments.under} - {way.habit}"
    found: Path = arguments.out / f"{dataset} {case} - {name}.json"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/interaction"))
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--split", default="val", choices=("val", "train"))
    parser.add_argument("--only", help="ways whose name holds this, such as 'model - ours - outline'")
    parser.add_argument("--dataset", help="glioma3d or lgg_tif; both without it")
    parser.add_argument("--case", help="cases whose name holds this")
    parser.add_argument("--as", dest="under", help="name under which the sessions are kept")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if not arguments.table:
        run(arguments)
        return
    from tables import write_tables

    write_tables(arguments.out)


if __name__ == "__main__":
    main()
