"""Save labels layers from napari's own save dialog, on the grid of the scan that they belong to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_brain_tumor import io
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.formats import split_suffix
from napari_brain_tumor.plugin import from_layers, layers, viewers
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.plugin.saved_labels import saved_labels


def write_labels(path: str, layer_data: Sequence[LayerData]) -> list[str]:
    """Save labels as NIfTI, NRRD, MHA, DICOM segmentation or surfaces, with the numbers of the Medical Decathlon.

    The Brain Tumor panel saves with other numbers, and in the other formats.

    Parameters
    ----------
    path : str
        Of the file; with several layers the name of each is appended to the stem.
    layer_data : sequence of (data, attributes, type)
        Labels layers.

    Returns
    -------
    list of str
        Paths that were written and verified.

    Raises
    ------
    SaveError
        If two layers would be written to one file, or a file could not be written or verified.
    GridMismatchError, LabelSchemaError
        As for `layers.segmentation_from_layer`; nothing is written then.
    """
    opened = viewers.current_layers()
    targets = _targets(Path(path), [attributes for _, attributes, _ in layer_data])
    segmentations = [from_layers.segmentation_from_layer(layers.layer_of(entry), opened) for entry in layer_data]
    written: list[str] = []
    for segmentation, target, (data, _, _) in zip(segmentations, targets, layer_data, strict=True):
        saved = io.save_segmentation(segmentation, target, overwrite=True)
        saved_labels.tell(data)
        written += [str(entry) for entry in (saved if isinstance(saved, list) else [saved])]
    return written


def _targets(path: Path, attributes: Sequence[Mapping[str, Any]]) -> list[Path]:
    if len(attributes) == 1:
        return [path]
    stem, suffix = split_suffix(path)
    targets = [path.with_name(f"{stem}_{_as_file_name(attribute['name'])}{suffix}") for attribute in attributes]
    if len(set(targets)) < len(targets):
        names = ", ".join(str(attribute["name"]) for attribute in attributes)
        msg = f"Several of the layers {names} would be saved to one file. Rename them, or save them one at a time."
        raise SaveError(msg)
    return targets


def _as_file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
