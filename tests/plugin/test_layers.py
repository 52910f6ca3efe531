import itertools
import warnings

import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

import phantoms
from napari_brain_tumor.errors import DimensionError, GridMismatchError, LabelSchemaError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import save_segmentation
from napari_brain_tumor.plugin import drawing, from_layers, layers, to_layers, viewers
from napari_brain_tumor.study import NiftiForms, Segmentation, Study

SHAPE = (7, 9, 5)
AXIS_ORDERS = [
    (axes, signs) for axes in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


def turned_grid(axes=(0, 1, 2), signs=(1, 1, 1), spacing=(1.0, 1.5, 3.0), unit="mm"):
    affine = np.eye(4)
    for column, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[:3, column] = 0
        affine[axis, column] = sign * spacing[column]
    affine[:3, 3] = (-12.5, 40.25, 7)
    return Grid(SHAPE, affine, unit)


def oblique_grid(degrees=17.0):
    angle = np.deg2rad(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1.0, 1.2, 4.0])
    affine[:3, 3] = (3, -20, 11)
    return Grid((12, 14, 9), affine)


def make_study(grid, roles=("T1", "FLAIR"), name="case"):
    rng = np.random.default_rng(0)
    return Study({role: rng.integers(1, 200, grid.shape).astype(np.float32) for role in roles}, grid, name)


def make_segmentation(grid, **fields):
    data = np.random.default_rng(1).integers(0, 4, grid.shape).astype(np.uint8)
    return Segmentation(data, grid, "case", **fields)


def shown(data):
    return layers.layer_of(data)


@pytest.mark.parametrize(("axes", "signs"), AXIS_ORDERS)
def test_label_painted_at_a_world_point_is_at_that_point_in_the_source(axes, signs):
    grid = turned_grid(axes, signs)
    layer = shown(to_layers.segmentation_to_layer(Segmentation(np.zeros(SHAPE, np.uint8), grid)))
    voxel = (1, 6, 3)
    z_y_x = grid.world(voxel)[::-1]
    painted = tuple(np.rint(layer.world_to_data(z_y_x)).astype(int))
    layer.data_setitem(tuple(np.array([p]) for p in painted), 3)
    back = from_layers.segmentation_from_layer(layer)
    assert back.grid == grid
    assert [tuple(v) for v in np.argwhere(back.data)] == [voxel]
    assert back.data[voxel] == 3


@pytest.mark.parametrize(("axes", "signs"), AXIS_ORDERS[::5])
def test_intensities_lie_at_their_world_points_and_come_back_unchanged(axes, signs):
    study = make_study(turned_grid(axes, signs))
    shown_layers = dict(zip(study.roles, map(shown, to_layers.study_to_layers(study)), strict=True))
    voxel = (2, 5, 4)
    at = shown_layers["T1"].world_to_data(study.grid.world(voxel)[::-1])
    assert shown_layers["T1"].data[tuple(np.rint(at).astype(int))] == study.sequences["T1"][voxel]
    back = from_layers.study_from_layers(shown_layers)
    assert back.grid == study.grid
    assert back.name == "case"
    for role in study.roles:
        np.testing.assert_array_equal(back.sequences[role], study.sequences[role])


def test_layers_share_memory_with_the_study_and_labels_do_not():
    study, segmentation = make_study(turned_grid()), make_segmentation(turned_grid())
    assert np.shares_memory(to_layers.study_to_layers(study)[0][0], study.sequences["T1"])
    assert not np.shares_memory(to_layers.segmentation_to_layer(segmentation)[0], segmentation.data)


def test_layers_are_in_millimetres_with_named_axes():
    _, attributes, kind = to_layers.study_to_layers(make_study(turned_grid((2, 0, 1), (-1, 1, -1))))[0]
    assert kind == "image"
    assert attributes["axis_labels"] == ("z", "y", "x")
    assert attributes["units"] == ("mm", "mm", "mm")
    assert attributes["scale"] == pytest.approx((1.0, 3.0, 1.5))  # columns run along z, x, y
    assert attributes["translate"] == pytest.approx((7 - 6 * 1.0, 40.25 - 4 * 3.0, -12.5))


