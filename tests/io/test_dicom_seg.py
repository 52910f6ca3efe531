"""DICOM segmentations: where voxels lie, what they mean, who made them, and what they refer to."""

import json
import shutil
import subprocess
from dataclasses import replace

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

import phantoms
from dicom_phantoms import write_stack
from dicom_results import SHAPE, TAGS, made, result_of, tumour, write_source
from napari_brain_tumor import open_segmentation, open_study, save_segmentation
from napari_brain_tumor.errors import LabelSchemaError, SaveError, SourceSeriesError, UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import read_sidecar, recognise
from napari_brain_tumor.labels import class_names_of
from napari_brain_tumor.study import Segmentation

KINDS = (
    "axial",
    "coronal",
    "sagittal",
    "oblique",
    "oblique coronal",
    "enhanced",
    "enhanced with own orientations",
    "enhanced with two stacks",
)
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def saved(tmp_path, kind="oblique", **changes):
    result = made(tmp_path, kind, **changes)
    return result, save_segmentation(result, tmp_path / "seg.dcm")


def world_of(labels, grid, value):
    """World points of the voxels of a class, sorted."""
    points = grid.world(np.argwhere(labels == value))
    return points[np.lexsort(points.round(2).T)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_voxel_lies_where_it_lay_for_highdicom_too(tmp_path, kind):
    result, path = saved(tmp_path, kind)
    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    assert volume.array.shape == SHAPE[::-1]  # slices without labels are there as well
    grid = Grid(volume.array.shape, TO_RAS @ volume.affine)
    for value in (1, 2, 3):
        np.testing.assert_allclose(
            world_of(volume.array, grid, value), world_of(result.data, result.grid, value), atol=1e-3
        )


@pytest.mark.parametrize("kind", [*KINDS, "tilted"])
def test_it_is_opened_again_as_the_same_segmentation(tmp_path, kind):
    result, path = saved(tmp_path, kind)
    again = open_segmentation(path)
    np.testing.assert_array_equal(again.data, result.data)
    assert again.grid.same_place(result.grid, 1e-4)
    assert (again.class_names, again.known_regions) == (result.class_names, result.known_regions)
    assert recognise(path) == "segmentation"


def test_pydicom_finds_each_frame_where_its_slice_was_scanned(tmp_path):
    result, path = saved(tmp_path, "tilted")
    data = pydicom.dcmread(path)
    sources = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, sorted((tmp_path / "source").iterdir()))}
    places = np.array([one.ImagePositionPatient for one in sources.values()], float)
    assert data.NumberOfFrames == 3 * SHAPE[2] == len(data.PerFrameFunctionalGroupsSequence)
    for pixels, group in zip(data.pixel_array, data.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        (k,) = np.flatnonzero(np.linalg.norm(places - position, axis=1) < 1e-6)
        segment = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        np.testing.assert_array_equal(pixels, segment == result.data[:, :, k].T)
        (image,) = group.DerivationImageSequence[0].SourceImageSequence
        assert image.ReferencedSOPInstanceUID == list(sources)[k]


def test_patient_study_and_frame_of_reference_are_those_of_the_source(tmp_path):
    _, path = saved(tmp_path)
    data, source = pydicom.dcmread(path), pydicom.dcmread(tmp_path / "source" / "000.dcm")
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "StudyID", "StudyDate"):
        assert data[keyword].value == source[keyword].value
    assert (data.Modality, data.SegmentationType, data.SegmentsOverlap) == ("SEG", "BINARY", "NO")
    assert data.SeriesInstanceUID != source.SeriesInstanceUID
    (series,) = data.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    uids = [item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence]
    assert sorted(uids) == sorted(pydicom.dcmread(one).SOPInstanceUID for one in (tmp_path / "source").iterdir())
    assert "not for clinical use" in data.ContentDescription


@pytest.mark.parametrize("kind", ["enhanced", "enhanced with two stacks"])
def test_frames_of_a_multi_frame_source_are_named_by_their_number_in_it(tmp_path, kind):
    _, path = saved(tmp_path, kind)
    data, source = pydicom.dcmread(path), pydicom.dcmread(tmp_path / "source" / "one.dcm")
    numbers = set()
    for group in data.PerFrameFunctionalGroupsSequence:
        (image,) = group.DerivationImageSequence[0].SourceImageSequence
        assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
        meant = source.PerFrameFunctionalGroupsSequence[image.ReferencedFrameNumber - 1]
        assert meant.MRImageFrameTypeSequence[0].FrameType[2] == "M"
        np.testing.assert_allclose(
            meant.PlanePositionSequence[0].ImagePositionPatient, group.PlanePositionSequence[0].ImagePositionPatient
        )
        numbers.add(image.ReferencedFrameNumber)
    assert len(numbers) == SHAPE[2]


