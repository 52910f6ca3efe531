"""Segmenting: with what, and how. Each option is declared here, once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypedDict, cast

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, InstanceOf

from napari_brain_tumor.errors import BoxError, ProbabilityError, SeedError
from napari_brain_tumor.labels import Region
from napari_brain_tumor.requests.request import Option, Request, option_of

BrainChoice = Literal["auto", "keep"] | str | Path | npt.NDArray[Any]
"""`"auto"`, `"keep"`, the file of a mask, or a mask `(X, Y, Z)` on the study's grid."""

PrecisionName = Literal["auto", "float32", "bfloat16"]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Point = tuple[Finite, Finite, Finite]
Box = tuple[Finite, Finite, Finite, Finite, Finite, Finite]
Probability = Annotated[float, Field(gt=0, lt=1)]
RegionName = Annotated[Region, BeforeValidator(lambda name: name.upper() if isinstance(name, str) else name)]

# Options that several actions have ----------------------------------------------------------------------------------

ModelChoice = Annotated[
    str | Path | None,
    Option(
        help="Name of a model or of a method without weights (see `models`), or a checkpoint folder; by default the "
        "one that suits the scans.",
        label="Model",
    ),
]
Device = Annotated[
    str,
    Option(
        help="Where to compute; auto uses the fastest. Methods without weights run on the CPU.",
        label="Device",
        metavar="auto|cpu|cuda|mps",
    ),
]
Precision = Annotated[
    PrecisionName,
    Option(
        help="Numerical precision of the network; auto uses the fastest on this machine with which the model's "
        "measured Dice is within 0.002 of float32. bfloat16, on processors and GPUs that support it, changes up to "
        "half a percent of the tumour's labels, at their borders.",
        label="Precision",
        networks_only=True,
    ),
]


class SegmentRequest(Request):
    """Segment the tumour of a study: `segment(study, ...)`, `brain-tumor segment`, the Segment panel."""

    not_recorded: ClassVar[tuple[str, ...]] = ("model", "device", "brain")

    model: ModelChoice = None
    device: Device = "auto"
    flips: Annotated[
        bool,
        Option(
            help="Average over mirrored copies: a little more accurate, four (2D) or eight (3D) times slower.",
            label="Average &mirrored copies",
            networks_only=True,
        ),
    ] = False
    min_lesion_mm3: Annotated[
        float | None,
        Field(ge=0),
        Option(
            help="Remove connected parts of the tumour smaller than this, 0 keeps everything; by default as in the "
            "model's card. No effect where the voxel size is not known.",
            label="Smallest &lesion",
            unit="mm³",
            expected="a size of at least 0 mm3",
        ),
    ] = None
    precision: Precision = "auto"
    seeds: Annotated[
        tuple[Point, ...],
        Option(
            help="Point in the tumour for region_growing, world mm (voxels where the files do not state the spacing); "
            "repeatable. By default it starts at the brightest asymmetric place.",
            label="Seed &points",
            unit="mm",
            flag="--seed",
            metavar="X,Y,Z",
            example="12.5,-30,41",
            expected="three numbers x,y,z, world coordinates",
            error=SeedError,
            repeats=True,
        ),
    ] = ()
    thresholds: Annotated[
        dict[RegionName, Probability] | None,
        Option(
            help="Probability from which a voxel is WT, TC or ET, for example ET=0.4; repeatable. By default as in "
            "the model's card. Lower values find more, including more that is not tumour.",
            label="Thresholds",
            flag="--threshold",
            metavar="REGION=P",
            example="ET=0.4",
            expected="a probability between 0 and 1 for each of WT, TC, ET, each region once",
            error=ProbabilityError,
            repeats=True,
            networks_only=True,
        ),
    ] = None
    box: Annotated[
        Box | None,
        Option(
            help="Segment only within this box: x, y and z from and to, world mm.",
            label="Bo&x",
            unit="mm",
            metavar="X0,X1,Y0,Y1,Z0,Z1",
            example="-20,30,-10,40,0,50",
            expected="six world coordinates x0,x1,y0,y1,z0,z1",
            error=BoxError,
        ),
    ] = None
    smooth_mm: Annotated[
        float,
        Field(ge=0, le=10),
        Option(
            help="Smooth the outline: a Gaussian of this standard deviation over each region's probability, or over "
            "what a method without weights found. Details smaller than that are lost; 0 leaves it as it is.",
            label="Smoothing",
            unit="mm",
            expected="a width from 0 to 10 mm",
        ),
    ] = 0.0
    brain: Annotated[
        Literal["auto", "keep"] | str | Path | InstanceOf[np.ndarray],
        Option(
            help="Whole heads: extract the brain first (auto), leave the head as it is (keep), or use this brain mask. "
            "Skull-stripped scans are left unchanged by auto and keep. Nothing outside the brain is labelled.",
            label="Brain",
            metavar="auto|keep|MASK",
        ),
    ] = "auto"

    @classmethod
    def of_networks(cls) -> tuple[str, ...]:
        """Options that mean nothing to a method without weights."""
        return tuple(name for name, field in cls.model_fields.items() if option_of(field).networks_only)

    @classmethod
    def recorded_in(cls, settings: Mapping[str, Any]) -> Self:
        """The request that a record tells, precision as it was computed in: float16 is what GPUs take by themselves."""
        own = {name: value for name, value in settings.items() if (name, value) != ("precision", "float16")}
        return super().recorded_in(own)

    def options(self) -> "SegmentOptions":
        """The options that are set, as `segment` takes them beside study, model and device."""
        changed = {name: value for name, value in self.changed().items() if name not in ("model", "device")}
        return cast("SegmentOptions", changed)


class BrainRequest(Request):
    """Find the brain in a whole head: `brain_mask(study, ...)`, `brain-tumor brain`."""

    device: Device = "auto"


class ScoreRequest(Request):
    """Let a model segment the cases of a curated data set and compare: `brain-tumor data score`."""

    model: ModelChoice = None
    device: Device = "auto"
    precision: Precision = "auto"


class SegmentOptions(TypedDict, total=False):
    """The options of `SegmentRequest`, for the signature of `segment`."""

    flips: bool
    min_lesion_mm3: float | None
    precision: PrecisionName
    seeds: Sequence[tuple[float, float, float]]
    thresholds: Mapping[Region, float] | None
    box: Sequence[float] | None
    smooth_mm: float
    brain: BrainChoice
