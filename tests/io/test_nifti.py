import gzip

import nibabel as nib
import numpy as np
import pytest

import phantoms
from napari_brain_tumor import labels
from napari_brain_tumor.errors import (
    BrainTumorError,
    DimensionError,
    IntensityError,
    LabelSchemaError,
    UnreadableFileError,
)
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import nifti, open_segmentation, open_study, save_segmentation, write_nifti
from napari_brain_tumor.io.source_files import source_files
from napari_brain_tumor.study import NiftiForms, Segmentation

MARK = (5, 1, 3)


def marked(shape=(7, 6, 5)):
    array = phantoms.noise(shape)
    array[MARK] = 1000
    return array


def read_one(path):
    (volume,) = nifti.read_nifti(path)
    return volume


@pytest.mark.parametrize("order", phantoms.axis_orders(), ids=lambda m: "".join(nib.aff2axcodes(phantoms.affine(m))))
@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (2, 0)], ids=["both", "qform", "sform"])
def test_voxel_ends_at_its_world_point_in_every_axis_order(tmp_path, order, codes):
    matrix = phantoms.affine(order, (0.5, 1.25, 6.0), (-31.5, 12.25, 77.0))
    sform_code, qform_code = codes
    path = phantoms.write_nifti(
        tmp_path / "x_flair.nii.gz", marked(), matrix, sform_code=sform_code, qform_code=qform_code
    )
    study = open_study(path)
    where = np.unravel_index(study.sequences["FLAIR"].argmax(), study.grid.shape)
    expected = matrix @ (*MARK, 1)
    np.testing.assert_allclose(study.grid.world(where), expected[:3], atol=1e-4)
    assert study.grid.unit == "mm"


@pytest.mark.parametrize("codes", [(1, 0), (0, 1)])
def test_oblique_anisotropic_voxel_ends_at_its_world_point(tmp_path, codes):
    matrix = phantoms.affine(phantoms.tilt() @ phantoms.axis_orders()[13], (0.47, 0.9, 5.5))
    path = phantoms.write_nifti(tmp_path / "x_t1.nii", marked(), matrix, sform_code=codes[0], qform_code=codes[1])
    study = open_study(path)
    assert study.grid.is_oblique
    np.testing.assert_allclose(study.grid.world(MARK), (matrix @ (*MARK, 1))[:3], atol=1e-4)
    np.testing.assert_allclose(study.grid.spacing_mm, (0.47, 0.9, 5.5), rtol=1e-5)


@pytest.mark.parametrize(("stated", "told"), [((5, 5, 5), True), ((1, 1, 1), False), ((2, 2, 4), False)])
def test_voxel_sizes_that_the_matrix_contradicts_are_noted(tmp_path, stated, told):
    path = phantoms.write_nifti(
        tmp_path / "x_t1.nii", phantoms.noise((20, 20, 20)), np.diag((2.0, 2, 4, 1)), qform_code=0
    )
    with path.open("r+b") as file:
        file.seek(80)
        file.write(np.array(stated, "<f4").tobytes())
    volume = read_one(path)
    assert volume.grid.spacing == (2, 2, 4)
    assert any("is 5x5x5 mm, that of its matrix 2x2x4 mm" in note for note in volume.notes) == told


def test_sform_wins_over_qform_and_a_disagreement_is_noted(tmp_path):
    image = nib.Nifti1Image(phantoms.noise(), None)
    image.header.set_qform(phantoms.affine(origin=(9, 9, 9)), 1)
    image.header.set_sform(phantoms.affine(), 2)
    image._affine = phantoms.affine()
    nib.save(image, tmp_path / "x_t1.nii")
    volume = read_one(tmp_path / "x_t1.nii")
    np.testing.assert_allclose(volume.grid.affine, phantoms.affine())
    assert any("disagree" in note for note in volume.notes)
    assert isinstance(volume.layout, NiftiForms)
    assert (volume.layout.sform_code, volume.layout.qform_code) == (2, 1)
    np.testing.assert_allclose(volume.layout.qform, phantoms.affine(origin=(9, 9, 9)))


