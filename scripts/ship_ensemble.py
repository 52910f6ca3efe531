"""Write the shipped ensemble of `unet` and `resunet++`, which has no weights of its own, and the manifest after it.

    python scripts/ship_ensemble.py

To be run again after either of them was shipped or calibrated anew.
"""

from ship_model import write_manifest

from napari_brain_tumor.models.cards import find_model
from napari_brain_tumor.models.ensemble import save_ensemble
from napari_brain_tumor.models.manifest import BUNDLED

MEMBERS = ("unet", "resunet++")
TITLE = "Ensemble of U-Net and ResUNet++ 2D, gliomas, any of T1, T1c, T2, FLAIR"


def main() -> None:
    """Write checkpoint and manifest."""
    models = [find_model(BUNDLED / name) for name in MEMBERS]
    save_ensemble(BUNDLED / "ensemble", models, TITLE, by_reference=True)
    write_manifest()


if __name__ == "__main__":
    main()
