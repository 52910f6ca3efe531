"""Logic of the Segment panel, without Qt: what can be run, what is run, and what is reported about it."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer, Points, Shapes
from psygnal import SignalGroupDescriptor

from napari_brain_tumor.brain.extraction import brain_note
from napari_brain_tumor.catalogue import Baseline, Method
from napari_brain_tumor.errors import BoxError, BrainTumorError
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.models.card_parts import Metrics
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.plugin import drawing, from_layers, layers, to_layers
from napari_brain_tumor.plugin.layers import LayerData, LayerView
from napari_brain_tumor.preflight.costs import remember
from napari_brain_tumor.preprocessing.traits import Traits, extent_of, thickness_of
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Role, Segmentation
from napari_brain_tumor.widgets.job_times import remember_start
from napari_brain_tumor.widgets.stored_maps import result_layer
from napari_brain_tumor.widgets.worker import Stop

SEGMENT_TARGET: Final = "napari_brain_tumor.workflow:requested_segmentation_job"
"""Job in the worker process; with the probabilities of a trained model, thresholds change without a new run."""
CHOSEN_APART: Final = ("model", "device", "seeds", "thresholds", "box", "brain")
"""Options given by layers or with controls of their own; controls of the others are derived from the request."""
BRAIN_TARGET: Final = "napari_brain_tumor.brain.extraction:brain_mask_job"
"""Job in the worker process that extracts the brain from a whole head."""


@dataclass
class Choices:
    """What the user chose; `events` reports each change.

    Parameters
    ----------
    sequences : dict of role to layer
        Roles without a layer are absent.
    model : Method or None
        A model, or a method without weights.
    seeds : Points layer or None
        For a method that takes seeds; it finds its own if there are none.
    options : SegmentRequest
        All options that are not given by a layer.
    box : Shapes layer or None
        Labels are wanted only around its shapes.
    brain : {"auto", "keep"} or Labels layer
        How a whole head is handled: extract the brain, keep the head, or use the labels of that layer as brain mask.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    sequences: dict[Role, Layer] = field(default_factory=dict)
    model: Method | None = None
    seeds: Points | None = None
    options: SegmentRequest = field(default_factory=SegmentRequest)
    box: Shapes | None = None
    brain: str | Labels = "auto"

    def choose(self, **options: Any) -> None:
        """Change options, by their names in `SegmentRequest`."""
        self.options = self.options.with_options(**options)

    @property
    def request(self) -> SegmentRequest:
        """Request for the run, including options from layers, without those that a method without weights ignores."""
        model = self.model.folder if isinstance(self.model, ModelInfo) else getattr(self.model, "name", None)
        unused = SegmentRequest.of_networks() if self.model is not None and self.model.is_baseline else ()
        usual = {name: SegmentRequest.model_fields[name].default for name in unused}
        own_settings = {
            "model": model,
            "seeds": self._seed_points(),
            "box": self.box_ends(),
            "brain": self._brain_setting(),
        }
        return self.options.with_options(**usual, **own_settings)

    def _brain_setting(self) -> str | npt.NDArray[np.bool_]:
        """Return the brain setting in the form that `segment` takes; a mask is on the scans' own grid."""
        if not isinstance(self.brain, Layer):
            return self.brain
        return from_layers.segmentation_from_layer(self.brain, self.sequences.values()).data > 0

    def box_ends(self) -> tuple[float, ...] | None:
        """Return the box in world coordinates, in the form that `segment` takes; None for the whole volume.

        Raises
        ------
        BoxError
            If nothing has been drawn yet.
        """
        if self.box is None or not self.sequences:
            return None
        ends = drawing.world_box(self.box, drawing.anchor(self.sequences.values()))
        if ends is None:
            msg = f"Nothing is drawn in {self.box.name} yet: draw a rectangle over the tumour, or choose whole volume."
            raise BoxError(msg)
        return ends

    def _seed_points(self) -> tuple[tuple[float, float, float], ...]:
        takes_seeds = self.model is not None and self.model.takes_seeds
        if self.seeds is None or not takes_seeds or not self.sequences:
            return ()
        return drawing.world_points(self.seeds, drawing.anchor(self.sequences.values()))

    @property
    def obstacle(self) -> str:
        """Why the choices cannot be run yet; empty if they can."""
        if not self.sequences:
            return "Open a case and choose at least one scan."
        if self.model is None:
            return "No model is installed. Train one with: brain-tumor train"
        if self.box is not None and not self.box.data:
            return f"Nothing is drawn in {self.box.name} yet: draw a rectangle over the tumour, or choose whole volume."
        return self.model.obstacle(self.sequences)