def test_header_without_orientation_uses_voxel_sizes_and_says_so(tmp_path):
    matrix = phantoms.affine(spacing=(2, 3, 4))
    path = phantoms.write_nifti(tmp_path / "x_t1.nii", phantoms.noise(), matrix, sform_code=0, qform_code=0)
    volume = read_one(path)
    np.testing.assert_allclose(volume.grid.affine, nib.load(path).affine)
    assert volume.grid.unit == "mm"
    assert volume.grid.spacing == (2, 3, 4)
    assert any("no orientation" in note for note in volume.notes)


def test_header_that_nobody_filled_in_gives_no_false_millimetres(tmp_path):
    nib.save(nib.Nifti1Image(phantoms.noise(), None), tmp_path / "x_t1.nii")
    assert read_one(tmp_path / "x_t1.nii").grid.unit == "voxel"


@pytest.mark.parametrize(("unit", "factor"), [("micron", 1000.0), ("meter", 0.001), ("unknown", 1.0), ("mm", 1.0)])
def test_units_of_length_become_millimetres(tmp_path, unit, factor):
    matrix = phantoms.affine(spacing=(2, 3, 4))
    in_unit = np.diag([factor, factor, factor, 1]) @ matrix
    path = phantoms.write_nifti(tmp_path / "x_t1.nii", phantoms.noise(), in_unit, unit=unit)
    volume = read_one(path)
    np.testing.assert_allclose(volume.grid.affine, matrix, rtol=1e-6)
    np.testing.assert_allclose(volume.layout.sform, matrix, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_values_and_dtype_stay_as_in_the_file(tmp_path, dtype, suffix):
    array = phantoms.noise(dtype=dtype)
    volume = read_one(phantoms.write_nifti(tmp_path / f"x_t1{suffix}", array))
    assert volume.array.dtype == dtype
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.flags.writeable


def test_scaling_of_the_header_is_applied(tmp_path):
    image = nib.Nifti1Image(phantoms.noise(), phantoms.affine())
    image.header.set_slope_inter(0.25, -3)
    nib.save(image, tmp_path / "x_t1.nii")
    # nibabel would scale the values back when it saves; the stored integers are what counts.
    with open(tmp_path / "x_t1.nii", "r+b") as file:
        file.seek(112)
        file.write(np.array([0.25, -3], "<f4").tobytes())
    volume = read_one(tmp_path / "x_t1.nii")
    np.testing.assert_allclose(volume.array, nib.load(tmp_path / "x_t1.nii").get_fdata())
    assert volume.array.dtype.kind == "f"


def test_big_endian_and_nifti2_files_read_the_same(tmp_path):
    array = phantoms.noise()
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nib.save(nib.Nifti1Image(array, phantoms.affine(), header), tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes()[:4] == (348).to_bytes(4, "big")
    nib.save(nib.Nifti2Image(array, phantoms.affine()), tmp_path / "b.nii.gz")
    for name in ("a.nii", "b.nii.gz"):
        volume = read_one(tmp_path / name)
        np.testing.assert_array_equal(volume.array, array)
        assert volume.array.dtype == np.int16
        assert volume.array.dtype.isnative
        np.testing.assert_allclose(volume.grid.affine, phantoms.affine())


def test_trailing_singleton_is_a_3d_image(tmp_path):
    array = phantoms.noise((7, 6, 5, 1))
    volume = read_one(phantoms.write_nifti(tmp_path / "x_t1.nii", array))
    np.testing.assert_array_equal(volume.array, array[..., 0])


def test_4d_file_gives_one_image_per_volume(tmp_path):
    array = phantoms.noise((7, 6, 5, 3))
    volumes = nifti.read_nifti(phantoms.write_nifti(tmp_path / "x.nii.gz", array))
    assert [v.channel for v in volumes] == [0, 1, 2]
    for i, volume in enumerate(volumes):
        np.testing.assert_array_equal(volume.array, array[..., i])


@pytest.mark.parametrize("shape", [(7, 6), (7,), (7, 6, 5, 1, 2), (7, 6, 5, 2, 2)])
def test_wrong_number_of_dimensions_is_refused_with_the_shape(tmp_path, shape):
    path = phantoms.write_nifti(tmp_path / "x_t1.nii", phantoms.noise(shape))
    with pytest.raises(DimensionError, match=str(len(shape))):
        nifti.read_nifti(path)


@pytest.mark.parametrize("dtype", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
def test_complex_and_colour_values_are_refused(tmp_path, dtype):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), dtype), np.eye(4)), tmp_path / "x_t1.nii")
    with pytest.raises(UnreadableFileError, match=r"complex|colour"):
        nifti.read_nifti(tmp_path / "x_t1.nii")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_counted(tmp_path, value):
    array = phantoms.noise(dtype=np.float32)
    array[0, 0, :3] = value
    with pytest.raises(IntensityError, match="3 NaN or infinite values of 210"):
        open_study(phantoms.write_nifti(tmp_path / "x_t1.nii.gz", array))