def code_of(item):
    return item.CodeValue, item.CodingSchemeDesignator


def test_segments_have_the_codes_of_brain_lesions_and_say_who_made_them(tmp_path):
    _, path = saved(tmp_path)
    segments = pydicom.dcmread(path).SegmentSequence
    assert [one.SegmentLabel for one in segments] == ["edema", "non-enhancing", "enhancing"]
    # CID 7169, Brain Lesion Segmentation Type Without Necrosis: DICOM takes two of the three from the NCI Thesaurus.
    meant = [codes.SCT.Edema, codes.NCIt.NonEnhancingLesion, codes.NCIt.EnhancingLesion]
    assert [code_of(one.SegmentedPropertyTypeCodeSequence[0]) for one in segments] == [
        (one.value, one.scheme_designator) for one in meant
    ]
    for one in segments:
        assert code_of(one.SegmentedPropertyCategoryCodeSequence[0]) == ("49755003", "SCT")
        assert code_of(one.AnatomicRegionSequence[0]) == ("12738006", "SCT")
        assert (one.SegmentAlgorithmType, one.SegmentAlgorithmName) == ("AUTOMATIC", "unet")
        (algorithm,) = one.SegmentationAlgorithmIdentificationSequence
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("unet", "1.2.3")
        assert code_of(algorithm.AlgorithmFamilyCodeSequence[0]) == ("123110", "DCM")
        assert f"weights_sha256={'ab' * 32}" in algorithm.AlgorithmParameters


def test_whole_tumour_alone_is_one_neoplasm(tmp_path):
    result = made(tmp_path, class_names=class_names_of(["WT"]), known_regions=("WT",))
    result = replace(result, data=(result.data > 0).astype(np.uint8))
    for path in (
        save_segmentation(result, tmp_path / "binary.dcm"),
        save_segmentation(made(tmp_path), tmp_path / "joined.dcm", schema="LGG-binary"),
    ):
        (segment,) = pydicom.dcmread(path).SegmentSequence
        assert code_of(segment.SegmentedPropertyTypeCodeSequence[0]) == ("108369006", "SCT")
        again = open_segmentation(path)
        np.testing.assert_array_equal(again.data, result.data)
        assert again.known_regions == ("WT",)


def test_necrosis_has_its_code_where_the_schema_has_the_word(tmp_path):
    path = save_segmentation(made(tmp_path), tmp_path / "seg.dcm", schema="GliODIL")
    segments = pydicom.dcmread(path).SegmentSequence
    assert code_of(segments[1].SegmentedPropertyTypeCodeSequence[0]) == ("6574001", "SCT")
    np.testing.assert_array_equal(open_segmentation(path).data, tumour())


def test_regions_that_are_not_known_stay_unknown_and_absent_classes_known(tmp_path):
    source = open_study(write_source(tmp_path / "source", "axial"))
    labels = np.where(tumour() == 2, 1, tumour()).astype(np.uint8)
    without_core = result_of(source, labels, regions=("WT", "ET"))
    again = open_segmentation(save_segmentation(without_core, tmp_path / "a.dcm"))
    assert again.known_regions == ("WT", "ET")
    assert again.class_names == {1: "edema and non-enhancing", 3: "enhancing"}
    np.testing.assert_array_equal(again.data, labels)
    nothing = result_of(source, np.zeros(SHAPE, np.uint8))
    again = open_segmentation(save_segmentation(nothing, tmp_path / "b.dcm"))
    assert again.known_regions == ("WT", "TC", "ET")
    assert not again.data.any()


def test_resection_cavity_goes_out_and_comes_back(tmp_path):
    labels = tumour()
    labels[11, 9, 7] = 4
    again = open_segmentation(save_segmentation(made(tmp_path, data=labels), tmp_path / "seg.dcm"))
    np.testing.assert_array_equal(again.data, labels)
    assert again.class_names[4] == "resection cavity"


