"""The lines of the Measure panel: the same numbers in Python and in the shell."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_brain_tumor.cli.app import app
from napari_brain_tumor.measure.settings import MeasureSettings
from napari_brain_tumor.requests.actions import LabelFile, measure_study_lines
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.requests.opening import OpenRequest
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path
from phantoms import affine, ball, write_nifti


def printed_by_shell(lines: CommandLines) -> list[str]:
    done = CliRunner().invoke(app, list(lines.arguments))
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def printed_by_python(lines: CommandLines, capsys: pytest.CaptureFixture[str]) -> list[str]:
    exec(compile(lines.python, "lines", "exec"), {"__name__": "lines"})
    return capsys.readouterr().out.splitlines()


def measured(text: str) -> tuple[str, ...]:
    """Title, millilitres and reason of a printed lesion."""
    found = re.match(r"((?:ET|TC|WT) \d+)\s+([\d.]+ mL).*?((?:not )?(?:measurable|assessed).*?)\s*$", text)
    return found.groups() if found is not None else ()


@pytest.mark.parametrize(
    "settings",
    [
        MeasureSettings(),
        MeasureSettings(plane="sagittal", fill_cavities=True),
        MeasureSettings(least_mm3=2000),
    ],
)
def test_lesions_are_the_same_in_python_and_in_the_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: MeasureSettings
) -> None:
    shape = (30, 40, 30)
    labels = (ball(shape, (12, 14, 15), 9) * 3).astype(np.uint8)
    labels[ball(shape, (12, 14, 15), 4)] = 2
    labels[ball(shape, (15, 32, 12), 5)] = 3
    path = write_nifti(tmp_path / "x_seg.nii.gz", labels, affine(spacing=(1, 1.2, 1)))
    lines = measure_study_lines(LabelFile(path, "MSD"), None, settings)
    python = [measured(line) for line in printed_by_python(lines, capsys)]
    shell = [found for line in printed_by_shell(lines) if (found := measured(line))]
    assert python == shell
    assert len(python) == (3 if settings.least_mm3 == 2000 else 6)


def test_scans_are_told_in_both() -> None:
    lines = measure_study_lines(
        LabelFile(sample_truth_path(), "MSD"), OpenRequest(path=sample_case_folder()), MeasureSettings()
    )
    assert "measure_study(segmentation, study)" in lines.python
    assert lines.arguments[-2:] == ("--study", str(sample_case_folder()))


def test_that_a_head_is_kept_is_told_in_both() -> None:
    scans = OpenRequest(path=sample_case_folder())
    lines = measure_study_lines(LabelFile(sample_truth_path(), "MSD"), scans, MeasureSettings(brain="keep"))
    assert "measure_study(segmentation, study, settings=MeasureSettings(brain='keep'))" in lines.python
    assert lines.arguments[-2:] == ("--brain", "keep")


def test_scans_that_the_shell_has_no_words_for_leave_the_python_lines() -> None:
    scans = OpenRequest(path="case", roles={"T1": "a,b.nii"})
    lines = measure_study_lines(LabelFile(Path("x.nii")), scans, MeasureSettings())
    assert lines.arguments == ()
    assert "Use the Python lines." in lines.notes[0]
    compile(lines.python, "lines", "exec")