def test_unknown_spacing_gives_no_millimetres():
    study = make_study(turned_grid(unit="voxel"))
    data = to_layers.study_to_layers(study)[0]
    assert "units" not in data[1]
    assert layers.view(shown(data)).grid.unit == "voxel"
    assert from_layers.study_from_layers({"T1": shown(data)}).grid == study.grid


def test_one_sequence_is_visible_and_the_contrast_ignores_background():
    grid = turned_grid()
    array = np.zeros(SHAPE, np.float32)
    array[2:5, 2:7, 1:4] = np.random.default_rng(0).uniform(100, 200, (3, 5, 3))
    opened = to_layers.study_to_layers(Study(dict.fromkeys(("T1", "T1c", "T2"), array), grid, "case"))
    assert [(one[1]["name"], one[1]["visible"]) for one in opened] == [
        ("case T1", False),
        ("case T1c", True),
        ("case T2", False),
    ]
    low, high = opened[0][1]["contrast_limits"]
    assert 100 <= low < 110
    assert 190 < high <= 200


def hover(viewer, layer, world):
    viewer.dims.set_point(range(3), world[::-1])
    return layer.get_status(world[::-1], world=True)["coordinates"]


def test_names_of_classes_show_on_hover():
    segmentation = make_segmentation(turned_grid())
    viewer = ViewerModel()
    (layer,) = viewers.add_layers(viewer, [to_layers.segmentation_to_layer(segmentation)])
    for value, name in [(0, "background"), (1, "edema"), (2, "non-enhancing"), (3, "enhancing")]:
        voxel = tuple(np.argwhere(segmentation.data == value)[0])
        assert f"class: {name}" in hover(viewer, layer, segmentation.grid.world(voxel))


def test_colours_are_those_of_the_classes_and_background_is_transparent():
    layer = shown(to_layers.segmentation_to_layer(make_segmentation(turned_grid())))
    assert layer.get_color(0) is None
    np.testing.assert_allclose(layer.get_color(1)[:3], np.array([0x56, 0xB4, 0xE9]) / 255, atol=0.01)
    assert layer.get_color(77)[3] > 0  # a number painted by mistake is seen


# Oblique scans


def test_oblique_study_is_shown_resampled_says_so_and_comes_back_exactly():
    study = make_study(oblique_grid())
    shown_layers = dict(zip(study.roles, map(shown, to_layers.study_to_layers(study)), strict=True))
    assert "resampled: oblique" in shown_layers["T1"].name
    back = from_layers.study_from_layers(shown_layers)
    assert back.grid == study.grid
    np.testing.assert_array_equal(back.sequences["T1"], study.sequences["T1"])


def test_unaltered_labels_of_an_oblique_scan_come_back_exactly():
    segmentation = make_segmentation(oblique_grid())
    back = from_layers.segmentation_from_layer(shown(to_layers.segmentation_to_layer(segmentation)))
    np.testing.assert_array_equal(back.data, segmentation.data)


def test_altered_labels_of_an_oblique_scan_take_the_nearest_shown_voxel():
    grid = oblique_grid()
    layer = shown(to_layers.segmentation_to_layer(Segmentation(np.zeros(grid.shape, np.uint8), grid)))
    layer.data = np.random.default_rng(3).integers(0, 4, layer.data.shape).astype(np.uint8)
    back = from_layers.segmentation_from_layer(layer)
    voxels = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    nearest = np.rint(layers.view(layer).grid.voxels(grid.world(voxels))).astype(int)
    expected = layer.data.T[tuple(np.moveaxis(nearest, -1, 0))]
    painted = expected > 0
    np.testing.assert_array_equal(back.data[painted], expected[painted])
    # What was not painted may belong to a painted voxel that holds no other centre.
    assert (back.data[~painted] > 0).mean() < 0.5