def same_method(first: Method, second: Method) -> bool:
    """Return whether two list entries are the same method, or models in the same folder."""
    return getattr(first, "folder", first.name) == getattr(second, "folder", second.name)


def traits_of(choices: Choices) -> Traits | None:
    """Return what is known of the chosen scans from their grid; None if none is chosen, or a layer is not a volume.

    Whether the skull is still present is determined by the pre-flight table, which examines the voxels in a thread.
    """
    try:
        views = [layers.view(layer) for layer in choices.sequences.values()]
    except BrainTumorError:
        return None
    if not views:
        return None
    grid = views[0].grid
    return Traits(thickness_of(grid), whole_head=False, extent_mm=extent_of(grid))


def model_tooltip(model: Method) -> str:
    """Return what a user should know about a model or method, in lines."""
    return _baseline_tooltip(model) if isinstance(model, Baseline) else _card_tooltip(model)


def _baseline_tooltip(baseline: Baseline) -> str:
    seeds = "Starts at the points of a Points layer, or automatically." if baseline.takes_seeds else ""
    return "\n".join(part for part in (baseline.title, baseline.summary, seeds, baseline.source) if part)


def _card_tooltip(model: Any) -> str:
    card = model.card
    lines = [
        card.title,
        f"{card.architecture}, {card.dims}D, {card.parameters / 1e6:.1f} million parameters",
        f"Scans: {', '.join(card.roles)}{' (any of them)' if card.optional_roles else ' (all of them)'}",
        f"Regions: {', '.join(card.regions)}",
        *[_metrics_line(metrics) for metrics in card.metrics_with(card.roles)],
        *card.notes,
        f"Licence: {card.licence}",
    ]
    return "\n".join(lines)


def _metrics_line(metrics: Metrics) -> str:
    scores = ", ".join(f"{region} {dice:.2f}" for region, dice in metrics.mean_dice.items())
    return f"Dice with {'+'.join(metrics.roles)} on {metrics.cases} cases of {metrics.dataset}: {scores}"


def obstacle_of(choices: Choices, studies: int) -> str:
    """Return why the choices cannot be run yet; if several studies are ticked, each is checked when its turn comes."""
    if studies < 2 or choices.model is None:
        return choices.obstacle
    if choices.box is not None:
        return "A box belongs to one study: choose whole volume to segment several in a row."
    if isinstance(choices.brain, Layer):
        return "A brain mask belongs to one study: let the brain be extracted to segment several in a row."
    return ""


