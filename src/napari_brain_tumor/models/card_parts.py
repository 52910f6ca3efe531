"""What the card of a checkpoint says of results, training, calibration and members."""

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
"""Keywords of an architecture."""


class Metrics(BaseModel, extra="forbid"):
    """Results on a validation set, for one subset of roles."""

    dataset: str
    roles: list[Role]
    cases: int
    mean_dice: dict[Region, float]
    """Dice per region over whole volumes, mean over cases; both empty counts 1."""
    flips: bool = False
    """Whether predictions were averaged over mirrored inputs."""
    mean_hd95_mm: dict[Region, float] = Field(default_factory=dict)
    """95 % Hausdorff distance (`hd95_mm` of `metrics.scores.DEFINITIONS`), where it was measured."""
    definition: str = ""
    """What the numbers are, where they were not taken as the fields above say."""
    whole_head: bool | None = None
    """Whether the skull was left in the scans of the set; None where nobody noted it."""
    thickness_mm: float | None = Field(default=None, gt=0)
    """Between the slices of the set's scans; None where it is not known."""

    def apply_to(self, traits: Traits) -> bool:
        """Whether a study is of the kind that the results were measured on."""
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
    """SHA-256 of the weights that metrics, calibration and rules are of: fitted on the training side alone, while these
    went on with the patients of both sides. Empty where they are of these weights."""


class Calibration(BaseModel, extra="forbid"):
    """How far the probabilities of one region could be believed on validation cases, before and after calibration."""

    temperature: float = Field(gt=0)
    """The region's logits are divided by it (Guo 2017, arXiv:1706.04599): above 1 the network was too sure."""
    error_before: float = Field(ge=0, le=1)
    """Expected calibration error with 15 bins, over the voxels of the head whose truth is known."""
    error_after: float = Field(ge=0, le=1)
    voxels: int = Field(gt=0)
    """That it was fitted on."""


class PrecisionCheck(BaseModel, extra="forbid"):
    """What computing in fewer bits changes beside float32, on validation cases."""

    cases: int = Field(gt=0)
    dice_change: dict[Region, float]
    """Mean Dice over the cases whose truth tells the region, less that in float32."""
    agreement: float = Field(ge=0, le=1)
    """Of all voxels that are tumour in either, the share that has the same label in both."""

    @property
    def agrees(self) -> bool:
        """Whether it changes so little that it may be taken without being asked for."""
        return self.agreement >= 0.995 and all(abs(change) <= 0.002 for change in self.dice_change.values())


class Member(BaseModel, extra="forbid"):
    """One network of an ensemble: what its own card said of it."""

    name: str
    architecture: str
    arguments: Arguments
    dims: Literal[2, 3] | None = None
    """2 where it sees the slices of an ensemble for volumes; None where it is as the ensemble."""
    shares: dict[Region, float] = Field(default_factory=dict)
    """Its part in the mean of a region beside the others' parts; 1 where none is given."""
    shipped: str = ""
    """The model of this package whose weights it has; they are stored there only."""
    calibration: dict[Region, Calibration] = Field(default_factory=dict)
    training: TrainingRecord | None = None
    metrics: list[Metrics] = Field(default_factory=list)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the checkpoint that it came from."""

    def temperature(self, region: Region) -> float:
        """What the region's logits are divided by."""
        return self.calibration[region].temperature if region in self.calibration else 1.0
