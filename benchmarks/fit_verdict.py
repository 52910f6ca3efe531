"""Fit the weights that decide how far a prompt reaches, from the training patients of glioma3d.

    python benchmarks/fit_verdict.py DATA [--sessions 5] [--rounds 3] [--out runs/verdict]

DATA holds glioma3d/ and subjects.csv. Every training case is corrected in sessions of a simulated user, from nothing
and from results that are far from perfect: the small U2-NetP, and the U-Net with sequences missing. The first round
corrects between prompts as the truth would, later ones with what was learned before; each fit takes the samples of the
last two rounds, without the first one from the third on. A run that was stopped goes on where it was. The weights are
written into the package.
"""

import argparse
import csv
import logging
import zlib
from pathlib import Path

import numpy as np

from napari_brain_tumor import open_segmentation, open_study, segment_with_probabilities
from napari_brain_tumor.interactive.verdict import WEIGHTS_FILE, Verdict, load_verdict
from napari_brain_tumor.study import Role, Study
from prompting.verdict import (
    Samples,
    Start,
    fit_verdict,
    joined,
    play,
    read_samples,
    save_samples,
    save_verdict,
)

logger = logging.getLogger("fit_verdict")

WEIGHTS = Path(__file__).parent.parent / "src" / "napari_brain_tumor" / "interactive" / WEIGHTS_FILE
STARTS: tuple[tuple[str, tuple[Role, ...]], ...] = (
    ("u2netp", ("T1", "T1c", "T2", "FLAIR")),
    ("u2netp", ("T1c", "T2")),
    ("unet", ("FLAIR",)),
    ("unet", ("T1", "T2")),
)
NOTHING = 0.35
"""Share of sessions that begin from nothing."""
NO_PROBABILITIES = 0.12
"""Share of the others that begin from labels alone."""
FEWER = 0.2
"""Share of sessions in which sequences are missing."""


def training_cases(data: Path) -> list[str]:
    """Cases of glioma3d whose patients are in the training split."""
    with (data / "subjects.csv").open(newline="") as file:
        return [row["case"] for row in csv.DictReader(file) if (row["dataset"], row["split"]) == ("glioma3d", "train")]


def starts_of(study: Study) -> list[Start]:
    """What sessions of a case can begin from."""
    results = [segment_with_probabilities(study.only(roles), model) for model, roles in STARTS]
    return [Start(segmentation.data, maps) for segmentation, maps in results]


def sessions(data: Path, case: str, count: int, verdict: Verdict | None, round_number: int) -> Samples:
    """Samples of some sessions with one case."""
    study = open_study(data / "glioma3d" / "imagesTr" / f"{case}.nii.gz")
    truth = open_segmentation(data / "glioma3d" / "labelsTr" / f"{case}.nii.gz", "MSD").data
    random = np.random.default_rng(zlib.crc32(f"{case} {round_number}".encode()))
    starts, parts = starts_of(study), []
    for _ in range(count):
        roles = study.roles if random.random() > FEWER else tuple(r for r in study.roles if random.random() < 0.6)
        start = starts[random.integers(len(starts))]
        if random.random() < NOTHING:
            start = Start(np.zeros_like(truth))
        elif random.random() < NO_PROBABILITIES:
            start = Start(start.labels)
        parts.append(play(study.only(roles or ("FLAIR",)), truth, start, random, verdict=verdict))
    return joined(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/verdict"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    verdict: Verdict | None = None
    rounds: list[Samples] = []
    for number in range(arguments.rounds):
        parts = []
        for case in training_cases(arguments.data):
            file = arguments.out / f"round{number} {case}.safetensors"
            if not file.exists():
                save_samples(sessions(arguments.data, case, arguments.sessions, verdict, number), file)
                logger.info("round %d, %s", number, case)
            parts.append(read_samples(file))
        rounds.append(joined(parts))
        weights = arguments.out / f"round{number}.weights.safetensors"
        if not weights.exists():
            save_verdict(fit_verdict(joined(rounds[max(0, min(1, number - 1)) :][-2:])), weights)
        verdict = load_verdict(weights)
    if verdict is not None:
        save_verdict(verdict, WEIGHTS)


if __name__ == "__main__":
    main()