def plan_text(choices: Choices, seconds: float | None) -> str:
    """Describe what will be run, its accuracy on such scans, and its approximate duration; empty if nothing can be run.

    Parameters
    ----------
    seconds : float or None
        Duration, if known.
    """
    if choices.obstacle or choices.model is None:
        return ""
    parts = [choices.model.title]
    if isinstance(choices.model, ModelInfo):
        measured = choices.model.card.metrics_with(choices.sequences)
        dice = measured[0].mean_dice.get("WT") if measured else None
        parts += [f"Dice {dice:.2f} (whole tumour)"] if dice is not None else []
    if seconds is not None:
        parts.append(f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {max(1, round(seconds))} s")
    return " · ".join(parts)


def seed_layers(all_layers: Iterable[Layer]) -> list[Points]:
    """Return the layers whose points can be used as seeds: those with three dimensions."""
    return [layer for layer in all_layers if isinstance(layer, Points) and _is_free_volume(layer)]


def _is_free_volume(layer: Layer) -> bool:
    return layer.ndim == 3 and not layers.is_prompt_layer(layer)


def brain_layers(all_layers: Iterable[Layer], scan: Layer | None) -> list[Labels]:
    """Return the layers whose labels can be used as the brain mask of a scan: those on its grid."""
    if scan is None:
        return []
    grid = layers.view(scan).grid
    results = [layer for layer in all_layers if isinstance(layer, Labels) and is_result(layer)]
    return [layer for layer in results if layers.view(layer).grid.same_place(grid)]


def brain_steps(stop: Stop, views: Mapping[Role, LayerView], device: str, worker: WorkerProcess) -> Job[LayerData]:
    """Read the layers, extract the brain in the worker process, and make a layer with its outline."""
    yield Progress(0, 1, "reading the layers")
    study = from_layers.study_from_layers(views)
    mask = yield from stop.guard(worker.run(BRAIN_TARGET, study, device))
    brain = Segmentation(
        mask.astype(np.uint8),
        study.grid,
        study.name,
        class_names={1: "brain"},
        known_regions=("WT",),
        layout=study.layout,
        provenance={"task": "brain", "note": brain_note(study.grid, mask)},
    )
    return to_layers.segmentation_to_layer(brain, name=f"{study.name} brain", opacity=0.9)


def box_layers(all_layers: Iterable[Layer]) -> list[Shapes]:
    """Return the layers whose shapes can define a box: those with three dimensions."""
    return [layer for layer in all_layers if isinstance(layer, Shapes) and _is_free_volume(layer)]


def box_text(choices: Choices) -> str:
    """Describe the size of the box; empty if there is no box, or nothing has been drawn yet."""
    try:
        ends = choices.box_ends()
    except BrainTumorError:
        return ""
    if ends is None:
        return ""
    sides = " × ".join(f"{ends[at + 1] - ends[at]:.0f}" for at in (0, 2, 4))
    unit = "mm" if layers.view(next(iter(choices.sequences.values()))).grid.unit == "mm" else "voxels"
    return f"box of {sides} {unit} (right, front, up)"


def sentence(message: str, time_left: str) -> str:
    """Describe progress: the current step and the time left."""
    words = ", ".join(filter(None, (message, time_left)))
    return words[:1].upper() + words[1:]


def running_words(progress: Progress) -> str:
    """Describe what a run is doing; after its last step, the result still has to be added."""
    return progress.message if progress.fraction < 1 else "adding the result"


def outcome_text(layer: Layer) -> str:
    """Describe the outcome of a run in a sentence."""
    if not layer.data.any():
        return "No tumour was found in these scans."
    return f"Added the layer {layer.name}."


def is_result(layer: Layer | None) -> bool:
    """Return whether a layer is a segmentation that can be measured and saved."""
    return isinstance(layer, Labels) and layer.ndim in (2, 3) and not layers.is_prompt_layer(layer)


def segment_steps(
    stop: Stop,
    views: Mapping[Role, LayerView],
    request: SegmentRequest,
    worker: WorkerProcess,
    target: str = SEGMENT_TARGET,
) -> Job[tuple[LayerData, tuple[str, ...]]]:
    """Read the layers, segment in the worker process, and make the result layer; also return notes for the user.

    If the job returns probabilities, they are kept with the layer.
    """
    began, warm = time.monotonic(), worker.pid is not None
    yield Progress(0, 1, "reading the layers")
    study = from_layers.study_from_layers(views)
    result = yield from stop.guard(worker.run(target, study, request))
    segmentation, maps = result if isinstance(result, tuple) else (result, None)
    remember(segmentation.provenance)
    _remember_start(segmentation.provenance, time.monotonic() - began, warm=warm)
    doubts = [text for text in segmentation.provenance.get("doubts", ()) if segmentation.data.any()]
    return result_layer(segmentation, maps), (*doubts, *study.notes)


def _remember_start(provenance: Mapping[str, Any], seconds: float, *, warm: bool) -> None:
    """Record the start-up time of a run, in addition to its recorded cost."""
    work = sum(spent for name, spent in (provenance.get("seconds") or {}).items() if name != "load")
    if work:
        remember_start(max(0.0, seconds - work), warm=warm)