def test_editing_one_voxel_of_an_oblique_scan_leaves_far_labels_exact():
    segmentation = make_segmentation(oblique_grid())
    layer = shown(to_layers.segmentation_to_layer(segmentation))
    spot = tuple(n // 2 for n in layer.data.shape)
    layer.data_setitem(tuple(np.array([n]) for n in spot), 4 - max(1, int(layer.data[spot])))
    changed = np.argwhere(from_layers.segmentation_from_layer(layer).data != segmentation.data)
    where = segmentation.grid.world(changed) - np.asarray(layer.data_to_world(spot))[::-1]
    assert len(changed) > 0
    assert (np.abs(where) <= np.array([0.5, 0.6, 2.0]) + 1e-6).all()  # inside the painted voxel


# Labels and images that are not ours


def new_labels(viewer, *selected):
    viewer.layers.selection = set(selected)
    viewer._new_labels()
    return viewer.layers[-1]


@pytest.mark.parametrize("grid", [turned_grid((2, 1, 0), (-1, 1, 1)), oblique_grid()])
def test_labels_painted_from_scratch_on_a_scan_go_onto_its_own_grid(grid):
    study = make_study(grid)
    viewer = ViewerModel()
    opened = viewers.add_layers(viewer, to_layers.study_to_layers(study))
    labels = new_labels(viewer, opened[0])
    voxel = (3, 4, 2)
    painted = tuple(np.rint(labels.world_to_data(grid.world(voxel)[::-1])).astype(int))
    labels.data_setitem(tuple(np.array([p]) for p in painted), 2)
    back = from_layers.segmentation_from_layer(labels, viewer.layers)
    assert back.grid == grid
    assert back.name == "case"
    assert back.data[voxel] == 2
    assert np.count_nonzero(back.data) <= 2


def test_labels_that_fill_the_extent_of_the_selection_are_matched_by_place():
    study = make_study(turned_grid((0, 1, 2), (-1, -1, 1)))
    viewer = ViewerModel()
    opened = viewers.add_layers(viewer, to_layers.study_to_layers(study))
    labels = new_labels(viewer, *opened)
    voxel = (3, 4, 2)
    painted = tuple(np.rint(labels.world_to_data(study.grid.world(voxel)[::-1])).astype(int))
    labels.data_setitem(tuple(np.array([p]) for p in painted), 1)
    back = from_layers.segmentation_from_layer(labels, viewer.layers)
    assert back.grid == study.grid
    assert [tuple(v) for v in np.argwhere(back.data)] == [voxel]


def test_labels_that_lie_on_no_scan_are_refused():
    viewer = ViewerModel()
    viewers.add_layers(viewer, to_layers.study_to_layers(make_study(turned_grid())))
    stray = viewer.add_labels(np.ones((4, 4, 4), np.uint8), translate=(500, 0, 0), units=("mm",) * 3)
    with pytest.raises(GridMismatchError, match="lies on no opened scan"):
        from_layers.segmentation_from_layer(stray, viewer.layers)


def test_labels_that_lie_on_two_different_scans_are_refused():
    one = make_study(turned_grid(), name="one")
    other = make_study(turned_grid(spacing=(1.1, 1.6, 3.1)), name="other")
    viewer = ViewerModel()
    viewers.add_layers(viewer, [*to_layers.study_to_layers(one), *to_layers.study_to_layers(other)])
    labels = new_labels(viewer, *viewer.layers)
    labels.data[2, 4, 3] = 1
    with pytest.raises(GridMismatchError, match="several opened scans"):
        from_layers.segmentation_from_layer(labels, viewer.layers)


def test_moved_layer_of_ours_counts_as_it_lies_now():
    study = make_study(turned_grid())
    layer = shown(to_layers.study_to_layers(study)[0])
    layer.translate = np.asarray(layer.translate) + 10
    back = from_layers.study_from_layers({"T1": layer})
    np.testing.assert_allclose(back.grid.affine[:3, 3], study.grid.affine[:3, 3] + 10)


def test_plain_image_layers_work_as_sequences():
    rng = np.random.default_rng(0)
    array = rng.random((5, 6, 7), dtype=np.float32)
    layer = Image(array, scale=(3, 2, 1), translate=(30, 20, 10), units=("mm",) * 3, name="mine")
    study = from_layers.study_from_layers({"FLAIR": layer})
    assert study.grid.spacing_mm == (1, 2, 3)
    # Nothing tells which way it lies: as ITK, from which most come, to the left and back.
    np.testing.assert_allclose(study.grid.world((1, 1, 1)), (-11, -22, 33))
    np.testing.assert_array_equal(study.sequences["FLAIR"], array.transpose(2, 1, 0))
    assert study.name == "mine"


def test_micrometres_become_millimetres_and_pixels_stay_voxels():
    array = np.random.default_rng(0).random((3, 4, 5))
    in_um = layers.view(Image(array, scale=(1000, 500, 500), units=("um",) * 3))
    assert in_um.grid.spacing_mm == pytest.approx((0.5, 0.5, 1.0))
    assert layers.view(Image(array)).grid.unit == "voxel"


def test_slice_layer_is_a_volume_of_one_slice():
    seen = layers.view(Image(np.random.default_rng(0).random((4, 5)), scale=(2, 3)))
    assert seen.data.shape == (1, 4, 5)
    assert seen.grid.shape == (5, 4, 1)
    assert seen.grid.spacing == (3, 2, 1)


@pytest.mark.parametrize(
    "layer", [Image(np.zeros((2, 3, 4, 5))), Image(np.zeros((3, 4, 3), np.uint8), rgb=True)], ids=["4-D", "RGB"]
)
def test_layers_that_are_not_one_volume_are_refused(layer):
    with pytest.raises(DimensionError, match=r"one \(Z, Y, X\) volume is needed"):
        layers.view(layer)


def test_sequences_on_different_grids_are_refused_with_both_grids():
    one = shown(to_layers.study_to_layers(make_study(turned_grid(), ("T1",)))[0])
    other = shown(to_layers.study_to_layers(make_study(turned_grid(spacing=(2, 2, 2)), ("FLAIR",)))[0])
    with pytest.raises(GridMismatchError, match=r"7x9x5 voxels of 1x1\.5x3 mm.*7x9x5 voxels of 2x2x2 mm"):
        from_layers.study_from_layers({"T1": one, "FLAIR": other})


def test_mixed_cases_are_noted():
    one = shown(to_layers.study_to_layers(make_study(turned_grid(), ("T1",), "anna"))[0])
    other = shown(to_layers.study_to_layers(make_study(turned_grid(), ("FLAIR",), "berta"))[0])
    assert "anna, berta" in from_layers.study_from_layers({"T1": one, "FLAIR": other}).notes[-1]


def test_labels_whose_meaning_is_not_known_say_so_and_are_not_saved():
    values = np.zeros(SHAPE, np.int32)
    values[1, 2, 3] = 2
    grid = turned_grid()
    viewer = ViewerModel()
    (layer,) = viewers.add_layers(viewer, [to_layers.raw_labels_to_layer("odd", values, grid)])
    assert "2 (meaning not known)" in hover(viewer, layer, grid.world((1, 2, 3)))
    with pytest.raises(LabelSchemaError, match="not known"):
        from_layers.segmentation_from_layer(layer)


def test_labels_beyond_bytes_are_refused():
    viewer = ViewerModel()
    viewers.add_layers(viewer, to_layers.study_to_layers(make_study(turned_grid())))
    labels = new_labels(viewer, viewer.layers[0])
    labels.data = labels.data.astype(np.int32)
    labels.data[0, 0, 0] = 300
    with pytest.raises(LabelSchemaError, match="300"):
        from_layers.segmentation_from_layer(labels, viewer.layers)


def test_what_the_file_needs_travels_with_the_layer():
    grid = turned_grid()
    forms = NiftiForms(grid.affine, 1, None, 0)
    segmentation = make_segmentation(grid, layout=forms, known_regions=("WT",), provenance={"model": "unet"})
    back = from_layers.segmentation_from_layer(shown(to_layers.segmentation_to_layer(segmentation)))
    assert back.layout is forms
    assert back.known_regions == ("WT",)
    assert back.provenance == {"model": "unet"}


def test_edits_by_hand_are_told_in_the_provenance():
    layer = shown(to_layers.segmentation_to_layer(make_segmentation(turned_grid(), provenance={"model": "unet"})))
    layer.data_setitem(tuple(np.array([1]) for _ in range(3)), (int(layer.data[1, 1, 1]) + 1) % 4)
    back = from_layers.segmentation_from_layer(layer)
    assert back.provenance == {"model": "unet", "edited_by_hand": True}


# The viewer


def test_viewer_is_oriented_without_deprecation_warnings_and_stands_at_the_tumour():
    grid = turned_grid((0, 1, 2), (-1, -1, 1))
    data = np.zeros(SHAPE, np.uint8)
    data[2:5, 3:6, 3] = 1
    viewer = ViewerModel()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        viewers.add_layers(
            viewer,
            [*to_layers.study_to_layers(make_study(grid)), to_layers.segmentation_to_layer(Segmentation(data, grid))],
        )
        camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    assert [str(direction) for direction in camera.orientation2d] == ["up", "left"]
    np.testing.assert_allclose(viewer.dims.point, grid.world((3, 4, 3))[::-1])


def test_viewer_without_tumour_stands_in_the_middle():
    viewer = ViewerModel()
    viewers.add_layers(viewer, to_layers.study_to_layers(make_study(turned_grid())))
    assert viewer.dims.current_step[0] == 2


def test_viewer_that_is_in_use_is_left_as_it_is():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 5, 5)))
    viewer.dims.set_current_step(0, 1)
    before = viewer.dims.point
    viewers.add_layers(viewer, [to_layers.segmentation_to_layer(make_segmentation(turned_grid(unit="voxel")))])
    assert viewer.scene.camera.orientation2d != ("up", "left")
    assert viewer.dims.point[0] == before[0]


