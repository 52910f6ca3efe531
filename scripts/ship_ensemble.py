"""Write the shipped ensemble of `unet` and `resunet++`, which has no weights of its own, and the manifest after it.

    python scripts/ship_ensemble.py            # scores and precisions are to be measured anew
    python scripts/ship_ensemble.py --refit    # its members were fitted on all patients; what was measured before stays

To be run again after either of them was shipped or calibrated anew.
"""

import argparse

from ship_model import write_manifest

from napari_brain_tumor.models.cards import find_model
from napari_brain_tumor.models.checkpoint import write_card
from napari_brain_tumor.models.ensemble import save_ensemble
from napari_brain_tumor.models.manifest import BUNDLED

MEMBERS = ("unet", "resunet++")
SURE_ENHANCING = 0.27
"""Of the training gliomas by the mean of both: those that do not enhance have .21 at most, the others .38 or more."""
SURE_TUMOUR = 0.05
"""Of the validation patients by the mean of both: tumours have .14 or more, mirrored healthy halves .02 or less."""
TITLE = "Ensemble of U-Net and ResUNet++ 2D, gliomas, any of T1, T1c, T2, FLAIR"


def main() -> None:
    """Write checkpoint and manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refit", action="store_true", help="keep what was measured with the members before")
    refit = parser.parse_args().refit
    kept = {name: getattr(find_model(BUNDLED / "ensemble").card, name) for name in ("metrics", "precisions") if refit}
    models = [find_model(BUNDLED / name) for name in MEMBERS]
    ensemble = save_ensemble(BUNDLED / "ensemble", models, TITLE, by_reference=True, cascade=True)
    shares = {"min_sure_enhancing": SURE_ENHANCING, "min_sure_tumor": SURE_TUMOUR}
    write_card(ensemble, ensemble.card.model_copy(update=shares | kept))
    write_manifest()


if __name__ == "__main__":
    main()
