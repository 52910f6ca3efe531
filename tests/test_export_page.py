"""The lines of docs/export.md run as they stand, and leave what the page says."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_phantoms import write_stack
from dicom_results import TAGS
from napari_brain_tumor import open_segmentation
from test_tutorials import ROOT, blocks_of, run

PAGE = ROOT / "docs" / "export.md"


def write_exam(folder: Path) -> None:
    """A FLAIR of a brain without its skull, with a bright tumour in it."""
    shape, middle = (40, 44, 20), np.array([20, 22, 10])
    away = np.linalg.norm((np.indices(shape).transpose(1, 2, 3, 0) - middle) / [17, 19, 9], axis=-1)
    brain = 300 + 20 * np.random.default_rng(0).normal(size=shape)
    brain[10:18, 14:24, 6:12] += 400
    values = np.where(away < 1, brain, 0).astype(np.int16)
    write_stack(folder, values, step=(0, 0, 6), PixelSpacing=(4, 4), SliceThickness=6, **TAGS)


@pytest.mark.slow
def test_every_line_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_exam(tmp_path / "exam")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    ran = [block for block in blocks_of(PAGE) if block.language in ("sh", "python")]
    for block in ran:
        run(block, names, PAGE)
    assert len(ran) == 6
    assert {path.suffix for path in Path().glob("fi*.*")} == {".gif", ".png", ".svg"}
    dicom = sorted(path.as_posix() for path in Path().rglob("*.dcm") if path.parts[0] != "exam")
    assert len(dicom) == 6
    kinds = {pydicom.dcmread(path).Modality for path in dicom}
    assert kinds == {"SEG", "RTSTRUCT"}
    assert open_segmentation("from_elsewhere.dcm").data.any()
    assert b"SPACE=LPS" in Path("results/exam_WT.stl").read_bytes()[:80]
    listed = next(block.code for block in blocks_of(PAGE) if block.language == "text")
    root, *lines = [line.strip() for line in listed.splitlines()]
    assert {line for line in lines if Path(root, line).is_file()} == set(lines)