def test_copy_of_a_labels_layer_still_knows_its_scan():
    segmentation = make_segmentation(turned_grid((1, 2, 0), (1, -1, -1)))
    layer = shown(to_layers.segmentation_to_layer(segmentation))
    copy = Labels.create(*layer.as_layer_data_tuple())
    np.testing.assert_array_equal(from_layers.segmentation_from_layer(copy).data, segmentation.data)


# Layers that other programs opened ----------------------------------------------------------------------------------


def itk_layer(array, grid, name):
    """As a reader made with ITK adds it: (Z, Y, X), scale and origin in the world of ITK."""
    in_lps = np.diag([-1, -1, 1, 1]) @ grid.affine
    scale, origin = grid.spacing[::-1], in_lps[:3, 3][::-1]
    return Image(array.transpose(2, 1, 0), scale=scale, translate=origin, units=("mm",) * 3, name=name)


@pytest.fixture
def lps_grid():
    return Grid(SHAPE, phantoms.affine(np.diag([-1.0, -1.0, 1.0]), (0.5, 1.5, 3), (31, 22, -7)))


def test_a_layer_of_itk_gives_its_scan_and_the_doubt_back(lps_grid):
    array = phantoms.noise(SHAPE)
    study = from_layers.study_from_layers({"T1": itk_layer(array, lps_grid, "somebody's")})
    np.testing.assert_allclose(study.grid.affine, lps_grid.affine)
    np.testing.assert_array_equal(study.sequences["T1"], array)
    (note,) = study.notes
    assert "T1 (somebody's)" in note
    assert "orientation" in note