@pytest.mark.parametrize(
    ("told", "maker", "name"),
    [
        ({"edited_by_hand": True}, "SEMIAUTOMATIC", "unet"),
        ({"labels_sha256": "0" * 64}, "SEMIAUTOMATIC", "unet"),
        ({"refined": [{}]}, "SEMIAUTOMATIC", "unet"),
        ({"method": "painted by hand"}, "MANUAL", None),
        ({"model": None}, "SEMIAUTOMATIC", "not recorded"),
    ],
)
def test_edited_painted_and_unrecorded_labels_are_said_to_be_so(tmp_path, told, maker, name):
    source = open_study(write_source(tmp_path / "source", "axial"))
    path = save_segmentation(result_of(source, **told), tmp_path / "seg.dcm")
    segment = pydicom.dcmread(path).SegmentSequence[0]
    assert (segment.SegmentAlgorithmType, segment.get("SegmentAlgorithmName")) == (maker, name)


def test_saved_result_of_another_format_is_converted_by_what_its_record_tells(tmp_path):
    result = made(tmp_path)
    nifti = save_segmentation(result, tmp_path / "out" / "seg.nii.gz")
    path = save_segmentation(open_segmentation(nifti), tmp_path / "out" / "seg2.dcm")
    data = pydicom.dcmread(path)
    assert data.SegmentSequence[0].SegmentAlgorithmName == "unet"
    assert data.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"
    np.testing.assert_array_equal(open_segmentation(path).data, result.data)


def test_record_lies_beside_it_and_is_that_of_its_labels(tmp_path):
    _, path = saved(tmp_path)
    record = read_sidecar(path)
    assert record["values"] == {"1": "edema", "2": "non-enhancing", "3": "enhancing"}
    assert record["provenance"]["model"]["name"] == "unet"
    assert "record_disagrees" not in open_segmentation(path).provenance


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("format_name", ["dicom-seg", "rtstruct"])
@pytest.mark.parametrize("kind", ["oblique", "tilted", "enhanced", "enhanced with two stacks"])
def test_dciodvfy_finds_no_error(tmp_path, kind, format_name):
    path = save_segmentation(made(tmp_path, kind), tmp_path / "x.dcm", format=format_name)
    told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
    assert [line for line in told.splitlines() if line.startswith("Error")] == []


# The source ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [np.eye(3), np.diag([1, -1, 1]), np.diag([-1, 1, -1]), np.eye(3)[[1, 2, 0]]])
def test_labels_with_other_axes_go_onto_the_series_that_is_named(tmp_path, order):
    result = made(tmp_path)
    order = np.asarray(order, float)
    axes = [int(np.abs(row).argmax()) for row in order.T]
    flips = tuple(slice(None, None, -1 if order[axis, at] < 0 else 1) for at, axis in enumerate(axes))
    turned = result.data.transpose(axes)[flips]
    step = np.eye(4)
    step[:3, :3] = order
    step[:3, 3] = [SHAPE[axis] - 1 if order[axis].min() < 0 else 0 for axis in range(3)]
    grid = Grid(turned.shape, result.grid.affine @ step)
    other = Segmentation(np.ascontiguousarray(turned), grid, "case")
    with pytest.raises(SourceSeriesError, match="do not come from a DICOM series"):
        save_segmentation(other, tmp_path / "seg.dcm")
    path = save_segmentation(other, tmp_path / "seg.dcm", source=tmp_path / "source")
    np.testing.assert_array_equal(open_segmentation(path).data, result.data)
    assert save_segmentation(other, tmp_path / "x.dcm", source=tmp_path / "source" / "002.dcm").exists()


def test_series_on_another_grid_is_refused_with_the_distance(tmp_path):
    result = made(tmp_path)
    affine = result.grid.affine.copy()
    affine[2, 3] += 1
    moved = replace(result, grid=Grid(SHAPE, affine))
    with pytest.raises(SourceSeriesError, match="lies up to 1 mm beside them"):
        save_segmentation(moved, tmp_path / "seg.dcm", source=tmp_path / "source")
    finer = Segmentation(
        np.zeros((26, 11, 9), np.uint8), Grid((26, 11, 9), result.grid.affine @ np.diag([0.5, 1, 1, 1]))
    )
    with pytest.raises(SourceSeriesError, match="has other voxels"):
        save_segmentation(finer, tmp_path / "seg.dcm", source=tmp_path / "source")
    assert not (tmp_path / "seg.dcm").exists()


