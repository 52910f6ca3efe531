"""A DICOM study becomes a study on one grid, and labels go back to each series as it was scanned."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_brain_tumor import open_prepared, open_study, prepare
from napari_brain_tumor.errors import BrainMaskError, RegistrationError, RoleError, SaveError
from napari_brain_tumor.followup.rigid import RigidTransform
from napari_brain_tumor.geometry import Grid, resample
from napari_brain_tumor.io import Volume, open_segmentation, open_sequences
from napari_brain_tumor.io.one_grid import scanned_part
from napari_brain_tumor.io.source_files import file_sha256
from napari_brain_tumor.preparation import PreparedStudy, SequencePlace
from napari_brain_tumor.preparation.assembly import assembled_job
from napari_brain_tumor.preparation.bias_field import without_bias_field
from napari_brain_tumor.preparation.pipeline import prepare_volumes_job
from napari_brain_tumor.preparation.prepared import restore_labels
from napari_brain_tumor.preparation.settings import PreparationSettings
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path
from napari_brain_tumor.sample.examination import MOTIONS
from napari_brain_tumor.study import Segmentation, Study
from phantoms import affine, ball, tilt, write_nifti

ROLES = ("T1", "T2", "FLAIR")
STILL = RigidTransform(np.eye(4))


def dice(first, second):
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())


def truth_on(grid):
    """The sample's labels on a grid in the world of the series after contrast agent, which nothing moved."""
    truth = open_segmentation(sample_truth_path())
    return Segmentation(resample(truth.data, truth.grid, grid, nearest=True), grid, name="truth")


@pytest.mark.slow
def test_known_motions_are_found_within_a_degree_and_a_millimetre(prepared, examination):
    study, _ = prepared
    assert study.reference == "T1c"
    for role in ROLES:
        rest = RigidTransform(np.linalg.inv(examination[1][role]) @ study.transforms[role].matrix)
        middle = study.study.grid.world((np.asarray(study.study.grid.shape) - 1) / 2)
        assert rest.angle_degrees < 1, role
        assert rest.shift_mm(middle) < 1, role
        assert study.places[role].angle_degrees == pytest.approx(MOTIONS[role][0], abs=1)
        assert study.places[role].registration["trusted"]


@pytest.mark.slow
def test_all_sequences_lie_on_1_mm_and_on_one_another(prepared):
    study = prepared[0].study
    assert study.grid.spacing == (1, 1, 1)
    assert study.roles == ("T1", "T1c", "T2", "FLAIR")
    original = truth_on(study.grid)
    inside = study.sequences["T1c"] > 0.2 * study.sequences["T1c"].max()
    for role in ROLES:
        there = study.sequences[role] > 0.1 * study.sequences[role].max()
        assert dice(inside, there) > 0.9, role
    flair = study.sequences["FLAIR"].astype(float)
    assert flair[original.data == 1].mean() > 1.2 * flair[(original.data == 0) & inside].mean()


@pytest.mark.slow
def test_labels_come_back_to_where_each_series_was_scanned(prepared, examination):
    study, _ = prepared
    labels = truth_on(study.study.grid)
    truth = open_segmentation(sample_truth_path())
    for role in ("T1c", *ROLES):
        restored = study.restore(labels, onto=role)
        place = study.places[role]
        assert restored.grid.same_place(place.grid)
        lies = Grid(truth.grid.shape, examination[1][role] @ truth.grid.affine)
        expected = resample((truth.data > 0).astype(np.float32), lies, place.grid) >= 0.5
        assert dice(restored.data > 0, expected) > 0.85, role
        told = restored.provenance["restored"]
        assert told["onto"] == role
        assert told["volume_ml"] == pytest.approx(told["prepared_ml"], rel=0.08)
        assert told["round_trip_dice"] > 0.75


