"""RT structure sets: what a planning system fills in is what was marked."""

import numpy as np
import pydicom
import pytest
from scipy import ndimage
from skimage.draw import polygon2mask

from dicom_results import SHAPE, made
from napari_brain_tumor import open_study, save_segmentation
from napari_brain_tumor.errors import SaveError, SourceSeriesError, UnreadableFileError
from napari_brain_tumor.io.dicom.contours import closed_contours
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.study import Segmentation

TO_LPS = np.array([-1.0, -1.0, 1.0])


def saved(tmp_path, kind="oblique", **options):
    result = made(tmp_path, kind)
    path = save_segmentation(result, tmp_path / "rt.dcm", format="rtstruct", **options)
    return result, pydicom.dcmread(path)


def filled(outlines, grid):
    """The voxels whose centres lie within the contours, each of which is filled by itself and added."""
    mask = np.zeros(grid.shape, bool)
    for contour in outlines.ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        voxels = grid.voxels(points * TO_LPS)
        (k,) = set(voxels[:, 2].round().astype(int))
        assert np.abs(voxels[:, 2] - k).max() < 1e-3  # in the plane of the slice
        mask[:, :, k] |= polygon2mask(grid.shape[:2], voxels[:, :2])
    return mask


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize("kind", ["axial", "coronal", "sagittal", "oblique", "tilted", "enhanced"])
def test_filled_contours_are_the_regions(tmp_path, kind):
    result, data = saved(tmp_path, kind)
    names = [one.ROIName for one in data.StructureSetROISequence]
    assert names == ["WT whole tumour", "TC tumour core", "ET enhancing tumour"]
    for region, outlines in zip(REGIONS, data.ROIContourSequence, strict=True):
        meant = np.isin(result.data, REGIONS[region])
        assert dice(filled(outlines, result.grid), meant) == 1
    assert all(c.ContourGeometricType == "CLOSED_PLANAR" for o in data.ROIContourSequence for c in o.ContourSequence)


def test_contours_refer_to_their_slices_and_to_the_frame_of_reference(tmp_path):
    result, data = saved(tmp_path)
    sources = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, (tmp_path / "source").iterdir())}
    (frame,) = data.ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    first = next(iter(sources.values()))
    assert frame.FrameOfReferenceUID == first.FrameOfReferenceUID == data.FrameOfReferenceUID
    assert study.ReferencedSOPInstanceUID == first.StudyInstanceUID == data.StudyInstanceUID
    assert series.SeriesInstanceUID == first.SeriesInstanceUID
    assert {image.ReferencedSOPInstanceUID for image in series.ContourImageSequence} == set(sources)
    assert data.PatientID == first.PatientID
    for outlines in data.ROIContourSequence:
        for contour in outlines.ContourSequence:
            image = sources[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            normal = np.cross(image.ImageOrientationPatient[:3], image.ImageOrientationPatient[3:])
            away = (np.array(contour.ContourData, float).reshape(-1, 3) - image.ImagePositionPatient) @ normal
            assert np.abs(away).max() < 1e-3
    assert {one.ROIGenerationAlgorithm for one in data.StructureSetROISequence} == {"AUTOMATIC"}
    assert data.ApprovalStatus == "UNAPPROVED"
    assert result.data.any()


def test_frame_numbers_are_those_of_the_multi_frame_source(tmp_path):
    _, data = saved(tmp_path, "enhanced")
    source = pydicom.dcmread(tmp_path / "source" / "one.dcm")
    for contour in data.ROIContourSequence[0].ContourSequence:
        group = source.PerFrameFunctionalGroupsSequence[contour.ContourImageSequence[0].ReferencedFrameNumber - 1]
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        row_column = source.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
        normal = np.cross(row_column[:3], row_column[3:])
        assert np.abs((points - group.PlanePositionSequence[0].ImagePositionPatient) @ normal).max() < 1e-3


def test_regions_on_request_and_nothing_to_outline(tmp_path):
    result, data = saved(tmp_path, regions=["ET"])
    assert [one.ROIName for one in data.StructureSetROISequence] == ["ET enhancing tumour"]
    empty = Segmentation(np.zeros(SHAPE, np.uint8), result.grid, provenance=result.provenance)
    with pytest.raises(SaveError, match="contain no WT, TC, ET"):
        save_segmentation(empty, tmp_path / "none.dcm", format="rtstruct")
    with pytest.raises(SourceSeriesError):
        save_segmentation(Segmentation(result.data, result.grid), tmp_path / "none.dcm", format="rtstruct")
    with pytest.raises(SaveError, match="does not have a suffix of the format rtstruct"):
        save_segmentation(result, tmp_path / "x.nii.gz", format="rtstruct")


def test_structure_set_within_a_study_does_not_hinder_opening_it(tmp_path):
    result = made(tmp_path)
    path = save_segmentation(result, tmp_path / "source" / "rt.dcm", format="rtstruct")
    assert open_study(tmp_path / "source").roles == ("FLAIR",)
    with pytest.raises(UnreadableFileError, match="contours"):
        open_study(path)


# Outlines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_outlines_of_any_mask_hold_its_pixels_and_no_others(seed):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(40, 31)), 1.2 if seed % 2 else 0.4)
    mask = smooth > 0  # with holes in holes, single pixels, and pixels that touch at a corner
    filled = np.zeros(mask.shape, bool)
    for curve in closed_contours(mask):
        filled |= polygon2mask(mask.shape, curve)
    np.testing.assert_array_equal(filled, mask)


def test_a_hole_is_cut_out_of_the_one_outline_around_it():
    mask = np.ones((9, 9), bool)
    mask[3:6, 2:7] = False
    mask[4, 4] = True
    outline, island = sorted(closed_contours(mask), key=len, reverse=True)
    assert (len(closed_contours(np.ones((9, 9), bool))), len(island)) == (1, 4)
    assert not polygon2mask(mask.shape, outline)[3:6, 2:7].any()
