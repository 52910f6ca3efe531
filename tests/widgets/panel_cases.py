"""Studies and models that the tests of the panels share."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.models.cards import Card, ModelInfo
from napari_brain_tumor.study import Study

SHAPE = (20, 24, 12)


def make_study(name="case", roles=("T1", "T1c", "T2", "FLAIR"), unit="mm", spacing=(1, 1, 2)):
    rng = np.random.default_rng(0)
    grid = Grid(SHAPE, np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]), unit)
    return Study({role: rng.normal(100, 20, SHAPE).astype(np.float32) for role in roles}, grid, name)


def make_model(roles=("T1", "T1c", "T2", "FLAIR"), optional=True, title="Test network", min_lesion_mm3=0.0):
    card = Card(
        name="test",
        title=title,
        architecture="unet",
        arguments={},
        dims=2,
        roles=list(roles),
        optional_roles=optional,
        regions=["WT", "TC", "ET"],
        parameters=1_500_000,
        notes=["A note of the card."],
        licence="BSD-3-Clause",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        weights_sha256="0" * 64,
        min_lesion_mm3=min_lesion_mm3,
    )
    return ModelInfo(name="test", folder=Path("test"), card=card, bundled=True)