@pytest.mark.slow
def test_a_folder_keeps_everything_and_opens_as_the_same_study(prepared):
    study, folder = prepared
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "T1.nii.gz", "T1c.nii.gz", "T2.nii.gz", "FLAIR.nii.gz", "preparation.json", "transforms/transforms.json",
        *(f"transforms/{role}_to_T1c.tfm" for role in ROLES), *(f"pictures/{role}_on_T1c.png" for role in ROLES),
    }  # fmt: skip
    opened, plain = open_prepared(folder), open_study(folder)
    for role, array in study.study.sequences.items():
        np.testing.assert_array_equal(opened.study.sequences[role], array)
        np.testing.assert_array_equal(plain.sequences[role], array)
        np.testing.assert_array_equal(opened.transforms[role].matrix, study.transforms[role].matrix)
    labels = truth_on(study.study.grid)
    np.testing.assert_array_equal(opened.restore(labels, "FLAIR").data, study.restore(labels, "FLAIR").data)
    record = json.loads((folder / "preparation.json").read_text(encoding="utf-8"))
    assert record["reference"] == "T1c"
    assert {row["number"]: row["role"] for row in record["series"]}["5"] == ""
    assert set(record["inputs"]) == {"T1", "T1c", "T2", "FLAIR"}


@pytest.mark.slow
def test_itk_reads_the_transforms_and_moves_points_as_we_do(prepared):
    study, folder = prepared
    for role in ROLES:
        read = sitk.ReadTransform(str(folder / "transforms" / f"{role}_to_T1c.tfm"))
        point = np.array([12.0, -34.0, 21.0])
        moved = np.array(read.TransformPoint((point * (-1, -1, 1)).tolist())) * (-1, -1, 1)
        np.testing.assert_allclose(moved, study.transforms[role].apply(point), atol=1e-6)