def test_sequence_of_one_value_is_refused(tmp_path):
    with pytest.raises(IntensityError, match="every voxel is 0"):
        open_study(phantoms.write_nifti(tmp_path / "x_t1.nii.gz", np.zeros((4, 4, 4), np.int16)))


@pytest.mark.parametrize("keep", [0.3, 0.9, -4])
def test_truncated_gzip_is_refused(tmp_path, keep):
    path = phantoms.write_nifti(tmp_path / "x_t1.nii.gz", phantoms.noise((20, 20, 20)))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep) if keep > 0 else keep])
    with pytest.raises(UnreadableFileError, match="damaged gzip"):
        open_study(path)


def test_changed_byte_in_gzip_is_found_by_its_checksum(tmp_path):
    path = tmp_path / "x_t1.nii.gz"
    plain = phantoms.write_nifti(tmp_path / "plain.nii", phantoms.noise((20, 20, 20))).read_bytes()
    content = bytearray(gzip.compress(plain, compresslevel=0))
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"x_t1.nii.gz is a damaged gzip"):
        open_study(path)


def test_truncated_plain_file_tells_both_sizes(tmp_path):
    path = phantoms.write_nifti(tmp_path / "x_t1.nii", phantoms.noise((10, 10, 10)))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UnreadableFileError, match=r"promises 2000 bytes.*holds 1500"):
        open_study(path)


@pytest.mark.parametrize(
    ("offset", "content"),
    [
        (40, b"\x09\x00"),
        (42, b"\xff\xff"),
        (42, b"\0\0"),
        (70, b"\x99\x77"),
        (344, b"junk"),
        (108, b"\0\0\xc0\x7f"),
    ],
    ids=["ndim", "negative", "zero", "dtype", "magic", "offset-nan"],
)  # fmt: skip
def test_ruined_header_is_refused(tmp_path, offset, content):
    path = phantoms.write_nifti(tmp_path / "x_t1.nii", phantoms.noise())
    whole = bytearray(path.read_bytes())
    whole[offset : offset + len(content)] = content
    path.write_bytes(whole)
    with pytest.raises((UnreadableFileError, DimensionError), match=r"x_t1\.nii"):
        open_study(path)


def test_matrix_without_volume_is_refused(tmp_path):
    path = phantoms.write_nifti(tmp_path / "x_t1.nii", phantoms.noise())
    whole = bytearray(path.read_bytes())
    whole[280:328] = bytes(48)
    path.write_bytes(whole)
    with pytest.raises(UnreadableFileError, match="damaged header"):
        open_study(path)


