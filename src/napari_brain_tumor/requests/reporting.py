"""Pages about an examination, and about a patient's visits."""

from typing import Annotated

from napari_brain_tumor.requests.request import Option, Request

__all__ = ["FollowUpRequest", "ReportRequest"]

WithPaths = Annotated[
    bool,
    Option(
        help="Include names and folders of files; they may identify the patient.",
        label="With names of files",
    ),
]


class ReportRequest(Request):
    """Write a page about an examination: `report`, `brain-tumor report`."""

    name: Annotated[str | None, Option(help="What the case is called in the report.", label="Name")] = None
    with_paths: WithPaths = False


class FollowUpRequest(ReportRequest):
    """Compare a patient's visits: `follow_up`, `brain-tumor follow-up`, the Visits panel."""

    seed: Annotated[int, Option(help="Of the registrations.", label="Seed")] = 0