@pytest.mark.slow
def test_another_study_in_the_folder_is_replaced_only_when_told_and_other_files_never(prepared, tmp_path, examination):
    _, folder = prepared
    with pytest.raises(SaveError, match="already holds a prepared study"):
        prepare(examination[0], output=folder)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(SaveError, match="other files"):
        prepare(examination[0], output=tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_a_series_of_another_head_is_refused_by_name(examination):
    from napari_brain_tumor.preparation import candidates_of, select

    volumes = {r: c.read() for r, c in select(candidates_of(examination[0])).by_role.items() if r in ("T1c", "FLAIR")}
    flair = volumes["FLAIR"]
    other = type(flair)(flair.name, flair.array[:, ::-1, ::-1].copy(), flair.grid, flair.path)
    with pytest.raises(
        RegistrationError, match=r"FLAIR .* could not be brought onto one another[\s\S]*--series FLAIR=-"
    ):
        run_job(prepare_volumes_job({**volumes, "FLAIR": other}, "mixed", PreparationSettings(), device="cpu"))


def test_a_job_that_is_closed_leaves_no_folder(examination, tmp_path):
    from napari_brain_tumor import prepare_job

    job = prepare_job(examination[0], output=tmp_path / "study", device="cpu")
    fractions = [next(job).fraction for _ in range(6)]
    job.close()
    assert fractions == sorted(fractions)
    assert not (tmp_path / "study").exists()


# Restoring ----------------------------------------------------------------------------------------------------------


def place_on(grid, matrix=None):
    return SequencePlace("FLAIR", "flair", grid, None, RigidTransform(np.eye(4) if matrix is None else matrix))


def labels_of(grid, centre, radius):
    data = ball(grid.shape, centre, radius).astype(np.uint8)
    data[ball(grid.shape, centre, radius // 2)] = 3
    return Segmentation(data, grid, name="case")


def test_labels_on_the_grid_that_they_have_are_untouched():
    grid = Grid((20, 22, 18), affine(tilt(15), (1.0, 1.5, 2.0)))
    labels = labels_of(grid, (9, 10, 8), 6)
    restored = restore_labels(labels, place_on(grid))
    np.testing.assert_array_equal(restored.data, labels.data)
    assert restored.provenance["restored"]["round_trip_dice"] == 1


def test_thick_slices_take_a_region_where_half_of_the_voxel_is_covered():
    grid = Grid((30, 30, 30), np.eye(4))
    data = np.zeros(grid.shape, np.uint8)
    data[10:20, 10:20, 8:21] = 2
    thick = Grid((30, 30, 6), np.diag([1.0, 1.0, 5.0, 1.0]) + np.array([[0] * 4] * 2 + [[0, 0, 0, 2]] + [[0] * 4]))
    restored = restore_labels(Segmentation(data, grid), place_on(thick)).data
    # Slices of 5 mm from 5 to 10 (2 of 5 covered), 10 to 15 and 15 to 20 (all), 20 to 25 (1 of 5).
    assert [bool(restored[15, 15, k]) for k in range(6)] == [False, False, True, True, False, False]


def test_volume_is_kept_on_a_tilted_grid_and_the_centre_where_it_was():
    grid = Grid((60, 60, 60), np.eye(4))
    labels = labels_of(grid, (30, 28, 31), 12)
    turned = np.eye(4)
    turned[:3, :3], turned[:3, 3] = tilt(20), (4, -3, 6)
    tilted = Grid((70, 70, 20), turned @ affine(np.eye(3), (1.0, 1.0, 4.0), (-5, -5, -5)))
    told = restore_labels(labels, place_on(tilted, turned)).provenance["restored"]
    assert told["volume_ml"] == pytest.approx(told["prepared_ml"], rel=0.05)
    assert told["centre_mm"] < 0.5


def test_what_a_series_did_not_scan_is_told():
    grid = Grid((40, 40, 40), np.eye(4))
    half = Grid((40, 40, 20), np.eye(4))
    restored = restore_labels(labels_of(grid, (20, 20, 20), 8), place_on(half))
    assert restored.provenance["restored"]["outside_ml"] > 0.5
    assert "was not scanned" in restored.notes[-1]


def test_labels_of_another_grid_and_unknown_series_are_refused():
    grid = Grid((10, 10, 10), np.eye(4))
    study = Study({"T1": np.arange(1000.0).reshape(grid.shape)}, grid)
    made = PreparedStudy(study, "T1", {"T1": place_on(grid)})
    with pytest.raises(RoleError, match="no T2 to put"):
        made.restore(Segmentation(np.zeros(grid.shape, np.uint8), grid), "T2")
    with pytest.raises(RegistrationError, match="Segment the prepared study"):
        made.restore(Segmentation(np.zeros((9, 9, 9), np.uint8), Grid((9, 9, 9), np.eye(4))))


# A brain of one's own, and shading ----------------------------------------------------------------------------------


@pytest.fixture
def raw(tmp_path):
    """The sample in 3 mm as two files on two grids, in a block that is noise around the brain: no background."""
    for role, file, start in (("T1c", "t1ce", 0), ("FLAIR", "flair", 1)):
        whole = nib.load(next(sample_case_folder().glob(f"*_{file}.nii.gz"))).slicer[start::3, ::3, ::3]
        values = np.asarray(whole.dataobj, np.float32)
        values += np.abs(np.random.default_rng(start).normal(0, 0.01 * values.max(), values.shape)).astype(np.float32)
        write_nifti(tmp_path / "exam" / f"{role}.nii.gz", values, whole.affine)
    return tmp_path / "exam"


def own_mask(folder, shape=None):
    """An ellipsoid on the grid of T1c, written beside the examination."""
    image = nib.load(folder / "T1c.nii.gz")
    mask = ball(shape or image.shape, tuple(n / 2 for n in image.shape), 12).astype(np.uint8)
    write_nifti(folder.parent / "mask.nii.gz", mask, image.affine)
    return folder.parent / "mask.nii.gz"


def test_a_mask_of_ones_own_is_taken_from_the_references_grid_and_kept_with_its_hash(raw):
    path = own_mask(raw)
    made = prepare(raw, series={"FLAIR": "-"}, brain=path, device="cpu", output=raw.parent / "study")
    image = nib.load(path)
    grid = Grid(image.shape, image.affine)
    expected = resample(np.asarray(image.dataobj, np.float32), grid, made.study.grid) >= 0.5
    np.testing.assert_array_equal(made.study.brain, expected)
    assert expected.sum() == pytest.approx(27 * np.asarray(image.dataobj).sum(), rel=0.03)
    for array in made.study.sequences.values():
        assert np.ptp(array[~expected]) == 0
        assert np.ptp(array[expected]) > 0
    record = made.record["brain"]
    assert (record["source"], record["sha256"]) == ("mask", file_sha256(path))
    assert made.record["settings"]["brain"] == "mask"
    assert any("by the given mask" in note for note in made.notes)
    np.testing.assert_array_equal(open_prepared(raw.parent / "study").study.brain, expected)


def test_a_mask_on_another_grid_is_refused_and_leaves_nothing(raw):
    path = own_mask(raw, shape=(20, 20, 20))
    with pytest.raises(BrainMaskError, match=r"mask.nii.gz lies on 20x20x20 voxels"):
        prepare(raw, brain=path, device="cpu", output=raw.parent / "study")
    with pytest.raises(BrainMaskError, match=r"shape \(5, 5, 5\)"):
        prepare(raw, brain=np.ones((5, 5, 5), bool), device="cpu")
    assert not (raw.parent / "study").exists()


def test_n4_takes_away_a_shading_that_is_known():
    shape, spacing = (36, 36, 30), (3.0, 3.0, 3.0)
    x, y, _ = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    tissue = np.where(np.random.default_rng(0).random(shape) > 0.5, 100.0, 140.0)
    mask = ball(shape, (18, 18, 15), 14)
    shaded = np.where(mask, tissue * np.exp(0.5 * x - 0.3 * y), 0).astype(np.float32)
    corrected = without_bias_field(shaded, mask, spacing)
    errors = [np.std(np.log(values[mask] / tissue[mask])) for values in (shaded, corrected)]
    assert errors[0] > 0.15
    assert errors[1] < 0.25 * errors[0]
    assert corrected[mask].mean() == pytest.approx(shaded[mask].mean(), rel=1e-4)
    assert not corrected[~mask].any()


@pytest.mark.slow
def test_n4_is_noted_and_changes_no_place(raw):
    volumes = open_sequences(raw).volumes
    places = {role: SequencePlace(role, role, volume.grid, None, STILL) for role, volume in volumes.items()}
    plain, made = (
        run_job(assembled_job(volumes, places, "T1c", "case", PreparationSettings(bias_correction=n4), own_mask(raw)))
        for n4 in (False, True)
    )
    assert made.notes[-1] == "Coil shading (the bias field) was corrected with N4."
    assert made.record["settings"]["bias_correction"]
    assert made.study.grid.same_place(plain.study.grid)
    for role, array in made.study.sequences.items():
        inside = made.study.brain
        ratio = array[inside] / plain.study.sequences[role][inside]
        assert np.ptp(ratio) > 0
        assert np.corrcoef(array[inside], plain.study.sequences[role][inside])[0, 1] > 0.9
        assert np.ptp(array[~inside]) == 0


# What the reference did not scan ------------------------------------------------------------------------------------


def test_corners_that_the_reference_did_not_scan_are_empty_in_every_sequence():
    head = Grid((60, 60, 60), np.eye(4))
    around = head.world((29.5, 29.5, 29.5))
    slab = affine(tilt(20), (1.0, 1.0, 3.0))
    slab[:3, 3] = around - slab[:3, :3] @ ((np.array((50, 50, 10)) - 1) / 2)
    home = Grid((50, 50, 10), slab)
    values = np.random.default_rng(0).normal(500, 20, head.shape).astype(np.float32)
    volumes = {
        "T1c": Volume(
            "t1c", np.linspace(300, 301, 25_000, dtype=np.float32).reshape(home.shape), home, Path("t1c.nii")
        ),
        "FLAIR": Volume("flair", values, head, Path("flair.nii")),
    }
    places = {role: SequencePlace(role, role, volume.grid, None, STILL) for role, volume in volumes.items()}
    settings = PreparationSettings(brain="keep")
    study = run_job(assembled_job(volumes, places, "T1c", "case", settings, "keep")).study
    seen = scanned_part(home, study.grid)
    assert 0.3 < seen.mean() < 0.5
    assert study.sequences["T1c"][seen].min() >= 300 - 1e-3
    assert np.ptp(study.sequences["FLAIR"][~seen]) == 0
    assert study.sequences["FLAIR"][seen].std() > 5
    assert not any("covers" in note for note in study.notes)
