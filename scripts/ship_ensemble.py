"""Write the shipped ensemble of `unet` and `unet3d`, which has no weights of its own, and the manifest after it.

    python scripts/ship_ensemble.py

To be run again after either of them was shipped or calibrated anew.
"""

from ship_model import write_manifest

from napari_brain_tumor.models.cards import find_model
from napari_brain_tumor.models.ensemble import save_ensemble
from napari_brain_tumor.models.manifest import BUNDLED

TITLE = "Ensemble of U-Net 2D and 3D, gliomas, any of T1, T1c, T2, FLAIR"
SHARES = ({}, {"ET": 0.0})
"""The 3D network computes on cubes of two voxels a side: thin enhancing rims are left to the 2D network."""


def main() -> None:
    """Write checkpoint and manifest."""
    models = [find_model(BUNDLED / name) for name in ("unet", "unet3d")]
    save_ensemble(BUNDLED / "ensemble", models, TITLE, shares=SHARES, by_reference=True)
    write_manifest()


if __name__ == "__main__":
    main()
