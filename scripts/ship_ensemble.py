"""Write the shipped ensemble of `unet` and `resunet++`, which has no weights of its own, and the manifest after it.

    python scripts/ship_ensemble.py

To be run again after either of them was shipped or calibrated anew.
"""

from ship_model import write_manifest

from napari_brain_tumor.models.cards import find_model
from napari_brain_tumor.models.checkpoint import write_card
from napari_brain_tumor.models.ensemble import save_ensemble
from napari_brain_tumor.models.manifest import BUNDLED

MEMBERS = ("unet", "resunet++")
SURE_ENHANCING = 0.27
"""Of the training gliomas by the mean of both: those that do not enhance have .21 at most, the others .38 or more."""
TITLE = "Ensemble of U-Net and ResUNet++ 2D, gliomas, any of T1, T1c, T2, FLAIR"


def main() -> None:
    """Write checkpoint and manifest."""
    models = [find_model(BUNDLED / name) for name in MEMBERS]
    ensemble = save_ensemble(BUNDLED / "ensemble", models, TITLE, by_reference=True, cascade=True)
    write_card(ensemble, ensemble.card.model_copy(update={"min_sure_enhancing": SURE_ENHANCING}))
    write_manifest()


if __name__ == "__main__":
    main()
