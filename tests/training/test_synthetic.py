"""Synthetic gliomas: exact truth, the order of contrasts, sizes, and the same bytes for the same seed."""

import dataclasses
import itertools
import json
import runpy
import sys

import nibabel as nib
import numpy as np
import pytest

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.geometry import Grid, to_ras
from napari_brain_tumor.labels import region_mask
from napari_brain_tumor.study import ROLES

pytest.importorskip("nilearn", reason="nilearn, whose tissue maps synthetic cases are made from, is not installed")

from napari_brain_tumor_training.synthetic import Phantom, SyntheticSpec, make_case, make_phantom, write_case
from napari_brain_tumor_training.synthetic_contrast import CONTRASTS
from napari_brain_tumor_training.synthetic_fields import BandNoise, on_grid

COARSE = SyntheticSpec(resolution_mm=3, growth_mm=3)
SEEDS = range(100, 112)

ORDERS = {
    "T1": ("white", "grey", "dead", "fluid"),
    "T1c": ("enhancing", "white", "grey", "dead", "fluid"),
    "T2": ("fluid", "dead", "edema", "enhancing", "grey", "white"),
    "FLAIR": ("edema", "enhancing", "grey", "white", "fluid"),
}


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [make_phantom(seed, spec=COARSE) for seed in SEEDS]


@pytest.fixture(scope="module")
def fifth():
    return make_case(5, spec=COARSE)


@pytest.fixture(scope="module")
def high_grade() -> Phantom:
    return make_phantom(11, spec=dataclasses.replace(COARSE, grade="HGG"))


def medians(phantom: Phantom, role: str) -> dict[str, float]:
    tissues, parts = phantom.tissues, phantom.parts
    healthy = (parts.labels == 0) & (tissues.depth_mm > 4)
    masks = {
        "white": healthy & (tissues.white > 0.85),
        "grey": healthy & (tissues.grey > 0.75),
        "fluid": healthy & (tissues.fluid > 0.85),
        "edema": parts.edema,
        "dead": parts.dead,
        "enhancing": parts.enhancing,
    }
    image = phantom.study.sequences[role][::-1, ::-1]
    return {name: float(np.median(image[mask])) for name, mask in masks.items() if mask.sum() > 5}


def ordered(phantom: Phantom) -> bool:
    for role, order in ORDERS.items():
        found = medians(phantom, role)
        values = [found[name] for name in order if name in found]
        if any(a <= b for a, b in itertools.pairwise(values)):
            return False
    return True


@pytest.mark.slow
def test_contrasts_keep_their_order_in_at_least_95_percent_of_cases(phantoms):
    assert np.mean([ordered(phantom) for phantom in phantoms]) >= 0.95


@pytest.mark.parametrize("role", ROLES)
def test_the_table_of_contrasts_has_the_documented_order(role):
    values = [CONTRASTS[role][matter] for matter in ORDERS[role]]
    assert values == sorted(values, reverse=True)


@pytest.mark.slow
def test_median_volumes_of_high_grade_tumours_are_like_those_of_real_ones(phantoms):
    volumes = [p.segmentation.provenance["volumes_ml"] for p in phantoms if p.tumour.plan.grade == "HGG"]
    edema, core, ring = (np.median([v[name] for v in volumes]) for name in ("edema", "non-enhancing", "enhancing"))
    assert 30 <= edema <= 80
    assert 5 <= core <= 25
    assert 8 <= ring <= 30


@pytest.mark.slow
def test_every_tumour_has_about_the_volume_that_was_drawn(phantoms):
    for phantom in phantoms:
        made = np.count_nonzero(phantom.segmentation.data) * phantom.study.grid.voxel_volume_mm3 / 1000
        assert made == pytest.approx(phantom.tumour.plan.volume_ml, rel=0.15)


@pytest.mark.slow
def test_both_grades_occur(phantoms):
    assert {phantom.tumour.plan.grade for phantom in phantoms} == {"HGG", "LGG"}


def test_the_same_seed_gives_the_same_bytes(fifth):
    first, first_truth = fifth
    again, again_truth = make_case(5, spec=COARSE)
    assert first.grid == again.grid
    assert first_truth.data.tobytes() == again_truth.data.tobytes()
    for role in ROLES:
        assert first.sequences[role].tobytes() == again.sequences[role].tobytes()


def test_another_seed_gives_another_head_and_tumour(fifth):
    (first, truth), (other, other_truth) = fifth, make_case(6, spec=COARSE)
    same_shape = first.grid.shape == other.grid.shape
    assert not (same_shape and np.array_equal(first.sequences["T1"], other.sequences["T1"]))
    assert not (same_shape and np.array_equal(truth.data, other_truth.data))


def test_regions_are_nested_and_labels_are_the_parts(high_grade):
    classes, parts = high_grade.parts.labels, high_grade.parts
    whole, core, enhancing = (region_mask(classes, region) for region in ("WT", "TC", "ET"))
    assert not (core & ~whole).any()
    assert not (enhancing & ~core).any()
    np.testing.assert_array_equal(classes == 1, parts.edema)
    np.testing.assert_array_equal(classes == 2, parts.dead | parts.living)
    np.testing.assert_array_equal(classes == 3, parts.enhancing)
    assert set(np.unique(classes)) == {0, 1, 2, 3}


def test_the_truth_of_the_study_is_that_of_the_phantom_in_lps(high_grade):
    assert high_grade.segmentation.grid.axis_codes == "LPS"
    turned = to_ras(high_grade.segmentation.grid).apply(high_grade.segmentation.data)
    np.testing.assert_array_equal(turned, high_grade.parts.labels)


