"""The sections of a recipe that say how samples are varied, what is optimised, and what a run writes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Part of a recipe: immutable, and without unknown entries."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AugmentationConfig(Section):
    """How samples are varied; probabilities are per sample. What is 0 by default is off."""

    flip_probability: float = Field(default=0.5, ge=0, le=1)
    """Of each axis."""
    affine_probability: float = Field(default=0.8, ge=0, le=1)
    rotation_degrees: float = Field(default=20, ge=0)
    """Within the axial plane."""
    tilt_degrees: float = Field(default=0, ge=0)
    """Of the axial plane itself, in 3D; where slices are much thicker than pixels, leave it at 0."""
    scale: tuple[float, float] = (0.75, 1.35)
    elastic_probability: float = Field(default=0, ge=0, le=1)
    elastic: float = Field(default=4, ge=0)
    """Standard deviation, in voxels, by which the points of a coarse grid are moved."""
    elastic_points: int = Field(default=6, ge=2)
    """Points of that grid along each side."""
    intensity_probability: float = Field(default=0.8, ge=0, le=1)
    contrast: float = Field(default=0.3, ge=0)
    brightness: float = Field(default=0.3, ge=0)
    gamma: float = Field(default=0.4, ge=0)
    bias_field: float = Field(default=0.15, ge=0)
    remap_probability: float = Field(default=0, ge=0, le=1)
    """Of each sequence of a sample: its grey levels go through a curve that is drawn, rising, falling or neither."""
    noise: float = Field(default=0.12, ge=0)
    noise_probability: float = Field(default=0.2, ge=0, le=1)
    blur_probability: float = Field(default=0.15, ge=0, le=1)
    low_resolution_probability: float = Field(default=0, ge=0, le=1)
    low_resolution: float = Field(default=2, ge=1)
    """Largest factor by which each side is made coarser, and interpolated back."""
    lesion_mixing: float = Field(default=0, ge=0, le=1)
    """Share of samples into which the lesion of another patient is pasted."""
    role_dropout: float = Field(default=0.5, ge=0, le=1)
    """Share of samples from which a random part of the sequences is taken away."""
    neighbour_dropout: float = Field(default=0, ge=0, le=1)
    """Share of samples whose neighbouring slices are taken away, as if the scan were a single slice."""


class LossConfig(Section):
    """What is minimised: a region term, a voxel term and a boundary term, each times its weight; 0 leaves it out.

    The default, Dice over the batch with linear denominators plus cross entropy, is the choice of most winners.
    """

    region: Literal["dice", "generalised", "tversky", "tanimoto"] = "dice"
    region_weight: float = Field(default=1, ge=0)
    denominators: Literal["linear", "squared"] = "linear"
    """Of the Dice: sums of probabilities, or of their squares (Milletari 2016)."""
    per: Literal["batch", "sample"] = "batch"
    """Whether the region term sums over all samples before dividing, or is the mean over samples."""
    smooth: float = Field(default=1.0, gt=0)
    """Added above and below; a small one makes samples without tumour pull hard on any false positive."""
    false_positives: float = Field(default=0.3, ge=0)
    """Weight in the Tversky index."""
    false_negatives: float = Field(default=0.7, ge=0)
    """Weight in the Tversky index."""
    voxel: Literal["cross-entropy", "focal"] = "cross-entropy"
    voxel_weight: float = Field(default=1, ge=0)
    focal_gamma: float = Field(default=2, ge=0)
    boundary_weight: float = Field(default=0, ge=0)
    """At the end of training; it grows from 0 (Kervadec 2019, doi:10.1016/j.media.2020.101851)."""
    deep_supervision: Literal["published", "equal", "halving", "none"] = "published"
    """Weights of side outputs: the network's own; all 1; 1, 1/2, 1/4, ... scaled to the sum 1; or no side outputs."""


class DistillationConfig(Section):
    """A teacher, whose probabilities are learned beside the truth (Hinton 2015, arXiv:1503.02531)."""

    teacher: str
    """An installed model's name, or the folder of a checkpoint."""
    weight: float = Field(default=0.5, gt=0, le=1)
    """Share of the teacher in what is learned; where the truth does not tell a region, the teacher is all."""


class OptimisationConfig(Section):
    """Steps, rates and precision."""

    epochs: int = Field(gt=0)
    iterations_per_epoch: int = Field(default=100, gt=0)
    batch: int = Field(default=16, gt=0)
    """Of each process, where several train together: together their batch is that many times larger."""
    shards: int | None = Field(default=None, gt=0)
    """Parts in which a batch is drawn, each with random numbers of its own; one for each process if not given. A run on
    one process with the batch N b and N shards sees the very samples that N processes with the batch b see."""
    accumulation: int = Field(default=1, gt=0)
    """Batches whose gradients are averaged for one step."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    momentum: float = Field(default=0.99, ge=0, lt=1)
    """Of SGD, which is Nesterov's."""
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    schedule: Literal["cosine", "poly", "constant"] = "cosine"
    poly_power: float = Field(default=0.9, gt=0)
    warmup_fraction: float = Field(default=0.03, ge=0, lt=1)
    gradient_norm: float = Field(default=12.0, gt=0)
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    patience: int | None = Field(default=None, gt=0)
    """Stop when the validation Dice has not risen for so many epochs."""
    precision: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    channels_last: bool = True
    deterministic: bool = False
    """Use only operations that give the same bits every time, where the device has them; slower on GPUs."""


class OutputConfig(Section):
    """What a run writes while it goes on; nothing here changes the weights."""

    save_minutes: float = Field(default=10, ge=0)
    """Longest time between two savings of the state, beside the one after every epoch."""
    sample_slices: int = Field(default=6, ge=0)
    """Validation slices whose prediction is drawn at every validation."""
    report: bool = True
    """At the end, calibrate the best weights and score them with every subset of roles that `report.md` tables."""
    tensorboard: bool = True
    """Write TensorBoard events, if the package tensorboard is installed."""
