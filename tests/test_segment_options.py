"""Thresholds, a box, and the probabilities behind the labels: the engine, the workflow, a method without weights."""

import json
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from models_for_tests import tiny_model
from napari_brain_tumor import open_study, segment, segment_with_probabilities
from napari_brain_tumor.classical.method import MethodResult
from napari_brain_tumor.errors import BoxError, ProbabilityError, SeedError
from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.labels import REGIONS, region_mask
from napari_brain_tumor.postprocessing.region_probabilities import check_thresholds, sure_share
from napari_brain_tumor.postprocessing.uncertainty import binary_entropy
from napari_brain_tumor.preprocessing.world_box import check_box, inside_box, voxels_of_box
from napari_brain_tumor.progress import Progress, run_job
from napari_brain_tumor.study import ROLES, Study
from phantoms import affine, ball, tilt

SHAPE = (28, 30, 22)


def head(directions=None, spacing=(1.0, 1.0, 1.0), unit="mm"):
    random = np.random.default_rng(0)
    inside = ball(SHAPE, (14, 15, 11), 13)
    lesion = ball(SHAPE, (9, 12, 8), 5)
    images = {r: np.where(inside, random.normal(100, 20, SHAPE) + 60 * lesion, 0).astype(np.float32) for r in ROLES}
    directions = np.eye(3) if directions is None else directions
    return Study(images, Grid(SHAPE, affine(directions, spacing), unit), name="case")


@pytest.fixture
def tiny(tmp_path):
    return tiny_model(tmp_path / "tiny")[0].folder


def box_between(grid, low, high):
    ends = np.stack([grid.world(low), grid.world(high)])
    return tuple(float(end) for axis in range(3) for end in (ends[0, axis], ends[1, axis]))


# The engine ---------------------------------------------------------------------------------------------------------


