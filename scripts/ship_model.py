"""Put the checkpoint of a finished training run into the package, and write the manifest of all that ship.

    python scripts/ship_model.py runs/unet3d/unet3d        # replaces src/napari_brain_tumor/checkpoints/unet3d
    python scripts/ship_model.py runs/unet3d/unet3d-last   # the same with the weights of the last epoch
    python scripts/ship_model.py --refit runs/all/unet     # the model that ships, fitted on all patients
    python scripts/ship_model.py                           # only writes the manifest

A run that was stopped before its last epoch is refused. Weights of the last epoch were not chosen on validation cases.
A refit keeps scores, calibration and rules of the card that ships, which are of the weights before it, and names these.
"""

import argparse
import json
import sys
from pathlib import Path

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models.card_parts import TrainingRecord
from napari_brain_tumor.models.cards import Card, ModelInfo, find_model
from napari_brain_tumor.models.checkpoint import read_weights, save_checkpoint
from napari_brain_tumor.models.manifest import BUNDLED, MANIFEST_FILE, manifest_of

LAST = "-last"
"""What a run adds to the name of the model for the weights of its last epoch."""
LIMIT_BYTES = 60_000_000
"""Of the weights of all shipped models together."""


def main() -> None:
    """Ship the checkpoints that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="*", help="checkpoint folders of finished runs")
    parser.add_argument("--refit", action="store_true", help="they were fitted on all patients, after being measured")
    arguments = parser.parse_args()
    for folder in arguments.checkpoints:
        model = find_model(folder)
        refuse_unfinished(model)
        name = model.name.removesuffix(LAST)
        record = without_folders(model.card.training)
        card = model.card.model_copy(update={"name": name, "training": record})
        if arguments.refit:
            card = refitted(find_model(BUNDLED / name).card, card)
        save_checkpoint(BUNDLED / name, read_weights(model), card)
    write_manifest()


def refitted(measured: Card, card: Card) -> Card:
    """The card of weights that were fitted on all patients: what was measured and found stays that of before."""
    if card.training is None or measured.architecture != card.architecture or measured.arguments != card.arguments:
        raise CheckpointError(f"{card.name} is no refit of the {measured.name} that ships: they are other networks.")
    earlier = measured.training.refit_of if measured.training else ""
    record = card.training.model_copy(update={"refit_of": earlier or measured.weights_sha256})
    return measured.model_copy(update={"training": record, "created": card.created, "software": card.software})


def without_folders(record: TrainingRecord | None) -> TrainingRecord | None:
    """The record with the name alone of the weights that the run began with: where they lay is of no use to others."""
    if record is None or record.settings.get("model", {}).get("init") is None:
        return record
    network = record.settings["model"]
    settings = {**record.settings, "model": {**network, "init": Path(network["init"]).name}}
    return record.model_copy(update={"settings": settings})


def write_manifest() -> None:
    """Write the manifest of what is there, unless it is more than is shipped."""
    manifest = manifest_of(BUNDLED)
    total = sum(file.size for file in manifest.weights.values())
    if total > LIMIT_BYTES:
        raise SystemExit(f"All weights together are {total:,} bytes; no more than {LIMIT_BYTES:,} are shipped.")
    (BUNDLED / MANIFEST_FILE).write_text(json.dumps(manifest.model_dump(), indent=1) + "\n", encoding="utf-8")
    for name, file in manifest.weights.items():
        sys.stdout.write(f"{name}: {file.size:,} bytes, {file.sha256[:12]}...\n")
    sys.stdout.write(f"together {total:,} bytes\n")


def refuse_unfinished(model: ModelInfo) -> None:
    """Raise `CheckpointError` unless its run went through every epoch of the recipe."""
    record = model.card.training
    planned = record.settings.get("optimisation", {}).get("epochs") if record else None
    if record is None or record.epochs != planned:
        done = record.epochs if record else "an unknown number"
        msg = (
            f"{model.name} was trained for {done} of {planned} epochs: finish the run (--resume) before it is shipped."
        )
        raise CheckpointError(msg)


if __name__ == "__main__":
    main()
