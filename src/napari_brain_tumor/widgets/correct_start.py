"""What can be corrected, and how a correction starts, without Qt."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.layers import Labels, Layer

from napari_brain_tumor.errors import GridMismatchError
from napari_brain_tumor.interactive import Refiner
from napari_brain_tumor.interactive.refine import begun_provenance
from napari_brain_tumor.labels import labels_sha256
from napari_brain_tumor.plugin import from_layers, layers, to_layers
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.label_watch import can_be_watched
from napari_brain_tumor.plugin.layers import KEY, LayerData, LayerView, SegmentationTag
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.widgets.correct_computer import EntryComputer
from napari_brain_tumor.widgets.correct_state import Correction
from napari_brain_tumor.widgets.scan_layers import candidates, open_studies
from napari_brain_tumor.widgets.segment_state import is_result
from napari_brain_tumor.widgets.stored_maps import stored_maps_of
from napari_brain_tumor.widgets.study_queue import OpenStudy


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A starting point: labels over the scans of a study, or a study without labels."""

    study: OpenStudy
    layer: Labels | None = None

    @property
    def text(self) -> str:
        """Description for the user."""
        return self.layer.name if self.layer is not None else f"new segmentation of {self.study.name}"


@dataclass(frozen=True, slots=True, eq=False)
class ReadyStart:
    """Everything that a correction needs except its layer.

    Parameters
    ----------
    computer, sha256, begun
        As in `Correction`.
    new_layer : LayerData or None
        Layer of an empty segmentation.
    """

    computer: EntryComputer
    sha256: str
    begun: Mapping[str, Any]
    new_layer: LayerData | None

    def correction_of(self, layer: Labels) -> Correction:
        """Return the correction of a layer; other labels are first tagged as a segmentation, to record the prompts."""
        if layers.segmentation_tag(layer) is None:
            study = self.computer.study
            tag = SegmentationTag(
                study.name, study.grid, study.layout, provenance={"method": "painted by hand"}, notes=study.notes
            )
            layer.metadata = {**layer.metadata, KEY: tag}
        return Correction(layer, self.computer, self.sha256, self.begun)


def starts(all_layers: Iterable[Layer]) -> list[Start]:
    """Return what can be corrected: labels over an open study, topmost first, and each study without labels."""
    present = list(all_layers)
    studies = [study for study in open_studies(candidates(present)) if _is_volume(study)]
    labels = [layer for layer in reversed(present) if is_result(layer) and layer.ndim == 3 and can_be_watched(layer)]
    pairs = [(layer, _study_of(layer, studies)) for layer in labels]
    over = [Start(study, layer) for layer, study in pairs if study is not None]
    return [*over, *(Start(study) for study in studies)]


def obstacle(all_layers: Iterable[Layer]) -> str:
    """Return why nothing can be corrected; empty if something can."""
    present = list(all_layers)
    if starts(present):
        return ""
    scans = candidates(present)
    if scans and all(scan.role is None for scan in scans):
        return (
            "Which sequence the opened images are is not known. Open the case with Open… in the Brain Tumor "
            "panel and choose T1, T1c, T2 and FLAIR, or name the layers after them."
        )
    return "Open a case first: prompts are compared with its scans. A segmentation is not needed."


def _is_volume(study: OpenStudy) -> bool:
    return all(layer.ndim == 3 for layer in study.sequences.values())


def _study_of(layer: Labels, studies: Sequence[OpenStudy]) -> OpenStudy | None:
    """Return the study that labels belong to: the one they came from, or else any study on the same grid."""
    labels_view = layers.view(layer)
    if isinstance(labels_view.tag, SegmentationTag) and not labels_view.tag.understood:
        return None
    case = labels_view.tag.case if isinstance(labels_view.tag, SegmentationTag) else None
    here = [study for study in studies if _first(study).grid.same_place(labels_view.grid)]
    here.sort(key=lambda study: study.name != case)
    return here[0] if here else None


def _first(study: OpenStudy) -> LayerView:
    return layers.view(next(iter(study.sequences.values())))


def begin_job(start: Start, all_layers: Iterable[Layer]) -> Job[ReadyStart]:
    """Start a correction; layers are read at once, the rest is done by the job.

    Raises
    ------
    BrainTumorError
        If the scans or labels cannot be read as a study and a segmentation on its grid.
    """
    scans = {role: layers.view(layer) for role, layer in start.study.sequences.items()}
    labels_view = layers.view(start.layer) if start.layer is not None else None
    references = layers.readable_views(all_layers)
    stored = stored_maps_of(start.layer)
    return _begin(scans, labels_view, references, stored.maps if stored is not None else None)


def _begin(scans: Any, labels_view: LayerView | None, references: Sequence[LayerView], maps: Any) -> Job[ReadyStart]:
    yield Progress(0, 2, "reading the layers")
    study = from_layers.study_from_layers(scans)
    segmentation = on_study(labels_view, references, study) if labels_view is not None else None
    yield Progress(1, 2, "looking at the scans")
    refiner = Refiner(study, segmentation, maps)
    refiner.prepare()
    provenance = begun_provenance(study, segmentation)
    new = (
        None
        if labels_view is not None
        else to_layers.segmentation_to_layer(_empty(study), name=f"{study.name} corrected")
    )
    computer = EntryComputer(study, segmentation, maps, refiner)
    return ReadyStart(computer, labels_sha256(refiner.labels), provenance, new)


def on_study(labels_view: LayerView, references: Sequence[LayerView], study: Study) -> Segmentation:
    """Return a copy of a layer's labels on the study's own grid; raises `GridMismatchError` if the grid differs."""
    segmentation = from_layers.segmentation_from_layer(labels_view, references)
    display = Display.of(study.grid)
    if segmentation.grid.same_place(study.grid):
        data = segmentation.data
    elif display.viewer_grid.in_viewer.same_place(labels_view.grid):
        data = display.restore(labels_view.data, nearest=True)  # from a file with another axis order
    else:
        msg = (
            f"The labels {labels_view.name} lie on {segmentation.grid.describe()}, the scans on "
            f"{study.grid.describe()}. Open the "
            "scans that they were made on."
        )
        raise GridMismatchError(msg)
    return replace(segmentation, data=np.array(data, np.uint8), grid=study.grid)


def _empty(study: Study) -> Segmentation:
    data = np.zeros(study.grid.shape, np.uint8)
    provenance = {"method": "prompts"}
    return Segmentation(data, study.grid, study.name, layout=study.layout, provenance=provenance, notes=study.notes)
