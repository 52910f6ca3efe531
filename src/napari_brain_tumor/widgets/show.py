"""Open napari on an examination: `python -m napari_brain_tumor.widgets.show STUDY [SEGMENTATION]`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import napari

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.io import open_segmentation, open_study
from napari_brain_tumor.plugin.layers import add_layers, segmentation_to_layer, study_to_layers
from napari_brain_tumor.widgets.segment import SegmentWidget

__all__ = ["main", "show"]


def show(case: Path, segmentation: Path | None = None, viewer: napari.Viewer | None = None) -> napari.Viewer:
    """A viewer with the study's sequences, the segmentation above them, and the Segment panel at its side.

    Parameters
    ----------
    case : Path
        Anything that `open_study` opens.
    segmentation : Path, optional
        Labels on the study's grid.
    viewer : napari.Viewer, optional
        To add to; a new one otherwise.
    """
    layers = study_to_layers(open_study(case))
    if segmentation is not None:
        layers.append(segmentation_to_layer(open_segmentation(segmentation)))
    viewer = viewer or napari.Viewer(title="Brain Tumor")
    add_layers(viewer, layers)
    viewer.window.add_dock_widget(SegmentWidget(viewer), name="Segment", area="right")
    return viewer


def main(arguments: Sequence[str] | None = None) -> None:
    """Open the window and stay until it is closed."""
    parser = argparse.ArgumentParser(prog="python -m napari_brain_tumor.widgets.show", description=__doc__)
    parser.add_argument("study", type=Path, help="folder or file of an examination")
    parser.add_argument("segmentation", type=Path, nargs="?", help="file with its labels")
    chosen = parser.parse_args(arguments)
    try:
        show(chosen.study, chosen.segmentation)
    except BrainTumorError as error:
        raise SystemExit(f"Error: {error}") from error
    napari.run()


if __name__ == "__main__":
    main()
