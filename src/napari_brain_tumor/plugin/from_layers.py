"""Convert layers to studies and segmentations on the grids of their source scans."""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from napari.layers import Layer

from napari_brain_tumor.autosave.changes import digest_of
from napari_brain_tumor.errors import GridMismatchError, LabelSchemaError
from napari_brain_tumor.geometry import Grid, bounding_box, resample
from napari_brain_tumor.io.one_grid import FINEST, bring_onto_one_grid
from napari_brain_tumor.labels import CLASS_COLORS, labels_sha256
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.layers import (
    WORLD_OF_OTHERS,
    LayerData,
    LayerView,
    SegmentationTag,
    SequenceTag,
    is_readable,
    view,
)
from napari_brain_tumor.plugin.to_layers import study_to_layers
from napari_brain_tumor.study import Role, Segmentation, Study
from napari_brain_tumor.types import Array

Key = TypeVar("Key", bound=Hashable)
_ORIENTATION_OF_OTHERS: Final = (
    "not opened by this plugin, so its orientation is not known: columns are taken to run to the patient's left, rows "
    "to the back and slices to the head; left/right is a guess."
)


def study_from_layers(layers: Mapping[Role, Layer | LayerView]) -> Study:
    """Return the study displayed in these layers, on the grid of its source scan.

    Parameters
    ----------
    layers : mapping of role to layer
        Layers opened by this plugin are returned on the scan's own grid. Other image layers have no known orientation:
        one in the same place as a layer of ours is assumed to share its orientation; otherwise its world is taken to
        be that of ITK (left, posterior, superior), and a note says so. No layer is modified.

    Raises
    ------
    DimensionError
        If a layer is not a single volume of scalar values.
    GridMismatchError
        If the layers are not on the same grid.
    """
    views = {role: view(layer) for role, layer in layers.items()}
    on_grid = intensities_of_all(views)
    grids = {role: grid for role, (_, grid) in on_grid.items()}
    _require_one_grid({f"{role} ({views[role].name})": grid for role, grid in grids.items()})
    tags = {role: layer_view.tag for role, layer_view in views.items() if isinstance(layer_view.tag, SequenceTag)}
    names = list(dict.fromkeys(tag.case for tag in tags.values()))
    first = next(iter(tags.values()), None)
    return Study(
        {role: array for role, (array, _) in on_grid.items()},
        next(iter(grids.values())),
        name=names[0] if names else next(iter(views.values())).name,
        sources={role: tag.source for role, tag in tags.items() if tag.source is not None},
        layout=first.layout if first is not None and len(names) == 1 else None,
        notes=notes_of(views),
        resampled=tuple(role for role, tag in tags.items() if tag.resampled),
    )


def resampled_layers(layers: Mapping[Role, Layer | LayerView], onto: str = FINEST) -> list[LayerData]:
    """Resample layers of sequences on different grids to a common one; the given layers are not modified.

    Parameters
    ----------
    onto : str
        As in `open_study`.

    Raises
    ------
    DimensionError, RoleError, GridMismatchError
        If a layer is not a volume, there is no such role, or the layers cannot be brought onto one grid.
    """
    views = {role: view(layer) for role, layer in layers.items()}
    resampled = bring_onto_one_grid(intensities_of_all(views), onto)
    tags = {role: layer_view.tag for role, layer_view in views.items() if isinstance(layer_view.tag, SequenceTag)}
    reference = tags.get(resampled.reference) if resampled.reference is not None else None
    before = {role for role, tag in tags.items() if tag.resampled}
    study = Study(
        resampled.arrays,
        resampled.grid,
        name=f"{_common_name(list(tags.values()))} one grid",
        sources={role: tag.source for role, tag in tags.items() if tag.source is not None},
        layout=reference.layout if reference is not None else None,
        notes=(*notes_of(views), *resampled.notes),
        resampled=tuple(role for role in views if role in {*resampled.resampled, *before}),
    )
    return study_to_layers(study)


def _common_name(tags: Sequence[SequenceTag]) -> str:
    """Return the common part of the scans' names up to a separator, or else the name of their folder."""
    names = list(dict.fromkeys(tag.case for tag in tags))
    if len(names) == 1:
        return names[0]
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    prefix = re.split(r"[ _.-](?=[^ _.-]*$)", "".join(first for first, *_ in same))[0]
    folders = {tag.source.path.parent.name for tag in tags if tag.source is not None}
    return prefix or (folders.pop() if len(folders) == 1 else "") or "scans"


