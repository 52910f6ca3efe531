"""Where many cases are computed."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from napari_brain_tumor.errors import ClusterError
from napari_brain_tumor.requests.request import Option, Request


class ComputeRequest(Request):
    """Where cases are computed: in this process, in several, or on other machines."""

    jobs: Annotated[
        int,
        Field(ge=0),
        Option(
            help="Processes on this machine; 1 uses the present one, 0 as many as cores and memory allow.",
            label="Processes",
            expected="a number of at least 0",
            error=ClusterError,
        ),
    ] = 1
    scheduler: Annotated[
        str | None,
        Option(
            help="Compute on the workers of the dask scheduler at this address.",
            label="Scheduler",
            metavar="ADDRESS",
            example="tcp://10.0.0.5:8786",
            error=ClusterError,
        ),
    ] = None
    slurm: Annotated[
        Path | None,
        Option(
            help="Compute on workers that Slurm starts, as this profile describes.",
            label="Slurm profile",
            metavar="PROFILE.toml",
            error=ClusterError,
        ),
    ] = None
