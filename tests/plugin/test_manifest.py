"""The plugin as napari sees it."""

import os
import re
from importlib import import_module
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from npe2 import PluginManifest

import napari_brain_tumor
from napari_brain_tumor.plugin import layers

MANIFEST = Path(napari_brain_tumor.__file__).with_name("napari.yaml")


@pytest.fixture
def manifest():
    return PluginManifest.from_file(MANIFEST)


def test_every_command_can_be_imported(manifest):
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(import_module(module), name))


def test_patterns_are_lower_case_and_leave_tif_to_everybody(manifest):
    (reader,) = manifest.contributions.readers
    assert all(pattern == pattern.lower() for pattern in reader.filename_patterns)
    assert "*.tif" not in reader.filename_patterns
    assert reader.accepts_directories


@pytest.mark.gui
def test_case_opens_and_labels_save_through_napari(make_napari_viewer, npe2pm, manifest, tmp_path):
    npe2pm.register(manifest)
    path = tmp_path / "case_flair.nii.gz"
    nib.save(nib.Nifti1Image(np.random.default_rng(0).integers(1, 99, (8, 9, 5)).astype(np.int16), np.eye(4)), path)
    viewer = make_napari_viewer()
    viewer.open(str(path), plugin="napari-brain-tumor")
    assert viewer.layers[0].metadata[layers.KEY].role == "FLAIR"
    assert [str(one) for one in viewer.scene.camera.orientation2d] == ["up", "left"]
    viewer.layers.selection = {viewer.layers[0]}
    viewer._new_labels()
    viewer.layers[-1].data[2, 3, 4] = 2
    written = viewer.layers.save(str(tmp_path / "mine.nii.gz"), selected=True)
    assert [Path(one).name for one in written] == ["mine.nii.gz"]
    saved = np.asarray(nib.load(tmp_path / "mine.nii.gz").dataobj)
    assert saved[4, 3, 2] == 2
    assert saved.sum() == 2


@pytest.mark.gui
def test_tif_of_other_labels_is_not_taken_from_napari(make_napari_viewer, npe2pm, manifest, tmp_path):
    npe2pm.register(manifest)
    npe2pm.register(PluginManifest.from_distribution("napari"))
    viewer = make_napari_viewer()
    viewer.add_labels(np.ones((6, 7), np.uint16))
    written = viewer.layers.save(str(tmp_path / "cells.tif"))
    assert len(written) == 1


def test_sample_opens_with_truth_hidden(manifest):
    pytest.importorskip("napari_brain_tumor.sample")
    from napari_brain_tumor.plugin.sample_data import synthetic_glioma

    opened = synthetic_glioma()
    assert [kind for *_, kind in opened] == ["image"] * 4 + ["labels"]
    assert opened[-1][1]["visible"] is False
    assert set(np.unique(opened[-1][0])) == {0, 1, 2, 3}


def test_top_level_manifest_is_the_same():
    top = MANIFEST.parents[2] / "napari.yaml"
    if not top.exists() or os.name == "nt":
        pytest.skip("not in a clone, or a clone without symlinks")
    assert top.read_text() == MANIFEST.read_text()


def test_documents_name_the_samples_as_napari_shows_them(manifest):
    """Of a plugin with one sample napari makes no submenu, but puts the plugin's name behind that of the sample."""
    samples = [sample.display_name for sample in manifest.contributions.sample_data]
    plugin = manifest.display_name
    shown = [f"{name} ({plugin})" for name in samples] if len(samples) == 1 else [f"{plugin} > {n}" for n in samples]
    root = Path(__file__).parents[2]
    pages = [root / "README.md", root / "docs" / "window.md", *sorted((root / "docs" / "tutorials").glob("*.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    named = re.findall(r"\*File > Open Sample > ([^*]+)\*", text)
    assert len(named) >= 3
    assert set(named) <= set(shown)