@pytest.mark.parametrize("content", [b"", b"not an image at all", b"\x1f\x8b"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_empty_and_foreign_files_are_refused(tmp_path, content, suffix):
    path = tmp_path / f"x_t1{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match="x_t1"):
        open_study(path)
    with pytest.raises(UnreadableFileError, match="x_t1"):
        nifti.read_nifti_header(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"gone.nii.gz does not exist"):
        open_study(tmp_path / "gone.nii.gz")


def test_thin_head_is_noted_as_perhaps_false_spacing(tmp_path):
    path = phantoms.write_nifti(tmp_path / "x_t1.nii.gz", phantoms.noise((64, 64, 24)))
    assert any("24 mm thick" in note for note in open_study(path).notes)


def test_header_alone_tells_shape_and_grid(tmp_path):
    path = phantoms.write_nifti(tmp_path / "x.nii.gz", phantoms.noise((7, 6, 5, 4)))
    header = nifti.read_nifti_header(path)
    assert header.shape == (7, 6, 5, 4)
    np.testing.assert_allclose(header.grid.affine, phantoms.affine())


@pytest.mark.real_data
def test_real_case_reads_the_same_values_as_nibabel(real_data):
    folder = real_data / "cases" / "brats2018" / "Brats18_TCIA02_135_1"
    study = open_study(folder)
    for role, suffix in phantoms.BRATS_ROLES.items():
        image = nib.load(folder / f"{folder.name}_{suffix}.nii.gz")
        np.testing.assert_array_equal(study.sequences[role], np.asarray(image.dataobj))
        np.testing.assert_array_equal(study.grid.affine, image.affine)


@pytest.mark.real_data
def test_real_odd_label_types_become_our_classes(real_data):
    for path in sorted((real_data / "cases" / "brats2024_post_treatment_labels").glob("*.nii.gz")):
        values = np.asarray(nib.load(path).dataobj)
        result = open_segmentation(path)
        assert result.data.dtype == np.uint8
        for theirs, ours in {1: 2, 2: 1, 3: 3, 4: 4}.items():
            np.testing.assert_array_equal(result.data == ours, values == theirs)


# Headers that are odd, and files that promise something else --------------------------------------------------------


def patched(path, offset, content):
    whole = bytearray(path.read_bytes())
    whole[offset : offset + len(content)] = content
    path.write_bytes(whole)
    return path


HALF_TURN = np.array([[0, 1.2, 0, -20], [1.2, 0, 0, -30], [0, 0, -1.5, 40], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    "quaternion",
    [(0.7072, 0.7072, 0), (0.71, 0.71, 0), (np.nan, 0, 0), (np.inf, 0, 0), (7, 8, 9)],
    ids=["four digits", "two digits", "nan", "inf", "wild"],
)
def test_a_quaternion_that_does_not_count_refuses_nothing(tmp_path, quaternion):
    path = phantoms.write_nifti(tmp_path / "x_flair.nii", phantoms.noise(), HALF_TURN)
    patched(path, 256, np.array(quaternion, "<f4").tobytes())
    study = open_study(path)
    np.testing.assert_allclose(study.grid.affine, HALF_TURN, atol=1e-5)
    assert any("qform" in note for note in study.notes) == (quaternion[0] not in (0.7072, 0.71))


def test_a_rounded_quaternion_that_counts_is_made_whole(tmp_path):
    path = phantoms.write_nifti(tmp_path / "x_flair.nii", phantoms.noise(), HALF_TURN, sform_code=0)
    patched(path, 256, np.array((0.7072, 0.7072, 0), "<f4").tobytes())
    np.testing.assert_allclose(read_one(path).grid.affine, HALF_TURN, atol=1e-3)
    patched(path, 256, np.array((7, 8, 9), "<f4").tobytes())
    with pytest.raises(UnreadableFileError, match="not that of a rotation"):
        open_study(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_sform_that_does_not_count_refuses_nothing_and_a_result_can_be_saved(tmp_path, value):
    matrix = phantoms.affine(spacing=(2, 3, 4))
    path = phantoms.write_nifti(tmp_path / "x_flair.nii", phantoms.noise(), matrix, sform_code=0)
    patched(path, 280, np.full(12, value, "<f4").tobytes())
    volume = read_one(path)
    np.testing.assert_allclose(volume.grid.affine, matrix, atol=1e-5)
    saved = save_segmentation(Segmentation(phantoms.tumour(), volume.grid, layout=volume.layout), tmp_path / "s.nii.gz")
    np.testing.assert_allclose(nib.load(saved).affine, matrix, atol=1e-5)


def test_a_voxel_size_of_zero_is_none(tmp_path):
    path = phantoms.write_nifti(tmp_path / "x_flair.nii", phantoms.noise(), sform_code=0)
    patched(path, 88, np.array([0], "<f4").tobytes())
    volume = read_one(path)
    assert volume.grid.unit == "voxel"
    assert any("voxel size" in note for note in volume.notes)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e30, 1e30, 8, 1e6])
def test_an_offset_that_cannot_be_is_refused(tmp_path, value, suffix):
    path = phantoms.write_nifti(tmp_path / "x_flair.nii", phantoms.noise())
    patched(path, 108, np.array([value], "<f4").tobytes())
    if suffix == ".nii.gz":
        path.with_name("x_flair.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(UnreadableFileError, match="x_flair"):
        open_study(path.with_name(f"x_flair{suffix}"))


@pytest.mark.parametrize("dims", [(2**62, 4, 4), (2**33, 2**33, 2**33), (2**40, 1, 1), (-4, 4, 4), (2**63 - 1,) * 3])
def test_sizes_whose_product_overflows_are_refused(tmp_path, dims):
    for name in ("x_flair.nii", "x_flair.nii.gz"):
        path = tmp_path / name
        nib.save(nib.Nifti2Image(phantoms.noise(), phantoms.affine()), tmp_path / "plain.nii")
        patched(tmp_path / "plain.nii", 24, np.array(dims, "<i8").tobytes())
        content = (tmp_path / "plain.nii").read_bytes()
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        with pytest.raises(UnreadableFileError, match="x_flair"):
            open_study(path)


def test_extensions_of_the_header_are_passed_over(tmp_path):
    image = nib.Nifti1Image(phantoms.noise(), phantoms.affine())
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"a comment of some length" * 400))
    for name in ("x_t1.nii", "x_t1.nii.gz"):
        nib.save(image, tmp_path / name)
        np.testing.assert_array_equal(read_one(tmp_path / name).array, phantoms.noise())


@pytest.mark.parametrize("slope", [np.nan, 0.0])
def test_a_slope_that_is_none_scales_nothing(tmp_path, slope):
    path = phantoms.write_nifti(tmp_path / "x_t1.nii", phantoms.noise())
    patched(path, 112, np.array([slope], "<f4").tobytes())
    np.testing.assert_array_equal(read_one(path).array, phantoms.noise())


@pytest.mark.parametrize("beside", [1.00000002, 2.0004, 2.9995])
def test_labels_that_a_scaling_left_beside_whole_numbers_are_labels(tmp_path, beside):
    labels = phantoms.tumour().astype(np.float64)
    labels[labels == round(beside)] = beside
    path = phantoms.write_nifti(tmp_path / "x_seg.nii.gz", labels)
    np.testing.assert_array_equal(open_segmentation(path, "MSD").data, phantoms.tumour())


@pytest.mark.parametrize(("beside", "told"), [(1.002, r"1\.002"), (0.5, r"0\.5"), (2.99, r"2\.99")])
def test_values_further_from_whole_numbers_are_no_labels(tmp_path, beside, told):
    labels = phantoms.tumour().astype(np.float64)
    labels[3, 1, 0] = beside
    with pytest.raises(LabelSchemaError, match=rf"1 values that are not whole numbers, such as {told}"):
        open_segmentation(phantoms.write_nifti(tmp_path / "x_seg.nii.gz", labels), "MSD")


def test_no_mutation_of_a_file_ends_in_a_traceback_or_in_other_values(tmp_path):
    """Seeded; what a checksum covers is refused or the same."""
    random = np.random.default_rng(0)
    values = phantoms.noise()
    plain = phantoms.write_nifti(tmp_path / "plain.nii", values).read_bytes()
    packed = gzip.compress(plain, mtime=0)
    for turn in range(300):
        name, content = ("x_t1.nii", plain) if turn % 2 else ("x_t1.nii.gz", packed)
        mutant = bytearray(content)
        for at in random.integers(0, min(len(mutant), 360), int(random.integers(1, 4))):
            mutant[at] = int(random.integers(0, 256))
        (tmp_path / name).write_bytes(mutant if turn % 5 else mutant[: int(random.integers(0, len(mutant)))])
        try:
            (volume, *_) = nifti.read_nifti(tmp_path / name)
        except BrainTumorError:
            continue
        if name.endswith(".gz"):
            np.testing.assert_array_equal(volume.array, values)


# Pairs of header and voxels ------------------------------------------------------------------------------------------


def write_pair(folder, name="case_flair", kind=nib.Nifti1Pair, packed=""):
    values = np.random.default_rng(3).integers(0, 900, (7, 6, 5)).astype(np.int16)
    affine = np.array([[-1.5, 0, 0, 20], [0, 0, 2, -30], [0, 1.25, 0, 4], [0, 0, 0, 1]])
    image = kind(values, affine)
    image.set_sform(affine, 1)
    image.header.set_xyzt_units("mm")
    nib.save(image, folder / f"{name}.hdr{packed}")
    return values, affine


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.Nifti2Pair])
def test_a_pair_is_read_by_either_of_its_names(tmp_path, kind, packed):
    values, affine = write_pair(tmp_path, kind=kind, packed=packed)
    for end in (".hdr", ".img"):
        study = open_study(tmp_path / f"case_flair{end}{packed}")
        np.testing.assert_array_equal(study.sequences["FLAIR"], values)
        np.testing.assert_allclose(study.grid.affine, affine)
        (source,) = study.sources.values()
        assert [path.name for path in source_files(source)] == [f"case_flair.hdr{packed}", f"case_flair.img{packed}"]


