"""Real cases of two formats, segmented by a method without weights and computed again from the sidecar."""

import pytest

from napari_brain_tumor import open_study, rerun, save_segmentation, segment


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("cases", "spacing_mm", "suffix"),
    [("glioma3d/imagesTr/*", None, ".nii.gz"), ("lgg_tif/TCGA*", (1, 1, 5), ".tif"), ("lgg_tif/TCGA*", None, "")],
)
def test_results_of_real_cases_come_out_the_same(real_data, tmp_path, cases, spacing_mm, suffix):
    study = open_study(sorted(real_data.glob(cases))[0], spacing_mm=spacing_mm)
    segmentation = segment(study, "threshold")
    assert segmentation.data.any()
    save_segmentation(segmentation, tmp_path / f"result{suffix}")
    found = rerun(tmp_path / f"result{suffix}")
    assert (found.verdict, found.agreement.differing) == ("identical", 0)
    assert found.agreement.voxels == segmentation.data.size
    assert found.segmentation.grid == study.grid
