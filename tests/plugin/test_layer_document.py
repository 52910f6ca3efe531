import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.plugin import from_layers, layers, to_layers, viewers
from napari_brain_tumor.plugin.layer_document import RESTORED, LayerDocument, document_of, restored_layer, scans_under
from napari_brain_tumor.plugin.layers import KEY
from napari_brain_tumor.study import NiftiForms, Segmentation, Source, Study, TifSlices
from phantoms import affine, tilt

SHAPE = (8, 9, 7)
WHEN = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)
STRAIGHT = Grid(SHAPE, np.diag([-1.0, -1.5, 2.0, 1.0]))
OBLIQUE = Grid(SHAPE, affine(tilt(), (1, 1.5, 2)))


def study(grid=STRAIGHT, layout=None, name="case"):
    images = {role: np.random.default_rng(1).normal(50, 9, SHAPE).astype(np.float32) for role in ("T1c", "FLAIR")}
    sources = {"T1c": Source(Path("data/t1c.nii.gz")), "FLAIR": Source(Path("/data/all.nii.gz"), 3)}
    return Study(images, grid, name, sources, layout)


def labels(grid=STRAIGHT, layout=None, **named):
    data = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint8)
    return Segmentation(data, grid, "case", layout=layout, **named)


def back(layer, scans=()):
    """The layer after its document was written as JSON and read again."""
    document = LayerDocument.read(json.loads(json.dumps(document_of(layer, scans).model_dump(mode="json"))))
    tag = layer.metadata.get(KEY)
    data = layer.data if layer.ndim == 3 else layer.data[np.newaxis]
    return layers.layer_of(restored_layer(data, document, WHEN, getattr(tag, "original", None))), document


@pytest.mark.parametrize("grid", [STRAIGHT, OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize(
    "layout",
    [None, NiftiForms(np.eye(4), 1, None, 0), NiftiForms(np.eye(4), 1, 2 * np.eye(4), 2), TifSlices("p", (3, 5, 9))],
    ids=["none", "one form", "two forms", "slices"],
)
def test_a_restored_layer_gives_the_segmentation_that_was_there(grid, layout):
    layer = layers.layer_of(to_layers.segmentation_to_layer(labels(grid, layout, provenance={"at": Path("x"), "n": 1})))
    layer.data[2, 3, 4] = 3
    restored, _ = back(layer)
    before, after = from_layers.segmentation_from_layer(layer), from_layers.segmentation_from_layer(restored)
    np.testing.assert_array_equal(after.data, before.data)
    assert after.grid == before.grid
    assert type(after.layout) is type(before.layout)
    if isinstance(layout, NiftiForms):
        np.testing.assert_array_equal(after.layout.sform, layout.sform)
        assert (after.layout.sform_code, after.layout.qform_code) == (layout.sform_code, layout.qform_code)
        assert (after.layout.qform is None) == (layout.qform is None)
    if isinstance(layout, TifSlices):
        assert after.layout == layout
    assert after.class_names == before.class_names
    assert after.known_regions == before.known_regions
    assert after.provenance == {"at": "x", "n": 1, "edited_by_hand": True, "restored_from_journal": WHEN.isoformat()}


def test_a_restored_layer_looks_as_it_did_and_says_what_it_is():
    layer = layers.layer_of(to_layers.segmentation_to_layer(labels(), name="mine", opacity=0.3))
    restored, _ = back(layer)
    assert restored.name == "mine (restored)"
    assert restored.metadata[RESTORED] == WHEN.isoformat()
    for name in ("scale", "translate", "units", "axis_labels", "opacity", "blending"):
        assert np.array_equal(getattr(restored, name), getattr(layer, name)), name
    assert restored.features.to_dict("list") == layer.features.to_dict("list")
    assert set(restored.colormap.color_dict) == set(layer.colormap.color_dict)
    for value, color in layer.colormap.color_dict.items():
        np.testing.assert_allclose(restored.colormap.color_dict[value], color)


def test_labels_of_unknown_meaning_stay_of_unknown_meaning():
    layer = layers.layer_of(to_layers.raw_labels_to_layer("raw", np.full(SHAPE, 7, np.uint8), STRAIGHT))
    restored, _ = back(layer)
    assert restored.metadata[KEY].understood is False


def test_a_users_own_layer_comes_back_where_it_was():
    viewer = ViewerModel()
    layer = viewer.add_labels(np.ones((5, 6, 7), np.int32), scale=(2, 1, 1), translate=(3, 4, 5), name="own")
    restored, document = back(layer)
    assert document.tag is None
    assert KEY not in restored.metadata
    np.testing.assert_array_equal(restored.data, layer.data)
    assert restored.data.dtype == np.int32
    np.testing.assert_array_equal(restored.data_to_world((1, 2, 3)), layer.data_to_world((1, 2, 3)))


def test_a_users_slice_comes_back_as_a_slice():
    layer = ViewerModel().add_labels(np.ones((5, 6), np.uint8), rotate=30)
    restored, _ = back(layer)
    assert restored.data.shape == (5, 6)
    np.testing.assert_allclose(restored.rotate, layer.rotate)


def test_where_the_study_came_from_is_told_with_whole_paths():
    viewer = ViewerModel()
    viewers.add_layers(viewer, to_layers.study_to_layers(study()))
    (layer,) = viewers.add_layers(viewer, [to_layers.segmentation_to_layer(labels())])
    document = document_of(layer, scans_under(layer, viewer.layers))
    assert document.case == "case"
    assert document.study_sources == {
        "T1c": Source(Path("data/t1c.nii.gz").absolute()),
        "FLAIR": Source(Path("/data/all.nii.gz"), 3),
    }
    assert document.spacing_mm is None


def test_the_voxel_size_of_slices_is_kept_to_open_them_again():
    viewer = ViewerModel()
    viewers.add_layers(viewer, to_layers.study_to_layers(study(layout=TifSlices("p", (1, 2)))))
    layer = viewer.add_labels(np.zeros(viewer.layers[0].data.shape, np.uint8))
    for name in ("scale", "translate", "units"):
        setattr(layer, name, getattr(viewer.layers[0], name))
    document = document_of(layer, scans_under(layer, viewer.layers))
    assert document.case == "case"
    assert document.spacing_mm == STRAIGHT.spacing


def test_scans_of_another_case_or_another_place_are_not_under_a_layer():
    viewer = ViewerModel()
    viewers.add_layers(viewer, to_layers.study_to_layers(study(name="other")))
    moved = Grid(SHAPE, STRAIGHT.affine + 5 * np.eye(4)[:, [3, 0, 1, 2]].T)
    viewers.add_layers(viewer, to_layers.study_to_layers(study(moved)))
    (layer,) = viewers.add_layers(viewer, [to_layers.segmentation_to_layer(labels())])
    assert scans_under(layer, viewer.layers) == []


def test_something_else_than_a_document_is_refused():
    with pytest.raises(UnreadableFileError, match="does not describe a layer"):
        LayerDocument.read({"anything": 1})


def test_a_document_of_a_newer_version_is_read():
    assert LayerDocument.read({"name": "x", "new": 1}).name == "x"