def test_rounded_headers_of_converters_are_within_the_tolerance(tmp_path):
    result = made(tmp_path)
    affine = result.grid.affine.astype(np.float32)
    affine[:3, 3] += np.float32(0.02)
    path = save_segmentation(replace(result, grid=Grid(SHAPE, affine)), tmp_path / "seg.dcm")
    assert open_segmentation(path).grid.same_place(result.grid, 1e-4)


def test_of_a_folder_with_several_series_the_one_on_the_grid_is_taken(tmp_path):
    result = made(tmp_path, "axial")
    write_stack(tmp_path / "other", phantoms.noise(SHAPE), uid="2", step=(0, 0, 9), **(TAGS | {"SeriesNumber": 8}))
    plain = replace(result, provenance={})
    shutil.move(tmp_path / "source", tmp_path / "study" / "a")
    shutil.move(tmp_path / "other", tmp_path / "study" / "b")
    data = pydicom.dcmread(save_segmentation(plain, tmp_path / "seg.dcm", source=tmp_path / "study"))
    source = pydicom.dcmread(tmp_path / "study" / "a" / "000.dcm")
    assert data.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID


def test_of_a_resampled_study_the_series_is_taken_whose_grid_it_is(tmp_path):
    write_source(tmp_path / "exam" / "flair", "axial")
    other = TAGS | {"SeriesNumber": 8, "SeriesDescription": "AX T1 POST"}
    write_stack(tmp_path / "exam" / "t1c", phantoms.noise((20, 20, 8)), uid="2", step=(0, 0, 4), **other)
    study = open_study(tmp_path / "exam", resample="FLAIR")
    assert (study.roles, study.resampled) == (("T1c", "FLAIR"), ("T1c",))
    result = result_of(study, resampled=list(study.resampled))
    data = pydicom.dcmread(save_segmentation(result, tmp_path / "seg.dcm"))
    flair = pydicom.dcmread(tmp_path / "exam" / "flair" / "000.dcm")
    assert data.ReferencedSeriesSequence[0].SeriesInstanceUID == flair.SeriesInstanceUID


def test_source_that_is_gone_is_not_dicom_or_has_no_frame_of_reference_is_said(tmp_path):
    result = made(tmp_path)
    shutil.move(tmp_path / "source", tmp_path / "moved")
    with pytest.raises(SourceSeriesError, match=r"is no longer at .*source.*--source"):
        save_segmentation(result, tmp_path / "seg.dcm")
    assert save_segmentation(result, tmp_path / "seg.dcm", source=tmp_path / "moved").exists()
    phantoms.write_nifti(tmp_path / "t1.nii.gz", phantoms.noise())
    with pytest.raises(SourceSeriesError, match="holds no DICOM series"):
        save_segmentation(result, tmp_path / "seg.dcm", source=tmp_path / "t1.nii.gz")
    write_source(tmp_path / "bare", "oblique", FrameOfReferenceUID=None)
    with pytest.raises(SourceSeriesError, match="no frame of reference"):
        save_segmentation(result, tmp_path / "seg.dcm", source=tmp_path / "bare")


def test_scan_is_never_replaced_and_an_earlier_segmentation_is(tmp_path):
    result, path = saved(tmp_path)
    assert save_segmentation(result, path) == path
    scan = tmp_path / "source" / "000.dcm"
    before = scan.read_bytes()
    with pytest.raises(SaveError, match="holds no segmentation"):
        save_segmentation(result, scan)
    assert scan.read_bytes() == before
    with pytest.raises(SaveError, match="already exists"):
        save_segmentation(result, path, overwrite=False)


def test_segmentation_within_the_study_does_not_hinder_opening_it(tmp_path):
    result = made(tmp_path)
    save_segmentation(result, tmp_path / "source" / "seg.dcm")
    study = open_study(tmp_path / "source")
    assert study.roles == ("FLAIR",)
    assert any("it is a segmentation: seg.dcm" in note for note in study.notes)


# Objects of others --------------------------------------------------------------------------------------------------


