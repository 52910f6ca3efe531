"""Saving a segmentation again for another program: which format, what the integers mean, which regions."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from napari_brain_tumor.errors import LabelSchemaError, SaveError
from napari_brain_tumor.labels import Region
from napari_brain_tumor.requests.request import Option, Request


def _in_capitals(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


RegionName = Annotated[Region, BeforeValidator(_in_capitals)]
"""As leniently as it is typed: `wt`, `WT`."""


class ExportRequest(Request):
    """Save a segmentation in another format: `save_segmentation(..., format=...)`, `brain-tumor export`."""

    to: Annotated[
        str,
        Option(
            help="dicom-seg, rtstruct, stl, ply, bids, nifti, nrrd, metaimage, tiff or masks.",
            label="Format",
            metavar="FORMAT",
            error=SaveError,
        ),
    ]
    schema_name: Annotated[
        str,
        Option(
            help="Which integers are written: MSD, BraTS ...; LGG-binary joins all.",
            label="Write labels as",
            flag="--schema",
            error=LabelSchemaError,
        ),
    ] = "MSD"
    axes: Annotated[
        Literal["RAS", "LPS"],
        BeforeValidator(_in_capitals),
        Option(
            help="Which way x and y of surfaces run: to the right and the front, or to the left and the back.",
            label="Axes of surfaces",
            expected="RAS (to the right, front and head) or LPS (to the left, back and head)",
            error=SaveError,
        ),
    ] = "RAS"
    regions: Annotated[
        tuple[RegionName, ...],
        Option(
            help="Only surfaces and contours of this region; repeatable.",
            label="Regions",
            flag="--region",
            metavar="WT|TC|ET",
            example="ET",
            expected="one of WT, TC, ET",
            error=SaveError,
            repeats=True,
        ),
    ] = ()
    subject: Annotated[
        str | None, Option(help="For bids: the subject, if the scans' names do not contain it.", label="Subject")
    ] = None
    session: Annotated[str | None, Option(help="For bids: the session.", label="Session")] = None

    def saving(self) -> dict[str, Any]:
        """The arguments of `save_segmentation`."""
        return {
            "schema": self.schema_name,
            "format": self.to,
            "axes": self.axes,
            "regions": tuple(dict.fromkeys(self.regions)),
            "subject": self.subject,
            "session": self.session,
        }
