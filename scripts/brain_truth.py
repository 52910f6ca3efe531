"""Brain masks of whole heads by deepbet, from which the network `brain` learns and against which it is measured.

    pip install deepbet        # PyPI, MIT, weights inside its wheel; a tool of developers, not a dependency
    python scripts/brain_truth.py DATA/lgg_tif TRUTH

For every patient one `.npz`: the mask of each sequence, their majority ("consensus") and the tumour, as packed bits in
RAS order with their shape. A line a patient tells how far each sequence agrees with the majority (Dice), and how many
voxels of the tumour the majority leaves out: what to look at before it is learned from.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor import open_segmentation, open_study
from napari_brain_tumor.geometry import to_ras

Mask = npt.NDArray[np.bool_]


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heads", type=Path, help="folder with one folder a patient")
    parser.add_argument("truth", type=Path, help="folder for the masks, outside the repository")
    given = parser.parse_args()
    given.truth.mkdir(parents=True, exist_ok=True)
    extractor = _deepbet()
    for patient in sorted(path for path in given.heads.iterdir() if path.is_dir()):
        target = given.truth / f"{patient.name}.npz"
        if not target.exists():
            sys.stdout.write(f"{_make(patient, target, extractor)}\n")
            sys.stdout.flush()


def consensus_of(masks: Mapping[str, Mask]) -> Mask:
    """What most of the masks hold; of two, what either holds."""
    votes = np.sum([mask.astype(np.uint8) for mask in masks.values()], axis=0)
    return np.asarray(votes >= 1 if len(masks) == 2 else 2 * votes > len(masks))


def _make(patient: Path, target: Path, extractor: Any) -> str:
    began = time.monotonic()
    study = open_study(patient)
    turn = to_ras(study.grid)
    tumour = turn.apply(open_segmentation(patient).data) > 0
    masks = {role: _mask(extractor, turn.apply(volume)) for role, volume in study.sequences.items()}
    consensus = consensus_of(masks)
    packed = {name: np.packbits(mask) for name, mask in {**masks, "consensus": consensus, "tumour": tumour}.items()}
    np.savez_compressed(target, allow_pickle=False, shape=np.array(consensus.shape), **packed)
    agree = ", ".join(f"{role} {_dice(mask, consensus):.3f}" for role, mask in masks.items())
    outside = int((tumour & ~consensus).sum())
    seconds = time.monotonic() - began
    return f"{patient.name}: {agree}; {outside} of {int(tumour.sum())} tumour voxels outside; {seconds:.1f} s"


def _mask(extractor: Any, volume: npt.NDArray[Any]) -> Mask:
    found = extractor.run_model(np.ascontiguousarray(volume, dtype=np.float32)) > 0.5
    return np.asarray(extractor.postprocess(found), dtype=np.bool_)


def _deepbet() -> Any:
    try:
        from deepbet.bet import BrainExtraction
    except ImportError:
        raise SystemExit("deepbet is not installed: pip install deepbet") from None
    return BrainExtraction(no_gpu=True)


def _dice(one: Mask, other: Mask) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


if __name__ == "__main__":
    main()
