"""Batches: no case stops the others, each leaves a line and a row, and a batch that was stopped goes on."""

import csv
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import typer
from test_cli import AFFINE, fake_job, no_network, write_case

from napari_brain_tumor import cli
from napari_brain_tumor.batch import case_table
from napari_brain_tumor.batch.case_table import COLUMNS, CaseRow, CaseTable
from napari_brain_tumor.cli.batch import run_batch
from napari_brain_tumor.cli.console import duration, prepare_streams
from napari_brain_tumor.errors import BrainTumorError, SaveError
from napari_brain_tumor.executors import SerialExecutor
from napari_brain_tumor.io import save_segmentation
from napari_brain_tumor.io.csv_text import formula_safe, one_line
from napari_brain_tumor.labels import class_names_of
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Segmentation, Study

Run = Callable[..., tuple[int, str, str]]

__all__ = ["no_network"]

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture
def cases(tmp_path: Path) -> list[Path]:
    return [write_case(tmp_path / "data" / name) for name in ("one", "two", "three")]


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {Path(row["case"]).name: row for row in csv.DictReader(file)}


def results(folder: str = "out") -> list[str]:
    return sorted(path.name.split("_")[0] for path in Path(folder).glob("*.nii.gz"))


@dataclass(frozen=True)
class Work:
    """Does what it is given to do with each case, which is a name."""

    do: Callable[[str], CaseRow]

    def place(self, name: str) -> Path:
        return Path(name)

    def read(self, name: str) -> str:
        return name

    def compute(self, name: str, opened: str) -> Job[CaseRow]:
        yield Progress(0, 1)
        return self.do(opened)


def batch_of(names: list[str], do: Callable[[str], CaseRow]) -> None:
    run_batch(SerialExecutor(), Work(do), names, names, lambda _, row: row, None, doing="doing", past_tense="done")


class Odd(Exception):
    """What nobody thought of."""