def test_what_is_computed_from_a_layer_of_itk_lies_over_it_and_is_saved_where_it_was(lps_grid, tmp_path):
    scan = itk_layer(phantoms.noise(SHAPE), lps_grid, "somebody's")
    study = from_layers.study_from_layers({"T1": scan})
    made = Segmentation(phantoms.tumour(SHAPE), study.grid, notes=study.notes)
    labels = shown(to_layers.segmentation_to_layer(made))
    for voxel in ((2, 1, 0), (3, 2, 1)):
        np.testing.assert_allclose(labels.data_to_world(voxel), scan.data_to_world(voxel), atol=1e-9)
    np.testing.assert_array_equal(labels.data, made.data.transpose(2, 1, 0))
    labels.data[4, 8, 6] = 3
    back = from_layers.segmentation_from_layer(labels, [scan])
    assert back.data[6, 8, 4] == 3
    assert back.notes == study.notes
    image = nib.load(save_segmentation(back, tmp_path / "s.nii.gz"))
    np.testing.assert_allclose(image.affine, lps_grid.affine, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(image.dataobj), back.data)


def test_an_oblique_layer_of_another_program_is_shown_over_itself(lps_grid):
    tilted = Grid(SHAPE, phantoms.affine(phantoms.tilt() @ np.diag([-1.0, -1.0, 1.0]), (0.5, 1.5, 3)))
    in_lps = np.diag([-1, -1, 1, 1]) @ tilted.affine
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = in_lps[:3, :3][::-1, ::-1], in_lps[:3, 3][::-1]
    scan = Image(phantoms.noise(SHAPE).transpose(2, 1, 0), affine=affine, units=("mm",) * 3, name="tilted")
    study = from_layers.study_from_layers({"T1": scan})
    np.testing.assert_allclose(study.grid.affine, tilted.affine, atol=1e-9)
    labels = shown(to_layers.segmentation_to_layer(Segmentation(np.ones(SHAPE, np.uint8), study.grid)))
    low, high = scan.extent.world
    assert (labels.extent.world[0] <= low + 1).all()
    assert (labels.extent.world[1] >= high - 1).all()
    np.testing.assert_array_equal(from_layers.segmentation_from_layer(labels).data, 1)


