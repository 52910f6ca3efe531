"""Kaggle LGG folders: `<patient>_<k>.tif` with `<patient>_<k>_mask.tif`. Masks show only the whole tumour."""

from pathlib import Path

from napari_brain_tumor.dataset.imports.found_case import FoundCase
from napari_brain_tumor.io.case_names import folder_name
from napari_brain_tumor.io.reading import folders_within, slices_in


def find_lgg_tif(root: Path) -> tuple[FoundCase, ...]:
    """Return one case for each folder within `root`, or for `root` itself, that contains slices with masks."""
    folders = sorted({root, *folders_within(root)})
    return tuple(
        FoundCase(folder_name(folder), folder, folder, schema="LGG-binary", grade="LGG")
        for folder in folders
        if any(slices.masks for slices in slices_in(folder))
    )
