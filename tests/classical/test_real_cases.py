import pytest

from napari_brain_tumor import open_segmentation, open_study, segment
from napari_brain_tumor.classical.registry import BASELINES
from napari_brain_tumor.metrics.overlap import region_dice

pytestmark = pytest.mark.real_data


@pytest.mark.slow
@pytest.mark.parametrize("method", BASELINES)
def test_lesions_of_multiple_sclerosis_are_no_tumour(real_data, method):
    (case,) = (real_data / "cases" / "multiple_sclerosis_control").iterdir()
    assert not segment(open_study(case), method).data.any()


@pytest.mark.slow
@pytest.mark.parametrize("method", BASELINES)
def test_a_large_glioma_is_found(real_data, method):
    case = real_data / "cases" / "brats2018" / "Brats18_TCIA02_135_1"
    scores = region_dice(open_segmentation(next(case.glob("*_seg.nii.gz"))), segment(open_study(case), method))
    assert scores["WT"] > 0.8
    assert scores["ET"] > 0.6


@pytest.mark.parametrize("method", BASELINES)
def test_a_tumour_is_found_in_a_head_on_slices_without_spacing(real_data, method):
    case = real_data / "cases" / "kaggle_tif_original" / "TCGA_CS_4941_19960909"
    assert region_dice(open_segmentation(case), segment(open_study(case), method))["WT"] > 0.7