def test_labels_painted_on_a_layer_of_itk_lie_where_it_lay(lps_grid):
    scan = itk_layer(phantoms.noise(SHAPE), lps_grid, "somebody's")
    painted = Labels(np.zeros(SHAPE[::-1], np.uint8), scale=scan.scale, translate=scan.translate, units=("mm",) * 3)
    painted.data[1, 2, 3] = 2
    found = from_layers.segmentation_from_layer(painted, [scan])
    np.testing.assert_allclose(found.grid.affine, lps_grid.affine)
    assert found.data[3, 2, 1] == 2
    assert "somebody's" in found.notes[0]


def test_points_boxes_and_lines_over_a_layer_of_itk_are_told_in_the_world_of_the_patient(lps_grid):
    scan = itk_layer(phantoms.noise(SHAPE), lps_grid, "somebody's")
    points = drawing.points_over(scan, "seeds")
    points.add(scan.data_to_world((1, 2, 3)))
    np.testing.assert_allclose(drawing.world_points(points, scan), [lps_grid.world((3, 2, 1))])
    box = drawing.rectangles_over(scan, "box")
    corners = [scan.data_to_world((1, y, x)) for y, x in ((2, 2), (2, 4), (5, 4), (5, 2))]
    box.add(np.array(corners), shape_type="rectangle")
    x0, x1, y0, y1, *_ = drawing.world_box(box, scan)
    ends = np.sort([lps_grid.world((2, 2, 1)), lps_grid.world((4, 5, 1))], axis=0)
    np.testing.assert_allclose([(x0, y0), (x1, y1)], ends[:, :2])
    labels = shown(
        to_layers.segmentation_to_layer(Segmentation(phantoms.tumour(SHAPE), Grid(SHAPE, lps_grid.affine, "mm", "LPS")))
    )
    line = np.array([lps_grid.world((1, 2, 3)), lps_grid.world((4, 2, 3))])
    drawn = drawing.lines_over(labels, "lines", [line], ["red"], {"text": [""]}, "LPS")
    np.testing.assert_allclose(drawing.world_lines(drawn, labels, "LPS")[0], line, atol=1e-4)
    np.testing.assert_allclose(drawing.shown_point(labels, line[0], "LPS"), scan.data_to_world((3, 2, 1)))


def test_a_layer_made_from_one_of_ours_lies_as_that_does():
    study = make_study(turned_grid())
    ours = shown(to_layers.study_to_layers(study)[0])
    copy = Image(np.asarray(ours.data) + 1, scale=ours.scale, translate=ours.translate, units=ours.units, name="smooth")
    found = from_layers.study_from_layers({"T1": ours, "FLAIR": copy})
    assert not any("orientation" in note for note in found.notes)