class Counting(nn.Module):
    """Tells its input's own values and how often it was asked."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def forward(self, x):
        self.asked += len(x)
        return x[:, :1]


@pytest.mark.parametrize(("dims", "window"), [(2, (96, 128, 128)), (3, (8, 8, 8))])
def test_the_engine_computes_what_reaches_into_a_box_and_nothing_changes_there(dims, window):
    random = np.random.default_rng(1)
    channels = random.normal(size=(2, 40, 24, 20)).astype(np.float32)
    network = nn.Sequential(
        (nn.Conv2d if dims == 2 else nn.Conv3d)(2, 4, 5, padding=2),
        nn.ReLU(),
        (nn.Conv2d if dims == 2 else nn.Conv3d)(4, 3, 5, padding=2),
    )
    engine = Engine(network.eval(), dims, torch.device("cpu"), torch.float32, window)
    box = Box((17, 3, 4), (22, 9, 10))
    whole = run_job(engine.probabilities(channels))
    part = run_job(engine.probabilities(channels, within=box))
    index = (slice(None), *box.slices)
    np.testing.assert_array_equal(part[index], whole[index])
    assert part.shape == whole.shape
    counting = Counting()
    lazy = Engine(counting, dims, torch.device("cpu"), torch.float32, window)
    run_job(lazy.probabilities(channels, within=box))
    few, counting.asked = counting.asked, 0
    run_job(lazy.probabilities(channels))
    assert 0 < few <= counting.asked / 4 if dims == 3 else few == 8  # two batches of four


# Boxes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directions", [np.eye(3), -np.eye(3)[[2, 0, 1]], tilt(20)])
def test_a_voxel_is_in_a_box_if_its_centre_is(directions):
    grid = Grid((9, 8, 7), affine(directions, (1.0, 1.5, 2.0)))
    middle = grid.world((4, 4, 3))
    box = tuple(float(end) for at in middle for end in (at - 3, at + 2))
    centres = grid.world(np.moveaxis(np.indices(grid.shape), 0, -1))
    expected = ((centres >= middle - 3.0) & (centres <= middle + 2.0)).all(axis=-1)
    assert 5 < expected.sum() < expected.size / 2
    np.testing.assert_array_equal(inside_box(grid, box), expected)
    block = voxels_of_box(grid, box)
    outside = np.ones(grid.shape, bool)
    outside[block.slices] = False
    assert not (expected & outside).any()


def test_the_ends_of_a_box_may_stand_in_any_order_and_lie_on_centres():
    grid = Grid((9, 8, 7), affine(np.diag([-1.0, -1.0, 1.0])))
    ordered = check_box(box_between(grid, (2, 3, 1), (5, 4, 6)), grid)
    assert ordered[0] < ordered[1]
    assert np.argwhere(inside_box(grid, ordered)).min(axis=0).tolist() == [2, 3, 1]
    assert np.argwhere(inside_box(grid, ordered)).max(axis=0).tolist() == [5, 4, 6]


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ((1, 2, 3, 4), "six world coordinates"),
        ((0, 1, 0, 1, 0, np.nan), "six world coordinates"),
        ((500, 600, 0, 1, 0, 1), r"No voxel of the scan lies in the box 500,600.*mm \(RAS\)"),
    ],
)
def test_boxes_that_hold_nothing_are_refused(tiny, box, why):
    with pytest.raises(BoxError, match=why):
        segment(head(), tiny, "cpu", box=box)


def test_a_box_beside_the_brain_is_refused(tiny):
    study = head()
    corner = box_between(study.grid, (0, 0, 0), (2, 2, 2))
    for method in (tiny, "threshold"):
        with pytest.raises(BoxError, match="contains no part of the brain"):
            segment(study, method, "cpu", box=corner)


# Segmenting within a box --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.6, 0.6, 3.0)])
@pytest.mark.parametrize("degrees", [0, 15])
def test_labels_in_a_box_are_those_of_the_whole_and_outside_are_none(tiny, spacing, degrees):
    study = head(tilt(degrees), spacing)
    middle = study.grid.world((10, 13, 9))
    box = tuple(float(end) for at, half in zip(middle, (6, 5, 8), strict=True) for end in (at - half, at + half))
    whole = segment(study, tiny, "cpu", min_lesion_mm3=0)
    part = segment(study, tiny, "cpu", min_lesion_mm3=0, box=box)
    inside = inside_box(study.grid, box)
    assert np.count_nonzero(whole.data[inside]) > 100
    np.testing.assert_array_equal(part.data, whole.data * inside)
    assert part.provenance["settings"]["box"] == list(box)
    assert "box" not in whole.provenance["settings"]


def test_a_method_without_weights_keeps_to_a_box():
    study = head()
    box = box_between(study.grid, (7, 10, 6), (11, 14, 9))
    seeds = [tuple(study.grid.world((9, 12, 8)))]
    whole = segment(study, "region_growing", min_lesion_mm3=0, seeds=seeds)
    part = segment(study, "region_growing", min_lesion_mm3=0, seeds=seeds, box=box)
    assert part.data.any()
    np.testing.assert_array_equal(part.data, whole.data * inside_box(study.grid, box))
    assert part.provenance["settings"]["box"] == list(box)


def test_parts_of_a_methods_labels_are_judged_within_the_box_and_the_brain(monkeypatch):
    study = head()
    everything = np.ones(SHAPE[::-1], dtype=bool)

    def find(baseline, scan, voxels):
        yield Progress(0, 1)
        return MethodResult({"WT": everything[: len(scan.brain), : scan.brain.shape[1], : scan.brain.shape[2]]})

    monkeypatch.setattr("napari_brain_tumor.workflow.baseline.find_regions_job", find)
    box = box_between(study.grid, (7, 10, 6), (11, 14, 9))  # 5 x 5 x 4 voxels of 1 mm
    assert segment(study, "threshold", min_lesion_mm3=99, box=box).data.sum() == 100
    assert not segment(study, "threshold", min_lesion_mm3=101, box=box).data.any()
    labels = segment(study, "threshold", min_lesion_mm3=0).data
    np.testing.assert_array_equal(labels > 0, study.sequences["T1"] > 0)


# Thresholds ---------------------------------------------------------------------------------------------------------


def test_a_lower_threshold_never_takes_a_voxel_away(tiny):
    study = head()
    sizes = []
    previous = np.zeros(SHAPE, bool)
    for threshold in (0.7, 0.5, 0.45, 0.3):
        result = segment(study, tiny, "cpu", min_lesion_mm3=0, thresholds={"WT": threshold})
        whole = region_mask(result.data, "WT")
        assert not (previous & ~whole).any()
        previous = whole
        sizes.append(int(whole.sum()))
        assert result.provenance["settings"]["thresholds"] == {"WT": threshold, "TC": 0.5, "ET": 0.5}
    assert sizes[0] < sizes[-1]


@pytest.mark.parametrize(
    ("thresholds", "why"), [({"WT": 1.5}, "between 0 and 1"), ({"WT": 0}, "between 0 and 1"), ({"XY": 0.5}, "XY")]
)
def test_thresholds_that_are_none_are_refused(tiny, thresholds, why):
    with pytest.raises(ProbabilityError, match=why):
        segment(head(), tiny, "cpu", thresholds=thresholds)


def test_a_region_that_the_model_does_not_tell_has_no_threshold():
    with pytest.raises(ProbabilityError, match="given for ET; the model predicts WT"):
        check_thresholds({"ET": 0.4}, {"WT": 0.5})
    assert check_thresholds({"WT": 0.4}, {"WT": 0.5}) == {"WT": 0.4}


def test_methods_without_weights_have_no_probabilities():
    for call in (
        lambda: segment(head(), "threshold", thresholds={"WT": 0.5}),
        lambda: segment_with_probabilities(head(), "threshold"),
    ):
        with pytest.raises(ProbabilityError, match="threshold is a method without weights"):
            call()


# Probabilities ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [0, 15])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.6, 0.6, 3.0)])
def test_probabilities_lie_on_the_scan_and_give_the_labels(tiny, degrees, spacing):
    study = head(tilt(degrees), spacing)
    options = {"min_lesion_mm3": 0, "thresholds": {"ET": 0.42}}
    segmentation, found = segment_with_probabilities(study, tiny, "cpu", **options)
    np.testing.assert_array_equal(segmentation.data, segment(study, tiny, "cpu", **options).data)
    nested = np.ones(SHAPE, bool)
    for region in REGIONS:
        values = found[region]
        assert (values.shape, values.dtype) == (SHAPE, np.float16)
        assert 0 < values.max() <= 1
        nested &= values >= found.thresholds[region]
        np.testing.assert_array_equal(region_mask(segmentation.data, region), nested)
    outside = study.sequences["T1"] == 0
    if spacing == (1.0, 1.0, 1.0):
        assert not found["WT"][outside].any()
    with pytest.raises(ProbabilityError, match="predicts no XX"):
        found["XX"]


def test_other_thresholds_give_what_a_run_with_them_gives(tiny):
    study = head()
    _, found = segment_with_probabilities(study, tiny, "cpu", min_lesion_mm3=30)
    found = pickle.loads(pickle.dumps(found))  # as it comes from the worker process
    other = found.with_thresholds({"WT": 0.45, "TC": 0.4})
    assert other.thresholds == {"WT": 0.45, "TC": 0.4, "ET": 0.5}
    expected = segment(study, tiny, "cpu", min_lesion_mm3=30, thresholds={"WT": 0.45, "TC": 0.4})
    np.testing.assert_array_equal(other.labels(), expected.data)
    assert (found.labels() != other.labels()).any()


def test_a_tumour_is_taken_not_to_enhance_where_the_model_is_hardly_sure_of_any(tiny):
    """An untrained network is sure of nothing: its probabilities are all near 0.5."""
    card = json.loads((tiny / "card.json").read_text())
    (tiny / "card.json").write_text(
        json.dumps(card | {"thresholds": {"TC": 0.36, "ET": 0.42}, "min_sure_enhancing": 0.3})
    )
    study = head()
    segmentation, maps = segment_with_probabilities(study, tiny, "cpu", min_lesion_mm3=0)
    called = int((maps.values[2] >= 0.42).sum())
    assert called > 100
    assert sure_share(maps.values[2], 0.42) < 0.3
    assert not region_mask(segmentation.data, "ET").any()
    note = next(note for note in segmentation.provenance["notes"] if note.startswith("No enhancing tumour is labelled"))
    assert f"{called / 1000:.1f} mL might enhance" in note
    assert "30% is needed" in note
    assert segmentation.provenance["settings"]["min_sure_enhancing"] == 0.3
    # What would have been enhancing is core, where the core holds it.
    core = (maps["WT"] >= 0.5) & (maps["TC"] >= 0.36)
    assert core.any()
    np.testing.assert_array_equal(region_mask(segmentation.data, "TC"), core)
    # A threshold of one's own decides, here and after the fact; without T1c the share was never found.
    other = segment(study, tiny, "cpu", min_lesion_mm3=0, thresholds={"ET": 0.41})
    assert region_mask(other.data, "ET").any()
    assert other.provenance["settings"]["min_sure_enhancing"] == 0
    np.testing.assert_array_equal(maps.with_thresholds({"ET": 0.41}).labels(), other.data)
    np.testing.assert_array_equal(maps.with_thresholds({"TC": 0.36}).labels(), segmentation.data)
    without = segment(study.only(("T1", "T2", "FLAIR")), tiny, "cpu", min_lesion_mm3=0)
    assert region_mask(without.data, "ET").any()


def test_the_share_that_is_sure():
    probabilities = np.array([0.2, 0.5, 0.6, 0.9, 0.95], np.float16)
    assert sure_share(probabilities, 0.5) == 0.5
    assert sure_share(probabilities, 0.92) == 1
    assert sure_share(probabilities, 0.99) == 1  # none is called, so none is doubtful


def test_uncertainty_is_the_entropy_of_the_least_certain_region(tiny):
    study = head()
    box = box_between(study.grid, (7, 10, 6), (13, 16, 11))
    _, found = segment_with_probabilities(study, tiny, "cpu", box=box)
    bits = found.uncertainty()
    at = (9, 12, 8)
    p = np.array([found[region][at] for region in REGIONS], float)
    assert bits[at] == pytest.approx(np.max(-p * np.log2(p) - (1 - p) * np.log2(1 - p)), abs=1e-5)
    assert not bits[~inside_box(study.grid, box)].any()
    np.testing.assert_allclose(binary_entropy(np.array([0.5, 0.25, 1.0, 0.0])), [1, 0.811278, 0, 0], atol=5e-5)


def test_seeds_are_refused_beside_probabilities(tiny):
    from napari_brain_tumor import segment_with_probabilities_job

    with pytest.raises(SeedError, match="takes no seeds"):
        run_job(segment_with_probabilities_job(head(), tiny, "cpu", seeds=[(0, 0, 0)]))


# Smoothing ----------------------------------------------------------------------------------------------------------


def border_voxels(mask):
    """Faces between voxels within and voxels outside: the rougher an outline, the more for its volume."""
    return sum(int(np.count_nonzero(np.diff(mask.astype(np.int8), axis=axis))) for axis in range(3))


@pytest.mark.parametrize("model", ["tiny", "threshold"])
def test_smoothing_leaves_a_smoother_outline_within_the_brain_and_is_recorded(tiny, model, small_sample):
    study, where = (head(), tiny) if model == "tiny" else (open_study(small_sample), model)
    options = {"min_lesion_mm3": 0} | ({"thresholds": {"WT": 0.5}} if model == "tiny" else {})
    rough = segment(study, where, "cpu", **options)
    smooth = segment(study, where, "cpu", smooth_mm=1.5, **options)
    before, after = (region_mask(found.data, "WT") for found in (rough, smooth))
    assert after.any()
    assert border_voxels(after) / after.sum() < border_voxels(before) / before.sum()
    assert not after[study.sequences["T1"] == 0].any()
    assert smooth.provenance["settings"]["smooth_mm"] == 1.5
    np.testing.assert_array_equal(segment(study, where, "cpu", smooth_mm=0, **options).data, rough.data)


def test_no_tumour_is_labelled_where_the_model_is_hardly_sure_of_any(tiny):
    card = json.loads((tiny / "card.json").read_text())
    (tiny / "card.json").write_text(json.dumps(card | {"min_sure_tumor": 0.05}))
    study = head()
    segmentation, maps = segment_with_probabilities(study, tiny, "cpu", min_lesion_mm3=0)
    called = int((maps.values[0] >= 0.5).sum())
    assert called > 100
    assert sure_share(maps.values[0], 0.5) < 0.05
    assert not segmentation.data.any()
    note = next(note for note in segmentation.provenance["notes"] if note.startswith("No tumour is labelled"))
    assert f"{called / 1000:.1f} mL might be tumour" in note
    assert "Another threshold of WT, for example 0.49, labels it." in note
    assert segmentation.provenance["settings"]["min_sure_tumor"] == 0.05
    # A threshold of one's own decides, here and after the fact, and so does a box; T1 and T1c alone were never judged.
    other = segment(study, tiny, "cpu", min_lesion_mm3=0, thresholds={"WT": 0.49})
    assert other.data.any()
    np.testing.assert_array_equal(maps.with_thresholds({"WT": 0.49}).labels(), other.data)
    assert not maps.with_thresholds({"TC": 0.4}).labels().any()
    assert segment(study.only(("T1", "T1c")), tiny, "cpu", min_lesion_mm3=0).data.any()
    assert segment(study, tiny, "cpu", min_lesion_mm3=0, box=(-500, 500, -500, 500, -500, 500)).data.any()
