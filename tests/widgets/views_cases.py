"""A study with labels, as layers, for the tests of the three views."""

import numpy as np
from panel_cases import SHAPE, make_study

from napari_brain_tumor.plugin.layers import layer_of
from napari_brain_tumor.plugin.to_layers import segmentation_to_layer, study_to_layers
from napari_brain_tumor.plugin.viewers import add_layers
from napari_brain_tumor.study import Segmentation


def make_segmentation(study):
    data = np.zeros(SHAPE, np.uint8)
    data[8:14, 8:16, 4:9] = 1
    data[9:13, 9:13, 5:8] = 2
    data[10:12, 10:12, 6:8] = 3
    data[2:4, 2:4, 10] = 1
    return Segmentation(data, study.grid, study.name)


def fill(viewer, spacing=(1, 1, 2), name="case"):
    """Add four scans and their labels to a viewer; returns the labels layer, which is selected."""
    study = make_study(name, spacing=spacing)
    segmentation = segmentation_to_layer(make_segmentation(study))
    *_, labels = add_layers(viewer, [*study_to_layers(study), segmentation])
    viewer.layers.selection.active = labels
    return labels


def second_labels(study):
    return layer_of(segmentation_to_layer(make_segmentation(study), name="second"))