def intensities_of_all(views: Mapping[Key, LayerView]) -> dict[Key, tuple[Array, Grid]]:
    """Return each view's array (X, Y, Z) and grid; the source scan's grid for layers opened by this plugin."""
    return {key: _intensities_of(layer_view, views.values()) for key, layer_view in views.items()}


def _intensities_of(layer_view: LayerView, beside: Iterable[LayerView]) -> tuple[Array, Grid]:
    tag = layer_view.tag
    if not isinstance(tag, SequenceTag):
        return np.ascontiguousarray(layer_view.data.T), _grid_of_other(layer_view, beside)
    if tag.original is not None and layer_view.data is tag.displayed:
        return tag.original, tag.grid
    return Display.of(tag.grid).restore(layer_view.data), tag.grid


def _grid_of_other(layer_view: LayerView, beside: Iterable[LayerView]) -> Grid:
    """Return the patient-world grid of a layer opened by another program or derived from one of ours."""
    known = _ours_there(layer_view, beside)
    world = (layer_view if known is None else known).world or WORLD_OF_OTHERS
    return layer_view.grid if world == "RAS" else layer_view.grid.as_in_lps_viewer()


def _ours_there(layer_view: LayerView, beside: Iterable[LayerView]) -> LayerView | None:
    """Return a layer in the same place with a known world: the layer itself or another one."""
    known = (candidate for candidate in (layer_view, *beside) if candidate.world is not None)
    return next((candidate for candidate in known if candidate.grid.same_place(layer_view.grid)), None)


def _require_one_grid(grids: Mapping[str, Grid]) -> None:
    (first_name, first), *others = grids.items()
    if all(first.same_place(grid) for _, grid in others):
        return
    listed = "; ".join(f"{name}: {grid.describe()}" for name, grid in grids.items())
    msg = (
        f"The selected layers are not on one grid ({listed}). A study needs one grid: choose layers of the same scan "
        f"as {first_name}, or co-register and resample the others onto it first."
    )
    raise GridMismatchError(msg)


def notes_of(views: Mapping[Role, LayerView]) -> tuple[str, ...]:
    """Return notes on what was assumed about a study's layers: notes from reading them, and about their positions."""
    tags = [layer_view.tag for layer_view in views.values() if isinstance(layer_view.tag, SequenceTag)]
    notes = list(dict.fromkeys(note for tag in tags for note in tag.notes))
    others = {role: layer_view for role, layer_view in views.items() if not isinstance(layer_view.tag, SequenceTag)}
    alone = [
        f"{role} ({layer_view.name})"
        for role, layer_view in others.items()
        if _ours_there(layer_view, views.values()) is None
    ]
    if alone:
        notes.append(f"{', '.join(alone)}: {_ORIENTATION_OF_OTHERS}")
    names = list(dict.fromkeys(tag.case for tag in tags))
    if len(names) > 1:
        notes.append(f"The sequences come from different files or cases: {', '.join(names)}.")
    return tuple(notes)


def segmentation_from_layer(layer: Layer | LayerView, references: Iterable[Layer | LayerView] = ()) -> Segmentation:
    """Return the segmentation in a labels layer, on the source scan's own grid.

    Parameters
    ----------
    layer : Labels or LayerView
        A layer opened by this plugin, or painted from scratch.
    references : iterable of layers
        Open layers; labels without metadata of this plugin are matched to one of them by their position in the world.

    Raises
    ------
    LabelSchemaError
        If the meaning of the integers is unknown, or they are not integers from 0 to 255.
    GridMismatchError
        If the labels match none of the references, or several of them.
    """
    labels_view = view(layer)
    tag = labels_view.tag if isinstance(labels_view.tag, SegmentationTag) else None
    if tag is None:
        reference = _reference(
            labels_view, [view(layer_of_scan) for layer_of_scan in references if is_readable(layer_of_scan)]
        )
        return _on_reference(labels_view, reference)
    if not tag.understood:
        msg = (
            f"What the labels in {labels_view.name!r} mean is not known, so they cannot be measured or saved. "
            "Open the file "
            "again with Open… > Files that need details… in the Brain Tumor panel and choose what the labels mean."
        )
        raise LabelSchemaError(msg)
    data = Display.of(tag.grid).restore_labels(_classes(labels_view), tag.original)
    provenance = dict(tag.provenance)
    if digest_of(labels_view.data).hex() not in (tag.digest, tag.refined_digest):
        provenance["edited_by_hand"] = True
    if "refined" in provenance:
        provenance["labels_sha256"] = labels_sha256(data)
    names = tag.class_names
    return Segmentation(data, tag.grid, tag.case, names, tag.known_regions, tag.layout, provenance, tag.notes)


