import numpy as np
import pytest
from dataset_cases import add_case, make_label, make_study
from scipy import ndimage

from napari_brain_tumor import CuratedDataset, open_study
from napari_brain_tumor.dataset.duplicates import (
    LOOKS_ALIKE,
    fingerprint,
    values_sha256,
    voxels_sha256,
)
from napari_brain_tumor.geometry import Grid, to_ras
from napari_brain_tumor.study import Study
from phantoms import affine, axis_orders, noise

SHAPE = (48, 44, 40)


def head(seed, shape=SHAPE):
    """A head: an ellipsoid of tissue whose folds differ from seed to seed, air around it."""
    random = np.random.default_rng(seed)
    folds = ndimage.gaussian_filter(random.normal(size=shape), 2.0)
    centred = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    tissue = (centred**2).sum(0) < 0.7
    return np.where(tissue, 400 + 2000 * folds, 0).astype(np.int16)


def study_of(array, matrix=None, name="scan", **others):
    return Study({"FLAIR": array, **others}, Grid(array.shape, affine() if matrix is None else matrix), name=name)


def likeness(dataset, study):
    """How a study is found beside the one case of a data set."""
    return dataset.add(study, make_label(study), case_id=f"c{len(dataset)}", patient=f"p{len(dataset)}").similar


@pytest.fixture
def dataset(tmp_path):
    made = CuratedDataset.create(tmp_path / "set")
    original = study_of(head(0))
    made.add(original, make_label(original), case_id="original", patient="original")
    return made


@pytest.mark.parametrize("order", [1, 7, 29, 46])
def test_the_same_voxels_in_another_axis_order_are_found(dataset, order):
    target = Grid(SHAPE, affine(axis_orders()[order]))
    turned = to_ras(target)
    other = study_of(np.ascontiguousarray(turned.apply(head(0))), turned.target.affine)
    assert [(s.case, s.kind) for s in likeness(dataset, other)] == [("original", "same voxels")]


def test_the_same_voxels_are_found_with_a_lying_header_or_a_crop(dataset):
    mirrored = study_of(head(0)[::-1].copy())
    cropped = study_of(np.pad(head(0), ((0, 0), (9, 2), (0, 5))).astype(np.float32))
    assert [s.kind for s in likeness(dataset, mirrored)] == ["same voxels"]
    assert {s.kind for s in likeness(dataset, cropped)} == {"same voxels"}


def test_the_same_voxels_under_another_role_are_found(dataset):
    study = make_study("other", seed=4, shape=SHAPE, roles=("T1",))
    mixed = Study({**study.sequences, "T2": head(0)}, study.grid, name="mixed")
    assert [s.kind for s in likeness(dataset, mixed)] == ["same voxels"]


@pytest.mark.parametrize(
    "change",
    [
        lambda a: (a * 0.37 + 0.4).astype(np.int16),
        lambda a: a + np.random.default_rng(1).normal(0, 6, a.shape).astype(np.int16) * (a > 0),
        lambda a: np.clip(a, 0, np.percentile(a, 99)).astype(np.int16),
        lambda a: ndimage.zoom(a, 0.8, order=1),
        lambda a: (a[:, ::-1] * 0.5).astype(np.int16),
    ],
    ids=["fewer levels", "noise", "clipped", "resampled", "mirrored"],
)
def test_a_changed_copy_looks_alike(dataset, change):
    (found,) = likeness(dataset, study_of(np.ascontiguousarray(change(head(0)))))
    assert found.kind == "looks alike"
    assert found.score >= LOOKS_ALIKE


def test_another_head_does_not_look_alike(dataset):
    for seed in range(1, 6):
        assert likeness(dataset, study_of(head(seed))) == ()


def test_hashes_tell_one_changed_voxel():
    array = noise((5, 6, 7))
    changed = array.copy()
    changed[2, 3, 4] += 1
    assert voxels_sha256(array) != voxels_sha256(changed)
    assert values_sha256(array) != values_sha256(changed)
    assert voxels_sha256(array) == voxels_sha256(array.astype(np.float64))
    assert values_sha256(array) == values_sha256(array.astype(np.float32))


def test_images_of_few_values_do_not_agree_by_chance():
    one = (np.arange(1000) < 300).reshape(10, 10, 10).astype(np.uint8)
    assert values_sha256(one) != values_sha256(np.ascontiguousarray(one[::-1]))
    assert values_sha256(one) == values_sha256(one.astype(np.float32))


@pytest.mark.parametrize("shape", [(1, 1, 2), (3, 200, 1), (12, 12, 12), (13, 25, 11)])
def test_images_of_any_size_have_a_fingerprint(shape):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    assert len(fingerprint(array, Grid(shape, affine()))) == 4 * (12**3) // 3


def test_a_name_in_another_format_is_found(tmp_path):
    dataset = CuratedDataset.create(tmp_path / "set")
    add_case(dataset, "TCGA_CS_4941_19960909")
    (found,) = add_case(dataset, "atlas", patient="TCGA-CS-4941").similar
    assert (found.case, found.kind) == ("TCGA_CS_4941_19960909", "same patient")


@pytest.mark.real_data
@pytest.mark.slow
def test_real_copies_are_found_and_real_patients_told_apart(real_data, tmp_path):
    """Three originals beside their re-encoded copies, and the patients that looked most like them."""
    dataset = CuratedDataset.create(tmp_path / "set", split_table=real_data / "subjects.csv")
    volumes = real_data / "glioma3d" / "imagesTr"
    copies = {
        "Brats18_TCIA02_135_1": real_data / "cases" / "brats2018" / "Brats18_TCIA02_135_1",
        "BraTS2021_01477": real_data / "cases" / "brats2021_no_enhancing" / "BraTS2021_01477",
        "TCGA_CS_4941_19960909": real_data / "cases" / "kaggle_tif_original" / "TCGA_CS_4941_19960909",
    }
    others = ["BraTS2021_01481", "BraTS2021_01478"]
    for name in [*copies, *others]:
        place = real_data / "lgg_tif" / name if name.startswith("TCGA") else volumes / f"{name}.nii.gz"
        assert _added(dataset, place, name) == []
    for name, place in copies.items():
        assert _added(dataset, place, f"{name}-copy", patient="somebody else") == [(name, "looks alike")]
        dataset.remove(f"{name}-copy")


def _added(dataset, place, case_id, **options):
    study = open_study(place)
    empty = make_label(study, np.zeros(study.grid.shape))
    return [(s.case, s.kind) for s in dataset.add(study, empty, case_id=case_id, **options).similar]
