"""Healthy twins, heads without tumour, and temperatures fitted on other patients."""

import sys
from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.metrics.calibration import LogitCounts
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor_training.case_files import CaseFiles
from results.calibration import cross_fitted, halves
from results.markdown import table
from results.twins import healthy_twin

sys.path.insert(0, str(Path(__file__).parent.parent / "classical"))
from brain_phantoms import LESION, SHAPE, SPACING, brain_and_lesion, image

GRID = Grid(SHAPE[::-1], np.diag([*SPACING, 1.0]))


def glioma(centre=LESION, radius_mm=18.0):
    """A study and its truth, `(X, Y, Z)`; the tumour is bright on FLAIR."""
    brain, lesion = brain_and_lesion(radius_mm, centre=centre)
    volumes = {role: image(role, brain, lesion & brain, seed=3).transpose(2, 1, 0) for role in ("T1", "FLAIR")}
    truth = np.ascontiguousarray((lesion & brain).transpose(2, 1, 0)).astype(np.uint8)
    return Study(volumes, GRID), Segmentation(truth, GRID)


def share_bright(flair, level=150):
    return float((flair > level).sum() / (flair > 0).sum())


def ml(study, low, high):
    """Volume of the voxels of FLAIR between two intensities; a twin has other voxels than its study."""
    flair = study.sequences["FLAIR"]
    return np.count_nonzero((flair > low) & (flair < high)) * study.grid.voxel_volume_mm3 / 1000


def test_a_lesion_on_one_side_is_gone_in_the_twin():
    study, truth = glioma()
    twin = healthy_twin(study, truth)
    assert twin.roles == ("T1", "FLAIR")
    assert share_bright(study.sequences["FLAIR"]) > 0.015
    assert share_bright(twin.sequences["FLAIR"]) < 0.002
    # The brain is as large as it was, on both sides.
    assert ml(twin, 20, 999) == pytest.approx(ml(study, 20, 999), rel=0.03)


def test_a_symmetric_head_is_its_own_twin():
    brain, _ = brain_and_lesion()
    flat = np.where(brain, 100.0, 0).astype(np.float32)
    flat[:, 40:56, 20:60][brain[:, 40:56, 20:60]] = 60
    grid = Grid(GRID.shape, np.eye(4))  # of 1 mm: nothing is resampled
    study = Study({"FLAIR": flat.transpose(2, 1, 0)}, grid)
    truth = np.zeros(grid.shape, np.uint8)
    truth[60, 50, 30] = 1
    twin = healthy_twin(study, Segmentation(truth, grid))
    for low, high in ((50, 80), (80, 110)):
        assert ml(twin, low, high) == pytest.approx(ml(study, low, high), rel=0.03)


def test_a_tumour_on_both_sides_or_none_has_no_twin():
    middle = (LESION[0], LESION[1], SHAPE[2] // 2)
    assert healthy_twin(*glioma(middle)) is None
    study, truth = glioma()
    assert healthy_twin(study, Segmentation(np.zeros_like(truth.data), GRID)) is None


def test_a_head_without_tumour_is_the_same_head_and_has_no_enhancement():
    pytest.importorskip("nilearn", reason="nilearn, whose tissue maps are used, is not installed")
    from napari_brain_tumor_training.synthetic import SyntheticSpec, make_healthy, make_phantom

    spec = SyntheticSpec(resolution_mm=4, growth_mm=4, grade="HGG")
    healthy, again, sick = make_healthy(11, spec=spec), make_healthy(11, spec=spec), make_phantom(11, spec=spec)
    assert healthy.grid.same_place(sick.study.grid)
    assert all(np.array_equal(healthy.sequences[role], again.sequences[role]) for role in healthy.roles)
    rim = sick.segmentation.data == 3
    images = [study.sequences["T1c"] for study in (healthy, sick.study)]
    brightness = [np.median(image[rim]) / np.median(image[(image > 0) & ~rim]) for image in images]
    assert brightness[0] < 0.8 * brightness[1]


def counts(sure: float, seed: int, voxels=20000) -> LogitCounts:
    """Voxels whose logits are `sure` times what the truth warrants."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, voxels)
    return LogitCounts.of(sure * logits, random.random(voxels) < 1 / (1 + np.exp(-logits)))


def test_a_temperature_that_holds_for_other_patients_lowers_their_error():
    temperatures, before, after = cross_fitted(counts(3.0, 0), counts(3.0, 1), "WT")
    assert temperatures == pytest.approx([3.0, 3.0], rel=0.1)
    assert after < 0.3 * before


def test_a_temperature_of_patients_unlike_the_others_does_not():
    temperatures, before, after = cross_fitted(counts(4.0, 0), counts(1.0, 1), "WT")
    assert temperatures[0] == pytest.approx(4.0, rel=0.1)
    alone = counts(1.0, 1)
    assert alone.reliability(temperatures[0]).error > alone.reliability().error
    # Over both: what is lost on one half and not won on the other, whose temperature was about 1.
    assert after > 0.8 * before
    assert cross_fitted(counts(1.0, 0), None, "WT") == ([], None, None)


def test_halves_share_no_patient_and_deal_each_set_evenly():
    both = [CaseFiles("glioma3d", f"g{i}", f"p{i}", "val", Path(), Path()) for i in range(8)]
    both += [CaseFiles("lgg_tif", f"s{i}", f"p{i}", "val", Path(), Path()) for i in range(6, 16)]
    one, other = halves(both)
    assert not one & other
    assert len(one) == len(other) == 8
    assert sum(name in one for name in (f"p{i}" for i in range(8))) == 4


def test_a_name_from_a_file_stays_in_its_cell():
    lines = table(("model", "Dice"), [("a|b\n# <script>", "0.5")])
    assert lines[2] == "| a\\|b # &lt;script> | 0.5 |"