@pytest.mark.parametrize(
    "error",
    [
        Odd("odd"),
        MemoryError(),
        RecursionError("too deep"),
        KeyError("key"),
        UnicodeEncodeError("cp1252", "患", 0, 1, "no"),
        OSError(28, "No space left on device"),
        AssertionError(),
        ZeroDivisionError(),
    ],
)
def test_a_case_that_fails_in_any_way_does_not_stop_the_others(
    cases: list[Path], run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails_once(study: Study, *arguments: str, **options: object) -> Job[Segmentation]:
        if study.name == "two":
            raise error
        return (yield from fake_job(study, *arguments, **options))

    monkeypatch.setattr("napari_brain_tumor.workflow.segment_job", fails_once)
    code, out, err = run("segment", *cases, "-o", "out")
    assert code == 1
    assert results() == ["one", "three"]
    assert "3 cases: 2 segmented, 1 failed" in out
    assert "1 of 3 cases were not segmented" in err
    assert "Traceback" not in err
    rows = rows_of(Path("out/segmentation_results.csv"))
    assert {name: row["status"] for name, row in rows.items()} == {"one": "done", "two": "failed", "three": "done"}
    assert rows["two"]["error"]
    assert (rows["one"]["WT_ml"], rows["one"]["WT_voxels"], rows["one"]["ET_voxels"]) == ("0.1600", "8", "2")
    assert rows["one"]["model"] == "unet-x"
    assert float(rows["one"]["seconds"]) >= 0


def test_an_unexpected_error_of_a_single_case_is_a_message_and_debug_shows_where(
    cases: list[Path], run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def odd(*_: object, **__: object) -> None:
        raise Odd("odd")

    monkeypatch.setattr("napari_brain_tumor.workflow.segment_job", odd)
    code, _, err = run("segment", cases[0])
    assert code == 1
    assert "Unexpected Odd: odd. This is a bug in the program; --debug shows where." in err
    with pytest.raises(BrainTumorError, match="3 of 3 cases"):
        cli.main(["--debug", "segment", *map(str, cases)])
    assert capfd.readouterr().err.count("Traceback") == 3


def test_a_batch_that_was_stopped_goes_on(cases: list[Path], run: Run) -> None:
    assert run("segment", cases[0], "-o", "out/")[0] == 0
    first = Path("out/one_segmentation.nii.gz")
    before = first.stat().st_mtime_ns
    code, out, err = run("segment", *cases, "-o", "out/")
    assert (code, results()) == (1, ["one", "three", "two"])
    assert "2 segmented, 1 left unchanged" in out
    assert "--skip-existing skips them without an error, --overwrite replaces them" in out
    code, out, _ = run("segment", *cases, "-o", "out/", "--skip-existing")
    assert code == 0
    assert "3 cases: 3 skipped" in out
    assert first.stat().st_mtime_ns == before
    rows = rows_of(Path("out/segmentation_results.csv"))
    assert {row["status"] for row in rows.values()} == {"skipped"}
    assert {row["WT_voxels"] for row in rows.values()} == {"8"}
    assert "[1 of 3]" in err


def test_a_single_case_is_passed_over_too(cases: list[Path], run: Run) -> None:
    run("segment", cases[0])
    code, out, err = run("segment", cases[0], "--skip-existing")
    assert (code, err) == (0, "")
    assert out == "one_segmentation.nii.gz already exists and is skipped.\n"


def test_a_result_that_cannot_be_read_is_told_in_the_table(cases: list[Path], run: Run) -> None:
    Path("out").mkdir()
    Path("out/one_segmentation.nii.gz").write_bytes(b"torn")
    assert run("segment", *cases, "-o", "out/", "--skip-existing")[0] == 0
    row = rows_of(Path("out/segmentation_results.csv"))["one"]
    assert row["status"] == "skipped"
    assert "could not be read" in row["notes"]


def test_each_case_leaves_lines_where_there_is_no_terminal(cases: list[Path], run: Run) -> None:
    _, _, err = run("segment", *cases, "-o", "out")
    lines = [line for line in err.splitlines() if line.startswith("[")]
    assert [line.split("]")[0] for line in lines] == [f"[{n} of 3" for n in (1, 1, 2, 2, 3, 3)]
    assert lines[0].endswith("one: segmenting")
    assert "one: done in" in lines[1]
    assert "elapsed, about" in lines[1]
    assert "left" not in lines[-1]


def test_a_case_that_is_named_twice_is_done_once(cases: list[Path], run: Run) -> None:
    assert run("segment", cases[0], cases[0], "-o", "out")[0] == 0
    assert results() == ["one"]


def test_ctrl_c_leaves_the_table_of_what_was_done(cases: list[Path], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped_at_the_second(study: Study, *arguments: str, **options: object) -> Job[Segmentation]:
        if study.name == "two":
            raise KeyboardInterrupt
        return (yield from fake_job(study, *arguments, **options))

    monkeypatch.setattr("napari_brain_tumor.workflow.segment_job", stopped_at_the_second)
    code, out, _ = run("segment", *cases, "-o", "out")
    assert code == 130
    assert "3 cases: 1 segmented, 2 not finished" in out
    assert list(rows_of(Path("out/segmentation_results.csv"))) == ["one"]


def test_an_output_that_another_run_wrote_meanwhile_is_left_alone(
    cases: list[Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(study: Study, *arguments: str, **options: object) -> Job[Segmentation]:
        found = yield from fake_job(study, *arguments, **options)
        Path("one_segmentation.nii.gz").write_bytes(b"theirs")
        return found

    monkeypatch.setattr("napari_brain_tumor.workflow.segment_job", overtaken)
    code, out, err = run("segment", cases[0])
    assert code == 1
    assert "already exists, perhaps written by another run a moment ago" in err
    assert "Wrote" not in out
    assert Path("one_segmentation.nii.gz").read_bytes() == b"theirs"
    assert not Path("one_segmentation.json").exists()


def test_a_log_that_cannot_be_written_does_not_end_the_batch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(typer, "echo", full)
    done: list[str] = []

    def work(name: str) -> CaseRow:
        done.append(name)
        return CaseRow(name, "done")

    batch_of(["a", "b", "c"], work)
    assert done == ["a", "b", "c"]


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "utf-8"])
def test_a_console_that_lacks_letters_shows_their_codes(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", console)
    prepare_streams()
    typer.echo("患者 pat\udce9")
    console.flush()
    shown = console.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert shown == ("患者" if encoding == "utf-8" else "\\u60a3\\u8005") + " pat\\udce9\n"


def test_the_first_line_comes_before_anything_heavy_is_loaded(cases: list[Path]) -> None:
    script = (
        "import sys; from napari_brain_tumor import cli; import napari_brain_tumor.cli.batch as batch\n"
        "def line(text): print(text, [name for name in ('torch', 'napari', 'matplotlib') if name in sys.modules]); "
        "sys.exit(7)\n"
        f"batch.progress_line = line; cli.main(['segment', *{[str(case) for case in cases]!r}, '-o', 'out/'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert done.stdout.splitlines()[0].endswith("one: segmenting []")


# The table ----------------------------------------------------------------------------------------------------------


def test_rows_of_other_batches_stay_in_the_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    CaseTable(path).write([CaseRow("a", "done", "a.nii.gz"), CaseRow("b", "failed", error="why")])
    CaseTable(path).write([CaseRow("b", "done", "b.nii.gz"), CaseRow("c", "done", "c.nii.gz")])
    assert {case: row["status"] for case, row in rows_of(path).items()} == {"a": "done", "b": "done", "c": "done"}


@pytest.mark.slow
def test_batches_that_write_one_table_at_the_same_time_lose_no_row(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    program = (
        "import sys; from pathlib import Path; from napari_brain_tumor.batch.case_table import CaseRow, CaseTable\n"
        "for number in range(25): CaseTable(Path(sys.argv[1])).write([CaseRow(f'{sys.argv[2]}{number}', 'done')])"
    )
    batches = [subprocess.Popen([sys.executable, "-P", "-c", program, str(path), name]) for name in "abc"]
    assert [batch.wait(timeout=120) for batch in batches] == [0, 0, 0]
    assert set(rows_of(path)) == {f"{name}{number}" for name in "abc" for number in range(25)}
    assert os.listdir(tmp_path) == ["table.csv"]


def test_the_mark_of_a_killed_batch_does_not_keep_a_table_from_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_table, "_PATIENCE_S", 0.2)
    (tmp_path / ".table.csv.lock").write_text(f"{os.getpid()}\nanother-computer\n")
    CaseTable(tmp_path / "table.csv").write([CaseRow("a", "done")])
    assert set(rows_of(tmp_path / "table.csv")) == {"a"}


@pytest.mark.parametrize("content", ["case,status\na,done\n", "\x00", "a table of mine"])
def test_somebody_elses_table_is_not_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(SaveError, match="--table"):
        CaseTable(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == content


def test_a_volume_that_labels_do_not_tell_is_not_determined_and_not_zero(tmp_path: Path, run: Run) -> None:
    data = np.zeros((10, 12, 6), np.uint8)
    data[2:6, 2:6, 2:4], data[3:5, 3:5, 2] = 1, 3
    image = nib.Nifti1Image(data, AFFINE)
    from napari_brain_tumor.geometry import Grid

    known = ("WT", "ET")
    one = Segmentation(data, Grid(image.shape, AFFINE), class_names=class_names_of(known), known_regions=known)  # type: ignore[arg-type]
    save_segmentation(one, tmp_path / "a_seg.nii.gz")
    code, out, _ = run("measure", "a_seg.nii.gz", "--table", "t.csv", "--csv", "tidy.csv")
    assert code == 0
    assert next(line for line in out.splitlines() if line.startswith("tumour core")).split()[-2:] == [
        "not",
        "determined",
    ]
    row = rows_of(tmp_path / "t.csv")["a_seg.nii.gz"]
    assert (row["WT_voxels"], row["ET_voxels"], row["enhancing_voxels"]) == ("32", "4", "4")
    for word in ("TC_ml", "TC_voxels", "edema_ml", "non_enhancing_ml", "non_enhancing_voxels"):
        assert row[word] == "not determined"
    with (tmp_path / "tidy.csv").open() as file:
        tidy = {one["key"]: one for one in csv.DictReader(file) if one["kind"] == "region"}
    assert (tidy["TC"]["voxels"], tidy["TC"]["reason"]) == ("", "not determined: the labels do not mark it")


def test_files_that_cannot_be_measured_do_not_stop_the_others(tmp_path: Path, run: Run) -> None:
    for name in ("a", "c"):
        nib.save(
            nib.Nifti1Image(np.eye(6, dtype=np.uint8)[..., None].repeat(3, 2), AFFINE), tmp_path / f"{name}.nii.gz"
        )
    (tmp_path / "b.nii.gz").write_bytes(b"torn")
    names = ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    code, out, err = run("measure", *names, "--schema", "MSD", "--csv", "all.csv", "--table", "t.csv")
    assert code == 1
    assert "3 cases: 2 measured, 1 failed" in out
    assert "b.nii.gz" in err
    assert [row["status"] for row in rows_of(tmp_path / "t.csv").values()] == ["done", "failed", "done"]
    with (tmp_path / "all.csv").open() as file:
        assert {row["case"] for row in csv.DictReader(file)} == {"a", "c"}


def test_columns_of_the_table_are_as_documented() -> None:
    assert COLUMNS[:6] == ("case", "status", "model", "WT_ml", "TC_ml", "ET_ml")
    assert COLUMNS[-4:] == ("seconds", "output", "notes", "error")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("@x", "'@x"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("-1.5", "-1.5"),
        ("a\n=b", "a =b"),
        ("pat\udce9", "pat\\udce9"),
        ("a-b", "a-b"),
    ],
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    assert formula_safe(one_line(text)) == cell


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "@x", "-x", "two\nlines", "pat\udce9"])
def test_no_cell_of_the_table_is_a_formula_or_breaks_its_line(tmp_path: Path, name: str) -> None:
    CaseTable(tmp_path / "t.csv").write([CaseRow(name, "failed", error=name)])
    (line,) = (tmp_path / "t.csv").read_text("utf-8").splitlines()[1:]
    assert not line.startswith(("=", "@", "-"))
    CaseTable(tmp_path / "t.csv").write([CaseRow(name, "done")])
    assert len((tmp_path / "t.csv").read_text("utf-8").splitlines()) == 2


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (9.94, "9.9 s"), (59.9, "60 s"), (59.96, "1:00 min"), (3600, "1:00 h")]
)
def test_times_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_batch_of_one_raises_its_own_error() -> None:
    def work(_: str) -> CaseRow:
        raise Odd("odd")

    with pytest.raises(Odd):
        batch_of(["a"], work)
    with pytest.raises(BrainTumorError, match="2 of 2 cases were not done"):
        batch_of(["a", "b"], work)
