"""What the Compare panel decides, without a window."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from compare_cases import add_raters, block
from napari.components import ViewerModel
from napari.layers import Labels

from napari_brain_tumor.errors import ComparisonError, LabelSchemaError, RecordError
from napari_brain_tumor.io import save_segmentation
from napari_brain_tumor.labels import region_mask
from napari_brain_tumor.plugin import from_layers, layers, to_layers
from napari_brain_tumor.plugin.layers import CODES_KEY
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.widgets import compare_state as state
from napari_brain_tumor.widgets.saved_files import remember_saved


@pytest.fixture
def viewer():
    return ViewerModel()


def compared_of(viewer, raters, reference=None):
    views = {name: layers.copied_view(layer) for name, layer in raters.items()}
    references = layers.readable_views(viewer.layers)
    return run_job(state.compare_steps(views, references, reference, resample=False))


def test_layers_are_compared_on_the_scans_own_grid(viewer):
    compared = compared_of(viewer, add_raters(viewer), "truth")
    found = compared.agreement
    assert (found.names, found.reference, compared.case) == (("truth", "near", "far"), "truth", "case")
    np.testing.assert_array_equal(found.raters.segmentations["near"].data, block(1).data)
    assert [one.scores.dice for one in found.scores_of("WT")] == [pytest.approx(7 / 8), pytest.approx(5 / 8)]


def test_labels_painted_from_scratch_take_part(viewer):
    raters = add_raters(viewer)
    mine = Labels(raters["near"].data.copy(), name="mine", scale=raters["near"].scale, units=raters["near"].units)
    mine.translate = raters["near"].translate
    viewer.add_layer(mine)
    compared = compared_of(viewer, {"truth": raters["truth"], "mine": mine})
    assert compared.agreement.matrix("WT")[0, 1] == pytest.approx(7 / 8)


def test_only_labels_whose_meaning_is_known_are_offered(viewer):
    raters = add_raters(viewer)
    compared = compared_of(viewer, raters)
    viewer.add_layer(layers.layer_of(state.codes_of(compared, "WT", ("truth", "near")).layer))
    grid = compared.agreement.raters.grid
    viewer.add_layer(layers.layer_of(to_layers.raw_labels_to_layer("doubtful", block().data, grid)))
    assert state.candidates(viewer.layers) == list(raters.values())


def test_a_copied_view_does_not_follow_the_layer(viewer):
    layer = add_raters(viewer)["truth"]
    seen = layers.copied_view(layer)
    layer.data[...] = 0
    assert seen.data.any()


def test_the_layer_of_a_pair_lies_on_the_labels_and_names_what_it_shows(viewer):
    raters = add_raters(viewer)
    compared = compared_of(viewer, raters, "truth")
    codes = state.codes_of(compared, "WT", ("truth", "near"))
    layer = viewer.add_layer(layers.layer_of(codes.layer))
    truth, near = (region_mask(raters[name].data, "WT") for name in ("truth", "near"))
    np.testing.assert_array_equal(layer.data == 1, truth & near)
    np.testing.assert_array_equal(layer.data == 2, truth & ~near)
    np.testing.assert_array_equal(layer.data == 3, near & ~truth)
    for name in ("scale", "translate"):
        np.testing.assert_array_equal(getattr(layer, name), getattr(raters["truth"], name))
    assert layer.units == raters["truth"].units
    assert list(layer.features["class"]) == ["background", "agreed", "missed by near", "false in near"]
    assert state.legend_html(layer).count("■") == 3
    assert "#009e73" in state.legend_html(layer)
    with pytest.raises(LabelSchemaError, match="cannot be measured or saved"):
        from_layers.segmentation_from_layer(layer)  # it would pass for edema, core and enhancing tumour


def test_the_count_of_all_has_a_colour_and_name_for_each_number(viewer):
    compared = compared_of(viewer, add_raters(viewer))
    layer = viewer.add_layer(layers.layer_of(state.codes_of(compared, "ET", None).layer))
    assert layer.metadata[CODES_KEY] == "count"
    assert list(layer.features["class"])[1:] == [f"{n} of 3 say ET" for n in (1, 2, 3)]
    colors = {tuple(layer.get_color(value)) for value in (1, 2, 3)}
    assert len(colors) == 3
    assert int((layer.data == 3).sum()) == 1 * 6 * 4  # one voxel along x is of all


def test_other_codes_are_put_into_the_same_layer_unless_they_lie_elsewhere(viewer):
    compared = compared_of(viewer, add_raters(viewer))
    layer = viewer.add_layer(layers.layer_of(state.codes_of(compared, "WT", ("truth", "near")).layer))
    other = state.codes_of(compared, "ET", ("near", "far"))
    assert to_layers.put_codes(layer, other.layer)
    assert layer.name == "ET: near and far"
    np.testing.assert_array_equal(layer.data, other.layer[0])
    assert list(layer.features["class"])[1:] == ["agreed", "near alone", "far alone"]
    smaller = (other.layer[0][1:], *other.layer[1:])
    assert not to_layers.put_codes(layer, smaller)


def test_the_consensus_leaves_the_reference_out_and_keeps_the_case(viewer):
    raters = add_raters(viewer)
    compared = compared_of(viewer, raters, "truth")
    data, joined = run_job(state.consensus_steps(compared, "majority"))
    layer = viewer.add_layer(layers.layer_of(data))
    wanted = region_mask(raters["near"].data, "WT") & region_mask(raters["far"].data, "WT")
    np.testing.assert_array_equal(layer.data > 0, wanted)
    back = from_layers.segmentation_from_layer(layer)
    assert (back.name, back.provenance["task"]) == ("case", "consensus")
    assert set(back.provenance["inputs"]) == {"near", "far"}
    assert texts(state.quality_cells(joined))[0][0] == "near, WT"
    two = compared_of(viewer, {name: raters[name] for name in ("truth", "near")}, "truth")
    with pytest.raises(ComparisonError, match="takes no part"):
        run_job(state.consensus_steps(two, "majority"))


def texts(table):
    return [tuple(table.printed(row, column) for column in table.columns) for row in table.rows]


def test_tables_are_texts(viewer):
    compared = compared_of(viewer, add_raters(viewer), "truth")
    found = compared.agreement
    scores = state.score_cells(found, "WT")
    assert scores.columns[:2] == ("Against truth", "Dice")
    assert [row[:2] for row in texts(scores)] == [("near", "0.875"), ("far", "0.625")]
    matrix = state.matrix_cells(found, "WT", "hd95_mm")
    assert matrix.columns == ("", "truth", "near", "far")
    assert (texts(matrix)[0][1], texts(matrix)[1][3]) == ("0.0", "")
    volumes = state.volume_cells(found, "WT")
    assert volumes.columns == ("Labels", "mL", "From truth", "")
    assert texts(volumes)[1] == ("near", "0.96", "+0.00", "+0.0 %")
    assert state.summary_text(found, "WT").startswith("WT, all 3: mean Dice of pairs 0.750, Fleiss' kappa ")


def test_slices_are_numbered_as_the_viewer_counts_them(viewer):
    raters = add_raters(viewer)
    raters["near"].data = raters["truth"].data.copy()
    raters["near"].data[5] = 0
    compared = compared_of(viewer, {name: raters[name] for name in ("truth", "near")})
    rows = compared.agreement.slices("WT")
    assert texts(state.slice_cells(rows, compared)) == [("5", "80", "0.000")]
    (columns, *_) = (state.slice_cells(compared.agreement.slices("WT", "sagittal"), compared).columns,)
    assert columns == ("Slice", "Differs (mm²)", "Dice")


def test_what_changed_since_is_told():
    assert state.stale_text(None, [], []) == ""
    assert state.stale_text(None, ["a"], ["b", "c"]) == (
        "⚠ Since this comparison: a changed; b, c removed. Compare again."
    )


def test_lines_open_the_files_of_the_layers(viewer, tmp_path):
    raters = add_raters(viewer)
    choices = state.CompareChoices(tuple(raters.values()), raters["truth"])
    with pytest.raises(RecordError, match="memory alone"):
        state.lines_of(choices)
    for name, layer in raters.items():
        save_segmentation(from_layers.segmentation_from_layer(layer), tmp_path / f"{name}.nii.gz")
        remember_saved(layer, tmp_path / f"{name}.nii.gz", "MSD")
    lines = state.lines_of(choices, "staple")
    assert lines.arguments[0] == "compare"
    assert "--names=truth,near,far" in lines.arguments
    assert ("--reference", "truth") in pairwise(lines.arguments)
    assert lines.arguments[-4:] == ("--consensus", "staple", "--output", "consensus.nii.gz")
    with pytest.raises(ComparisonError, match="Tick two"):
        state.lines_of(state.CompareChoices())


def test_tables_are_saved_by_the_files_suffix(viewer, tmp_path):
    found = compared_of(viewer, add_raters(viewer)).agreement
    assert state.save_tables(found, tmp_path / "t.csv").read_text() == found.to_csv()
    assert '"reference": null' in state.save_tables(found, tmp_path / "t.json").read_text()


def test_a_file_becomes_a_layer_of_its_name(tmp_path):
    save_segmentation(block(1), Path(tmp_path / "anna.nii.gz"))
    data, attributes, kind = state.open_file(tmp_path / "anna.nii.gz", None)
    assert (attributes["name"], kind, int((data > 0).sum())) == ("anna", "labels", 480)


def test_differences_have_colours_of_their_own_that_no_class_of_the_tumour_has():
    from napari_brain_tumor.compare.maps import AGREEMENT_COLORS
    from napari_brain_tumor.labels import CLASS_COLORS

    assert not set(map(str.lower, AGREEMENT_COLORS.values())) & set(map(str.lower, CLASS_COLORS.values()))
    assert len(set(AGREEMENT_COLORS.values())) == 3


def test_what_all_names_begin_with_is_left_out_as_far_as_each_keeps_a_word():
    assert state.short_names(["patient 7 unet", "patient 7 unet [1]"]) == {
        "patient 7 unet": "unet",
        "patient 7 unet [1]": "unet [1]",
    }
    assert state.short_names(["a b", "a"]) == {"a b": "a b", "a": "a"}
    assert state.short_names(["alone unet"]) == {"alone unet": "alone unet"}
