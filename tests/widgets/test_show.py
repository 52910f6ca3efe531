from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_brain_tumor.widgets import show as module

pytestmark = pytest.mark.gui


def write_case(folder: Path) -> tuple[Path, Path]:
    case = folder / "case"
    case.mkdir()
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    image = np.random.default_rng(0).integers(0, 200, (20, 24, 12)).astype(np.int16)
    for role in ("t1ce", "flair"):
        nib.save(nib.Nifti1Image(image, affine), case / f"case_{role}.nii.gz")
    labels = np.zeros(image.shape, np.uint8)
    labels[5:9, 5:9, 5:9] = 1
    segmentation = folder / "BraTS2021_00001_seg.nii.gz"
    nib.save(nib.Nifti1Image(labels, affine), segmentation)
    return case, segmentation


def test_show_opens_scans_labels_and_the_dock(make_napari_viewer: Any, tmp_path: Path) -> None:
    viewer = module.show(*write_case(tmp_path), make_napari_viewer())
    kinds = [type(layer).__name__ for layer in viewer.layers]
    assert kinds == ["Image", "Image", "Labels"]
    assert int((viewer.layers[-1].data > 0).sum()) == 64
    assert "Brain Tumor" in viewer.window.dock_widgets


def test_show_of_a_case_that_is_refused_ends_with_the_message(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"Error: .*nowhere"):
        module.main([str(tmp_path / "nowhere")])
