"""`brain-tumor evaluate` as people call it, with a stand-in for the network or segmentations that are there already."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor import cli
from napari_brain_tumor.evaluation.result import FILES
from napari_brain_tumor.evaluation.tables import read_scores
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Segmentation, Study
from phantoms import affine, write_brats_case, write_nifti

SHAPE = (24, 20, 12)
AXES = affine()
Run = Callable[..., tuple[int, str, str]]


def block(moved: int = 0) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[4 + moved : 14 + moved, 5:15, 3:9] = 1
    labels[6 + moved : 12 + moved, 7:13, 4:8] = 3
    return labels


def fake_job(study: Study, model: str, device: str, **options: object) -> Job[Segmentation]:
    """Exact, but for the model "threshold", which is two voxels off."""
    yield Progress(1, 2, "halfway")
    return Segmentation(block(2 if model == "threshold" else 0), study.grid, study.name)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in this process, in the temporary folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    class Info:
        def __init__(self, name: str) -> None:
            self.name = name

    monkeypatch.setattr("napari_brain_tumor.evaluation.methods.find_model", Info)
    monkeypatch.setattr("napari_brain_tumor.evaluation.case_work.segment_job", fake_job)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["evaluate", *map(str, arguments)])
        out, err = capfd.readouterr()
        return int(stopped.value.code or 0), out, err

    return call


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A folder of three cases, whose truth is `block`."""
    for name in ("one", "two", "three"):
        write_brats_case(tmp_path / "set" / name, block(), SHAPE, AXES)
    return tmp_path / "set"


def line(out: str, start: str, after: str = "") -> list[str]:
    return next(text for text in out[out.index(after) :].splitlines() if text.startswith(start)).split()


def test_tables_files_and_definitions(tmp_path: Path, run: Run, cases: Path) -> None:
    code, out, err = run(cases, "--models", "unet,threshold", "--schema", "MSD", "-o", "out")
    assert code == 0
    ends = [text for text in err.splitlines() if "scored in" in text]
    assert [text.split(" in ")[0] for text in ends] == [
        f"[{k} of 3] {n}: scored" for k, n in enumerate(("one", "three", "two"), 1)
    ]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(FILES)
    assert line(out, "unet", "Whole tumour")[:3] == ["unet", "3", "1.000"]
    assert "(1.000 to 1.000)" in out
    assert line(out, "threshold", "Whole tumour")[:3] == ["threshold", "3", "0.800"]
    assert line(out, "threshold", "Against unet")[:4] == ["threshold", "WT", "3", "−0.200"]
    assert "too few patients" in out
    assert "Dice: 2|A∩B|/(|A|+|B|)" in out
    assert "HD95 (mm): 95 % Hausdorff distance" in out
    assert "\x1b" not in out
    rows = read_scores(tmp_path / "out" / "scores.csv")
    assert {(r.model, r.region): r.scores.dice for r in rows if r.region in ("WT", "ET")} == pytest.approx(
        {("unet", "WT"): 1, ("unet", "ET"): 1, ("threshold", "WT"): 0.8, ("threshold", "ET"): 2 / 3}
    )


@pytest.mark.slow
def test_predictions_of_a_tool_beside_a_model(tmp_path: Path, run: Run, cases: Path) -> None:
    for name in ("one", "two", "three"):
        write_nifti(tmp_path / "tool" / f"{name}.nii.gz", block(1), AXES)
    code, out, err = run(cases, "--models", "best=unet", "--predictions", "tool=tool", "--schema", "MSD")
    assert code == 1
    assert "--predictions-schema" in err
    assert line(out, "best", "Whole tumour")[1] == "3"
    options = ("--schema", "MSD", "--predictions-schema", "MSD", "--overwrite")
    code, out, _ = run(cases, "--models", "best=unet", "--predictions", "tool=tool", *options)
    assert code == 0
    assert line(out, "tool", "Whole tumour")[2] == "0.900"
    assert (tmp_path / "evaluation" / "scores.csv").is_file()


def test_a_case_without_truth_is_told_and_the_others_are_scored(tmp_path: Path, run: Run, cases: Path) -> None:
    (cases / "two" / "two_seg.nii.gz").unlink()
    code, out, err = run(cases, "--models", "unet", "--schema", "MSD", "-o", "out")
    assert code == 1
    assert "two: No truth was found for two." in err
    assert "Not everything was scored: two." in err
    assert line(out, "unet", "Whole tumour")[1] == "2"
    document = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert [one["what"] for one in document["not_scored"]] == ["two"]


def test_only_the_asked_side_with_its_patients(tmp_path: Path, run: Run, cases: Path) -> None:
    (tmp_path / "split.csv").write_text("case,patient,split\none,ann,val\ntwo,ann,val\nthree,bob,train\n")
    options = ("--split", "split.csv", "--side", "val", "--schema", "MSD", "-o", "out")
    code, out, _ = run(cases, "--models", "unet", *options)
    assert code == 0
    assert line(out, "unet", "Whole tumour")[1] == "2"
    assert "of 1 patients" not in out
    assert "of 1 patient" in out
    assert {row.patient for row in read_scores(tmp_path / "out" / "scores.csv")} == {"ann"}


def test_earlier_results_are_kept_and_nothing_is_computed(tmp_path: Path, run: Run, cases: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scores.csv").write_text("precious")
    code, out, err = run(cases, "--models", "unet", "--schema", "MSD", "-o", "out")
    assert (code, out) == (1, "")
    assert "--overwrite" in err
    assert (tmp_path / "out" / "scores.csv").read_text() == "precious"


def test_the_same_command_goes_on_after_ctrl_c(
    tmp_path: Path, run: Run, cases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def stopped_once(study: Study, *arguments: str, **options: bool) -> Iterator[Progress]:
        seen.append(study.name)
        if seen == ["one", "three"]:
            raise KeyboardInterrupt
        return (yield from fake_job(study, *arguments, **options))

    monkeypatch.setattr("napari_brain_tumor.evaluation.case_work.segment_job", stopped_once)
    arguments = (cases, "--models", "unet", "--schema", "MSD", "-o", "out", "--save-predictions")
    assert run(*arguments)[0] == 130
    assert not (tmp_path / "out" / "scores.csv").exists()
    code, out, _ = run(*arguments)
    assert (code, seen) == (0, ["one", "three", "three", "two"])
    assert line(out, "unet", "Whole tumour")[1] == "3"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted((*FILES, "predictions"))
    assert len(list((tmp_path / "out" / "predictions" / "unet").rglob("*.nii.gz"))) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["set"],
        ["set", "--models", "a,a"],
        ["set", "--models", "a,,b"],
        ["set", "--models", "a", "--predictions", "folder"],
        ["set", "--models", "a", "--side", "val"],
        ["set", "--models", "a", "--spacing", "1"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], run: Run) -> None:
    assert run(*arguments)[0] == 2


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from napari_brain_tumor.cli import main\n"
        "try: main(['evaluate', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'matplotlib', 'napari'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
