from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.cli import demo
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_segmentation, save_segmentation
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Segmentation, Study

GRID = Grid((20, 24, 16), np.diag([1.0, 1.0, 2.0, 1.0]))


@pytest.fixture
def small_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sample of a few thousand voxels, whose truth has 64 voxels; the network finds half of them."""
    truth = np.zeros(GRID.shape, np.uint8)
    truth[4:8, 4:8, 4:8] = 1
    truth_path = tmp_path / "truth" / "truth_seg.nii.gz"
    truth_path.parent.mkdir()
    save_segmentation(Segmentation(truth, GRID), truth_path)
    image = np.indices(GRID.shape).sum(axis=0)
    study = Study({"T1c": image, "FLAIR": image}, GRID, "phantom")

    def half(*_: object) -> Job[Segmentation]:
        yield Progress(1, 1)
        found = truth.copy()
        found[4:6] = 0
        return Segmentation(found, GRID, "phantom", provenance={"made": "by a test"})

    monkeypatch.setattr(demo, "sample_case_folder", lambda: tmp_path)
    monkeypatch.setattr(demo, "sample_truth_path", lambda: truth_path)
    monkeypatch.setattr(demo, "open_study", lambda _: study)
    monkeypatch.setattr(demo, "segment_job", half)
    return tmp_path


def test_demo_writes_labels_sidecar_and_picture_and_prints_volumes_with_dice(
    small_sample: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = small_sample / "out"
    for _ in range(2):  # earlier results are replaced
        demo.run_demo(folder, SegmentRequest(), window=False)
    out, _ = capfd.readouterr()
    assert sorted(p.name for p in folder.iterdir()) == ["segmentation.json", "segmentation.nii.gz", "segmentation.png"]
    assert int((open_segmentation(folder / "segmentation.nii.gz").data > 0).sum()) == 32
    row = next(line.split() for line in out.splitlines() if line.startswith("whole tumour"))
    assert row == ["whole", "tumour", "(WT)", "0.06", "32", "0.667"]
    assert "napari is not open: not asked for" in out
