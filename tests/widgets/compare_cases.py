"""Labels layers of one small case, as three raters would have drawn them."""

import numpy as np
from panel_cases import SHAPE, make_study

from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.study import Segmentation


def block(moved=0, study=None):
    """A box of 8 x 10 x 6 voxels with an enhancing middle, moved along x."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[4 + moved : 12 + moved, 5:15, 3:9] = 1
    labels[6 + moved : 10 + moved, 7:13, 4:8] = 3
    return Segmentation(labels, (study or make_study()).grid, "case")


def add_raters(viewer, moves=(("truth", 0), ("near", 1), ("far", 3))):
    """A study with a labels layer for each, by name."""
    study = make_study()
    viewers.add_layers(viewer, to_layers.study_to_layers(study))
    made = [to_layers.segmentation_to_layer(block(moved, study), name=name) for name, moved in moves]
    return {layer.name: layer for layer in viewers.add_layers(viewer, made)}
