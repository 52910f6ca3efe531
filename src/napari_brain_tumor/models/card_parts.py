"""Parts of a checkpoint's card: results, training, calibration and ensemble members."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from napari_brain_tumor.labels import Region
from napari_brain_tumor.models.bounds import arguments_beyond_bounds
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.study import Role


def _within_bounds(arguments: dict[str, Any]) -> dict[str, Any]:
    if beyond := arguments_beyond_bounds(arguments):
        raise ValueError(f"asks for {beyond}")
    return arguments


Arguments = Annotated[dict[str, Any], AfterValidator(_within_bounds)]
"""Keyword arguments of an architecture."""


class Metrics(BaseModel, extra="forbid"):
    """Results on a validation set for one subset of roles."""

    dataset: str
    roles: list[Role]
    cases: int
    mean_dice: dict[Region, float]
    """Dice per region over whole volumes, averaged over cases; 1 if both segmentations are empty."""
    flips: bool = False
    """Whether predictions were averaged over mirrored inputs."""
    mean_hd95_mm: dict[Region, float] = Field(default_factory=dict)
    """95 % Hausdorff distance (`hd95_mm` of `metrics.scores.DEFINITIONS`), if it was measured."""
    definition: str = ""
    """Definition of the values, if it differs from that given for the fields above."""
    whole_head: bool | None = None
    """Whether the scans of the set include the skull; None if not recorded."""
    thickness_mm: float | None = Field(default=None, gt=0)
    """Distance between slices in the set's scans; None if unknown."""

    def apply_to(self, traits: Traits) -> bool:
        """Whether a study is of the kind on which the results were measured."""
        if self.whole_head is not traits.whole_head or not traits.is_whole:
            return False
        own, other = self.thickness_mm, traits.thickness_mm
        return own is other if own is None or other is None else max(own, other) <= 2 * min(own, other)


class TrainingRecord(BaseModel, extra="forbid"):
    """What a network was trained on, and how."""

    datasets: list[str]
    cases: int
    split_sha256: str
    epochs: int
    seed: int
    settings: dict[str, Any] = Field(default_factory=dict)
    refit_of: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """SHA-256 of the weights to which metrics, calibration and rules refer: those were trained on the training side
    only, whereas these weights were trained further on the patients of both sides. Empty if they refer to these
    weights."""


class Calibration(BaseModel, extra="forbid"):
    """How reliable the probabilities of one region are on validation cases, before and after calibration."""

    temperature: float = Field(gt=0)
    """The region's logits are divided by it (Guo 2017, arXiv:1706.04599); above 1, the network was overconfident."""
    error_before: float = Field(ge=0, le=1)
    """Expected calibration error with 15 bins, over the voxels of the head where the reference is known."""
    error_after: float = Field(ge=0, le=1)
    voxels: int = Field(gt=0)
    """Number of voxels used for fitting."""


class PrecisionCheck(BaseModel, extra="forbid"):
    """Effect of reduced-precision computation compared with float32, on validation cases."""

    cases: int = Field(gt=0)
    dice_change: dict[Region, float]
    """Mean Dice over the cases whose reference defines the region, minus that in float32."""
    agreement: float = Field(ge=0, le=1)
    """Among voxels that are tumour in either result, the fraction with the same label in both."""

    @property
    def agrees(self) -> bool:
        """Whether the effect is so small that the precision may be used by default."""
        return self.agreement >= 0.995 and all(abs(change) <= 0.002 for change in self.dice_change.values())


class Member(BaseModel, extra="forbid"):
    """One network of an ensemble, with the content of its own card."""

    name: str
    architecture: str
    arguments: Arguments
    dims: Literal[2, 3] | None = None
    """2 for a slice network in an ensemble for volumes; None if it has the same dimensions as the ensemble."""
    shares: dict[Region, float] = Field(default_factory=dict)
    """Weight in the mean of a region relative to the other members; 1 if not given."""
    shipped: str = ""
    """Name of the bundled model whose weights it uses; they are stored only there."""
    calibration: dict[Region, Calibration] = Field(default_factory=dict)
    training: TrainingRecord | None = None
    metrics: list[Metrics] = Field(default_factory=list)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hash of the weights of the checkpoint that it came from."""

    def temperature(self, region: Region) -> float:
        """Return the temperature that divides the region's logits."""
        return self.calibration[region].temperature if region in self.calibration else 1.0
