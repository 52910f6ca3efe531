"""Fit the weights that decide how the slices beside an outline follow, from training patients of glioma3d and LGG.

    python benchmarks/fit_outlines.py DATA [--sessions 3] [--rounds 2] [--minutes 60] [--out runs/outlines]

DATA holds glioma3d/, lgg_tif/ and subjects.csv. Training cases are corrected in sessions of a simulated user, from
nothing, from the truth 5 mm to the side, from the truth with uneven margins and false parts, with probabilities that
are wrong where it is, and from results of models that OUT/starts holds (`CASE MODEL.npz` of labels and maps, as
benchmarks/interaction keeps them). The first round corrects between prompts by the shapes alone, later ones with what
was learned before; the fit takes the samples of all. What is done is kept in OUT, and a run that was stopped goes on.
"""

import argparse
import csv
import logging
import time
import zlib
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from napari_brain_tumor import open_segmentation, open_study
from napari_brain_tumor.interactive.section import SECTION_FEATURES
from napari_brain_tumor.interactive.verdict import OUTLINE_FILE, Verdict, load_verdict
from napari_brain_tumor.labels import Region
from napari_brain_tumor.study import Study
from napari_brain_tumor.types import Labels
from prompting.outlines import Maps, play_outlines, uneven_start, within_brain
from prompting.verdict import (
    Samples,
    Start,
    fit_verdict,
    joined,
    read_samples,
    save_samples,
    save_verdict,
)

logger = logging.getLogger("fit_outlines")

WEIGHTS = Path(__file__).parent.parent / "src" / "napari_brain_tumor" / "interactive" / OUTLINE_FILE
NO_PROBABILITIES = 0.3
FEWER = 0.25
"""Share of sessions in which sequences are missing."""


def training_cases(data: Path) -> list[tuple[str, str]]:
    """Data set and case of the training patients, of both data sets in turn."""
    with (data / "subjects.csv").open(newline="") as file:
        rows = [(row["dataset"], row["case"]) for row in csv.DictReader(file) if row["split"] == "train"]
    gliomas, lgg = ([row for row in rows if row[0] == name] for name in ("glioma3d", "lgg_tif"))
    return [row for row in chain.from_iterable(zip_longest(gliomas, lgg)) if row is not None]


def opened(data: Path, dataset: str, case: str) -> tuple[Study, Labels, tuple[Region, ...]]:
    """The study, its truth, and the regions that the truth knows."""
    if dataset == "glioma3d":
        study = open_study(data / dataset / "imagesTr" / f"{case}.nii.gz")
        truth = open_segmentation(data / dataset / "labelsTr" / f"{case}.nii.gz", "MSD")
    else:
        study, truth = open_study(data / dataset / case), open_segmentation(data / dataset / case, "LGG-binary")
    return study, truth.data, truth.known_regions


def kept_starts(folder: Path, case: str, at: tuple[slice, slice, slice]) -> list[Start]:
    """Results of models, cut to the brain."""
    found = []
    for file in sorted(folder.glob(f"{case} *.npz")):
        with np.load(file) as kept:
            maps: dict[Region, np.ndarray] = {r: kept[r][at] for r in ("WT", "TC", "ET") if r in kept}
            found.append(Start(kept["labels"][at], Maps(maps) if maps else None))  # type: ignore[arg-type]
    return found


def sessions(data: Path, dataset: str, case: str, out: Path, count: int, verdict: Verdict | None, nth: int) -> Samples:
    """Samples of some sessions with one case."""
    whole, known, regions = opened(data, dataset, case)
    study, truth, at = within_brain(whole, known)
    random = np.random.default_rng(zlib.crc32(f"{case} {nth}".encode()))
    models, parts = kept_starts(out / "starts", case, at), []
    for _ in range(count):
        made = [Start(np.zeros_like(truth)), Start(np.roll(truth, round(5 / study.grid.spacing[0]), axis=0))]
        made += [uneven_start(truth, study.grid, random)] * 2 + models * 2
        start = made[random.integers(len(made))]
        labels = start.labels if len(regions) > 1 else (start.labels > 0).astype(np.uint8)
        start = Start(labels, None if random.random() < NO_PROBABILITIES else start.probabilities)
        roles = study.roles if random.random() > FEWER else tuple(r for r in study.roles if random.random() < 0.6)
        some = study.only(roles or study.roles[-1:])
        prompts = int(random.integers(4, 10))
        parts.append(play_outlines(some, truth, start, random, prompts=prompts, regions=regions, verdict=verdict))
    return joined(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sessions", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=60, help="of sessions in every round, at most")
    parser.add_argument("--out", type=Path, default=Path("runs/outlines"))
    parser.add_argument("--without", nargs="*", default=(), help="cases that are left for a look at what was learned")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    verdict: Verdict | None = None
    parts: list[Samples] = []
    for number in range(arguments.rounds):
        began = time.monotonic()
        for dataset, case in training_cases(arguments.data):
            file = arguments.out / f"round{number} {case}.safetensors"
            late = time.monotonic() - began > 60 * arguments.minutes
            if case in arguments.without or (late and not file.exists()):
                continue
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                found = sessions(arguments.data, dataset, case, arguments.out, arguments.sessions, verdict, number)
                save_samples(found, file)
                logger.info("round %d, %s: %d voxels", number, case, len(found.follows))
            parts.append(read_samples(file))
        weights = arguments.out / f"round{number}.weights.safetensors"
        save_verdict(fit_verdict(joined(parts)), weights)
        verdict = load_verdict(weights, len(SECTION_FEATURES))
    if verdict is not None:
        save_verdict(verdict, WEIGHTS)


if __name__ == "__main__":
    main()
