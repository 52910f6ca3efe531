"""Layers of scans that were brought onto one grid remember it, for scripts, saved results and the journal."""

import numpy as np
import pytest
from napari.layers import Image

import phantoms
from napari_brain_tumor import open_study
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_sources
from napari_brain_tumor.plugin import from_layers, layers, to_layers
from napari_brain_tumor.plugin.layer_document import LayerDocument, document_of
from napari_brain_tumor.study import Segmentation

FINE = Grid((10, 12, 8), phantoms.affine(spacing=(1, 1, 2)))
THICK = Grid((10, 12, 4), phantoms.affine(spacing=(1, 1, 4)))


@pytest.fixture
def files(tmp_path):
    phantoms.write_nifti(tmp_path / "anna_t1.nii.gz", phantoms.noise(THICK.shape, 1), THICK.affine)
    phantoms.write_nifti(tmp_path / "anna_flair.nii.gz", phantoms.noise(FINE.shape, 2), FINE.affine)
    return tmp_path


def opened_apart(folder):
    made = {}
    for role, name in (("T1", "anna_t1"), ("FLAIR", "anna_flair")):
        (data,) = to_layers.study_to_layers(open_study(folder / f"{name}.nii.gz"))
        made[role] = layers.layer_of(data)
    return made


def test_layers_on_different_grids_come_together_as_files_do(files):
    apart = opened_apart(files)
    together = {
        data[1]["metadata"][layers.KEY].role: layers.layer_of(data) for data in from_layers.resampled_layers(apart)
    }
    assert [layer.name for layer in together.values()] == ["anna one grid T1", "anna one grid FLAIR"]
    study, expected = from_layers.study_from_layers(together), open_study(files, resample="finest")
    assert (study.grid, study.resampled) == (expected.grid, ("T1",))
    for role, array in expected.sequences.items():
        np.testing.assert_array_equal(study.sequences[role], array)
    assert study.sources == expected.sources
    assert from_layers.study_from_layers({"T1": together["T1"]}).resampled == ("T1",)


def test_scans_without_a_common_name_are_called_after_their_folder(tmp_path):
    folder = tmp_path / "bert"
    phantoms.write_nifti(folder / "ax_t1.nii.gz", phantoms.noise(THICK.shape, 1), THICK.affine)
    phantoms.write_nifti(folder / "flair.nii.gz", phantoms.noise(FINE.shape, 2), FINE.affine)
    apart = {
        role: layers.layer_of(to_layers.study_to_layers(open_study(folder / name))[0])
        for role, name in (("T1", "ax_t1.nii.gz"), ("FLAIR", "flair.nii.gz"))
    }
    assert {data[1]["name"] for data in from_layers.resampled_layers(apart)} == {
        "bert one grid T1",
        "bert one grid FLAIR",
    }


def test_layers_of_other_plugins_come_together_by_where_they_lie():
    fine = Image(phantoms.noise((8, 12, 10), 1), scale=(2, 1, 1), name="a flair", units="mm")
    thick = Image(phantoms.noise((4, 12, 10), 2), scale=(4, 1, 1), translate=(1, 0, 0), name="a t1", units="mm")
    found = from_layers.resampled_layers({"T1": thick, "FLAIR": fine})
    assert [data.shape for data, *_ in found] == [(8, 12, 10), (8, 12, 10)]
    np.testing.assert_array_equal(found[1][0], fine.data)
    # Slices 0 and 1 of the fine one lie where the first thick slice does, and half way to the second.
    expected = thick.data[0] * 0.75 + thick.data[1] * 0.25
    np.testing.assert_allclose(found[0][0][1], expected, rtol=1e-6)


def test_panels_tell_scripts_onto_which_grid(files):
    from napari_brain_tumor.widgets.panel_lines import opening_of_layers

    study = open_study(files, resample="finest")
    shown = dict(zip(study.roles, map(layers.layer_of, to_layers.study_to_layers(study)), strict=True))
    assert opening_of_layers(shown).resample == "FLAIR"


def test_the_journal_knows_the_grid_on_which_scans_come_back(files):
    study = open_study(files, resample="finest")
    tags = [data[1]["metadata"][layers.KEY] for data in to_layers.study_to_layers(study)]
    labels = layers.layer_of(to_layers.segmentation_to_layer(Segmentation(phantoms.tumour(FINE.shape), study.grid)))
    written = document_of(labels, tags).model_dump(mode="json")
    document = LayerDocument.read(written)
    again = open_sources(document.study_sources, "anna", onto=document.scan_grid.grid)
    np.testing.assert_array_equal(again.sequences["T1"], study.sequences["T1"])
    assert document_of(labels, [tag for tag in tags if tag.role == "FLAIR"]).scan_grid is None
