"""What becomes of a lesion from one visit to the next: each case with balls of known place and size."""

import numpy as np
import pytest
from visit_phantoms import motion

from napari_brain_tumor.errors import VisitError
from napari_brain_tumor.followup.matching import MatchSettings, lesion_voxels, match_lesions
from napari_brain_tumor.followup.rigid import RigidTransform, resample_moved
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.measure.examination import measure_study
from napari_brain_tumor.study import Segmentation
from phantoms import affine, ball

GRID = Grid((80, 60, 50), affine())
STILL = RigidTransform(np.eye(4))


def labelled(*balls, grid: Grid = GRID) -> Segmentation:
    """Enhancing balls, each given by its centre and its radius in voxels."""
    data = np.zeros(grid.shape, np.uint8)
    for centre, radius in balls:
        data[ball(grid.shape, centre, radius)] = 3
    return Segmentation(data, grid)


def lesions_in(segmentation: Segmentation, transform: RigidTransform = STILL):
    found = measure_study(segmentation).of_region("ET")
    return lesion_voxels(found, segmentation.data, segmentation.grid, transform)


def tracks_of(*visits: Segmentation | None, **settings):
    lesions = [None if one is None else lesions_in(one) for one in visits]
    return match_lesions(lesions, MatchSettings(**settings))


LEFT, RIGHT = ((20, 30, 25), 8), ((58, 30, 25), 6)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([((20, 30, 25), 8)], ["unchanged", "gone"]),
        ([((21, 30, 25), 10), RIGHT], ["grown", "unchanged"]),
        ([((20, 30, 25), 6), RIGHT], ["shrunk", "unchanged"]),
        ([], ["gone", "gone"]),
    ],
    ids=["gone", "grown", "shrunk", "all gone"],
)
def test_lesions_of_two_visits(second, expected) -> None:
    tracks = tracks_of(labelled(LEFT, RIGHT), labelled(*second))
    assert [track.states[1] for track in tracks] == expected
    assert all(track.states[0] == "first seen" for track in tracks)


def test_a_lesion_that_was_not_there_is_new() -> None:
    first, new = tracks_of(labelled(LEFT), labelled(LEFT, RIGHT))
    assert (first.states, new.states) == (("first seen", "unchanged"), ("", "new"))
    assert new.volume_ml(0) == 0
    assert new.volume_ml(1) == pytest.approx(4 / 3 * np.pi * 6**3 / 1000, rel=0.03)


def test_two_lesions_that_grow_together_are_merged_and_their_sizes_added() -> None:
    apart = labelled(((28, 30, 25), 7), ((48, 30, 25), 6))
    together = labelled(((28, 30, 25), 11), ((48, 30, 25), 10))
    (track,) = tracks_of(apart, together)
    assert track.states == ("first seen", "merged")
    assert [len(there) for there in track.lesions] == [2, 1]
    assert track.volume_ml(0) == pytest.approx(4 / 3 * np.pi * (7**3 + 6**3) / 1000, rel=0.03)
    assert track.product_mm2(0) == pytest.approx(14**2 + 12**2, rel=0.1)


def test_one_lesion_that_falls_apart_is_split() -> None:
    together = labelled(((28, 30, 25), 11), ((48, 30, 25), 10))
    (track,) = tracks_of(together, labelled(((28, 30, 25), 7), ((48, 30, 25), 6)))
    assert track.states == ("first seen", "split")


def test_a_lesion_that_comes_back_is_the_one_that_it_was() -> None:
    (track,) = tracks_of(labelled(RIGHT), labelled(), labelled(RIGHT))
    assert track.states == ("first seen", "gone", "back")


@pytest.mark.parametrize(("gap", "same"), [(2, True), (6, False)], ids=["within tolerance", "too far"])
def test_a_small_lesion_beside_the_old_place_is_the_same_within_the_tolerance(gap, same) -> None:
    before, after = labelled(((30, 30, 25), 3)), labelled(((37 + gap, 30, 25), 3))
    assert len(tracks_of(before, after, tolerance_mm=3.0)) == (1 if same else 2)


def test_a_neighbour_within_the_tolerance_is_left_alone_where_each_overlaps_its_own() -> None:
    close = labelled(((30, 30, 25), 6), ((44, 30, 25), 6))
    tracks = tracks_of(close, close, tolerance_mm=5.0)
    assert [track.states for track in tracks] == [("first seen", "unchanged")] * 2


def test_a_visit_that_could_not_be_registered_is_passed_over() -> None:
    (track,) = tracks_of(labelled(LEFT), None, labelled(((20, 30, 25), 11)))
    assert track.states == ("first seen", "not compared", "grown")
    assert track.volume_ml(1) is None
    assert track.product_mm2(1) is None


def test_lesions_are_matched_across_a_motion_and_another_grid() -> None:
    way = RigidTransform(motion(30, (0, 1, 1), (25, -10, 5)))
    before = labelled(LEFT, RIGHT)
    there = Grid((90, 90, 90), affine(spacing=(1.5, 1.5, 2.0), origin=(-60, -70, -60)))
    after = Segmentation(resample_moved(before.data, before.grid, there, way.inverse, nearest=True), there)
    assert after.data.any()
    tracks = match_lesions([lesions_in(before), lesions_in(after, way)])
    assert [track.states for track in tracks] == [("first seen", "unchanged")] * 2
    assert len(match_lesions([lesions_in(before), lesions_in(after)])) > 2


def test_labels_that_were_changed_since_they_were_measured_are_refused() -> None:
    segmentation = labelled(LEFT)
    found = measure_study(segmentation).of_region("ET")
    with pytest.raises(VisitError, match="Measure them again"):
        lesion_voxels(found, np.zeros_like(segmentation.data), GRID, STILL)


@pytest.mark.parametrize("settings", [{"tolerance_mm": -1}, {"least_overlap": 0}, {"changed": 0}], ids=str)
def test_settings_that_make_no_sense_are_refused(settings) -> None:
    with pytest.raises(VisitError, match="are not valid"):
        MatchSettings(**settings)
