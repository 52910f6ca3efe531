"""Put the checkpoint of a finished training run into the package, and write the manifest of all that ship.

    python scripts/ship_model.py runs/unet3d/unet3d        # replaces src/napari_brain_tumor/checkpoints/unet3d
    python scripts/ship_model.py runs/unet3d/unet3d-last   # the same with the weights of the last epoch
    python scripts/ship_model.py                           # only writes the manifest

A run that was stopped before its last epoch is refused. Weights of the last epoch were not chosen on validation cases.
"""

import argparse
import json
import sys
from pathlib import Path

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models.cards import ModelInfo, TrainingRecord, find_model
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
    for folder in parser.parse_args().checkpoints:
        model = find_model(folder)
        refuse_unfinished(model)
        name = model.name.removesuffix(LAST)
        card = model.card.model_copy(update={"name": name, "training": without_folders(model.card.training)})
        save_checkpoint(BUNDLED / name, read_weights(model), card)
    write_manifest()


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