def test_all_four_sequences_are_skull_stripped_and_share_one_grid(high_grade):
    study = high_grade.study
    assert study.roles == ROLES
    outside = ~high_grade.tissues.brain[::-1, ::-1]
    for image in study.sequences.values():
        assert image.dtype == np.uint8
        assert (image[outside] == 0).all()
        assert (image[~outside] > 0).all()


@pytest.mark.slow
def test_tumours_lie_within_the_brain(phantoms):
    for phantom in phantoms:
        assert not (phantom.parts.labels[~phantom.tissues.brain] > 0).any()


def test_tissue_shares_add_up_to_one_in_the_brain(high_grade):
    tissues = high_grade.tissues
    total = tissues.white + tissues.grey + tissues.fluid
    np.testing.assert_allclose(total[tissues.brain], 1, atol=1e-5)
    assert (total[~tissues.brain] == 0).all()
    assert 1100 < tissues.brain.sum() * 27 / 1000 < 2000


def test_edema_prefers_white_matter(high_grade):
    tissues, edema = high_grade.tissues, high_grade.parts.edema
    assert tissues.white[edema].mean() > 1.5 * tissues.white[tissues.brain].mean()


def test_dead_tissue_lies_deeper_in_the_core_than_enhancing_tissue(high_grade):
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(region_mask(high_grade.parts.labels, "TC"))
    assert depth[high_grade.parts.dead].mean() > 1.3 * depth[high_grade.parts.enhancing].mean()


def test_a_low_grade_tumour_without_patches_does_not_enhance():
    spec = dataclasses.replace(COARSE, grade="LGG", enhancing_low_grade=0.0)
    _, truth = make_case(3, spec=spec)
    assert not (truth.data == 3).any()
    assert (truth.data == 2).any()


def test_a_low_grade_tumour_with_patches_enhances_in_a_small_part():
    spec = dataclasses.replace(COARSE, grade="LGG", enhancing_low_grade=1.0)
    _, truth = make_case(3, spec=spec)
    assert 0.02 < np.mean(truth.data[truth.data > 1] == 3) < 0.2


def test_the_mass_moves_tissue_as_far_as_was_drawn_and_leaves_the_skull(high_grade):
    push = np.sqrt((high_grade.tumour.push_mm**2).sum(axis=0))
    assert 0.5 * high_grade.tumour.plan.push_mm < push.max() <= high_grade.tumour.plan.push_mm + 1e-3


def test_a_seed_shows_the_same_patient_at_another_resolution():
    coarse, fine = (make_phantom(11, spec=SyntheticSpec(resolution_mm=r, growth_mm=3)) for r in (4, 3))
    fine_on_coarse = on_grid(
        (fine.parts.labels > 0).astype(np.float32), _ras_of(fine.study.grid), _ras_of(coarse.study.grid)
    )
    both = (fine_on_coarse > 0.5) & (coarse.parts.labels > 0)
    dice = 2 * both.sum() / ((fine_on_coarse > 0.5).sum() + (coarse.parts.labels > 0).sum())
    assert dice > 0.8


def _ras_of(grid: Grid) -> Grid:
    return to_ras(grid).target


def test_noise_has_unit_variance_and_does_not_depend_on_the_grid():
    noise = BandNoise.draw(np.random.default_rng(0), 5.0)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-60, -80, -50)
    fine = noise.on(Grid((60, 70, 50), affine))
    coarse = noise.on(Grid((30, 35, 25), affine @ np.diag([2.0, 2.0, 2.0, 1.0])))
    assert fine.std() == pytest.approx(1, abs=0.08)
    np.testing.assert_allclose(fine[::2, ::2, ::2], coarse, atol=1e-4)


def test_the_written_case_reads_back_and_its_bytes_do_not_depend_on_the_time(high_grade, tmp_path):
    study, truth = high_grade.study, high_grade.segmentation
    files = write_case(study, truth, tmp_path / "one")
    again = write_case(study, truth, tmp_path / "two")
    assert [f.name for f in files] == [f"{study.name}_{w}" for w in _endings()]
    assert [f.read_bytes() for f in files] == [f.read_bytes() for f in again]
    flair = nib.load(files[3])
    np.testing.assert_array_equal(np.asarray(flair.dataobj), study.sequences["FLAIR"])
    np.testing.assert_allclose(flair.affine, study.grid.affine, atol=1e-4)
    sidecar = json.loads(files[5].read_text())
    assert sidecar["schema"] == "MSD"
    assert sidecar["provenance"]["seed"] == 11


def _endings() -> list[str]:
    return ["t1.nii.gz", "t1ce.nii.gz", "t2.nii.gz", "flair.nii.gz", "seg.nii.gz", "seg.json"]


def test_the_command_writes_a_case(tmp_path, monkeypatch):
    module = "napari_brain_tumor_training.synthetic"
    words = [module, str(tmp_path), "--seed", "4", "--resolution-mm", "5", "--name", "case"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.delitem(sys.modules, module)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert not ended.value.code
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted(f"case_{ending}" for ending in _endings())


@pytest.mark.parametrize(
    "choices", [{"resolution_mm": 0.1}, {"growth_mm": 9}, {"volume_ml": (50.0, 20.0)}, {"volume_ml": (0.0, 20.0)}]
)
def test_a_spec_that_cannot_be_made_is_refused(choices):
    with pytest.raises(TrainingError, match="asked for"):
        SyntheticSpec(**choices)


def test_a_negative_seed_is_refused():
    with pytest.raises(TrainingError, match="seed is -1"):
        make_case(-1)
