"""Settings for preparing an examination, as chosen by the user and stored in records."""

from typing import Literal

from pydantic import BaseModel

from napari_brain_tumor.study import Role

OutputGrid = Literal["1mm", "reference"]


class PreparationSettings(BaseModel, extra="forbid", frozen=True):
    """The options of `prepare`, except for the choice of series and a user's own brain mask."""

    reference: Role | None = None
    """Sequence to which the others are registered; None: T1c, else the one with the smallest voxels."""
    grid: OutputGrid = "1mm"
    """1 mm voxels along the patient's axes, or the reference's own grid."""
    bias_correction: bool = False
    """Whether coil shading is corrected with N4."""
    brain: Literal["auto", "keep", "mask"] = "auto"
    """Treatment of whole heads: extract the brain, keep everything, or use the user's own mask."""
    seed: int = 0
    """Random seed of the sampling in registration."""
