"""The command as people call it, with a quick stand-in for the network; files, tables and exit codes are real."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_brain_tumor import cli
from napari_brain_tumor.errors import ModelNotFoundError, OutOfMemoryError
from napari_brain_tumor.models.card_parts import Metrics
from napari_brain_tumor.models.cards import Card, ModelInfo
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Segmentation, Study

AFFINE = np.diag([-2.0, -2.0, 5.0, 1.0])


def write_case(folder: Path, roles: tuple[str, ...] = ("t1", "t1ce", "t2", "flair")) -> Path:
    folder.mkdir(parents=True)
    image = np.random.default_rng(0).integers(0, 200, (10, 12, 6)).astype(np.int16)
    for role in roles:
        nib.save(nib.Nifti1Image(image, AFFINE), folder / f"{folder.name}_{role}.nii.gz")
    return folder


def fake_job(study: Study, model: str | None = None, device: str = "auto", **options: object) -> Job[Segmentation]:
    """A block of 2x2x2 voxels: 4 edema, 2 non-enhancing, 2 enhancing."""
    yield Progress(1, 2, "halfway")
    data = np.zeros(study.grid.shape, np.uint8)
    data[1:3, 1:3, 1:3] = np.array([1, 1, 1, 1, 2, 2, 3, 3]).reshape(2, 2, 2)
    provenance = {"model": model, "device": device, **options}
    return Segmentation(data, study.grid, study.name, layout=study.layout, provenance=provenance)


def card(name: str) -> Card:
    return Card(
        name=name,
        title="A model",
        architecture="unet",
        arguments={},
        dims=2,
        roles=["T1", "T1c", "T2", "FLAIR"],
        regions=["WT", "TC", "ET"],
        parameters=3_456_789,
        metrics=[Metrics(dataset="phantoms", roles=["FLAIR"], cases=8, mean_dice={"WT": 0.8765})],
        licence="CC BY-NC-SA 4.0",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        weights_sha256="0" * 64,
    )


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    model = ModelInfo(name="unet-x", folder=tmp_path, card=card("unet-x"), bundled=True)
    monkeypatch.setattr("napari_brain_tumor.catalogue.find_model", lambda name=None, grid=None: model)
    monkeypatch.setattr("napari_brain_tumor.models.cards.why_default", lambda models, traits: "")
    monkeypatch.setattr("napari_brain_tumor.workflow.segment_job", fake_job)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process: exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return int(stopped.value.code or 0), out, err

    return call


Run = Callable[..., tuple[int, str, str]]


def test_segment_writes_labels_on_the_scans_grid_and_prints_volumes(tmp_path: Path, run: Run) -> None:
    case = write_case(tmp_path / "data" / "patient7")
    code, out, err = run("segment", case)
    assert (code, err) == (0, "")
    written = nib.load(tmp_path / "patient7_segmentation.nii.gz")
    np.testing.assert_array_equal(written.affine, AFFINE)
    assert np.bincount(np.asarray(written.dataobj).ravel()).tolist() == [712, 4, 2, 2]
    assert [line.split() for line in out.splitlines() if line.startswith("whole")] == [
        ["whole", "tumour", "(WT)", "0.16", "8"]
    ]
    assert "Wrote patient7_segmentation.nii.gz" in out


def test_options_reach_the_network_and_the_file(tmp_path: Path, run: Run) -> None:
    case = write_case(tmp_path / "case")
    options = ("--model", "other", "--device", "cpu", "--flips", "--min-lesion-mm3", 50, "--schema", "brats")
    assert run("segment", case, "-o", "out.nii.gz", *options)[0] == 0
    sidecar = (tmp_path / "out.json").read_text()
    assert json.loads(sidecar)["schema"] == "BraTS2018-2022"
    assert '"min_lesion_mm3": 50.0' in sidecar
    assert '"model": "other"' in sidecar
    assert set(np.unique(np.asarray(nib.load("out.nii.gz").dataobj))) == {0, 1, 2, 4}


def test_missing_sequences_are_told(tmp_path: Path, run: Run) -> None:
    code, _, err = run("segment", write_case(tmp_path / "case", ("flair", "t1")))
    assert code == 0
    assert "Note: Without T1c" in err


def test_roles_choose_the_volumes_of_a_4d_file(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Study] = []

    def remembering(study: Study, *_: object, **__: object) -> Job[Segmentation]:
        seen.append(study)
        return fake_job(study)

    monkeypatch.setattr("napari_brain_tumor.workflow.segment_job", remembering)
    volumes = np.stack([np.arange(720.0).reshape(10, 12, 6) * k for k in (1, 2, 3)], axis=-1)
    nib.save(nib.Nifti1Image(volumes, AFFINE), tmp_path / "four.nii.gz")
    code, _, err = run("segment", "four.nii.gz", "-o", "a.nii.gz")
    assert code == 1
    assert "In the shell: --roles" in err
    assert run("segment", "four.nii.gz", "-o", "a.nii.gz", "--roles", "flair=2,t1c=0")[0] == 0
    assert run("segment", "four.nii.gz", "-o", "b.nii.gz", "--roles", "t2,-,t1")[0] == 0
    assert [{role: image.max() for role, image in study.sequences.items()} for study in seen] == [
        {"T1c": 719, "FLAIR": 2157},
        {"T1": 2157, "T2": 719},
    ]


def test_a_case_that_is_refused_gives_one_message_and_no_traceback(run: Run) -> None:
    code, out, err = run("segment", "nowhere")
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert "nowhere" in err
    assert "Traceback" not in err


def test_an_unknown_model_is_refused_before_a_file_is_opened(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str | None = None) -> None:
        raise ModelNotFoundError(f"No model is called {name!r}.")

    monkeypatch.setattr("napari_brain_tumor.catalogue.find_model", missing)
    code, out, err = run("segment", "nowhere", "--model", "nix")
    assert (code, out) == (2, "")
    assert "No model is called 'nix'." in err


def test_debug_shows_the_traceback_wherever_it_stands(tmp_path: Path) -> None:
    for arguments in (["--debug", "segment", "nowhere"], ["segment", "nowhere", "--debug"]):
        with pytest.raises(Exception, match="nowhere"):
            cli.main(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["segment"],
        ["nonsense"],
        ["segment", "x", "--spacing", "1,2"],
        ["segment", "x", "--roles", "t1=0,flair"],
        ["segment", "x", "--min-lesion-mm3", "-1"],
        ["segment", "x", "--unknown"],
        ["segment", "x", "--schema", "ours"],
        ["segment", "x", "--device", "gpu"],
        ["segment", "x", "--resample", "coarsest"],
        ["segment", "x", "--paths", "none"],
        ["segment", "x", "-o", "seg.foo"],
        ["segment", "x", "y", "-o", "seg.nii.gz"],
        ["segment", "x", "--overwrite", "--skip-existing"],
        ["check", "x", "--device", "gpu"],
        ["measure", "x", "--schema", "ours"],
        ["measure", "x", "--plane", "slanted"],
        ["compare", "x", "y", "--schema", "ours"],
        ["report", "x", "y", "--schema", "ours"],
        ["evaluate", "x", "--models", "threshold", "--schema", "ours"],
        ["rerun", "x", "--device", "gpu"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], run: Run) -> None:
    assert run(*arguments)[0] == 2


def test_an_existing_result_is_kept_and_nothing_is_computed(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = write_case(tmp_path / "case")
    (tmp_path / "case_segmentation.nii.gz").write_bytes(b"precious")
    monkeypatch.setattr("napari_brain_tumor.workflow.segment_job", None)
    code, _, err = run("segment", case)
    assert code == 1
    assert "--overwrite" in err
    assert (tmp_path / "case_segmentation.nii.gz").read_bytes() == b"precious"


def test_a_scan_in_the_case_folder_is_never_overwritten(tmp_path: Path, run: Run) -> None:
    case = write_case(tmp_path / "case")
    before = (case / "case_t1.nii.gz").read_bytes()
    code, _, err = run("segment", case, "-o", case / "case_t1.nii.gz", "--overwrite")
    assert code == 1
    assert "never overwritten" in err
    assert (case / "case_t1.nii.gz").read_bytes() == before


def test_a_refused_case_among_several_does_not_stop_the_others(tmp_path: Path, run: Run) -> None:
    good = [write_case(tmp_path / "data" / name) for name in ("one", "three")]
    code, _, err = run("segment", good[0], tmp_path / "data" / "two", good[1], "-o", "results")
    assert code == 1
    assert "1 of 3 cases were not segmented" in err
    assert sorted(p.name for p in (tmp_path / "results").glob("*.nii.gz")) == [
        "one_segmentation.nii.gz",
        "three_segmentation.nii.gz",
    ]


def test_ctrl_c_exits_with_130_and_leaves_no_file(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> Iterator[Progress]:
        yield Progress(0, 1)
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_brain_tumor.workflow.segment_job", interrupted)
    case = write_case(tmp_path / "case")
    assert run("segment", case)[0] == 130
    assert [p.name for p in tmp_path.iterdir()] == ["case"]


def test_running_out_of_memory_is_a_message(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> Iterator[Progress]:
        raise OutOfMemoryError("Memory ran out.")
        yield Progress(0, 1)

    monkeypatch.setattr("napari_brain_tumor.workflow.segment_job", exhausted)
    assert run("segment", write_case(tmp_path / "case"))[0::2] == (1, "Error: Memory ran out.\n")


def test_models_prints_a_plain_table_in_a_pipe(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights.safetensors").write_bytes(bytes(2_000_000))
    model = ModelInfo(name="unet-x", folder=tmp_path, card=card("unet-x"), bundled=True)
    monkeypatch.setattr("napari_brain_tumor.models.cards.list_models", lambda: [model])
    code, out, _ = run("models")
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("unet-x"))
    for cell in ("unet 2D", "T1 T1c T2 FLAIR (any subset)", "WT TC ET", "3,456,789", "2.0 MB", "WT 0.876", "CC BY"):
        assert cell in row
    assert "\x1b" not in out


def test_models_says_so_when_there_is_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_brain_tumor.models.cards.list_models", list)
    assert run("models")[1].startswith("No model is installed.")


def test_version_and_help(run: Run) -> None:
    assert run("--version")[1].startswith("brain-tumor ")
    code, out, _ = run("--help")
    assert code == 0
    for command in ("segment", "models", "demo", "train"):
        assert command in out


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["models"], ["segment", "--help"]])
def test_looking_around_loads_neither_torch_nor_matplotlib_nor_a_window(arguments: list[str]) -> None:
    code = (
        "import sys; from napari_brain_tumor.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'matplotlib', 'napari', 'qtpy', 'monai'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_case_that_the_system_refuses_does_not_stop_the_others(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused_once(study: Study, *arguments: str, **options: object) -> Job[Segmentation]:
        if study.name == "one":
            raise PermissionError(13, "Permission denied", "one")
        return (yield from fake_job(study, *arguments, **options))

    monkeypatch.setattr("napari_brain_tumor.workflow.segment_job", refused_once)
    code, _, err = run("segment", *[write_case(tmp_path / "data" / name) for name in ("one", "two")], "-o", "results")
    assert code == 1
    assert "Permission denied" in err
    assert [p.name for p in (tmp_path / "results").glob("*.nii.gz")] == ["two_segmentation.nii.gz"]