def test_a_folder_of_pairs_is_a_study(tmp_path):
    write_pair(tmp_path, "p1_t1c")
    write_pair(tmp_path, "p1_flair")
    assert open_study(tmp_path).roles == ("T1c", "FLAIR")


def test_the_voxels_of_a_pair_are_read_no_further_than_promised(tmp_path):
    write_pair(tmp_path)
    image = tmp_path / "case_flair.img"
    image.write_bytes(image.read_bytes()[:-1])
    with pytest.raises(UnreadableFileError, match=r"case_flair.img is cut short"):
        open_study(tmp_path / "case_flair.hdr")


def test_a_header_without_its_voxels_and_analyze_are_refused(tmp_path):
    write_pair(tmp_path)
    (tmp_path / "case_flair.img").rename(tmp_path / "other.img")
    with pytest.raises(UnreadableFileError, match="a header without voxels"):
        open_study(tmp_path / "case_flair.hdr")
    nib.save(nib.AnalyzeImage(np.ones((4, 4, 4), np.int16), np.eye(4)), tmp_path / "old_t2.hdr")
    with pytest.raises(UnreadableFileError, match=r"Analyze 7.5, which does not distinguish left from right"):
        open_study(tmp_path / "old_t2.hdr")


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_large_file_is_compared_some_slices_at_a_time(tmp_path, monkeypatch, ending):
    values = np.random.default_rng(0).integers(0, 4, (5, 6, 40)).astype(np.uint8)
    monkeypatch.setattr(write_nifti, "_LARGE_VOXELS", 10)
    monkeypatch.setattr(labels, "_SLAB_VOXELS", 100)
    assert len(list(labels.slabs_of(values))) > 10
    path = tmp_path / f"large{ending}"
    write_nifti.write_nifti(values, Grid(values.shape, np.eye(4)), None, path)
    assert write_nifti._holds(path, values)
    values[4, 5, 39] += 1
    assert not write_nifti._holds(path, values)
