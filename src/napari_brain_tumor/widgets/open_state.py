"""Logic of the Open case panel, without Qt."""

import math
from pathlib import Path
from typing import Any

from napari_brain_tumor import io
from napari_brain_tumor.errors import RecordError, SpacingUnknownError
from napari_brain_tumor.io.dicom import is_dicom
from napari_brain_tumor.io.reading import is_image
from napari_brain_tumor.plugin import reader, to_layers
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.requests.actions import view_lines
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.requests.opening import ViewRequest


def open_case(request: ViewRequest) -> list[LayerData]:
    """Return the layers for a request; raises what `io.open_study` and `io.open_segmentation` raise."""
    if _is_labels(request):
        return _open_labels(request)
    if request.series:
        return reader.read_picked(request.path, request.series, spacing_mm=request.spacing_mm)
    if not request.roles and request.spacing_mm is None and request.schema_name is None:
        return reader.read_path(request.path)
    study = io.open_study(request.path, request.roles, spacing_mm=request.spacing_mm)
    return reader.read_study(study, request.path, request.schema_name, spacing_mm=request.spacing_mm)


def open_lines(request: ViewRequest) -> CommandLines:
    """Return code for Open; raises `RecordError` if nothing is chosen."""
    if not request.path.exists() or request.path == Path():
        msg = "Choose a file or a folder first."
        raise RecordError(msg)
    return view_lines(request.with_options(**_roles_named(request)), labels=_is_labels(request))


def _roles_named(request: ViewRequest) -> dict[str, dict[str, Any]]:
    """Return the roles and series under their names on the command line."""
    choices = {"roles": request.roles, "series": request.series}
    return {
        key: {io.role_named(role): place for role, place in choice.items()}
        for key, choice in choices.items()
        if isinstance(choice, dict)
    }


def _is_labels(request: ViewRequest) -> bool:
    """Return whether only labels are opened; a schema may also belong to the reference labels of a case."""
    if request.schema_name is not None:
        return not (request.path.is_dir() and io.recognise(request.path) == "study")
    return not request.roles and not request.series and io.recognise(request.path) == "segmentation"


def _open_labels(request: ViewRequest) -> list[LayerData]:
    if request.spacing_mm is None:
        return [reader.read_segmentation(request.path, request.schema_name)]
    opened = io.open_segmentation(request.path, request.schema_name, spacing_mm=request.spacing_mm)
    return [to_layers.segmentation_to_layer(opened, name=request.path.name)]


def series_at(path: Path) -> list[io.Series]:
    """Return the DICOM series of a folder or file to choose from; empty if there are none, or it has another format."""
    holds_images = path.is_file() and io.recognise(path) != "study"
    return [] if holds_images or not (path.is_dir() or is_dicom(path)) else io.list_series(path)


def role_options(path: Path) -> list[tuple[str, str | int]]:
    """Return the choices for a role: the images of a folder by name, or the volumes or channels of a file by number."""
    if path.is_dir():
        names = sorted(file.name for file in path.iterdir() if is_image(file))
        return [(name, name) for name in names if not name.startswith(".")]
    return [(name, number) for number, (name, _, _) in enumerate(io.open_image(path))]


def spacing_of(text: str) -> tuple[float, float, float] | None:
    """Parse the voxel size that a user typed as three numbers; None for an empty text.

    Raises
    ------
    SpacingUnknownError
        If it is not three positive numbers.
    """
    words = text.replace(",", " ").replace(";", " ").split()
    if not words:
        return None
    try:
        x, y, z = (float(word) for word in words)
    except ValueError:
        x = y = z = 0.0
    if not all(0 < size < math.inf for size in (x, y, z)):
        msg = f"The voxel size {text!r} is not three positive numbers. Give x y z in millimetres, such as 0.94 0.94 5."
        raise SpacingUnknownError(msg)
    return x, y, z
