import numpy as np
import pytest
from brain_phantoms import LESION, SHAPE, SPACING, brain_and_lesion, ellipsoid, head_study, scan

from napari_brain_tumor import segment
from napari_brain_tumor.classical import region_growing
from napari_brain_tumor.classical.candidate import find_candidate
from napari_brain_tumor.classical.registry import BASELINES
from napari_brain_tumor.classical.run import find_regions
from napari_brain_tumor.metrics.overlap import dice

NOTHING = np.zeros(SHAPE, dtype=bool)
# The phantoms have the outline of a brain but not its tissues: `atlas` has phantoms of its own (test_atlas.py).
METHODS = {name: method for name, method in BASELINES.items() if name != "atlas"}
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))


@each_method
def test_a_bright_ball_is_found(method):
    brain, lesion = brain_and_lesion()
    found = find_regions(method, scan(lesion))
    assert set(found) == {"WT"}
    assert dice(lesion, found["WT"]) > 0.8
    assert not (found["WT"] & ~brain).any()


@each_method
def test_a_ball_is_found_in_the_other_half_too(method):
    _, lesion = brain_and_lesion(14, centre=(28, 40, 22))
    assert dice(lesion, find_regions(method, scan(lesion))["WT"]) > 0.85


@each_method
def test_a_healthy_brain_gives_nothing(method):
    found = find_regions(method, scan(NOTHING, roles=("T1", "T1c", "T2", "FLAIR")))
    assert not found["WT"].any()
    assert not found["ET"].any()


@each_method
def test_no_brain_at_all_gives_nothing(method):
    assert not find_regions(method, scan(NOTHING, brain=NOTHING))["WT"].any()


@each_method
def test_tumour_is_found_on_thick_slices(method):
    shape, spacing = (20, 96, 80), (6.0, 2.0, 2.0)
    _, lesion = brain_and_lesion(18, shape, spacing, (11, 60, 56))
    assert dice(lesion, find_regions(method, scan(lesion, spacing=spacing))["WT"]) > 0.8


@each_method
def test_a_dark_middle_belongs_to_the_tumour(method):
    _, lesion = brain_and_lesion()
    hollow = lesion & ~ellipsoid((8, 8, 8), centre=LESION)
    assert dice(lesion, find_regions(method, scan(hollow))["WT"]) > 0.75


@each_method
def test_t2_takes_the_place_of_flair_and_the_ventricles_are_not_tumour(method):
    _, lesion = brain_and_lesion()
    assert dice(lesion, find_regions(method, scan(lesion, roles=("T2",)))["WT"]) > 0.8


@pytest.mark.parametrize("method", [BASELINES["threshold"]])
def test_the_skull_of_a_head_is_not_tumour(method):
    _, lesion = brain_and_lesion()
    study, _ = head_study(lesion)
    assert dice(lesion.transpose(2, 1, 0), segment(study, method.name).data > 0) > 0.85


@pytest.mark.parametrize("method", [BASELINES["edges"]])
def test_a_head_of_unknown_spacing_is_segmented(method):
    _, lesion = brain_and_lesion()
    study, _ = head_study(lesion, "voxel", np.diag([1.0, 1.0, 1.0, 1.0]))
    found = segment(study, method.name)
    assert found.grid.unit == "voxel"
    assert dice(lesion.transpose(2, 1, 0), found.data > 0) > 0.75


@each_method
def test_the_rim_that_takes_up_contrast_agent_is_enhancing(method):
    _, lesion = brain_and_lesion()
    rim = lesion & ~ellipsoid((11, 11, 11), centre=LESION)
    found = find_regions(method, scan(lesion, roles=("T1", "T1c", "FLAIR"), rim=rim))
    assert dice(rim, found["ET"]) > 0.8
    assert not (found["ET"] & ~found["WT"]).any()


@each_method
def test_nothing_enhances_where_t1c_is_like_t1(method):
    _, lesion = brain_and_lesion()
    found = find_regions(method, scan(lesion, roles=("T1", "T1c", "FLAIR")))
    assert found["WT"].any()
    assert found["ET"].sum() < 0.01 * found["WT"].sum()


def test_the_candidate_is_the_brighter_of_two_and_its_peak_is_in_it():
    _, large = brain_and_lesion(18)
    _, small = brain_and_lesion(10, centre=(28, 30, 24))
    found = find_candidate(scan(large | small))
    assert found is not None
    assert large[found.seed]
    assert found.bright[found.seed] >= found.peak


def test_region_growing_takes_what_the_seeds_lie_in():
    _, one = brain_and_lesion(18)
    _, other = brain_and_lesion(12, centre=(28, 30, 24))
    both = scan(one | other)
    grown = region_growing.find_regions(both, [(28, 30, 24)])["WT"]
    assert dice(other, grown) > 0.75
    assert not (grown & one).any()
    assert dice(one | other, region_growing.find_regions(both, [(28, 30, 24), LESION])["WT"]) > 0.8


def test_a_growing_region_stops_before_it_leaks_into_normal_tissue():
    brain, lesion = brain_and_lesion(12)
    grown = region_growing.grow(scan(lesion, roles=("FLAIR", "T2")), LESION)
    assert lesion.sum() * 0.5 < grown.sum() < 2 * lesion.sum() < 0.2 * brain.sum()


def test_the_brains_place_in_the_array_does_not_matter():
    _, lesion = brain_and_lesion()
    brain = ellipsoid((50, 85, 70))
    pad = ((3, 9), (12, 1), (0, 20))
    whole = scan(np.pad(lesion, pad), np.pad(brain, pad))
    assert dice(np.pad(lesion, pad), find_regions(BASELINES["asymmetry"], whole)["WT"]) > 0.85
    assert whole.spacing_mm == SPACING
