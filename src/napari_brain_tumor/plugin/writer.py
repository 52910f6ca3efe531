"""Save labels layers from napari's own save dialog, on the grids of their scans."""

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
    """Save labels as NIfTI, NRRD, MHA, DICOM segmentation or surfaces, in the Medical Decathlon's label schema.

    Other label schemas and file formats are available in the Brain Tumor panel.

    Parameters
    ----------
    path : str
        Path of the file; with several layers, each layer's name is appended to the stem.
    layer_data : sequence of (data, attributes, type)
        Labels layers.

    Returns
    -------
    list of str
        Paths that were written and verified.

    Raises
    ------
    SaveError
        If two layers would be written to the same file, or a file could not be written or verified.
    GridMismatchError, LabelSchemaError
        As in `from_layers.segmentation_from_layer`; nothing is written in that case.
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
