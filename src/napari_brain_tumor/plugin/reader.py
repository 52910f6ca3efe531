"""Open scans and segmentations in napari."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from os import PathLike
from pathlib import Path

from napari_brain_tumor import io
from napari_brain_tumor.errors import GridMismatchError, LabelSchemaError, RoleError
from napari_brain_tumor.io.formats import offered_suffixes
from napari_brain_tumor.labels import label_values, looks_like_labels
from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.study import Study

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """Return the function that opens `path`, or None if this plugin cannot; called by napari before reading.

    Parameters
    ----------
    path : path-like or list of path-like
        A file, a case folder, or several files.
    """
    return read_paths if all(_is_ours(entry) for entry in _as_paths(path)) else None


def read_paths(path: Paths) -> list[LayerData]:
    """Open one path, or several that belong together, as layers; raises the errors of `io.open_study`."""
    opened = list(chain.from_iterable(read_path(entry) for entry in _as_paths(path)))
    viewers.orient_current_viewer(opened)
    return opened


def read_path(path: Path) -> list[LayerData]:
    """Open a file or case folder as layers: images by role, segmentations as labels with class names."""
    kind = io.recognise(path)
    if kind == "segmentation":
        return [read_segmentation(path)]
    if kind == "study" or path.is_dir():
        return _read_scan(path)
    return _read_unnamed(path)


def read_segmentation(path: Path, schema: str | None = None) -> LayerData:
    """Open a segmentation as labels; if its schema is uncertain, as raw integers, with a warning."""
    try:
        return to_layers.segmentation_to_layer(io.open_segmentation(path, schema), name=path.name)
    except LabelSchemaError as error:
        if schema is not None or path.is_dir():
            raise
        volume, *_ = io.open_volumes(path)
        viewers.tell([f"{error} Until then its numbers are shown as they are."], warn=True)
        values = volume.array.round().astype("int32")
        return to_layers.raw_labels_to_layer(volume.name, values, volume.grid, notes=volume.notes)


def read_study(
    study: Study, path: Path, schema: str | None = None, *, spacing_mm: tuple[float, float, float] | None = None
) -> list[LayerData]:
    """Return the layers of a study and of a segmentation in its folder, if any, and show the study's notes."""
    viewers.tell([*study.notes, *to_layers.display_notes(study.name, study.grid)])
    opened = to_layers.study_to_layers(study)
    if not path.is_dir():
        return opened
    try:
        truth = io.open_truth(path, schema, spacing_mm=spacing_mm)
    except LabelSchemaError as error:
        viewers.tell([f"The segmentation in {path.name} was not opened. {error}"], warn=True)
        return opened
    if truth is None:
        return opened
    name = truth.name if truth.name != study.name else f"{study.name} mask"
    return [*opened, to_layers.segmentation_to_layer(truth, name=name)]


def read_picked(
    path: Path, series: Mapping[str, str | int], *, spacing_mm: tuple[float, float, float] | None = None
) -> list[LayerData]:
    """Return layers of the DICOM series selected for each role; if their grids differ, each on its own grid."""
    try:
        return read_study(io.open_study(path, series=series, spacing_mm=spacing_mm), path)
    except GridMismatchError as error:
        return _read_each(error, io.open_sequences(path, series=series, spacing_mm=spacing_mm))


def _read_scan(path: Path) -> list[LayerData]:
    try:
        return read_study(io.open_study(path), path)
    except GridMismatchError as error:
        if not path.is_dir():
            raise
        return _read_each(error, io.open_sequences(path))
    except RoleError:
        if path.is_dir():
            raise
        return _read_unnamed(path)


def _read_each(error: GridMismatchError, opened: io.Sequences) -> list[LayerData]:
    """Open every sequence as a separate study on its own grid."""
    told = (
        f"{error} Each is shown where it lies. The Brain Tumor panel offers to register them, also under Open… > "
        "Raw examination…; the checks there bring them onto one grid as they lie."
    )
    viewers.tell([told, *opened.notes], warn=True)
    return list(chain.from_iterable(to_layers.study_to_layers(study) for study in opened.alone()))


def _read_unnamed(path: Path) -> list[LayerData]:
    """Open images whose role is not apparent from the name, or labels recognised by their values."""
    images = io.open_volumes(path)
    first = images[0]
    if len(images) == 1 and looks_like_labels(first.array, first.name) and label_values(first.array) - {0}:
        return [read_segmentation(path)]
    viewers.tell([*first.notes, *to_layers.display_notes(path.name, first.grid)])
    return [
        to_layers.image_to_layer(image.name, image.array, image.grid, visible=at == 0, notes=image.notes)
        for at, image in enumerate(images)
    ]


def _as_paths(path: Paths) -> list[Path]:
    return [Path(path)] if isinstance(path, (str, PathLike)) else [Path(entry) for entry in path]


def _is_ours(path: str | PathLike[str]) -> bool:
    place = Path(path)
    return (place.is_file() and place.name.lower().endswith(offered_suffixes())) or io.recognise(place) is not None