def foreign(tmp_path, labels, descriptions, kind="BINARY", **options):
    """As another program that uses highdicom would write it, without frames that hold nothing."""
    source = write_source(tmp_path / "source", "oblique")
    images = [pydicom.dcmread(one) for one in sorted(source.iterdir())]
    for image in images:
        image.PatientBirthDate = image.PatientSex = ""
    described = [
        highdicom.seg.SegmentDescription(
            number,
            label,
            codes.SCT.MorphologicallyAbnormalStructure,
            code,
            "MANUAL",
        )
        for number, (label, code) in enumerate(descriptions, 1)
    ]
    data = highdicom.seg.Segmentation(
        images, labels, kind, described, highdicom.UID(), 1, highdicom.UID(), 1, "x", "x", "1", "1", **options
    )
    data.save_as(tmp_path / "theirs.dcm")
    return open_study(source).grid, tmp_path / "theirs.dcm"


def test_slices_without_frames_hold_nothing_also_between_two_tumours(tmp_path):
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:4, 2:4, 2], labels[5:7, 3:5, 6] = 1, 2
    parts = [("Edema", codes.SCT.Edema), ("ET", codes.NCIt.EnhancingLesion)]
    grid, path = foreign(tmp_path, np.ascontiguousarray(labels.transpose(2, 1, 0)), parts)
    found = open_segmentation(path)
    assert found.grid.shape == (13, 11, 5)
    np.testing.assert_array_equal(found.data, np.where(labels == 2, 3, labels)[:, :, 2:7])
    np.testing.assert_allclose(found.grid.world([0, 0, 0]), grid.world([0, 0, 2]), atol=1e-3)
    np.testing.assert_allclose(found.grid.world([3, 2, 4]), grid.world([3, 2, 6]), atol=1e-3)


def test_nested_regions_that_overlap_become_classes(tmp_path):
    labels = tumour()
    stacked = np.stack([labels > 0, labels > 1, labels > 2], axis=-1).transpose(2, 1, 0, 3).astype(np.uint8)
    parts = [(name, codes.SCT.Neoplasm) for name in ("Whole tumor", "Tumor core", "Enhancing tumor")]
    _, path = foreign(tmp_path, np.ascontiguousarray(stacked), parts, omit_empty_frames=False)
    found = open_segmentation(path)
    np.testing.assert_array_equal(found.data, labels)
    assert found.known_regions == ("WT", "TC", "ET")


@pytest.mark.parametrize("kind", ["FRACTIONAL", "LABELMAP"])
def test_probabilities_and_label_maps_are_read(tmp_path, kind):
    labels = tumour()
    parts = [("Edema", codes.SCT.Edema), ("Necrosis", codes.SCT.Necrosis), ("ET", codes.NCIt.EnhancingLesion)]
    array = np.ascontiguousarray(labels.transpose(2, 1, 0))
    if kind == "FRACTIONAL":
        array = np.stack([0.4 + 0.2 * (array == value) for value in (1, 2, 3)], axis=-1).astype(np.float32)
    _, path = foreign(tmp_path, array, parts, kind, omit_empty_frames=False)
    found = open_segmentation(path)
    np.testing.assert_array_equal(found.data, labels)
    assert any("probabilities" in note for note in found.notes) == (kind == "FRACTIONAL")


def test_segments_that_leave_open_what_they_mean_are_a_question_that_can_be_answered(tmp_path):
    labels = np.where(tumour() > 1, 2, tumour()).astype(np.uint8)
    parts = [("Mass A", codes.SCT.Mass), ("Edema", codes.SCT.Edema)]
    _, path = foreign(tmp_path, np.ascontiguousarray(labels.transpose(2, 1, 0)), parts, omit_empty_frames=False)
    with pytest.raises(
        LabelSchemaError, match=r"segments of theirs.dcm do not state what they mean.*1 'tumour', 2 'edema'"
    ):
        open_segmentation(path)
    found = open_segmentation(path, "1=enhancing,2=edema")
    np.testing.assert_array_equal(found.data, np.where(labels == 1, 3, np.where(labels == 2, 1, 0)))


@pytest.mark.parametrize("cut", [600, 2000, -40])
def test_damaged_object_is_refused_by_name(tmp_path, cut):
    _, path = saved(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    with pytest.raises(UnreadableFileError, match=r"seg\.dcm"):
        open_segmentation(path)


def test_json_of_the_record_is_plain(tmp_path):
    _, path = saved(tmp_path)
    assert json.loads((tmp_path / "seg.json").read_text())["file"] == path.name
