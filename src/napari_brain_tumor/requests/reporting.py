"""Pages about an examination, and about a patient's visits; figures and films of a result."""

from typing import Annotated, Literal

from pydantic import Field

from napari_brain_tumor.requests.request import Option, Request
from napari_brain_tumor.study import Role

WithPaths = Annotated[
    bool,
    Option(
        help="Include names and folders of files; they may identify the patient.",
        label="With names of files",
    ),
]


class ReportRequest(Request):
    """Write a page about an examination: `report`, `brain-tumor report`."""

    name: Annotated[str | None, Option(help="Name of the case in the report.", label="Name")] = None
    with_paths: WithPaths = False


class FollowUpRequest(ReportRequest):
    """Compare a patient's visits: `follow_up`, `brain-tumor follow-up`, the Visits panel."""

    seed: Annotated[int, Option(help="Random seed of the registrations.", label="Seed")] = 0


class FigureRequest(Request):
    """Draw a figure, or a film through the slices, of a result: `brain-tumor figure`."""

    role: Annotated[
        Role | None, Option(help="Scan to show; by default T1c, else FLAIR, T2 or T1.", label="Scan", metavar="ROLE")
    ] = None
    at: Annotated[
        tuple[float, float, float] | None,
        Option(
            help="For a figure: the point x,y,z in RAS millimetres that the planes go through; by default the slices "
            "with most tumour core.",
            label="Point",
            unit="mm",
            metavar="X,Y,Z",
            example="12,-30,45",
            expected="three world coordinates x,y,z",
        ),
    ] = None
    plane: Annotated[
        Literal["axial", "coronal", "sagittal"], Option(help="For a film: the plane of its slices.", label="Plane")
    ] = "axial"
    frames_per_second: Annotated[
        float,
        Field(ge=1, le=50),
        Option(help="For a film: slices per second.", label="Slices per second", flag="--fps"),
    ] = 12.0
    dpi: Annotated[
        int, Field(ge=50, le=1200), Option(help="For a PNG figure: pixels per inch.", label="Pixels per inch")
    ] = 200
