"""Sections of a recipe: augmentation, loss, optimisation and the output of a run."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Part of a recipe; immutable, and without unknown entries."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AugmentationConfig(Section):
    """How samples are augmented; probabilities are per sample. Entries that default to 0 are off."""

    flip_probability: float = Field(default=0.5, ge=0, le=1)
    """Probability of a flip along each axis."""
    affine_probability: float = Field(default=0.8, ge=0, le=1)
    rotation_degrees: float = Field(default=20, ge=0)
    """Largest rotation within the axial plane."""
    tilt_degrees: float = Field(default=0, ge=0)
    """Largest tilt of the axial plane itself, in 3D; leave it at 0 if slices are much thicker than pixels."""
    scale: tuple[float, float] = (0.75, 1.35)
    elastic_probability: float = Field(default=0, ge=0, le=1)
    elastic: float = Field(default=4, ge=0)
    """Standard deviation, in voxels, of the displacements of a coarse grid's points."""
    elastic_points: int = Field(default=6, ge=2)
    """Number of points of that grid along each side."""
    intensity_probability: float = Field(default=0.8, ge=0, le=1)
    contrast: float = Field(default=0.3, ge=0)
    brightness: float = Field(default=0.3, ge=0)
    gamma: float = Field(default=0.4, ge=0)
    bias_field: float = Field(default=0.15, ge=0)
    remap_probability: float = Field(default=0, ge=0, le=1)
    """Probability, per sequence of a sample, of a random grey-level curve, which rises, falls or does both."""
    noise: float = Field(default=0.12, ge=0)
    noise_probability: float = Field(default=0.2, ge=0, le=1)
    blur_probability: float = Field(default=0.15, ge=0, le=1)
    low_resolution_probability: float = Field(default=0, ge=0, le=1)
    low_resolution: float = Field(default=2, ge=1)
    """Largest factor by which each side is downsampled before interpolating back."""
    lesion_mixing: float = Field(default=0, ge=0, le=1)
    """Share of samples into which another patient's lesion is pasted."""
    role_dropout: float = Field(default=0.5, ge=0, le=1)
    """Share of samples from which a random subset of the sequences is removed."""
    neighbour_dropout: float = Field(default=0, ge=0, le=1)
    """Share of samples whose neighbouring slices are removed, as if the scan were a single slice."""


class LossConfig(Section):
    """The loss: a region term, a voxel term and a boundary term, each times its weight; a weight of 0 omits the term.

    The default, Dice over the batch with linear denominators plus cross entropy, is what most challenge winners use.
    """

    region: Literal["dice", "generalised", "tversky", "tanimoto"] = "dice"
    region_weight: float = Field(default=1, ge=0)
    denominators: Literal["linear", "squared"] = "linear"
    """Denominators of the Dice: sums of probabilities, or of their squares (Milletari 2016)."""
    per: Literal["batch", "sample"] = "batch"
    """Whether the region term sums over all samples before dividing, or averages over samples."""
    smooth: float = Field(default=1.0, gt=0)
    """Added to numerator and denominator; if small, any false positive in samples without tumour weighs heavily."""
    false_positives: float = Field(default=0.3, ge=0)
    """Weight of false positives in the Tversky index."""
    false_negatives: float = Field(default=0.7, ge=0)
    """Weight of false negatives in the Tversky index."""
    voxel: Literal["cross-entropy", "focal"] = "cross-entropy"
    voxel_weight: float = Field(default=1, ge=0)
    focal_gamma: float = Field(default=2, ge=0)
    boundary_weight: float = Field(default=0, ge=0)
    """Weight at the end of training; it grows from 0 (Kervadec 2019, doi:10.1016/j.media.2020.101851)."""
    deep_supervision: Literal["published", "equal", "halving", "none"] = "published"
    """Weights of side outputs: the network's own; all 1; 1, 1/2, 1/4, ... scaled to sum to 1; or no side outputs."""


class DistillationConfig(Section):
    """Distillation: a teacher whose probabilities are learned besides the truth (Hinton 2015, arXiv:1503.02531)."""

    teacher: str
    """Name of an installed model, or folder of a checkpoint."""
    weight: float = Field(default=0.5, gt=0, le=1)
    """Share of the teacher in the targets; for regions that the truth lacks, the teacher is the only target."""


class OptimisationConfig(Section):
    """Number of steps, learning rate and precision."""

    epochs: int = Field(gt=0)
    iterations_per_epoch: int = Field(default=100, gt=0)
    batch: int = Field(default=16, gt=0)
    """Batch size of each process; if several train together, the effective batch is that many times larger."""
    shards: int | None = Field(default=None, gt=0)
    """Parts in which a batch is drawn, each with its own random numbers; one per process if not given. A run on one
    process with a batch of N b and N shards sees exactly the samples that N processes with a batch of b see."""
    accumulation: int = Field(default=1, gt=0)
    """Number of batches whose gradients are averaged for one step."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    momentum: float = Field(default=0.99, ge=0, lt=1)
    """Momentum of SGD (Nesterov)."""
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    schedule: Literal["cosine", "poly", "constant"] = "cosine"
    poly_power: float = Field(default=0.9, gt=0)
    warmup_fraction: float = Field(default=0.03, ge=0, lt=1)
    gradient_norm: float = Field(default=12.0, gt=0)
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    patience: int | None = Field(default=None, gt=0)
    """Stop if the validation Dice has not improved for this many epochs."""
    precision: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    channels_last: bool = True
    deterministic: bool = False
    """Use only operations that give bitwise identical results, if the device has them; slower on GPUs."""


class OutputConfig(Section):
    """Files that a run writes; nothing here affects the weights."""

    save_minutes: float = Field(default=10, ge=0)
    """Longest time between saves of the state, besides the save after each epoch."""
    sample_slices: int = Field(default=6, ge=0)
    """Number of validation slices whose prediction is drawn at each validation."""
    report: bool = True
    """At the end, calibrate the best weights, and score every subset of sequences for `report.md`."""
    tensorboard: bool = True
    """Write TensorBoard events, if the package tensorboard is installed."""
