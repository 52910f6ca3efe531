"""The synthetic case shipped with the package, for napari's Open Sample menu."""

from napari_brain_tumor import io
from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path


def synthetic_glioma() -> list[LayerData]:
    """Return four sequences of a synthetic glioma, and its truth as a hidden labels layer."""
    study = io.open_study(sample_case_folder())
    truth = io.open_segmentation(sample_truth_path())
    opened = [
        *to_layers.study_to_layers(study),
        to_layers.segmentation_to_layer(truth, name=f"{study.name} truth", visible=False),
    ]
    viewers.orient_current_viewer(opened)
    return opened
