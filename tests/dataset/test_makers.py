"""Who counts as the maker of a label that is added to a data set."""

import numpy as np
import pytest

from napari_brain_tumor.dataset.truth import maker_of
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.study import Segmentation

MODEL = {"task": "segment", "model": {"name": "unet", "weights_sha256": "ab"}}
PROMPTS = [{"kind": "point", "label": "edema", "add": True, "at": [0, 0, 0]}]


@pytest.mark.parametrize(
    ("provenance", "kind"),
    [
        (MODEL, "model"),
        (MODEL | {"edited_by_hand": True}, "both"),
        (MODEL | {"refined": PROMPTS}, "both"),
        (MODEL | {"refined": []}, "model"),
        ({"path": "rater.nii.gz"}, "imported"),
        ({"path": "rater.nii.gz", "refined": PROMPTS}, "hand"),
        ({"refined": PROMPTS}, "hand"),
        ({}, "hand"),
    ],
)
def test_prompts_are_a_hands_work(provenance, kind):
    labels = Segmentation(np.zeros((2, 2, 2), np.uint8), Grid((2, 2, 2), np.eye(4)), provenance=provenance)
    made = maker_of(labels)
    assert made.kind == kind
    assert made.model == ("unet" if kind in ("model", "both") else None)
