"""Open napari on an examination: `python -m napari_brain_tumor.widgets.show CASE [SEGMENTATION]`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import napari
import typer

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.io import open_segmentation
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.plugin.to_layers import segmentation_to_layer
from napari_brain_tumor.plugin.viewers import add_layers
from napari_brain_tumor.requests.opening import ViewRequest
from napari_brain_tumor.requests.shell import request_from
from napari_brain_tumor.widgets.activation import prepare
from napari_brain_tumor.widgets.dock.widget import BrainTumorWidget
from napari_brain_tumor.widgets.open_state import open_case


def show(
    case: Path | ViewRequest, segmentation: Path | None = None, viewer: napari.Viewer | None = None
) -> napari.Viewer:
    """Return a viewer with the scans of a case, the segmentation above them, and the dock beside them.

    Parameters
    ----------
    case : Path or ViewRequest
        Anything that can be dropped on the window; one of several sequences is visible, and J steps through them.
    segmentation : Path, optional
        Labels on the study's grid. Reference labels in the case's folder are then hidden.
    viewer : napari.Viewer, optional
        Viewer to add to; by default, a new one.
    """
    request = ViewRequest(path=case) if isinstance(case, Path) else case
    layers = open_case(request)
    if segmentation is not None:
        opened = open_segmentation(segmentation, request.schema_name, spacing_mm=request.spacing_mm)
        layers = [*map(_hidden_if_labels, layers), segmentation_to_layer(opened)]
    viewer = viewer or napari.Viewer(title="Brain Tumor")
    prepare(viewer)
    add_layers(viewer, layers)
    viewer.window.add_dock_widget(BrainTumorWidget(viewer), name="Brain Tumor", area="right")
    return viewer


def _hidden_if_labels(layer: LayerData) -> LayerData:
    data, attributes, kind = layer
    return (data, {**attributes, "visible": False}, kind) if kind == "labels" else layer


def main(arguments: Sequence[str] | None = None) -> None:
    """Open the window and wait until it is closed."""
    parser = argparse.ArgumentParser(prog="python -m napari_brain_tumor.widgets.show", description=__doc__)
    parser.add_argument("case", type=Path, help="folder or file of an examination")
    parser.add_argument("segmentation", type=Path, nargs="?", help="file with its labels")
    parser.add_argument("--roles", help="as of brain-tumor segment")
    parser.add_argument("--series", action="append", help="as of brain-tumor segment; repeatable")
    parser.add_argument("--spacing", help="as of brain-tumor segment")
    parser.add_argument("--schema", help="what the integers of the labels mean")
    options = parser.parse_args(arguments)
    try:
        show(_request(options), options.segmentation)
    except (BrainTumorError, OSError, typer.BadParameter) as error:
        raise SystemExit(f"Error: {error}") from error
    napari.run()


def _request(options: argparse.Namespace) -> ViewRequest:
    values = {
        "roles": options.roles,
        "series": options.series,
        "spacing_mm": options.spacing,
        "schema_name": options.schema,
    }
    request = request_from(ViewRequest, {"path": options.case, **values})
    if isinstance(request.roles, tuple):
        return request.with_options(roles={role: at for at, role in enumerate(request.roles) if role is not None})
    return request.with_options(roles=request.beside(options.case).roles)


if __name__ == "__main__":
    main()
