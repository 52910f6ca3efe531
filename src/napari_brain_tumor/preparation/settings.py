"""How an examination is prepared: what a user can choose, and what a record keeps."""

from typing import Literal

from pydantic import BaseModel

from napari_brain_tumor.study import Role

OutputGrid = Literal["1mm", "reference"]


class PreparationSettings(BaseModel, extra="forbid", frozen=True):
    """The choices of `prepare`, apart from which series are used and a brain mask of the user's own."""

    reference: Role | None = None
    """The sequence that the others are registered to; None: T1c, else the finest."""
    grid: OutputGrid = "1mm"
    """Voxels of 1 mm along the patient's axes, or the reference's own grid."""
    bias_correction: bool = False
    """Whether N4 takes away the slow shading of the coils."""
    brain: Literal["auto", "keep", "mask"] = "auto"
    """What is done with whole heads: the brain extracted, all kept, or a mask of the user's own taken."""
    seed: int = 0
    """Of the samples that registration looks at."""
