"""Comparing several segmentations of a case, and scoring methods on cases with a truth."""

from pathlib import Path
from typing import Annotated, Literal

from napari_brain_tumor.errors import ComparisonError
from napari_brain_tumor.requests.request import Option, Request


class CompareRequest(Request):
    """Compare segmentations of one case: `compare_segmentations`, `consensus`, `brain-tumor compare`, the panel."""

    reference: Annotated[
        str | None,
        Option(
            help="Name of the segmentation that is taken as the truth; by default all pairs are compared.",
            label="Truth",
            metavar="NAME",
        ),
    ] = None
    resample: Annotated[
        bool,
        Option(help="Resample those on other grids onto the first one's, to the nearest label.", label="Resample"),
    ] = False
    consensus: Annotated[
        Literal["majority", "staple"] | None,
        Option(
            help="Fuse all but the reference into one segmentation; needs -o.",
            label="Consensus",
            error=ComparisonError,
        ),
    ] = None


class EvaluateRequest(Request):
    """Where the truth is, and which cases count: `evaluate`, `brain-tumor evaluate`, beside what `segment` takes."""

    truth: Annotated[
        Path | None,
        Option(
            help="The truth, if it is not with the cases: a file, or a folder with one file per case.", label="Truth"
        ),
    ] = None
    split: Annotated[
        Path | None,
        Option(
            help="Table with the columns case and patient, optionally dataset and split.", label="Split", metavar="CSV"
        ),
    ] = None
    side: Annotated[
        str | None,
        Option(
            help="Only cases on this side, for example val: of --split, or of a curated data set's own split.",
            label="Side",
        ),
    ] = None
    schema_name: Annotated[
        str | None,
        Option(
            help="What the integers of the truth mean, if ambiguous: MSD, BraTS, BraTS2023 ...",
            label="File labels of the truth",
            flag="--schema",
        ),
    ] = None
    predictions_schema: Annotated[
        str | None,
        Option(help="The same for the segmentations of --predictions.", label="File labels of predictions"),
    ] = None