def _classes(labels_view: LayerView) -> npt.NDArray[np.uint8]:
    if labels_view.data.dtype == np.uint8:
        return labels_view.data
    low, high = int(labels_view.data.min()), int(labels_view.data.max())
    if low < 0 or high > 255:
        msg = (
            f"The labels in {labels_view.name!r} run from {low} to {high}; classes are 1 to {max(CLASS_COLORS)}. "
            "Relabel them."
        )
        raise LabelSchemaError(msg)
    return labels_view.data.astype(np.uint8)


def _reference(labels_view: LayerView, candidates: Sequence[LayerView]) -> LayerView:
    """Return the open layer whose scan the labels were painted on."""
    others = [
        scan for scan in candidates if scan.name != labels_view.name and (scan.tag is not None or scan.kind == "image")
    ]
    exact = [scan for scan in others if scan.grid.same_place(labels_view.grid)]
    holding = exact or [scan for scan in others if _holds(scan, labels_view)]
    # Prefer layers with a tag, whose file is known; of a plain image only the position is known.
    holding.sort(key=lambda scan: scan.tag is None)
    if not holding:
        listed = "; ".join(f"{scan.name}: {scan.grid.describe()}" for scan in others) or "none"
        msg = (
            f"The labels layer {labels_view.name!r} ({labels_view.grid.describe()}) lies on no opened scan "
            f"({listed}). Open the scan "
            "it belongs to, or select a scan's layer before making a new labels layer."
        )
        raise GridMismatchError(msg)
    if not exact and any(not holding[0].grid.same_place(scan.grid) for scan in holding[1:]):
        names = ", ".join(scan.name for scan in holding)
        msg = (
            f"The labels layer {labels_view.name!r} lies on several opened scans with different grids ({names}). "
            "Remove the layers that it does not belong to, or paint on labels made with one scan selected."
        )
        raise GridMismatchError(msg)
    return holding[0]


def _holds(reference: LayerView, labels_view: LayerView) -> bool:
    """Whether all painted voxels are inside the reference's volume."""
    box = bounding_box(labels_view.data.T != 0)
    if reference.grid.unit != labels_view.grid.unit or box is None:
        return False
    corners = np.array(np.meshgrid(*zip(box.start, np.array(box.stop) - 1, strict=True))).reshape(3, -1).T
    at = reference.grid.voxels(labels_view.grid.world(corners))
    return bool((at >= -0.51).all() and (at <= np.array(reference.grid.shape) - 0.49).all())


def _inputs_of(tag: SequenceTag | SegmentationTag | None) -> dict[str, Any]:
    """Return the DICOM series that labels were painted on, so that derived objects can refer to it."""
    source = tag.source if isinstance(tag, SequenceTag) and not tag.resampled else None
    if source is None or source.series is None:
        return {}
    role = tag.role if isinstance(tag, SequenceTag) else None
    return {"inputs": {role or "scan": {"path": str(source.path), "series": source.series}}}


def _on_reference(labels_view: LayerView, reference: LayerView) -> Segmentation:
    tag = reference.tag
    source = tag.grid if tag is not None else _grid_of_other(reference, ())
    if not reference.grid.same_place(labels_view.grid):
        data = resample(_classes(labels_view).T, labels_view.grid, source.in_viewer, nearest=True)
    elif tag is not None:
        data = Display.of(source).restore_labels(_classes(labels_view), None)
    else:
        data = np.ascontiguousarray(_classes(labels_view).T)
    doubts = () if reference.world is not None else (f"{reference.name}: {_ORIENTATION_OF_OTHERS}",)
    return Segmentation(
        data,
        source,
        tag.case if tag is not None else reference.name,
        layout=tag.layout if tag is not None else None,
        provenance={"method": "painted by hand", **_inputs_of(tag)},
        notes=tag.notes if tag is not None else doubts,
    )
